"""Sync runs: one row per sync, from its start on, so that none ends without a trace."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.audit import SYSTEM, AuditAction, dagster_actor
from bank_pipeline.domain.ids import ConnectionId, SyncRunId
from bank_pipeline.errors import NotFoundError
from bank_pipeline.storage.audit import insert_audit
from bank_pipeline.storage.columns import is_any_id
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.locks import load_held
from bank_pipeline.storage.tables import connections, sync_runs


class SyncOutcome(StrEnum):
    """
    How a sync ended.

    SYNCED: it brought everything it was asked for. AWAITING_INITIAL: the provider still
    prepares the first rows. DEFERRED: nothing was asked, as the provider is paused for
    everybody. KILLED: its process died, its lock is free and it never ended. UNDONE and
    RENORMALISED: no provider was asked; it took a sync back, or read kept answers anew.
    """

    SYNCED = "synced"
    AWAITING_INITIAL = "awaiting_initial"
    DEFERRED = "deferred"
    FAILED = "failed"
    KILLED = "killed"
    UNDONE = "undone"
    RENORMALISED = "renormalised"


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
    undone_at: datetime | None
    undone_by: SyncRunId | None


@dataclass(frozen=True)
class AppliedRun:
    """
    A sync that wrote something, and what it left for those who look back.

    `lineage` is None where the sync is older than that, or than what is kept of it; `moved` is
    what it moved besides rows, as it was before.
    """

    id: SyncRunId
    reason: str
    started_at: datetime
    lineage: Mapping[str, Any] | None
    moved: Mapping[str, Any]


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
    sync_run_id = SyncRunId(new_id())
    row = {
        "id": sync_run_id,
        "connection_id": connection_id,
        "reason": reason,
        "dagster_run_id": dagster_run_id,
        "now": now,
        "killed": SyncOutcome.KILLED,
    }
    _note_killed(db, db.execute(_START, row).all(), now=now)
    return sync_run_id


def finish_sync_run(  # noqa: PLR0913 -- one for each thing an end can tell
    db: sa.Connection,
    sync_run_id: SyncRunId,
    *,
    outcome: SyncOutcome,
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
        "lineage": None if lineage is None else dict(lineage),
        "before": dict(before) if before else None,
    }
    db.execute(_FINISH, {"ended_id": sync_run_id, **values})


_START: Final = sa.text(  # both parts see what was there before: the new run is not closed
    """
    WITH whose AS (
        SELECT id, team_id FROM bank.connections WHERE id = :connection_id
    ), killed AS (
        UPDATE bank.sync_runs r SET outcome = :killed, ended_at = :now
        FROM whose WHERE r.connection_id = whose.id AND r.ended_at IS NULL
        RETURNING r.id AS run_id, r.reason, r.dagster_run_id, whose.id, whose.team_id
    ), started AS (
        INSERT INTO bank.sync_runs (id, connection_id, team_id, reason, dagster_run_id, started_at)
        VALUES (:id, :connection_id, (SELECT team_id FROM whose), :reason, :dagster_run_id, :now)
    )
    SELECT CAST(run_id AS text), reason, dagster_run_id, CAST(id AS text), CAST(team_id AS text)
    FROM killed
    """
)
_FINISH: Final = sa.update(sync_runs).where(sync_runs.c.id == sa.bindparam("ended_id"))


def set_killed_sync_runs(db: sa.Connection, *, now: datetime) -> int:
    """
    Close every open sync whose connection nobody holds any more; return how many.

    Open rows are read before the locks: a sync that ends in between is found closed.
    """
    rows = db.execute(
        sa.select(sync_runs.c.id, sync_runs.c.connection_id).where(sync_runs.c.ended_at.is_(None))
    ).all()
    held = load_held(db, {row.connection_id for row in rows})
    killed = [row.id for row in rows if row.connection_id not in held]
    return _close_as_killed(db, sync_runs.c.id.in_(killed), now=now) if killed else 0


def load_sync_runs(db: sa.Connection, connection_id: ConnectionId, *, limit: int) -> list[SyncRun]:
    """Load a connection's syncs, newest first."""
    columns = [sync_runs.c[field.name] for field in fields(SyncRun)]
    query = sa.select(*columns).where(sync_runs.c.connection_id == connection_id)
    newest_first = (sync_runs.c.started_at.desc(), sync_runs.c.id.desc())  # a clock may stand still
    rows = db.execute(query.order_by(*newest_first).limit(limit))
    return [SyncRun(**row) for row in rows.mappings()]


def load_recent_sync_runs(db: sa.Connection, *, limit: int) -> list[SyncRun]:
    """Load the syncs of all connections, newest first."""
    columns = [sync_runs.c[field.name] for field in fields(SyncRun)]
    query = sa.select(*columns).order_by(sync_runs.c.started_at.desc(), sync_runs.c.id.desc())
    return [SyncRun(**row) for row in db.execute(query.limit(limit)).mappings()]


def load_sync_run(db: sa.Connection, sync_run_id: str) -> SyncRun:
    """
    Load one sync.

    Raises:
        NotFoundError: there is none of this id, or it is no id at all.
    """
    columns = [sync_runs.c[field.name] for field in fields(SyncRun)]
    try:
        query = sa.select(*columns).where(sync_runs.c.id == str(uuid.UUID(sync_run_id)))
    except ValueError:
        raise NotFoundError(f"{sync_run_id!r} is not the id of a sync run") from None
    row = db.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFoundError(f"no sync run {sync_run_id}; see `bank-pipeline runs`")
    return SyncRun(**row)


def is_synced_by(
    db: sa.Connection, connection_id: ConnectionId, dagster_run_ids: Collection[str]
) -> bool:
    """Say whether one of these Dagster runs brought the connection up to date."""
    query = sa.select(sync_runs.c.id).where(
        sync_runs.c.connection_id == connection_id,
        sync_runs.c.dagster_run_id.in_(dagster_run_ids),
        sync_runs.c.outcome == SyncOutcome.SYNCED,
        sync_runs.c.undone_at.is_(None),
    )
    return db.scalar(query.limit(1)) is not None


def load_tried(
    db: sa.Connection, among: Collection[ConnectionId], *, reason: str, since: datetime
) -> dict[ConnectionId, datetime]:
    """
    Return when those of `among` were last synced for this reason, well or not, if they were.

    Not where the sync was put off or killed.
    """
    columns = sync_runs.c
    query = sa.select(columns.connection_id, sa.func.max(columns.started_at)).where(
        is_any_id(columns.connection_id),
        columns.started_at >= since,
        columns.reason == reason,
        columns.outcome.not_in((SyncOutcome.DEFERRED, SyncOutcome.KILLED)),
    )
    rows = db.execute(query.group_by(columns.connection_id), {"ids": [*among]})
    return {ConnectionId(id_): started_at for id_, started_at in rows}


def load_lineage(db: sa.Connection, sync_run_id: SyncRunId) -> Mapping[str, Any] | None:
    """Load which answers a sync applied; None when that is not kept any more."""
    query = sa.select(sync_runs.c.lineage).where(sync_runs.c.id == sync_run_id)
    found: Mapping[str, Any] | None = db.scalar(query)
    return found


def load_applied_runs(db: sa.Connection, connection_id: ConnectionId) -> list[AppliedRun]:
    """Load the runs of a connection that count: ended and not undone, oldest first."""
    columns = (sync_runs.c.id, sync_runs.c.reason, sync_runs.c.started_at, sync_runs.c.lineage)
    query = (
        sa.select(*columns, sync_runs.c.before)
        .where(
            sync_runs.c.connection_id == connection_id,
            sync_runs.c.ended_at.is_not(None),
            sync_runs.c.undone_at.is_(None),
        )
        .order_by(sync_runs.c.started_at, sync_runs.c.id)
    )
    return [AppliedRun(*row[:-1], moved=row.before or {}) for row in db.execute(query)]


def set_undone(
    db: sa.Connection, sync_run_id: SyncRunId, *, undone_by: SyncRunId, now: datetime
) -> None:
    """Write that a run was taken back, and by which."""
    statement = sa.update(sync_runs).where(sync_runs.c.id == sync_run_id)
    db.execute(statement.values(undone_at=now, undone_by=undone_by))


def delete_lineages(db: sa.Connection, *, before: datetime, limit: int) -> int:
    """Forget lineage and former state of at most `limit` runs begun before this; count them."""
    old = (
        sa.select(sync_runs.c.id)
        .where(sync_runs.c.started_at < before, sync_runs.c.lineage.is_not(None))
        .limit(limit)
    )
    statement = sa.update(sync_runs).where(sync_runs.c.id.in_(old))
    return db.execute(statement.values(lineage=sa.null(), before=sa.null())).rowcount


def _close_as_killed(db: sa.Connection, which: sa.ColumnElement[bool], *, now: datetime) -> int:
    """Close runs that died, and return how many there were."""
    columns = sync_runs.c
    statement = (
        sa.update(sync_runs)
        .where(which, columns.ended_at.is_(None), columns.connection_id == connections.c.id)
        .values(outcome=SyncOutcome.KILLED, ended_at=now)
        .returning(
            columns.id,
            columns.reason,
            columns.dagster_run_id,
            connections.c.id,
            connections.c.team_id,
        )
    )
    return _note_killed(db, db.execute(statement).all(), now=now)


def _note_killed(
    db: sa.Connection, killed: Sequence[sa.Row[*tuple[Any, ...]]], *, now: datetime
) -> int:
    """Note in the audit log that runs died: they may have read and written till then."""
    for run_id, reason, dagster_run_id, connection_id, team_id in killed:
        insert_audit(
            db,
            AuditAction.SYNCED,
            actor=dagster_actor(dagster_run_id) if dagster_run_id else SYSTEM,
            now=now,
            team_id=team_id,
            connection_id=connection_id,
            sync_run_id=run_id,
            reason=reason,
            outcome=SyncOutcome.KILLED,
        )
    return len(killed)
