"""Syncs that look further back than usual: asked for before they begin, ended with their rows."""

import logging
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.depth import BACKFILL_DAYS, Depth, has_backfill
from bank_pipeline.errors import ProviderError, TransientError
from bank_pipeline.storage.connections import insert_notice, load_connection
from bank_pipeline.storage.depth import end_backfill, request_backfill
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.fetch import Fetched
from bank_pipeline.sync.reports import SyncRequest
from bank_pipeline.sync.started import StartedSync, check_not_ended

_log: Final = logging.getLogger(__name__)


def keep_backfill(context: SyncContext, request: SyncRequest) -> None:
    """
    Write down a backfill before it begins.

    So one that is killed, deferred by a quota or meets a busy connection is done by the syncs
    that come after it.

    Raises:
        EndedError: it was ended.
        NotFoundError: there is no such connection.
    """
    if request.depth is not Depth.BACKFILL:
        return
    now = context.clock()
    since = request.since or (now.date() - timedelta(days=BACKFILL_DAYS))
    with context.engine.begin() as db:
        connection = load_connection(db, request.connection_id)
        check_not_ended(connection)
        request_backfill(db, connection.id, since=since, now=now)


def write_depth(
    db: sa.Connection,
    started: StartedSync,
    fetched: Fetched,
    trouble: ProviderError | None,
    *,
    now: datetime,
) -> dict[str, Any]:
    """
    End the backfill that is done or given up, and return the columns that a sync's depth changes.

    What passes by itself leaves both as they are, so that they are tried again. Any other
    trouble of an account would stop them for ever: its siblings have been read.
    """
    connection = started.connection
    _end_if_given_up(db, connection, now=now)
    was_asked = fetched.changes is not None or fetched.windows is not None
    if not was_asked or fetched.is_put_off:
        return {}
    facts: dict[str, Any] = {}
    if not isinstance(trouble, TransientError):
        if fetched.is_deep:
            facts["last_deep_at"] = started.started_at
        requested_at = connection.backfill_requested_at
        if fetched.reach.depth is Depth.BACKFILL and requested_at is not None:
            end_backfill(db, connection.id, requested_at=requested_at)
    horizon = fetched.horizon
    if horizon is not None:
        facts["refused_beyond_days"] = horizon.refused_beyond_days
        facts["refused_at"] = horizon.refused_at
        facts["given_days"] = horizon.given_days
        facts["given_at"] = horizon.given_at
    return facts


def _end_if_given_up(db: sa.Connection, connection: Connection, *, now: datetime) -> None:
    requested_at = connection.backfill_requested_at
    if requested_at is None or has_backfill(connection, now=now):
        return
    reason = f"backfill since {connection.backfill_since} given up: it failed for too long"
    _log.warning("connection %s: %s", connection.id, reason)
    insert_notice(db, connection, reason, now=now)
    end_backfill(db, connection.id, requested_at=requested_at)
