"""Connections: their cursor moves by compare-and-set, and every change of status is told."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import Connection, ConnectionStatus, HistoryStage, Provider
from bank_pipeline.domain.ids import ConnectionId, SyncRunId, TeamId
from bank_pipeline.domain.transitions import Transition
from bank_pipeline.errors import ConcurrentSyncError, NotFoundError
from bank_pipeline.storage.connections import (
    advance_cursor,
    apply_transition,
    ensure_team,
    insert_or_renew_connection,
    load_connection,
    load_connection_by_external_id,
    request_sync,
)
from bank_pipeline.storage.erasures import lock_team
from bank_pipeline.storage.tables import connection_events, connections
from bank_pipeline_tests.storage.linked import Linked

ACTIVE = Transition(ConnectionStatus.ACTIVE, None, None, 0)
REVOKED = Transition(ConnectionStatus.REVOKED, "USER_PERMISSION_REVOKED", None, 1)


def events_of(db: sa.Connection) -> list[tuple[Any, ...]]:
    """Every event: from, to, reason."""
    columns = connection_events.c
    query = sa.select(columns.from_status, columns.to_status, columns.reason)
    return [tuple(row) for row in db.execute(query.order_by(columns.id))]


def insert(
    db: sa.Connection, team_id: TeamId, now: datetime, *, name: str | None = "First Bank"
) -> ConnectionId:
    """Link `item-1` for a team."""
    return insert_or_renew_connection(
        db,
        team_id=team_id,
        provider=Provider.PLAID,
        external_id="item-1",
        institution_external_id="ins_1",
        institution_name=name,
        now=now,
    )


def test_a_team_of_one_name_is_made_once(db: sa.Connection, now: datetime) -> None:
    """Asking again gives the same team."""
    assert ensure_team(db, "home", now=now) == ensure_team(db, "home", now=now)


def test_an_erasure_waits_for_whoever_is_adding_something(engine: sa.Engine, now: datetime) -> None:
    """What they store, it sees; what comes after it is asked for is refused."""
    with engine.begin() as db:
        team_id = ensure_team(db, "home", now=now)
    with engine.begin() as adding, engine.begin() as asking:
        ensure_team(adding, "home", now=now)
        asking.execute(sa.text("SET LOCAL lock_timeout = '100ms'"))
        with pytest.raises(sa.exc.OperationalError, match="lock timeout"), asking.begin_nested():
            lock_team(asking, team_id)


def test_a_new_connection_is_pending_and_due_at_once(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """It waits for nothing but its first sync, and its first event says so."""
    connection = linked.connection
    assert (connection.status, connection.next_attempt_at) == (ConnectionStatus.PENDING, now)
    assert (connection.history_stage, connection.cursor) == (HistoryStage.AWAITING_INITIAL, None)
    assert events_of(db) == [(None, "pending", "linked")]
    assert load_connection_by_external_id(db, Provider.PLAID, "item-1") == connection
    assert load_connection_by_external_id(db, Provider.TELLER, "item-1") is None


def test_linked_again_it_is_the_same_connection(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """It keeps its id and its cursor, and is due again."""
    connection = linked.connection
    stage = HistoryStage.COMPLETE
    advance_cursor(db, connection.id, before=None, after="c1", stage=stage)
    apply_transition(db, connection, REVOKED, sync_run_id=None, now=now)
    later = now + timedelta(days=1)

    connection_id = insert(db, connection.team_id, later)

    renewed = load_connection(db, connection_id)
    assert (renewed.id, renewed.cursor) == (connection.id, "c1")
    assert renewed.status.is_syncable
    assert renewed.next_attempt_at == later


def test_a_connection_is_never_handed_to_another_team(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Whoever links it second does not see the first one's data."""
    with pytest.raises(ConcurrentSyncError):
        insert(db, ensure_team(db, "strangers", now=now), now)


@pytest.mark.parametrize("unknown", ["01a1fc2e-72cd-7695-ab7e-0be78356b05e", "not an id", ""])
def test_an_unknown_connection_is_not_found(db: sa.Connection, unknown: str) -> None:
    """A mistyped id is answered like one that does not exist."""
    with pytest.raises(NotFoundError):
        load_connection(db, ConnectionId(unknown))


@pytest.mark.parametrize("held", [None, "c1"])
@pytest.mark.parametrize("claimed", [None, "c1", "c2"])
def test_a_cursor_moves_only_from_where_it_stands(
    db: sa.Connection, linked: Linked, held: str | None, claimed: str | None
) -> None:
    """NULL, the beginning, is a place like any other."""
    set_cursor = sa.update(connections).values(cursor=held)
    db.execute(set_cursor)

    def advance() -> None:
        stage = HistoryStage.COMPLETE
        advance_cursor(db, linked.connection.id, before=claimed, after="next", stage=stage)

    if claimed == held:
        advance()
        moved = load_connection(db, linked.connection.id)
        assert (moved.cursor, moved.history_stage) == ("next", HistoryStage.COMPLETE)
    else:
        with pytest.raises(ConcurrentSyncError):
            advance()
        assert load_connection(db, linked.connection.id).cursor == held


def test_two_syncs_cannot_both_move_the_cursor(engine: sa.Engine, now: datetime) -> None:
    """The second waits for the first to commit, finds the cursor moved, and writes nothing."""
    with engine.begin() as db:
        connection_id = insert(db, ensure_team(db, "home", now=now), now)

    with engine.begin() as first:
        stage = HistoryStage.COMPLETE
        advance_cursor(first, connection_id, before=None, after="first", stage=stage)
    with pytest.raises(ConcurrentSyncError), engine.begin() as second:
        advance_cursor(second, connection_id, before=None, after="second", stage=stage)

    with engine.connect() as db:
        assert load_connection(db, connection_id).cursor == "first"


def test_a_change_of_status_is_told_once(
    db: sa.Connection, linked: Linked, now: datetime, sync_run_id: SyncRunId
) -> None:
    """The same status and reason again is no event, and since does not move."""
    later, last = now + timedelta(hours=1), now + timedelta(hours=2)

    first = apply_transition(db, linked.connection, ACTIVE, sync_run_id=sync_run_id, now=later)
    active = load_connection(db, linked.connection.id)
    second = apply_transition(db, active, ACTIVE, sync_run_id=sync_run_id, now=last)

    assert (first, second) == (True, False)
    assert load_connection(db, active.id).status_since == later
    assert events_of(db)[1:] == [("pending", "active", None)]


def test_a_success_is_remembered_with_what_it_learned(
    db: sa.Connection, linked: Linked, now: datetime, sync_run_id: SyncRunId
) -> None:
    """Last success, consent and the cleared retries are written together."""
    expires_at = now + timedelta(days=90)
    failed = Transition(ConnectionStatus.ERROR, "INTERNAL_SERVER_ERROR", now, 3)
    apply_transition(db, linked.connection, failed, sync_run_id=sync_run_id, now=now)
    in_error = load_connection(db, linked.connection.id)

    apply_transition(
        db,
        in_error,
        ACTIVE,
        sync_run_id=sync_run_id,
        now=now,
        is_success=True,
        consent_expires_at=expires_at,
    )

    after = load_connection(db, linked.connection.id)
    assert (in_error.error_retries, in_error.last_success_at) == (3, None)
    assert (after.error_retries, after.last_success_at) == (0, now)
    assert (after.consent_expires_at, after.next_attempt_at) == (expires_at, None)


def test_a_stop_that_came_during_a_sync_is_not_lifted_by_its_success(
    db: sa.Connection, linked: Linked, now: datetime, sync_run_id: SyncRunId
) -> None:
    """A webhook said that the consent is gone while we were still reading."""
    as_the_sync_began = linked.connection
    apply_transition(db, as_the_sync_began, REVOKED, sync_run_id=None, now=now)

    changed = apply_transition(
        db, as_the_sync_began, ACTIVE, sync_run_id=sync_run_id, now=now, is_success=True
    )

    after = load_connection(db, linked.connection.id)
    assert not changed
    assert (after.status, after.status_reason) == (REVOKED.status, REVOKED.reason)
    assert (after.last_success_at, after.next_attempt_at) == (now, None)


def test_a_stop_from_before_a_sync_is_lifted_by_its_success(
    db: sa.Connection, linked: Linked, now: datetime, sync_run_id: SyncRunId
) -> None:
    """A person asked for the sync after the customer had mended things at the bank."""
    needs_reauth = replace(REVOKED, status=ConnectionStatus.NEEDS_REAUTH)
    apply_transition(db, linked.connection, needs_reauth, sync_run_id=None, now=now)
    stopped = load_connection(db, linked.connection.id)

    assert apply_transition(db, stopped, ACTIVE, sync_run_id=sync_run_id, now=now)

    assert load_connection(db, stopped.id).status is ConnectionStatus.ACTIVE


def test_a_sync_asked_for_during_a_sync_is_not_forgotten(
    db: sa.Connection, linked: Linked, now: datetime, sync_run_id: SyncRunId
) -> None:
    """What was asked for after the sync began may concern what it did not see."""
    began = linked.connection
    asked_at = now + timedelta(seconds=30)
    request_sync(db, began.id, reason="asked", now=asked_at)

    apply_transition(db, began, ACTIVE, sync_run_id=sync_run_id, now=now, is_success=True)

    assert load_connection(db, began.id).next_attempt_at == asked_at


def test_a_renewed_consent_makes_a_stopped_connection_due(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """It is syncable again, with the reason, and its retries begin anew."""
    apply_transition(db, linked.connection, REVOKED, sync_run_id=None, now=now)

    request_sync(db, linked.connection.id, reason="consent renewed", now=now)

    after: Connection = load_connection(db, linked.connection.id)
    assert after.status.is_syncable
    assert (after.status_reason, after.next_attempt_at) == ("consent renewed", now)
    assert after.error_retries == 0
