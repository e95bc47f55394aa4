"""Sync runs: each leaves a row with its end, and a killed one is found out."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline.storage.sync_runs import (
    SyncOutcome,
    finish_sync_run,
    load_sync_runs,
    load_tried,
    set_killed_sync_runs,
    start_sync_run,
)
from bank_pipeline_tests.storage.linked import Linked, link


def test_a_finished_run_tells_how_it_ended(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Counts, the error's class and code, and the next try are all in its row."""
    later = now + timedelta(minutes=5)
    connection_id = linked.connection.id
    run_id = start_sync_run(db, connection_id, reason="manual", dagster_run_id="run", now=now)

    finish_sync_run(
        db,
        run_id,
        outcome=SyncOutcome.FAILED,
        error_class="transient",
        error_code="INTERNAL_SERVER_ERROR",
        request_id="r1",
        counts={"calls": 3},
        next_attempt_at=later,
        now=now,
    )

    (run,) = load_sync_runs(db, connection_id, limit=10)
    assert (run.id, run.reason, run.dagster_run_id) == (run_id, "manual", "run")
    assert (run.outcome, run.error_class, run.error_code) == (
        "failed",
        "transient",
        "INTERNAL_SERVER_ERROR",
    )
    assert (run.request_id, run.counts, run.next_attempt_at) == ("r1", {"calls": 3}, later)
    assert (run.started_at, run.ended_at) == (now, now)


def test_the_next_run_closes_one_that_never_ended(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Its process must have died, or the next could not have the lock. Newest comes first."""
    connection_id = linked.connection.id
    later = now + timedelta(hours=1)
    dead = start_sync_run(db, connection_id, reason="manual", dagster_run_id=None, now=now)

    alive = start_sync_run(db, connection_id, reason="manual", dagster_run_id=None, now=later)

    runs = load_sync_runs(db, connection_id, limit=10)
    assert [(run.id, run.outcome) for run in runs] == [(alive, None), (dead, SyncOutcome.KILLED)]


def test_only_runs_whose_connection_nobody_holds_are_killed_ones(
    engine: sa.Engine, now: datetime
) -> None:
    """A sync under way is left alone, and so is one that ended."""
    with engine.begin() as db:
        held, free, done = (link(db, now, external_id=f"item-{n}").connection for n in range(3))
        for connection in (held, free, done):
            run_id = start_sync_run(
                db, connection.id, reason="schedule", dagster_run_id=None, now=now
            )
        finish_sync_run(db, run_id, outcome=SyncOutcome.SYNCED, now=now)

    with connection_lock(engine, held.id), engine.begin() as db:
        killed_count = set_killed_sync_runs(db, now=now)
        again_count = set_killed_sync_runs(db, now=now)

    assert (killed_count, again_count) == (1, 0)
    with engine.connect() as db:
        outcomes = [load_sync_runs(db, c.id, limit=1)[0].outcome for c in (held, free, done)]
    assert outcomes == [None, SyncOutcome.KILLED, "synced"]


def test_tried_ones_are_found_among_more_than_a_statement_has_parameters(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """PostgreSQL takes 65,535 of them, and an installation may have more connections."""
    connection_id = linked.connection.id
    run_id = start_sync_run(db, connection_id, reason="refresh", dagster_run_id=None, now=now)
    finish_sync_run(db, run_id, outcome=SyncOutcome.SYNCED, now=now)
    among = [connection_id, *(ConnectionId(new_id()) for _ in range(70_000))]

    tried = load_tried(db, among, reason="refresh", since=now)

    assert tried == {connection_id: now}
