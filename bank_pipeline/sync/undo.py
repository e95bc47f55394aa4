"""Take back what one sync changed, so that the next one brings it again."""

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.ids import ConnectionId, SyncRunId, TransactionId
from bank_pipeline.domain.reading import Lineage
from bank_pipeline.errors import RefusedError
from bank_pipeline.providers.base import FeedProvider
from bank_pipeline.storage.accounts import load_account_ids
from bank_pipeline.storage.balance_choice import save_choices
from bank_pipeline.storage.balances import rebuild_series
from bank_pipeline.storage.checkpoints import Moved, restore
from bank_pipeline.storage.connections import load_connection, lock_connection
from bank_pipeline.storage.depth import request_backfill
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline.storage.quarantine import reopen_resolved_by
from bank_pipeline.storage.sync_runs import (
    AppliedRun,
    SyncOutcome,
    SyncRun,
    finish_sync_run,
    load_applied_runs,
    load_sync_run,
    set_undone,
    start_sync_run,
)
from bank_pipeline.storage.undoing import (
    RENORMALISE,
    UNDO,
    WrittenRows,
    load_decided_accounts,
    load_oldest_day,
    load_unread_count,
    load_writers_since,
    load_written,
    lock_inserted,
    take_back,
)
from bank_pipeline.sync.audit import note_act
from bank_pipeline.sync.context import SyncContext

USUAL: Final = timedelta(days=30)
"""Every sync looks further back than that: what is older comes again only if it is asked for."""

_WROTE_LITTLE: Final = (SyncOutcome.FAILED, SyncOutcome.KILLED)
_ORDERED: Final = frozenset({"cursor", "history_stage"})
"""What every sync begins from: put back under a later sync, it would be false."""


@dataclass(frozen=True)
class UndoPlan:
    """
    What taking back a run does, before it is done.

    `restores` names what is put back besides rows. `annotated_ids` are rows that would go, of
    which people said something, and `decided_accounts` accounts of which they decided something.
    `unread_count` of these rows are of accounts that are closed or left out by now.
    `is_synced_again`: calls go on, so the rows come again. `is_replay`: the run asked no provider,
    so a replay brings them.
    """

    run_id: SyncRunId
    connection_id: ConnectionId
    deleted_count: int
    restored_count: int
    balances_count: int
    accounts_count: int
    restores: tuple[str, ...]
    annotated_ids: tuple[TransactionId, ...]
    decided_accounts: tuple[str, ...]
    unread_count: int
    is_synced_again: bool
    is_replay: bool


@dataclass(frozen=True)
class UndoReport:
    """What was taken back, by which run."""

    plan: UndoPlan
    undone_by: SyncRunId


def plan_undo(context: SyncContext, sync_run_id: str) -> UndoPlan:
    """
    Say what taking back a run would do; writes nothing.

    Raises:
        RefusedError: it cannot be taken back, or not before others.
        NotFoundError: there is no such run.
    """
    with context.engine.connect() as db:
        return _plan(db, load_sync_run(db, sync_run_id)).plan


def undo(context: SyncContext, sync_run_id: str, *, discards_annotations: bool) -> UndoReport:
    """
    Restore what one run changed, in one transaction, as if it had not been.

    Rows that it inserted are deleted without a trace in the tables, what it changed is put
    back, and cursor and covered dates are where they were: the next sync brings all of it again.

    Raises:
        RefusedError: it cannot be taken back, not before others, or people said something of
            rows that would go, and that is not to be discarded.
        BusyError: the connection is being synced.
        NotFoundError: there is no such run.
    """
    with context.engine.connect() as db:
        connection_id = load_sync_run(db, sync_run_id).connection_id
    with connection_lock(context.engine, connection_id), context.engine.begin() as db:
        connection = lock_connection(db, connection_id)
        run = load_sync_run(db, sync_run_id)
        lock_inserted(db, run.id)
        known = _plan(db, run)
        if known.plan.annotated_ids and not discards_annotations:
            raise RefusedError(
                f"{len(known.plan.annotated_ids)} of the rows that would go have notes, tags, "
                "categories or decisions of yours, which would go with them; say --yes if they may"
            )
        if known.plan.decided_accounts and not discards_annotations:
            raise RefusedError(
                f"of {len(known.plan.decided_accounts)} of the accounts that would go you decided "
                "that they are left out, or what counts as their balance, which would be "
                "forgotten; say --yes if it may"
            )
        return _undo(db, context, known, connection)


@dataclass(frozen=True)
class _Known:
    """A run, and what it did; `has_whole_history`: of a feed, which replayed all that it has."""

    run: SyncRun
    moved: Moved
    written: WrittenRows
    plan: UndoPlan
    has_whole_history: bool


def _undo(
    db: sa.Connection, context: SyncContext, known: _Known, connection: Connection
) -> UndoReport:
    now, run, team_id = context.clock(), known.run, connection.team_id
    oldest = load_oldest_day(db, known.written)
    undone_by = start_sync_run(db, run.connection_id, reason=UNDO, dagster_run_id=None, now=now)
    set_undone(db, run.id, undone_by=undone_by, now=now)
    take_back(db, run.id, known.written, team_id=team_id, undone_by=undone_by, now=now)
    restore(db, run.connection_id, known.moved)
    account_ids = load_account_ids(db, run.connection_id).values()
    rebuild_series(db, account_ids)
    save_choices(db, account_ids, now=now)
    _ask_for_all(db, context, known, connection, oldest)
    reopened_count = reopen_resolved_by(db, run.id)
    counts = asdict(known.plan) | {"quarantine_reopened": reopened_count}
    finish_sync_run(db, undone_by, outcome=SyncOutcome.UNDONE, counts=counts, lineage={}, now=now)
    connection = load_connection(db, run.connection_id)
    note_act(context, db, AuditAction.ROWS_UNDONE, connection, sync_run_id=run.id, by=undone_by)
    return UndoReport(known.plan, undone_by)


def _ask_for_all(
    db: sa.Connection,
    context: SyncContext,
    known: _Known,
    connection: Connection,
    oldest: date | None,
) -> None:
    """Have the next sync look back as far as what was taken back, which a usual one may not."""
    now, client = context.clock(), context.providers.get(connection.provider)
    if oldest is None or known.plan.is_replay:
        return
    # A feed begins where its cursor is put back to, and tells no more than what came since. One
    # that is switched off now may be either.
    is_old = oldest < now.date() - USUAL and not isinstance(client, FeedProvider)
    if is_old or known.has_whole_history:
        request_backfill(db, connection.id, since=oldest, now=now, is_due=False)


def _plan(db: sa.Connection, run: SyncRun) -> _Known:
    _check_it_may_be(run)
    applied = load_applied_runs(db, run.connection_id)
    place = next(n for n, one in enumerate(applied) if one.id == run.id)
    this, written = applied[place], load_written(db, run.id)
    has_rows = bool(written.inserted or written.changes or written.balances_count)
    if this.lineage is None and (has_rows or run.outcome not in _WROTE_LITTLE):
        raise RefusedError(
            f"what was before sync {run.id} is not known any more: it is kept as long as the "
            "providers' answers (BANK_PIPELINE_RAW_RETENTION_DAYS), or the sync is older than "
            "this feature"
        )
    if not has_rows and not this.moved:
        raise RefusedError(f"sync {run.id} changed nothing, so there is nothing to undo")
    if "provider" in this.moved.get("connection", {}):
        raise RefusedError(
            f"with sync {run.id} another provider took over, and the consent of the one before has "
            "ended: there is nothing to go back to"
        )
    _check_order(db, this, written, applied[place + 1 :])
    is_replay = run.reason == RENORMALISE
    plan = UndoPlan(
        run_id=run.id,
        connection_id=run.connection_id,
        deleted_count=len(written.inserted),
        restored_count=len(written.changes),
        balances_count=written.balances_count,
        accounts_count=len(this.moved.get("accounts", {})) + len(_new_accounts(this.moved)),
        restores=_restores(this.moved),
        annotated_ids=tuple(sorted(written.annotated)),
        decided_accounts=tuple(load_decided_accounts(db, _new_accounts(this.moved))),
        unread_count=0 if is_replay else load_unread_count(db, written, _reopened(this.moved)),
        is_synced_again=is_replay or load_connection(db, run.connection_id).status.is_syncable,
        is_replay=is_replay,
    )
    readings = Lineage.of_json(this.lineage or {}).readings
    return _Known(run, this.moved, written, plan, any(one.is_replay for one in readings))


def _check_it_may_be(run: SyncRun) -> None:
    if run.undone_at is not None:
        raise RefusedError(f"sync {run.id} is undone already, by run {run.undone_by}")
    if run.reason == UNDO:
        raise RefusedError(f"run {run.id} is itself an undo: `bank-pipeline sync` brings all back")
    if run.ended_at is None:
        raise RefusedError(f"sync {run.id} has not ended: try again when it has")


def _check_order(
    db: sa.Connection, this: AppliedRun, written: WrittenRows, later: list[AppliedRun]
) -> None:
    """Refuse while later runs stand on what this one did."""
    later = [one for one in later if one.reason != UNDO]
    blocking = load_writers_since(db, [one.id for one in later], written, _new_accounts(this.moved))
    mine = _places(this.moved)
    blocking |= {one.id for one in later if mine & _places(one.moved)}
    if blocking:
        order = [one for one in reversed(later) if one.id in blocking]
        named = ", then ".join(f"{one.id} ({one.started_at:%Y-%m-%d %H:%M})" for one in order)
        raise RefusedError(
            "later syncs changed the same rows, or went on from where this one ended. Undo these "
            f"first, in this order: {named}"
        )


def _new_accounts(moved: Moved) -> list[str]:
    return list(moved.get("new_accounts", ()))


def _reopened(moved: Moved) -> list[str]:
    """Return the accounts that a run closed itself: with it that is taken back, too."""
    return [id_ for id_, before in moved.get("accounts", {}).items() if "closed_at" in before]


def _places(moved: Moved) -> set[str]:
    """Name what a run moved, one name for each thing that two runs can both move."""
    places = set(_ORDERED & set(moved.get("connection", ())))
    places |= {f"coverage {id_}" for id_ in moved.get("coverage", ())}
    return places | {f"account {id_}" for id_ in moved.get("accounts", ())}


def _restores(moved: Moved) -> tuple[str, ...]:
    ordered = sorted(_ORDERED & set(moved.get("connection", ())))
    names = [name.replace("_", " ") for name in ordered]
    if moved.get("coverage"):
        names.append("covered dates")
    return tuple(names)
