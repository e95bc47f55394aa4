"""
What a provider is to the rest of the house: one contract, and its differences as data.

A provider fetches, hands every successful answer to `archive` before a row of it is read,
and translates into domain values. An answer that cannot be read at all is archived before
the error is raised, so that there is something to look into; only the answers of a loop
that is started again are not kept. It never touches the database and never waits longer
than a call's own short retries: a longer wait is an error that carries `retry_after_s`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import SecretStr

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.balance import Balance
from bank_pipeline.domain.connection import HistoryStage, Provider, ProviderStatus
from bank_pipeline.domain.institution import Institution
from bank_pipeline.domain.transaction import TransactionDelta
from bank_pipeline.errors import ProviderError


@dataclass(frozen=True)
class Capabilities:
    """What a provider can and cannot do, so that the use cases need no `if` on its name."""

    has_change_feed: bool
    has_pending: bool
    has_webhooks: bool
    feed_includes_accounts: bool
    history_days_max: int


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
    missing from a complete answer is closed or no longer shared.
    """

    accounts: tuple[Account, ...]
    balances: tuple[Balance, ...]
    is_complete: bool
    status: ProviderStatus | None
    quarantined: tuple[QuarantinedRow, ...] = ()


@dataclass(frozen=True)
class ChangesAnswer:
    """
    One whole update of a change feed.

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


@dataclass(frozen=True)
class LinkStart:
    """Where to send the customer, and what to remember until they come back."""

    url: str = field(repr=False)
    external_state: SecretStr
    expires_at: datetime


@dataclass(frozen=True)
class LinkedConnection:
    """What a finished link yields: store the credential before anything else is done."""

    external_id: str
    credential: SecretStr
    institution_external_id: str | None
    institution_name: str | None


@dataclass(frozen=True)
class LinkProgress:
    """
    Where a link stands. `exchange_tokens` are single-use and short-lived.

    Neither finished nor with tokens: the customer is still at it.
    """

    is_finished: bool
    exchange_tokens: tuple[SecretStr, ...] = ()
    exit_reason: str | None = None


class EventKind(StrEnum):
    """
    What a webhook asks for, whoever sent it.

    SYNC: data has changed. HISTORICAL_SYNC: the whole history has arrived. EXPIRING: the
    consent ends soon and still works. NEEDS_REAUTH, REVOKED: calls stop. REPAIRED: the
    connection healed by itself. ACCOUNT_REVOKED: one account is no longer shared.
    NEW_ACCOUNTS: the bank has accounts that are not shared yet. LINK_FINISHED: ask how the
    link stands. IGNORE: kept for the record, nothing to do.
    """

    SYNC = "sync"
    HISTORICAL_SYNC = "historical_sync"
    EXPIRING = "expiring"
    NEEDS_REAUTH = "needs_reauth"
    REPAIRED = "repaired"
    REVOKED = "revoked"
    ACCOUNT_REVOKED = "account_revoked"
    NEW_ACCOUNTS = "new_accounts"
    LINK_FINISHED = "link_finished"
    IGNORE = "ignore"


@dataclass(frozen=True)
class ProviderEvent:
    """
    A verified webhook, in our words.

    `event_key` is the same when one delivery arrives again, and nobody but the provider can
    vary it. What the provider sends anew has a new key, be it a retry or the same news on
    another day: to act twice on one event is harmless, to miss one is not. `external_id` is
    the connection's at the provider; None when the event is about something else.
    """

    provider: Provider
    kind: EventKind
    code: str
    external_id: str | None
    event_key: str
    payload: Mapping[str, Any] = field(default_factory=dict)


class ProviderClient(ABC):
    """
    One provider of bank data.

    Every method may raise any `ProviderError`; the docstrings name only what is particular.
    Implementations are safe to share between threads.
    """

    provider: Provider
    capabilities: Capabilities

    @abstractmethod
    def fetch_status(self, credential: SecretStr, *, archive: Archive) -> ProviderStatus:
        """Ask how the connection is. Costs one call."""

    @abstractmethod
    def to_error(self, error_code: str) -> ProviderError:
        """Return the error that a status' `error_code` stands for. Pure."""

    @abstractmethod
    def fetch_accounts(self, credential: SecretStr, *, archive: Archive) -> AccountsAnswer:
        """Fetch every account with its balances, without asking the bank anew."""

    @abstractmethod
    def fetch_changes(
        self, credential: SecretStr, *, cursor: str | None, archive: Archive
    ) -> ChangesAnswer:
        """
        Fetch every change since `cursor`, all pages; None asks for the whole history.

        What is archived, when this returns, is what `to_changes` takes.

        Raises:
            CursorRejectedError: the provider does not know the cursor any more.
            FeedMovedError: the feed still moved after several restarts.
        """

    @abstractmethod
    def to_changes(
        self, answers: Sequence[RawAnswer], *, cursor_before: str | None
    ) -> ChangesAnswer:
        """Translate archived answers of `fetch_changes`, in their order. Pure."""

    @abstractmethod
    def fetch_institution(self, external_id: str) -> Institution:
        """Fetch one institution."""

    @abstractmethod
    def start_link(
        self, *, customer_reference: str, credential: SecretStr | None, return_url: str | None
    ) -> LinkStart:
        """Begin a link; with a credential, begin renewing that connection's consent."""

    @abstractmethod
    def fetch_link_progress(self, external_state: SecretStr) -> LinkProgress:
        """Ask how far the customer has come."""

    @abstractmethod
    def complete_link(self, exchange_token: SecretStr) -> LinkedConnection:
        """Exchange a finished link's token for a credential. Works once per token."""

    @abstractmethod
    def disconnect(self, credential: SecretStr) -> None:
        """End the consent at the provider. Succeeds if it is gone already."""

    @abstractmethod
    def verify_webhook(
        self, headers: Mapping[str, str], body: bytes, *, now: datetime
    ) -> ProviderEvent:
        """
        Return the event if, and only if, the provider sent exactly these bytes recently.

        Raises:
            WebhookRejectedError: forged, altered or stale.
        """

    @abstractmethod
    def check_health(self) -> None:
        """Make the cheapest call that proves our keys and the network. Raises when they fail."""
