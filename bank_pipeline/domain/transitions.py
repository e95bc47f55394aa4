"""
What the end of a sync means for its connection: status, reason and next try.

Pure. No path leads to silence: every outcome either plans a next try, or names what a
person must do, or leaves the connection to its daily schedule.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from bank_pipeline.domain.connection import Connection, ConnectionStatus, HistoryStage

EXPIRING_WITHIN: Final = timedelta(days=14)  # the first notice before a consent ends

RETRY_WAITS: Final = (
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=4),
    timedelta(hours=12),
    timedelta(days=1),
)
"""Waits after the first, second, … failure in a row; the last one repeats for ever."""

HISTORY_WAITS: Final = (
    (timedelta(seconds=20), timedelta(seconds=5)),
    (timedelta(minutes=2), timedelta(seconds=15)),
    (timedelta(hours=1), timedelta(minutes=1)),
    (timedelta(days=1), timedelta(minutes=30)),
)
"""While history is being prepared: (connection younger than, look again after)."""
HISTORY_WAIT_LAST: Final = timedelta(hours=6)


class FailureKind(StrEnum):
    """The classes of failure, by what has to happen next."""

    REAUTH_REQUIRED = "reauth_required"
    ACCESS_REVOKED = "access_revoked"
    RATE_LIMITED = "rate_limited"
    TRANSIENT = "transient"
    CONFIGURATION = "configuration"
    PAYLOAD = "payload"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True)
class Transition:
    """Where a connection goes. `next_attempt_at` is None when the daily schedule is the plan."""

    status: ConnectionStatus
    reason: str | None
    next_attempt_at: datetime | None
    error_retries: int


def after_success(
    connection: Connection,
    *,
    stage: HistoryStage,
    consent_expires_at: datetime | None,
    now: datetime,
) -> Transition:
    """
    Say where a connection stands after a sync that ended well.

    A warning without a date stands until the consent is renewed: data that still comes does
    not deny it.
    """
    if stage is HistoryStage.AWAITING_INITIAL:
        status, reason = ConnectionStatus.PENDING, "waiting for the bank's first data"
    elif ends_soon(consent_expires_at, now=now):
        status, reason = ConnectionStatus.EXPIRING, f"consent ends {consent_expires_at:%Y-%m-%d}"
    elif consent_expires_at is None and connection.status is ConnectionStatus.EXPIRING:
        status, reason = connection.status, connection.status_reason  # warned, without a date
    else:
        status, reason = ConnectionStatus.ACTIVE, None
    waits = stage is not HistoryStage.COMPLETE
    return Transition(
        status=status,
        reason=reason,
        next_attempt_at=now + _history_wait(now - connection.created_at) if waits else None,
        error_retries=0,
    )


def ends_soon(consent_expires_at: datetime | None, *, now: datetime) -> bool:
    """Say whether a consent seems to end within EXPIRING_WITHIN, or to have ended."""
    return consent_expires_at is not None and consent_expires_at - now <= EXPIRING_WITHIN


def after_part(connection: Connection) -> Transition:
    """
    Say where a connection stands after a sync without transactions: where it stood.

    That its balances came says nothing of the transactions that did not.
    """
    return Transition(
        status=connection.status,
        reason=connection.status_reason,
        next_attempt_at=connection.next_attempt_at,
        error_retries=connection.error_retries,
    )


def after_failure(
    connection: Connection,
    kind: FailureKind,
    *,
    code: str,
    retry_after: timedelta | None,
    now: datetime,
) -> Transition:
    """
    Say where a connection goes after a failed sync.

    A failure that is ours (configuration) or the provider's limit never touches the
    customer's status; only what a person must mend stops the calls.
    """
    retries = connection.error_retries + 1
    wait = RETRY_WAITS[min(retries, len(RETRY_WAITS)) - 1]
    if kind is FailureKind.REAUTH_REQUIRED:
        return Transition(ConnectionStatus.NEEDS_REAUTH, code, None, retries)
    if kind is FailureKind.ACCESS_REVOKED:
        return Transition(ConnectionStatus.REVOKED, code, None, retries)
    if not connection.status.is_syncable:  # what a person must mend stays so, whatever else fails
        return Transition(
            connection.status, connection.status_reason, None, connection.error_retries
        )
    if kind is FailureKind.RATE_LIMITED:
        due = now + max(retry_after or wait, timedelta(seconds=1))
        return Transition(
            connection.status, connection.status_reason, due, connection.error_retries
        )
    due = now + max(wait, retry_after or wait)
    if kind is FailureKind.CONFIGURATION:
        return Transition(connection.status, connection.status_reason, due, retries)
    return Transition(ConnectionStatus.ERROR, code, due, retries)


def _history_wait(age: timedelta) -> timedelta:
    return next((wait for younger, wait in HISTORY_WAITS if age < younger), HISTORY_WAIT_LAST)
