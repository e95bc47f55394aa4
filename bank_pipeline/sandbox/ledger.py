"""
What really happened at the simulated banks: the vocabulary of the sandbox's ground truth.

Plain values. Amounts are `Decimal`, signed from the account holder (positive is money in).
Datetimes are aware UTC, dates are calendar dates at the bank.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum


class AccountKind(StrEnum):
    """What a bank calls the account."""

    CHECKING = "checking"
    SAVINGS = "savings"
    CREDIT_CARD = "credit_card"
    LOAN = "loan"
    MORTGAGE = "mortgage"
    INVESTMENT = "investment"


class EntryState(StrEnum):
    """Where one movement of money stands in its life."""

    PENDING = "pending"
    BOOKED = "booked"
    VANISHED = "vanished"  # a pending entry that ended without being booked
    REMOVED = "removed"  # a booked entry that the bank took back as an error


@dataclass(frozen=True)
class Bank:
    """
    An institution. `id` is the world's; each provider's app shows it under its own id.

    `utc_offset` turns a moment into the bank's calendar date (no daylight saving).
    """

    id: str
    name: str
    country: str
    url: str
    oauth: bool
    utc_offset: timedelta = timedelta(0)


@dataclass(frozen=True)
class Login:
    """One person's access to one bank: what a customer connects through a provider."""

    id: str
    bank_id: str
    person_name: str
    username: str
    account_ids: tuple[str, ...]


@dataclass(frozen=True)
class BankAccount:
    """
    One account. Exactly one of the currencies is set, or neither when the bank names none.

    `credit_limit` is positive. `opened_on` bounds the history; a `closed_at` account
    disappears from what the bank shows.
    """

    id: str
    login_id: str
    kind: AccountKind
    name: str
    official_name: str | None
    mask: str | None
    currency: str | None
    unofficial_currency: str | None
    opened_on: date
    iban: str | None = None
    credit_limit: Decimal | None = None
    business: bool = False
    closed_at: datetime | None = None


@dataclass(frozen=True)
class Party:
    """The other side of a movement, with whatever the bank knows of it."""

    name: str
    kind: str  # merchant, financial_institution, payment_app, marketplace, income_source, person
    website: str | None = None
    iban: str | None = None


@dataclass(frozen=True)
class Entry:
    """
    One movement on one account, as of one version of it.

    `id` is the world's and never changes while the entry lives: providers show their own
    ids, which may. `version` counts from 1 and grows with every change. `amount` is what
    the bank shows now (a hold may book at another amount). `booking_date` is None until
    booked. `category` is a code of Plaid's personal finance taxonomy v2 (detailed), from
    which other providers' words are derived.
    """

    id: str
    version: int
    account_id: str
    state: EntryState
    amount: Decimal
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
    channel: str  # online, in store, other
    city: str | None = None
    country: str | None = None
    check_number: str | None = None
    reference: str | None = None
    source_amount: Decimal | None = None  # before conversion, signed like `amount`
    source_currency: str | None = None
    exchange_rate: Decimal | None = None
    linked: bool = True  # False: the provider fails to tie the booked entry to its pending one


@dataclass(frozen=True)
class LedgerEvent:
    """
    At `at`, the bank began to show `entry` instead of `before`.

    `before` is None when the entry is new. `noop` marks a change that alters nothing but
    which the bank announces all the same.
    """

    sequence: int
    at: datetime
    entry: Entry
    before: Entry | None
    noop: bool = False


@dataclass(frozen=True)
class AccountTruth:
    """
    An account as the bank shows it at one moment.

    `booked` is the ledger balance and `available` what can be spent, both from the account
    holder's view: debt on a card or loan is negative. None where the bank tells none.
    """

    account: BankAccount
    booked: Decimal | None
    available: Decimal | None
    entries: tuple[Entry, ...] = field(default=())  # pending and booked ones only, oldest first
