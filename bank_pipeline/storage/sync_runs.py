"""Sync runs: one row per sync, from its start on, so that none ends without a trace."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.ids import ConnectionId, SyncRunId
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.locks import load_held_keys, lock_key
from bank_pipeline.storage.tables import sync_runs

KILLED: Final = "killed"
"""The outcome of a sync whose process died: its lock is free, and it never ended."""


@dataclass(frozen=True)
class SyncRun:
    """One sync. Neither outcome nor end: it is running, or was killed a moment ago."""

    id: SyncRunId
    connection_id: ConnectionId
    reason: str
    dagster_run_id: str | None
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    error_class: str | None
    error_code: str | None
    request_id: str | None
    counts: Mapping[str, Any]
    next_attempt_at: datetime | None


def start_sync_run(
    db: sa.Connection,
    connection_id: ConnectionId,
    *,
    reason: str,
    dagster_run_id: str | None,
    now: datetime,
) -> SyncRunId:
    """
    Open a sync's row. The caller holds the connection's lock.

    Whatever earlier sync of the connection is still open was killed, or it would hold the
    lock: it is closed as such.
    """
    _close_as_killed(db, sync_runs.c.connection_id == connection_id, now=now)
    sync_run_id = SyncRunId(new_id())
    row = {
        "id": sync_run_id,
        "connection_id": connection_id,
        "reason": reason,
        "dagster_run_id": dagster_run_id,
        "started_at": now,
    }
    db.execute(sa.insert(sync_runs).values(row))
    return sync_run_id


def finish_sync_run(  # noqa: PLR0913 -- one for each thing an end can tell
    db: sa.Connection,
    sync_run_id: SyncRunId,
    *,
    outcome: str,
    now: datetime,
    counts: Mapping[str, Any] | None = None,
    error_class: str | None = None,
    error_code: str | None = None,
    request_id: str | None = None,
    next_attempt_at: datetime | None = None,
    lineage: Mapping[str, Any] | None = None,
    before: Mapping[str, Any] | None = None,
) -> None:
    """Close a sync's row with what came of it; the error's words must be safe to show."""
    values = {
        "outcome": outcome,
        "ended_at": now,
        "counts": dict(counts or {}),
        "error_class": error_class,
        "error_code": error_code,
        "request_id": request_id,
        "next_attempt_at": next_attempt_at,
        "lineage": sa.null() if lineage is None else dict(lineage),
        "before": dict(before) if before else sa.null(),
    }
    db.execute(sa.update(sync_runs).where(sync_runs.c.id == sync_run_id).values(values))


def set_killed_sync_runs(db: sa.Connection, *, now: datetime) -> int:
    """
    Close every open sync whose connection nobody holds any more; return how many.

    Open rows are read before the locks: a sync that ends in between is found closed.
    """
    rows = db.execute(
        sa.select(sync_runs.c.id, sync_runs.c.connection_id).where(sync_runs.c.ended_at.is_(None))
    ).all()
    held = load_held_keys(db) if rows else frozenset()
    killed = [row.id for row in rows if lock_key(row.connection_id) not in held]
    return _close_as_killed(db, sync_runs.c.id.in_(killed), now=now) if killed else 0


def load_sync_runs(db: sa.Connection, connection_id: ConnectionId, *, limit: int) -> list[SyncRun]:
    """Load a connection's syncs, newest first."""
    columns = [sync_runs.c[field.name] for field in fields(SyncRun)]
    query = sa.select(*columns).where(sync_runs.c.connection_id == connection_id)
    rows = db.execute(query.order_by(sync_runs.c.started_at.desc()).limit(limit))
    return [SyncRun(**row) for row in rows.mappings()]


def _close_as_killed(db: sa.Connection, which: sa.ColumnElement[bool], *, now: datetime) -> int:
    statement = sa.update(sync_runs).where(which, sync_runs.c.ended_at.is_(None))
    return db.execute(statement.values(outcome=KILLED, ended_at=now)).rowcount
