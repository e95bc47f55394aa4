"""From what happened to how an account stands. Pure."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Final

from bank_pipeline.sandbox.ledger import (
    AccountKind,
    AccountTruth,
    BankAccount,
    Entry,
    EntryState,
    LedgerEvent,
)

_SHOWN: Final = (EntryState.PENDING, EntryState.BOOKED)
_DEPOSITORY: Final = (AccountKind.CHECKING, AccountKind.SAVINGS)


def fold(account: BankAccount, opening: Decimal, events: Iterable[LedgerEvent]) -> AccountTruth:
    """
    Return the account as it stands after the events.

    The booked balance is the opening one plus all booked entries. What can be spent follows
    pending entries too, and a card's limit; loans and investments tell none.
    """
    latest = {event.entry.id: event.entry for event in events}
    entries = sorted((one for one in latest.values() if one.state in _SHOWN), key=_age)
    booked = opening + _sum(entries, EntryState.BOOKED)
    pending = _sum(entries, EntryState.PENDING)
    return AccountTruth(account, booked, _available(account, booked + pending), tuple(entries))


def _sum(entries: Iterable[Entry], state: EntryState) -> Decimal:
    return sum((entry.amount for entry in entries if entry.state is state), Decimal(0))


def _available(account: BankAccount, expected: Decimal) -> Decimal | None:
    if account.kind in _DEPOSITORY:
        return expected
    if account.kind is AccountKind.CREDIT_CARD and account.credit_limit is not None:
        return account.credit_limit + expected
    return None


def _age(entry: Entry) -> tuple[date, str]:
    return entry.booking_date or entry.transaction_date, entry.id
