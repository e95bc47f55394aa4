"""
Everything this package raises on purpose, grouped by what the caller must do next.

BankPipelineError
├── ProviderError               a provider answered with a failure, or not at all
│   ├── TransientError          the same call may succeed later
│   │   ├── RateLimitedError    not before `retry_after_s`
│   │   └── FeedMovedError      data moved while paging: start the update again
│   ├── CursorRejectedError     the change feed's cursor is lost: replay and reconcile
│   ├── UserActionError         calls stop until a person acts
│   │   ├── ReauthRequiredError the customer logs in again (update mode)
│   │   └── AccessRevokedError  the consent is gone for good; a new link is needed
│   ├── AccountGoneError        one account is closed or no longer shared
│   ├── AccountBlockedError     the bank refuses one account for now; its siblings go on
│   ├── ProductUnsupportedError this bank or account has no such data
│   ├── WindowTooWideError      the history asked for is longer than the bank gives
│   ├── ConfigurationError      our keys, our request, our set-up: no customer is touched
│   │   ├── CredentialsRefusedError our own keys: every call of this provider would fail
│   │   └── ProviderPausedError they were refused lately: no call was made
│   └── PayloadError            the answer does not fit its documented shape
├── ConcurrentSyncError         the rows moved while we were fetching: do it again
│   ├── BusyError               another sync holds this connection: it does our work
│   │   └── CoveredError        … or has done it, or tried, since it was asked for
│   └── EndedError              the connection was ended: nothing of it is read any more
├── NotNowError                 a person asked for what has to wait, or for somebody
├── OtherBrowserError           a link is ended in the browser that began it
├── WebhookRejectedError        an inbound webhook cannot be trusted
├── StorageError                the database did not take it: do it again
├── NotFoundError               no stored thing has this id
├── SecretError                 a stored secret does not open: wrong key or altered text
└── SetupError                  the operator must change something; the message says what
"""

from datetime import date, datetime

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.webhooks import Refusal


class BankPipelineError(Exception):
    """Base of all errors raised on purpose by this package."""


class ProviderError(BankPipelineError):
    """
    A provider call failed.

    Holds what support needs to raise a ticket, and nothing that must not be logged: no
    token, no name, no account number, no response body.
    """

    def __init__(
        self,
        provider: Provider,
        operation: str,
        *,
        code: str,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{provider} {operation}: {code} (request {request_id})")
        self.provider = provider
        self.operation = operation
        self.code = code
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class TransientError(ProviderError):
    """The same call may succeed later: time-out, outage at the bank, 5xx."""


class RateLimitedError(TransientError):
    """Too many calls. `retry_after_s` is set."""


class FeedMovedError(TransientError):
    """The feed changed while it was being read: the whole update must be read again."""


class CursorRejectedError(ProviderError):
    """The provider does not know the cursor any more: only a full replay can help."""


class UserActionError(ProviderError):
    """Nothing but a person's act can make this connection work again."""


class ReauthRequiredError(UserActionError):
    """The bank wants the customer to log in, or to consent, again."""


class AccessRevokedError(UserActionError):
    """The connection is gone at the provider; only a new link brings the data back."""


class AccountGoneError(ProviderError):
    """The account is closed, or the customer no longer shares it."""


class AccountBlockedError(ProviderError):
    """The bank refuses this account for now: it is tried again, and its siblings go on."""


class ProductUnsupportedError(ProviderError):
    """The bank, or this account, does not offer this kind of data."""


class WindowTooWideError(ProviderError):
    """The bank gives a shorter history than asked for: from `earliest` on, where it says so."""

    earliest: date | None = None


class ConfigurationError(ProviderError):
    """The provider refused *us*: wrong keys, wrong request. It says nothing of the customer."""


class CredentialsRefusedError(ConfigurationError):
    """The provider refused our own key, certificate or signature: nobody's calls can succeed."""


class ProviderPausedError(ConfigurationError):
    """
    Our keys were refused lately, so this call was not made. `retry_after_s` is set.

    A deferral: it says nothing of the connection, and counts as no failure of it.
    """


class PayloadError(ProviderError):
    """The answer does not fit its documented shape; it is archived, never logged."""


class ConcurrentSyncError(BankPipelineError):
    """What we decided from is not what is stored any more; nothing was written."""


class BusyError(ConcurrentSyncError):
    """Another sync holds this connection, so there is nothing for us to do."""


class CoveredError(BusyError):
    """Since this was asked for the connection was synced, or failed and has its next try."""


class EndedError(ConcurrentSyncError):
    """The connection was ended, perhaps since this was asked for; nothing was read or written."""


class NotNowError(BankPipelineError):
    """What was asked for cannot be done now; `next_at` is when, None where no time helps."""

    def __init__(self, reason: str, *, next_at: datetime | None = None) -> None:
        super().__init__(reason)
        self.next_at = next_at


class OtherBrowserError(BankPipelineError):
    """A link that was begun in one browser is not ended in another."""


class WebhookRejectedError(BankPipelineError):
    """
    An inbound webhook could not be trusted.

    `retry_after_s` is set where it may be believed later: it was not looked into.
    """

    def __init__(self, refusal: Refusal, why: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.refusal = refusal
        self.retry_after_s = retry_after_s


class StorageError(BankPipelineError):
    """The database did not take what was to be stored; nothing of it is kept."""


class NotFoundError(BankPipelineError):
    """No stored thing has this id."""


class SecretError(BankPipelineError):
    """A stored secret does not open: another key, another row, or altered text."""


class RefusedError(BankPipelineError):
    """What was asked for would lose something; the message says what, and what to do first."""


class SetupError(BankPipelineError):
    """The operator must change something; the message says what and how."""
