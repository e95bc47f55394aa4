"""When a connection is tried next: after a death, after missed turns, while it waits."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.transitions import LEASE, REFUSAL_WAITS
from bank_pipeline.errors import RateLimitedError, ReauthRequiredError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.storage.listing import load_due_attempts, load_scheduled_ids
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline_tests.sync.ground import SYNC, Ground


def due(ground: Ground) -> list[ConnectionId]:
    with ground.engine.connect() as db:
        attempts = load_due_attempts(db, now=ground.context.clock(), limit=10)
    return [attempt.connection_id for attempt in attempts]


def test_a_sync_that_dies_is_due_again_when_its_lease_ends(ground: Ground) -> None:
    """A daily sync has no other plan: without the lease it would wait for tomorrow's turn."""
    connection = ground.link_ready()
    readings = iter([ground.context.clock()])

    def clock_of_the_dying() -> datetime:
        try:
            return next(readings)
        except StopIteration:
            raise KeyboardInterrupt from None

    dying = replace(ground.context, clock=clock_of_the_dying)
    with pytest.raises(KeyboardInterrupt):
        sync_connection(dying, SyncRequest(connection, SyncReason.SCHEDULE))

    assert due(ground) == []
    ground.pass_time(LEASE)
    assert due(ground) == [connection]
    ground.sync(connection)
    assert due(ground) == []


def test_a_connection_that_no_schedule_reached_is_due_after_a_day(ground: Ground) -> None:
    connection = ground.link_ready()

    ground.pass_time(timedelta(hours=24))
    assert due(ground) == []
    ground.pass_time(timedelta(hours=3))
    assert due(ground) == [connection]


def test_a_connection_that_waits_for_its_customer_is_looked_at_once_a_day(ground: Ground) -> None:
    """That the login was mended may go unheard. Looking is free; nothing else is asked."""
    connection = ground.link_ready()
    ground.break_item(connection)
    with pytest.raises(ReauthRequiredError):
        ground.sync(connection)
    with ground.engine.connect() as db:
        assert load_scheduled_ids(db, now=ground.context.clock()) == [connection]
    assert due(ground) == []
    asked = ground.calls(SYNC)

    with pytest.raises(ReauthRequiredError):
        ground.sync(connection)
    assert ground.calls(SYNC) == asked

    ground.repair_item(connection)
    ground.sync(connection)
    assert ground.connection(connection).status is ConnectionStatus.ACTIVE


def test_whoever_is_refused_again_and_again_waits_ever_longer(ground: Ground) -> None:
    """Plaid asks for one second each time; a day of that would be ten thousand syncs."""
    connection = ground.link_ready()
    ground.pass_time(timedelta(days=1))

    def refused() -> timedelta:
        with pytest.raises(RateLimitedError):
            ground.sync(connection, SyncReason.RECOVERY)
        due = ground.connection(connection).next_attempt_at
        assert due is not None
        return due - ground.context.clock()

    ground.fail(SYNC, FaultKind.RATE_LIMITED, times=None, retry_after="1")
    waits: list[timedelta] = []
    for _ in range(6):
        waits.append(refused())
        ground.pass_time(waits[-1])
    assert waits == sorted(waits)
    assert waits[0] < REFUSAL_WAITS[0] <= waits[1]
    assert waits[-1] == REFUSAL_WAITS[-1]

    ground.sandbox.faults.clear()
    ground.sync(connection, SyncReason.RECOVERY)
    ground.fail(SYNC, FaultKind.RATE_LIMITED, times=None, retry_after="1")
    assert refused() == waits[0]
