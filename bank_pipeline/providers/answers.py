"""
What providers are asked and what they answer, in our words: plain values.

Every successful answer is archived as it came before a row of it is read.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.balance import Balance
from bank_pipeline.domain.connection import HistoryStage, ProviderStatus
from bank_pipeline.domain.identity_rules import DOUBTED, IdentityRules
from bank_pipeline.domain.institution import Institution
from bank_pipeline.domain.stored import Key, key_of
from bank_pipeline.domain.transaction import Transaction, TransactionDelta
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import ProviderError


@dataclass(frozen=True)
class RawAnswer:
    """
    One answer as it came. Never holds a credential: operations that return one are not archived.

    Of an answer too large to accept, `body` is its beginning: nobody has read the rest.
    `digest` is a hash of the body without what changes on every call (request ids), so that
    the same answer twice is stored once.
    """

    operation: str
    body: bytes
    digest: bytes
    request_id: str | None


Archive = Callable[[RawAnswer], None]
"""Stores an answer durably. Returns when it is stored, so that reading it may fail."""


def keep_nothing(_answer: RawAnswer) -> None:
    """Archive nothing: for answers that are public, or may hold a credential."""


@dataclass(frozen=True)
class QuarantinedRow:
    """
    One row that does not fit the documented shape: kept as it came, its siblings land.

    `reason` names fields and rules, never values.
    """

    operation: str
    external_id: str | None
    raw: str
    reason: str


@dataclass(frozen=True)
class AccountsAnswer:
    """
    Accounts and their balances.

    `is_complete` says that every account of the connection is in it: an account that is
    missing from a complete answer is closed or no longer shared. `troubles` are accounts, by
    external id, that must not be asked for anything now, and why.
    """

    accounts: tuple[Account, ...]
    balances: tuple[Balance, ...]
    is_complete: bool
    status: ProviderStatus | None
    quarantined: tuple[QuarantinedRow, ...] = ()
    troubles: Mapping[str, ProviderError] = field(default_factory=dict)
    calls_count: int = 1


@dataclass(frozen=True)
class ChangedPage:
    """
    One page of a change feed's update.

    `unread` are names (account, id) of rows that the page shows and that could not be read: a
    removal on an earlier page does not hold for them.
    """

    delta: TransactionDelta
    unread: frozenset[Key]
    quarantined: tuple[QuarantinedRow, ...]


def fold_pages(pages: Iterable[ChangedPage]) -> TransactionDelta:
    """
    Return what all pages of one update say together; the last word on each transaction wins.

    A removed transaction that a later page shows again stays, even when that later word cannot
    be read.
    """
    upserts: dict[Key, Transaction] = {}
    removed: set[Key] = set()
    for page in pages:
        removed -= page.unread
        for transaction in page.delta.upserts:
            key = key_of(transaction)
            removed.discard(key)
            upserts.pop(key, None)  # its place in the order is that of its last word
            upserts[key] = transaction
        for key in page.delta.removed:
            upserts.pop(key, None)
        removed |= page.delta.removed
    return TransactionDelta(upserts=tuple(upserts.values()), removed=frozenset(removed))


class LongUpdate(Protocol):
    """
    The pages of an update that is too long to be held: each is translated whenever it is read.

    The last word on a transaction wins. Within a page its removals come last.
    """

    def __len__(self) -> int:
        """Count the pages."""

    def read(self, number: int) -> ChangedPage:
        """Translate one page; its number is its place in the order."""


@dataclass(frozen=True)
class ChangesAnswer:
    """
    One whole update of a change feed.

    `long` holds its rows where they are too many; `delta` and `quarantined` are empty then.
    `cursor_after` is None when there is nothing to remember yet (data not ready): it must
    not overwrite a cursor. `accounts` holds those that the feed brought along.
    """

    delta: TransactionDelta
    cursor_before: str | None
    cursor_after: str | None
    stage: HistoryStage
    accounts: AccountsAnswer
    calls_count: int
    pages_count: int
    quarantined: tuple[QuarantinedRow, ...] = ()
    long: LongUpdate | None = None


@dataclass(frozen=True)
class QuotaSeen:
    """What an answer says of a quota: calls left, and when a spent one comes back."""

    calls_left: int
    resets_in: timedelta | None


@dataclass(frozen=True)
class BalancesAnswer:
    """The balances of one account. None stated is none, never a zero."""

    balances: tuple[Balance, ...]
    quarantined: tuple[QuarantinedRow, ...] = ()
    calls_count: int = 1


@dataclass(frozen=True)
class WindowRequest:
    """
    Which dates of one account to read.

    `window.last` is today, in UTC. `is_first`: nothing of the account was read before; some banks
    give their whole history only right after the consent.
    """

    window: DateWindow
    is_first: bool


@dataclass(frozen=True)
class WindowAnswer:
    """
    One account's transactions of some dates, all pages.

    `covered` are the dates of which every row is in here or among `quarantined`, so that a
    stored row of them that is missing is gone; None when the answer breaks off. Rows of other
    dates may come along. `balances` are those that rows state, for want of better.
    `trouble` is why an answer broke off: its rows land, and are asked for again.
    `identity_rules` say how far this bank's names of rows are believed.
    """

    account_external_id: str
    transactions: tuple[Transaction, ...]
    covered: DateWindow | None
    balances: tuple[Balance, ...] = ()
    quarantined: tuple[QuarantinedRow, ...] = ()
    trouble: ProviderError | None = None
    calls_count: int = 1
    pages_count: int = 1
    identity_rules: IdentityRules = DOUBTED


@dataclass(frozen=True)
class InstitutionsAnswer:
    """Every bank that a provider offers; `unreadable` says what was left out, and why."""

    institutions: tuple[Institution, ...]
    unreadable: tuple[QuarantinedRow, ...] = ()


@dataclass(frozen=True)
class PresentUser:
    """
    The customer who is in front of a screen right now, as their browser shows them.

    To send this for somebody who is not there is a false statement to the bank.
    """

    ip_address: str = field(repr=False)
    user_agent: str = field(repr=False)
    referer: str | None = field(default=None, repr=False)
    accept: str | None = None
    accept_charset: str | None = None
    accept_encoding: str | None = None
    accept_language: str | None = None
    geo_location: str | None = field(default=None, repr=False)
