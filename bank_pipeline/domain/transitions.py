"""
What the end of a sync means for its connection: status, reason and next try.

Pure. No path leads to silence: every outcome either plans a next try, or names what a
person must do, or leaves the connection to its daily schedule.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from bank_pipeline.domain.cadence import spread
from bank_pipeline.domain.connection import Connection, ConnectionStatus, HistoryStage
from bank_pipeline.domain.waits import CLOCKS_APART, growing_wait

EXPIRING_WITHIN: Final = timedelta(days=14)  # the first notice before a consent ends

LEASE: Final = timedelta(minutes=15)
"""A started sync plans its own repetition: whoever is killed is tried again after it."""

RATE_SPREAD: Final = timedelta(seconds=30)
"""Connections that met one limit together come back apart, within this time."""

REFUSAL_WAITS: Final = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
)
"""The least waits after the second, third, … refusal for too many calls in a row."""

RETRY_WAITS: Final = (
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=4),
    timedelta(hours=12),
    timedelta(days=1),
)
"""Waits after the first, second, … failure in a row; the last one repeats for ever."""

LOOK_EVERY: Final = timedelta(days=1)
"""Who waits for their customer is looked at so often: it may have been mended elsewhere."""

WAIT_MAX: Final = timedelta(days=1)
"""Whatever a provider asks for, a connection is tried again after it."""

PLANNED_WITHIN: Final = WAIT_MAX + CLOCKS_APART
"""A try that is planned further ahead was planned by a clock that was ahead, and holds nobody."""

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
    CURSOR_REJECTED = "cursor_rejected"
    ACCOUNT_GONE = "account_gone"
    ACCOUNT_BLOCKED = "account_blocked"
    PRODUCT_UNSUPPORTED = "product_unsupported"
    WINDOW_TOO_WIDE = "window_too_wide"
    CONFIGURATION = "configuration"
    DATABASE = "database"
    CONCURRENT = "concurrent"
    PAYLOAD = "payload"
    UNEXPECTED = "unexpected"

    @property
    def is_ours(self) -> bool:
        """Say whether it tells of our installation only, and nothing of the customer's bank."""
        return self in _OURS

    @property
    def is_customers(self) -> bool:
        """Say whether the customer mends it, and nobody else."""
        return self in _CUSTOMERS


_CUSTOMERS: Final = frozenset({FailureKind.REAUTH_REQUIRED, FailureKind.ACCESS_REVOKED})
_BY_DATE: Final = "consent ends "
_NO_WARNING: Final = frozenset({ConnectionStatus.ACTIVE, ConnectionStatus.ERROR})
_OURS: Final = frozenset({FailureKind.CONFIGURATION, FailureKind.DATABASE, FailureKind.CONCURRENT})


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

    A warning stands until the consent is renewed or repaired, or its date moves: data that
    still comes does not deny it.
    """
    reason: str | None
    if stage is HistoryStage.AWAITING_INITIAL:
        status, reason = ConnectionStatus.PENDING, "waiting for the bank's first data"
    elif ends_soon(consent_expires_at, now=now):
        status, reason = ConnectionStatus.EXPIRING, f"{_BY_DATE}{consent_expires_at:%Y-%m-%d}"
    elif _is_warned(connection, consent_expires_at):
        status, reason = connection.status, connection.status_reason
    else:
        status, reason = ConnectionStatus.ACTIVE, None
    waits = stage is not HistoryStage.COMPLETE
    return Transition(
        status=status,
        reason=reason,
        next_attempt_at=now + _history_wait(now - connection.created_at) if waits else None,
        error_retries=0,
    )


def _is_warned(connection: Connection, consent_expires_at: datetime | None) -> bool:
    is_same_consent = consent_expires_at == connection.consent_expires_at
    return _is_told_of_end(connection) and is_same_consent


def _is_told_of_end(connection: Connection) -> bool:
    """Say whether somebody warned of an end: what a date alone told ends with that date."""
    is_by_date = (connection.status_reason or "").startswith(_BY_DATE)
    return connection.status is ConnectionStatus.EXPIRING and not is_by_date


def _is_warned_without_date(connection: Connection, *, now: datetime) -> bool:
    """Say whether nothing but the status tells of a warning, which a failure must not take away."""
    is_dated = ends_soon(connection.consent_expires_at, now=now)
    return _is_told_of_end(connection) and not is_dated


def ends_soon(consent_expires_at: datetime | None, *, now: datetime) -> bool:
    """Say whether a consent seems to end within EXPIRING_WITHIN, or to have ended."""
    return consent_expires_at is not None and consent_expires_at - now <= EXPIRING_WITHIN


def after_part(connection: Connection, *, planned_attempt_at: datetime | None) -> Transition:
    """
    Say where a connection stands after a sync without transactions: where it stood.

    That its balances came says nothing of the transactions that did not.
    `planned_attempt_at` is the try that was planned before this sync.
    """
    return Transition(
        status=connection.status,
        reason=connection.status_reason,
        next_attempt_at=planned_attempt_at,
        error_retries=connection.error_retries,
    )


def after_failed_part(
    connection: Connection,
    transition: Transition,
    *,
    is_put_off: bool,
    planned_attempt_at: datetime | None,
) -> Transition:
    """
    Say the same of one that failed, by what the failure means: no planned try is put off.

    One that was put off plans nothing: the others may have calls left where it met a limit, and
    their turn; where the provider is paused, nothing was asked.
    """
    due = transition.next_attempt_at
    if is_put_off:
        return after_part(connection, planned_attempt_at=planned_attempt_at)
    if due is None or planned_attempt_at is None:
        return transition
    return replace(transition, next_attempt_at=min(due, planned_attempt_at))


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
    customer's status; only what a person must mend stops the calls. A warning that has no date
    stands through failures, too: their next try is planned all the same.
    """
    retries = connection.error_retries + 1
    wait = growing_wait(RETRY_WAITS, retries)
    if kind is FailureKind.ACCESS_REVOKED:
        return Transition(ConnectionStatus.REVOKED, code, None, retries)
    if kind is FailureKind.REAUTH_REQUIRED and connection.status is not ConnectionStatus.REVOKED:
        return Transition(ConnectionStatus.NEEDS_REAUTH, code, now + LOOK_EVERY, retries)
    if not connection.status.is_syncable:  # what a person must mend stays so, whatever else fails
        return _stays(connection, now=now)
    asked = min(retry_after, WAIT_MAX) if retry_after and retry_after > timedelta(0) else wait
    if kind is FailureKind.RATE_LIMITED:
        return after_deferral(connection, due=now + asked, now=now)
    due = now + max(wait, asked)
    if kind.is_ours or _is_warned_without_date(connection, now=now):
        return Transition(connection.status, connection.status_reason, due, retries)
    return Transition(ConnectionStatus.ERROR, code, due, retries)


def after_refusals(transition: Transition, *, refusals: int, now: datetime) -> Transition:
    """
    Say the same of a refusal for too many calls that so many others came right before.

    A provider that asks for a second's patience each time is not believed for ever.
    """
    due = transition.next_attempt_at
    if not refusals or due is None:
        return transition
    return replace(
        transition, next_attempt_at=max(due, now + growing_wait(REFUSAL_WAITS, refusals))
    )


def after_deferral(connection: Connection, *, due: datetime, now: datetime) -> Transition:
    """
    Say where a connection stands that was put off: where it stood, and no failure is counted.

    Many are put off at once; they come back apart.
    """
    if not connection.status.is_syncable:
        return _stays(connection, now=now)
    return Transition(
        status=connection.status,
        reason=connection.status_reason,
        next_attempt_at=due + spread(connection.id, RATE_SPREAD),
        error_retries=connection.error_retries,
    )


def _stays(connection: Connection, *, now: datetime) -> Transition:
    """Say where one stays that a person must mend: looked at, where that may be done elsewhere."""
    is_waiting = connection.status is ConnectionStatus.NEEDS_REAUTH
    return Transition(
        status=connection.status,
        reason=connection.status_reason,
        next_attempt_at=now + LOOK_EVERY if is_waiting else None,
        error_retries=connection.error_retries,
    )


def settle(
    wanted: Transition, *, seen: Connection, stored: Connection, is_sync: bool
) -> Transition:
    """
    Reconcile where a connection is wanted with what became of it since it was `seen`.

    Whoever spoke in between (a webhook, a person) is not silenced:

    * a stop is not lifted by a sync that began before it;
    * a sync that found a stop before a renewal does not undo the renewal: it looks again;
    * a warning is not overwritten by a success or a failure that knew nothing of it;
    * a warning that is over is not told again by a sync that began before;
    * a try that was asked for meanwhile is not put off;
    * what a sync found under a consent that was replaced says nothing of the new one;
    * a connection that we ended stays ended, whatever a sync under way found or a provider says.
    """
    is_end = wanted.status is ConnectionStatus.DISCONNECTED
    if stored.status is ConnectionStatus.DISCONNECTED and (is_sync or not is_end):
        is_own_lease = is_sync and stored.next_attempt_at == seen.next_attempt_at
        due = None if is_own_lease else stored.next_attempt_at
        return Transition(stored.status, stored.status_reason, due, stored.error_retries)
    if is_sync and stored.external_id != seen.external_id:
        return Transition(
            stored.status, stored.status_reason, stored.next_attempt_at, stored.error_retries
        )
    asked = stored.next_attempt_at if stored.next_attempt_at != seen.next_attempt_at else None
    if (stored.status, stored.status_since) != (seen.status, seen.status_since):
        kept = replace(wanted, status=stored.status, reason=stored.status_reason)
        if not stored.status.is_syncable and wanted.status.is_syncable:
            return replace(kept, next_attempt_at=stored.next_attempt_at)
        if stored.status.is_syncable and not wanted.status.is_syncable and is_sync:
            return replace(kept, next_attempt_at=asked or stored.status_since)
        is_unheard = stored.status is ConnectionStatus.EXPIRING and wanted.status in _NO_WARNING
        is_over = seen.status is wanted.status is ConnectionStatus.EXPIRING and is_sync
        if is_unheard or is_over:
            wanted = kept
    if asked is None or not wanted.status.is_syncable:
        return wanted
    planned = wanted.next_attempt_at
    return replace(wanted, next_attempt_at=asked if planned is None else min(asked, planned))


def _history_wait(age: timedelta) -> timedelta:
    return next((wait for younger, wait in HISTORY_WAITS if age < younger), HISTORY_WAIT_LAST)
