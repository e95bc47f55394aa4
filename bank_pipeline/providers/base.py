"""
What a provider is to the rest of the house: one contract, and its differences as data.

A provider fetches, hands every successful answer to `archive` before a row of it is read, and
translates into domain values. One that cannot be read at all is archived before its error is
raised; only the answers of a loop that is started again are not kept. It never touches the database
nor waits longer than a call's own short retries: a longer wait is an error with `retry_after_s`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import SecretStr

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.connection import Provider, ProviderStatus
from bank_pipeline.domain.institution import CustomerKind, Institution
from bank_pipeline.domain.webhooks import Refusal
from bank_pipeline.errors import ProviderError, WebhookRejectedError
from bank_pipeline.providers.answers import (
    AccountsAnswer,
    Archive,
    BalancesAnswer,
    ChangesAnswer,
    InstitutionsAnswer,
    PresentUser,
    RawAnswer,
    WindowAnswer,
    WindowRequest,
)


class Scope(StrEnum):
    """What a call reads of one account, where a provider counts calls by it."""

    DETAILS = "details"
    BALANCES = "balances"
    TRANSACTIONS = "transactions"


@dataclass(frozen=True)
class Quota:
    """
    How often one scope of one account may be read in any 24 hours while nobody is present.

    `scheduled_max` is what we spend by ourselves; the rest is kept for people who ask.
    `counts_failures` says whether a call that failed is spent all the same.
    """

    scope: Scope
    calls_max: int
    scheduled_max: int
    counts_failures: bool


@dataclass(frozen=True)
class Capabilities:
    """
    What a provider can and cannot do, as data. How it tells transactions is its type.

    `history_days_max` is the longest history any of its banks gives, None when it states
    none. `overlap_days` are read again before the last complete answer, because banks book
    late, and `deep_days` once a week, because some book very late. `cuts_quietly`: its banks
    may leave out what is too old for them, and say nothing of it.
    `is_institution_chosen_first`: a link needs to know the bank; else the provider asks.
    `is_renewed_by_new_connection`: a renewed consent is another connection there, with other
    account ids. `answers_present_users`: a user who is there right now lifts quotas.
    `asks_customer_kind`: a link says whose login it is. `counts_outlive_consents`: its banks go on
    counting calls for an account under a new consent. `is_consent_made_at_start`: the state of a
    link opens a consent that has to be ended where the customer never came back.
    """

    has_pending: bool
    has_webhooks: bool
    history_days_max: int | None
    overlap_days: int
    deep_days: int = 0
    quotas: tuple[Quota, ...] = ()
    is_institution_chosen_first: bool = False
    is_renewed_by_new_connection: bool = False
    is_linked_on_our_page: bool = False
    is_finished_by_return: bool = False
    answers_present_users: bool = False
    cuts_quietly: bool = False
    is_consent_made_at_start: bool = False
    counts_outlive_consents: bool = False
    asks_customer_kind: bool = False

    def quota(self, scope: Scope) -> Quota | None:
        """Return the quota of a scope, None where calls are not counted."""
        return next((quota for quota in self.quotas if quota.scope is scope), None)


@dataclass(frozen=True)
class LinkRequest:
    """
    What a link begins with.

    `state` is ours, random and used once: it names the link when the customer comes back.
    `renews` is the credential of the connection whose consent is renewed, and
    `renews_external_id` what the provider calls that connection.
    `institution_external_id` is None where the provider lets the customer choose, `customer_kind`
    where it is that of what is renewed, or else a person's.
    """

    customer_reference: str
    state: SecretStr
    now: datetime
    renews: SecretStr | None = None
    renews_external_id: str | None = None
    institution_external_id: str | None = None
    return_url: str | None = None
    customer_kind: CustomerKind | None = None


@dataclass(frozen=True)
class LinkStart:
    """
    Where to send the customer, and what names this link from now on.

    `external_state` is the provider's name of it, or the request's own `state`.
    """

    url: str = field(repr=False)
    external_state: SecretStr
    expires_at: datetime


@dataclass(frozen=True)
class LinkWidget:
    """
    What a page of ours needs to run a provider's widget, which its `provider`'s own page does.

    `settings` are handed to it as they are; none is a secret but the link's own state. `origins`
    are those that it shows itself from and talks to, besides its script's.
    """

    provider: Provider
    script_url: str
    settings: Mapping[str, Any] = field(repr=False)
    origins: tuple[str, ...] = ()


@dataclass(frozen=True)
class LinkedConnection:
    """
    What a finished link yields: store the credential before anything else is done.

    `accounts` is set where account data comes only now, or comes now for nothing; `raw` is the
    answer they were read from, without what opens the connection.
    """

    external_id: str = field(repr=False)  # at some providers the credential, too
    credential: SecretStr
    institution_external_id: str | None
    institution_name: str | None
    consent_expires_at: datetime | None = None
    accounts: AccountsAnswer | None = None
    raw: RawAnswer | None = None


@dataclass(frozen=True)
class LinkProgress:
    """
    Where a link stands. Neither finished nor with tokens: the customer is still at it.

    `exchange_tokens`, of this bank where it is told, work once and not for long. `stated_id` is the
    connection's as the browser says, unproven, where it hands over what opens the bank by itself.
    """

    is_finished: bool
    exchange_tokens: tuple[SecretStr, ...] = ()
    exit_reason: str | None = None
    stated_id: str | None = None
    institution_external_id: str | None = None


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
    def fetch_accounts(
        self, credential: SecretStr, *, archive: Archive, known: Sequence[Account] = ()
    ) -> AccountsAnswer:
        """
        Fetch every account, without asking the bank anew, and balances that come along.

        `known` are the connection's accounts as last told, for providers that tell an account
        once only, or count how often it is asked for. The answer's `status` is as fresh as
        `fetch_status`, where the provider says it in passing.
        """

    @abstractmethod
    def fetch_institution(self, external_id: str) -> Institution:
        """Fetch one institution."""

    @abstractmethod
    def fetch_institutions(self) -> InstitutionsAnswer:
        """Fetch every institution that this provider offers us."""

    @abstractmethod
    def start_link(self, request: LinkRequest) -> LinkStart:
        """
        Begin a link, or the renewal of a connection's consent.

        Raises:
            SetupError: the request lacks what this provider needs; the message says what.
        """

    @abstractmethod
    def fetch_link_progress(
        self, external_state: SecretStr, *, returned: Mapping[str, str] | None = None
    ) -> LinkProgress:
        """
        Say how far the customer has come.

        `returned` is what came back with them (the query of the return address, or the form
        of the page they were on). Providers that can be asked do not trust it.
        """

    def to_link_widget(
        self,
        external_state: SecretStr,  # noqa: ARG002 - for those who have one
        *,
        renews_external_id: str | None,  # noqa: ARG002
    ) -> LinkWidget | None:
        """Return the widget of a link that runs in a page of ours; None without one. Pure."""
        return None

    @abstractmethod
    def complete_link(self, exchange_token: SecretStr) -> LinkedConnection:
        """Exchange a finished link's token for a credential. Works once per token."""

    @abstractmethod
    def disconnect(self, credential: SecretStr) -> None:
        """End the consent at the provider. Succeeds if it is gone already."""

    def verify_webhook(
        self,
        headers: Mapping[str, str],  # noqa: ARG002 - for those who send some
        body: bytes,  # noqa: ARG002
        *,
        now: datetime,  # noqa: ARG002
    ) -> ProviderEvent:
        """
        Return the event if, and only if, the provider sent exactly these bytes recently.

        Raises:
            WebhookRejectedError: forged, altered, stale, or the provider sends none at all.
        """
        raise WebhookRejectedError(Refusal.NOT_SET_UP, f"{self.provider} sends no webhooks")

    @abstractmethod
    def check_health(self) -> None:
        """Make the cheapest call that proves our keys and the network. Raises when they fail."""

    def check_links(self) -> None:
        """Prove what new links need besides, where it can be asked. Raises when it fails."""
        self.check_health()

    @abstractmethod
    def close(self) -> None:
        """Close all idle connections."""


class FeedProvider(ProviderClient):
    """
    A provider that tells what changed since a cursor, for all accounts of a connection at once.

    Its accounts come with their balances.
    """

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


class WindowProvider(ProviderClient):
    """A provider that is asked account by account: for its balances, and for some dates."""

    @abstractmethod
    def fetch_balances(
        self,
        credential: SecretStr,
        account: Account,
        *,
        archive: Archive,
        present_user: PresentUser | None = None,
    ) -> BalancesAnswer:
        """
        Fetch one account's balances.

        Raises:
            ProductUnsupportedError: this account has none to tell.
            AccountGoneError, AccountBlockedError: about this account only.
        """

    @abstractmethod
    def fetch_window(
        self,
        credential: SecretStr,
        account: Account,
        request: WindowRequest,
        *,
        archive: Archive,
        present_user: PresentUser | None = None,
    ) -> WindowAnswer:
        """
        Fetch one account's transactions of some dates, all pages.

        What is archived, when this returns, is what `to_window` takes.

        Raises:
            WindowTooWideError: the bank gives a shorter history; `earliest` where it says so.
            AccountGoneError, AccountBlockedError: about this account only.
        """

    @abstractmethod
    def to_window(
        self, answers: Sequence[RawAnswer], account: Account, request: WindowRequest
    ) -> WindowAnswer:
        """Translate archived answers of one `fetch_window`, in their order. Pure."""
