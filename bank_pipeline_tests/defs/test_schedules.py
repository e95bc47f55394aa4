"""The schedule: every connection once a day, spread over it."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Final

from bank_pipeline.domain.cadence import SLOT_MINUTES, slot_of
from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline_tests.defs.test_sensors import insert_connections, keys, set_status
from bank_pipeline_tests.defs.ticks import Ticks, named_in

DAY: Final = datetime(2026, 3, 2, tzinfo=UTC)
TICKS: Final = [DAY + timedelta(minutes=m) for m in range(0, 24 * 60, SLOT_MINUTES)]


def tick_of(connection_id: ConnectionId) -> datetime:
    """Return the connection's own tick of the day."""
    return TICKS[slot_of(connection_id)]


def test_each_connection_is_due_once_a_day(ticks: Ticks) -> None:
    """Over all ticks of a day every connection is asked for exactly once."""
    ids = insert_connections(ticks.installation, 200)
    ticks.connections()

    asked = Counter(
        id_ for at in TICKS for request in ticks.schedule(at) for id_ in named_in(request)
    )

    assert asked == dict.fromkeys(ids, 1)


def test_a_late_tick_asks_for_the_same_work(ticks: Ticks) -> None:
    """A tick that is evaluated hours later, or twice, asks for the same runs by the same keys."""
    insert_connections(ticks.installation, 40)
    ticks.connections()
    at = next(at for at in TICKS if ticks.schedule(at))
    in_time = ticks.schedule(at)

    ticks.installation.sandbox.advance(timedelta(hours=5))

    assert keys(ticks.schedule(at)) == keys(in_time)


def test_tomorrow_is_another_key(ticks: Ticks) -> None:
    """Dagster drops a run key that it has seen: each day needs its own."""
    insert_connections(ticks.installation, 40)
    ticks.connections()
    at = next(at for at in TICKS if ticks.schedule(at))

    today, tomorrow = ticks.schedule(at), ticks.schedule(at + timedelta(days=1))

    assert {*keys(today)}.isdisjoint(keys(tomorrow))
    assert [named_in(r) for r in today] == [named_in(r) for r in tomorrow]


def test_a_connection_without_a_partition_is_skipped(ticks: Ticks) -> None:
    """One that the sensor has not seen yet does not fail the tick of all the others."""
    [known] = insert_connections(ticks.installation, 1)
    ticks.connections()
    [fresh] = ticks.installation.link()

    assert [named_in(request) for request in ticks.schedule(tick_of(known))] == [[known]]
    assert fresh not in [id_ for r in ticks.schedule(tick_of(fresh)) for id_ in named_in(r)]


def test_a_revoked_connection_is_not_scheduled(ticks: Ticks) -> None:
    """Calls stop for good where only a new link helps; what waits for a login is looked at."""
    revoked, waiting = insert_connections(ticks.installation, 2)
    ticks.connections()
    set_status(ticks, revoked, ConnectionStatus.REVOKED)
    set_status(ticks, waiting, ConnectionStatus.NEEDS_REAUTH)

    ticked = [ticks.schedule(tick_of(connection_id)) for connection_id in (revoked, waiting)]

    assert {id_ for requests in ticked for r in requests for id_ in named_in(r)} == {waiting}
