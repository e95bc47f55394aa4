"""From an error to what it means for the connection: its class, a safe code, the next try."""

import traceback
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from bank_pipeline import errors
from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.transitions import (
    FailureKind,
    Transition,
    after_deferral,
    after_failure,
)
from bank_pipeline.errors import (
    AccessRevokedError,
    AccountBlockedError,
    AccountGoneError,
    ConcurrentSyncError,
    ConfigurationError,
    CursorRejectedError,
    PayloadError,
    ProductUnsupportedError,
    ProviderError,
    ProviderPausedError,
    RateLimitedError,
    ReauthRequiredError,
    SecretError,
    SetupError,
    TransientError,
    WindowTooWideError,
)
from bank_pipeline.storage.sync_runs import SyncOutcome

_KINDS: Final[tuple[tuple[type[Exception], FailureKind], ...]] = (
    (ReauthRequiredError, FailureKind.REAUTH_REQUIRED),
    (AccessRevokedError, FailureKind.ACCESS_REVOKED),
    (RateLimitedError, FailureKind.RATE_LIMITED),
    (TransientError, FailureKind.TRANSIENT),
    (CursorRejectedError, FailureKind.CURSOR_REJECTED),
    (AccountGoneError, FailureKind.ACCOUNT_GONE),
    (AccountBlockedError, FailureKind.ACCOUNT_BLOCKED),
    (ProductUnsupportedError, FailureKind.PRODUCT_UNSUPPORTED),
    (WindowTooWideError, FailureKind.WINDOW_TOO_WIDE),
    (ConfigurationError, FailureKind.CONFIGURATION),
    (SecretError, FailureKind.CONFIGURATION),
    (SetupError, FailureKind.CONFIGURATION),
    (ConcurrentSyncError, FailureKind.CONCURRENT),
    (PayloadError, FailureKind.PAYLOAD),
    (sa.exc.DBAPIError, FailureKind.DATABASE),
    (sa.exc.TimeoutError, FailureKind.DATABASE),
)


def classify(error: Exception) -> tuple[FailureKind, str]:
    """Return the class of a failure and a code that is safe to show."""
    code = error.code if isinstance(error, ProviderError) else type(error).__name__
    kinds = (kind for type_, kind in _KINDS if isinstance(error, type_))
    return next(kinds, FailureKind.UNEXPECTED), code


def kind_named(class_name: str) -> FailureKind:
    """Return the class of a failure that is known by the name of its error alone."""
    error = getattr(errors, class_name, None) or getattr(sa.exc, class_name, None)
    kinds = (kind for type_, kind in _KINDS if isinstance(error, type) and issubclass(error, type_))
    return next(kinds, FailureKind.UNEXPECTED)


def to_transition(connection: Connection, error: Exception, *, now: datetime) -> Transition:
    """Say where a connection goes after this failure."""
    kind, code = classify(error)
    retry_after_s = error.retry_after_s if isinstance(error, ProviderError) else None
    retry_after = None if retry_after_s is None else timedelta(seconds=retry_after_s)
    if isinstance(error, ProviderPausedError):
        return after_deferral(connection, due=now + (retry_after or timedelta(0)), now=now)
    return after_failure(connection, kind, code=code, retry_after=retry_after, now=now)


def outcome_of(error: Exception) -> SyncOutcome:
    """Say how a sync ended that raised this: put off, or failed."""
    is_put_off = isinstance(error, ProviderPausedError)
    return SyncOutcome.DEFERRED if is_put_off else SyncOutcome.FAILED


def request_id_of(error: Exception) -> str | None:
    """Return the provider's name of the failed call, for a support ticket."""
    return error.request_id if isinstance(error, ProviderError) else None


def place_of(error: Exception) -> str:
    """Name an unforeseen error and the place of it, without its words: they may quote rows."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
