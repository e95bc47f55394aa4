"""The versions of an entry that tests write by hand. Pure."""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import TypedDict

from bank_pipeline.sandbox.ledger import BankAccount, Entry, EntryState, Party


class EntryDetails(TypedDict, total=False):
    """What a script may say of an entry; the rest is usual. See `Entry` for the meanings."""

    currency: str | None
    unofficial_currency: str | None
    transaction_date: date
    booking_date: date | None
    value_date: date | None
    occurred_at: datetime | None
    description: str
    original_description: str
    party: Party | None
    category: str
    channel: str
    city: str | None
    country: str | None
    check_number: str | None
    reference: str | None
    source_amount: Decimal | None
    source_currency: str | None
    exchange_rate: Decimal | None
    linked: bool


class EntryChanges(EntryDetails, total=False):
    """What a script may change of an entry."""

    amount: Decimal


class AccountChanges(TypedDict, total=False):
    """What a script may change of an account, as banks do when they rename or convert it."""

    name: str
    official_name: str | None
    mask: str | None
    currency: str | None
    unofficial_currency: str | None
    iban: str | None
    credit_limit: Decimal | None
    business: bool


def first_version(
    account: BankAccount, amount: Decimal, state: EntryState, today: date, details: EntryDetails
) -> Entry:
    """Return a new entry, still without an id. A booked one is booked today by default."""
    booking_date = today if state is EntryState.BOOKED else None
    plain = Entry(
        id="",
        version=1,
        account_id=account.id,
        state=state,
        amount=amount,
        currency=account.currency,
        unofficial_currency=account.unofficial_currency,
        transaction_date=today,
        booking_date=booking_date,
        value_date=booking_date,
        occurred_at=None,
        description="Scripted entry",
        original_description="SCRIPTED ENTRY",
        party=None,
        category="OTHER_OTHER",
        channel="other",
    )
    return replace(plain, **details)


def next_version(
    entry: Entry, allowed: EntryState, state: EntryState, today: date, changes: EntryChanges
) -> Entry:
    """
    Return the entry's next version in `state`, booked today by default if it now becomes so.

    Raises:
        ValueError: the entry is not in the state that is `allowed` to turn into the new one.
    """
    if entry.state is not allowed:
        raise ValueError(f"{entry.id} is {entry.state}, not {allowed}")
    dated = entry
    if state is EntryState.BOOKED and entry.booking_date is None:
        dated = replace(entry, booking_date=today, value_date=today)
    return replace(dated, state=state, version=entry.version + 1, **changes)
