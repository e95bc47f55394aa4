"""One sync per connection: whoever else comes leaves it alone, and nothing is done twice."""

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Final

import pytest
import sqlalchemy as sa

from bank_pipeline.errors import ConcurrentSyncError
from bank_pipeline.storage.locks import connection_lock, lock_key
from bank_pipeline.sync.reports import SyncReport
from bank_pipeline_tests.sync.ground import CHECKING, READY, Ground
from bank_pipeline_tests.waiting import wait_for_lock

COFFEE: Final = Decimal("-4.50")


def test_two_syncs_at_once_do_the_work_once(ground: Ground) -> None:
    for number in range(1, 601):
        ground.world.add_booked(CHECKING, Decimal(-number))
    connection = ground.link()
    ground.pass_time(READY)
    start = threading.Barrier(4)

    def sync(_: int) -> SyncReport | ConcurrentSyncError:
        start.wait()
        try:
            return ground.sync(connection)
        except ConcurrentSyncError as error:
            return error

    with ThreadPoolExecutor(4) as pool:
        outcomes = [*pool.map(sync, range(4))]

    assert any(isinstance(outcome, SyncReport) for outcome in outcomes)
    assert any(isinstance(outcome, ConcurrentSyncError) for outcome in outcomes)
    assert len(ground.rows()) == 600
    assert ground.differences(connection) == []


def test_a_busy_connection_is_left_alone(ground: Ground) -> None:
    connection = ground.link_ready()
    before = ground.connection(connection), len(ground.runs(connection)), ground.calls()

    with connection_lock(ground.engine, connection), pytest.raises(ConcurrentSyncError):
        ground.sync(connection)

    after = ground.connection(connection), len(ground.runs(connection)), ground.calls()
    assert after == before


def test_an_interrupted_end_leaves_no_lock_behind(ground: Ground) -> None:
    """As when Dagster ends a run: a pooled session would hold the connection for ever."""
    connection = ground.link_ready()

    def interrupt(_db: object, _cursor: object, sql: str, *_: object) -> None:
        if "pg_advisory_unlock" in sql:
            raise KeyboardInterrupt

    sa.event.listen(ground.engine, "before_cursor_execute", interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            ground.sync(connection)
    finally:
        sa.event.remove(ground.engine, "before_cursor_execute", interrupt)

    wait_for_lock(ground.engine, lock_key(connection))
    ground.sync(connection)
    assert ground.differences(connection) == []


def test_a_cursor_moved_by_a_sync_that_lost_its_lock_takes_everything_back(
    ground: Ground,
) -> None:
    """Compare-and-set is the last guard: neither rows nor cursor of the slower one stay."""
    ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link()
    ground.pass_time(READY)
    ground.execute(
        """
        CREATE FUNCTION bank.move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE bank.connections SET cursor = 'moved'; RETURN NULL; END $$;
        CREATE TRIGGER move AFTER INSERT ON bank.accounts EXECUTE FUNCTION bank.move()
        """
    )

    try:
        with pytest.raises(ConcurrentSyncError):
            ground.sync(connection)
    finally:
        ground.execute("DROP TRIGGER move ON bank.accounts; DROP FUNCTION bank.move")

    assert (ground.rows(), ground.count("accounts")) == ([], 0)
    assert ground.connection(connection).cursor is None
    ground.sync(connection)
    assert ground.differences(connection) == []
