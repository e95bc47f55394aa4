"""A person asks for a sync: at once where that helps, else why not, and when."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Connection, ConnectionStatus
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.quota import Allowance, PastCall, calls_left, next_call_at
from bank_pipeline.domain.transitions import PLANNED_WITHIN, FailureKind
from bank_pipeline.domain.waits import CLOCKS_APART, lies_ahead
from bank_pipeline.errors import NotNowError
from bank_pipeline.providers.base import Quota, Scope
from bank_pipeline.storage.accounts import load_stored_accounts
from bank_pipeline.storage.calls import AccountScope, load_recent_calls
from bank_pipeline.storage.connections import load_connection, lock_connection, set_sync_requested
from bank_pipeline.storage.locks import load_held
from bank_pipeline.storage.provider_health import load_provider_health
from bank_pipeline.storage.sync_runs import SyncRun, load_sync_runs
from bank_pipeline.sync.circuit import AFTER_PROBE
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.quota import SPENT

COOLDOWN: Final = timedelta(minutes=5)
"""Banks have nothing new so soon, and every try may cost a call that is counted."""

_STOPPED: Final = {
    ConnectionStatus.NEEDS_REAUTH: "the bank wants its customer to log in again: reconnect first",
    ConnectionStatus.REVOKED: "the consent is gone for good: connect the bank again",
    ConnectionStatus.DISCONNECTED: "it was disconnected: connect the bank again",
}


@dataclass(frozen=True)
class Asking:
    """
    Whether a person may ask for a sync now.

    `refusal` says why not, None where they may; `next_at` is when, None where no time helps.
    `calls_left` is how many calls the bank answers today of the scarcest kind, None where it
    counts none. `is_waiting`: one was asked for and has not begun. `is_running`: one is under way.
    """

    refusal: str | None
    next_at: datetime | None
    calls_left: int | None
    is_waiting: bool
    is_running: bool


def ask_for_sync(context: SyncContext, connection_id: ConnectionId) -> Asking:
    """
    Ask for a sync of one connection; Dagster starts it within seconds.

    Asked again before it has begun, it is the same one.

    Raises:
        NotNowError: not now; the message says why, and `next_at` when.
        NotFoundError: there is no such connection.
    """
    with context.engine.begin() as db:
        connection = lock_connection(db, connection_id)
        asking = _judge(context, db, connection)
        if asking.refusal is not None:
            raise NotNowError(asking.refusal, next_at=asking.next_at)
        if not asking.is_waiting:
            set_sync_requested(db, connection_id, now=context.clock())
    return asking


def may_ask(context: SyncContext, connection_id: ConnectionId) -> Asking:
    """
    Say whether a sync may be asked for now.

    Raises:
        NotFoundError: there is no such connection.
    """
    with context.engine.connect() as db:
        return _judge(context, db, load_connection(db, connection_id))


def _judge(context: SyncContext, db: sa.Connection, connection: Connection) -> Asking:
    now = context.clock()
    newest = next(iter(load_sync_runs(db, connection.id, limit=1)), None)
    is_open = newest is not None and newest.outcome is None
    is_running = is_open and bool(load_held(db, [connection.id]))
    stored = load_stored_accounts(db, connection.id, vault=context.vault)
    wanted = stored.held.keys() - stored.closed - stored.excluded
    past = load_recent_calls(db, connection.id, now=now)
    client = context.providers.get(connection.provider)
    quotas = client.capabilities.quotas if client else ()
    obstacles = (
        _refused(connection),
        None if client else ("its provider is not configured here", None),
        _paused(db, connection, now),
        ("a sync is under way", None) if is_running else None,
        _put_off(connection, newest, now),
        _cooling(newest, now),
        _spent(wanted, quotas, past, now),
    )
    refusal, next_at = next((one for one in obstacles if one is not None), (None, None))
    is_asked = connection.sync_requested_at is not None
    return Asking(
        refusal,
        next_at,
        calls_left=_left(wanted, quotas, past, now),
        is_waiting=is_asked and not is_running and connection.status.is_syncable,
        is_running=is_running,
    )


def _refused(connection: Connection) -> tuple[str, None] | None:
    reason = _STOPPED.get(connection.status)
    return None if reason is None else (reason, None)


def _paused(
    db: sa.Connection, connection: Connection, now: datetime
) -> tuple[str, datetime | None] | None:
    health = load_provider_health(db, connection.provider, now=now)
    if not health.is_paused:
        return None
    due = None if health.next_probe_at is None else health.next_probe_at + AFTER_PROBE
    return "its provider refuses our own keys: whoever runs this service was told", due


def _put_off(
    connection: Connection, newest: SyncRun | None, now: datetime
) -> tuple[str, datetime] | None:
    """Return until when the provider itself put the last sync off."""
    due = connection.next_attempt_at
    is_limited = newest is not None and newest.error_class == FailureKind.RATE_LIMITED
    if not is_limited or due is None or (newest and newest.error_code == SPENT):
        return None
    if not lies_ahead(due, PLANNED_WITHIN, now=now):
        return None
    return "the provider asked for patience", due


def _cooling(newest: SyncRun | None, now: datetime) -> tuple[str, datetime] | None:
    tried_at = None if newest is None else newest.ended_at
    if tried_at is None or not -CLOCKS_APART <= now - tried_at < COOLDOWN:
        return None
    return "it was synced moments ago", tried_at + COOLDOWN


def _spent(
    account_ids: Collection[str],
    quotas: Collection[Quota],
    past: Mapping[AccountScope, list[PastCall]],
    now: datetime,
) -> tuple[str, datetime] | None:
    """Return when the first of the accounts may be asked for transactions again."""
    quota = next((one for one in quotas if one.scope is Scope.TRANSACTIONS), None)
    if quota is None or not account_ids:
        return None
    allowance = Allowance(quota.calls_max, quota.scheduled_max)
    due = min(
        next_call_at(past.get((one, quota.scope), ()), allowance, is_scheduled=False, now=now)
        for one in account_ids
    )
    return None if due <= now else ("the bank answers no more calls today", due)


def _left(
    account_ids: Collection[str],
    quotas: Collection[Quota],
    past: Mapping[AccountScope, list[PastCall]],
    now: datetime,
) -> int | None:
    return min(
        (
            calls_left(past.get((one, quota.scope), ()), quota.calls_max, now=now)
            for quota in quotas
            for one in account_ids
        ),
        default=None,
    )
