"""The schedule: every connection once a day, spread over it, whatever becomes of its ticks."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import dagster as dg
import pytest
import sqlalchemy as sa

from bank_pipeline.bootstrap import build_services
from bank_pipeline.config import Settings
from bank_pipeline.defs.requests import OWN_RUNS_MAX
from bank_pipeline.defs.schedules import (
    REFRESH_KEPT,
    REFRESHED_AFTER,
    balance_refresh_schedule,
)
from bank_pipeline.domain.cadence import SLOT_MINUTES, last_slot
from bank_pipeline.domain.connection import ConnectionStatus, Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import RateLimitedError
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.sandbox.serve import USUAL_START
from bank_pipeline.storage.calls import NewCall, insert_call
from bank_pipeline.storage.sync_runs import SyncOutcome, finish_sync_run, start_sync_run
from bank_pipeline.storage.tables import connections
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline_tests.defs.runs import Runs
from bank_pipeline_tests.defs.test_sensors import insert_connections, keys, set_status
from bank_pipeline_tests.defs.ticks import Ticks, named_in

DAY: Final = timedelta(days=1)
SLOT: Final = timedelta(minutes=SLOT_MINUTES)
TICKS: Final = [USUAL_START + SLOT * number for number in range(1, DAY // SLOT + 1)]


def turn_of(connection_id: ConnectionId) -> datetime:
    """Return the connection's first turn after it was linked."""
    return last_slot(connection_id, TICKS[-1])


def set_tried(ticks: Ticks, ids: list[str]) -> None:
    """Have a sync of these end now."""
    now = ticks.installation.services.sync.clock()
    query = sa.update(connections).where(connections.c.id.in_(ids))
    with ticks.installation.services.sync.engine.begin() as db:
        db.execute(query.values(last_attempt_at=now, last_success_at=now, next_attempt_at=None))


def asked_by(requests: list[dg.RunRequest]) -> list[str]:
    return [id_ for request in requests for id_ in named_in(request)]


def test_each_connection_is_synced_once_a_day(ticks: Ticks) -> None:
    """Over all ticks of a day every connection is asked for once, in its own slot."""
    ids = insert_connections(ticks.installation, 200)
    ticks.connections()
    asked: Counter[str] = Counter()

    for at in TICKS:
        due = asked_by(ticks.schedule(at))
        assert {turn_of(ConnectionId(id_)) for id_ in due} <= {at}
        asked.update(due)
        set_tried(ticks, due)

    assert asked == dict.fromkeys(ids, 1)


def test_missed_ticks_are_made_up_for_by_the_next(ticks: Ticks) -> None:
    """A daemon that was off for half a day asks for whose turn came meanwhile, each once."""
    ids = insert_connections(ticks.installation, 200)
    ticks.connections()
    middle, end = TICKS[len(TICKS) // 2], TICKS[-1]

    late = asked_by(ticks.schedule(middle))
    set_tried(ticks, late)
    rest = asked_by(ticks.schedule(end))

    assert {*late} == {id_ for id_ in ids if turn_of(id_) <= middle}
    assert sorted([*late, *rest]) == sorted(ids)


def test_days_that_were_missed_are_made_up_for_once(ticks: Ticks) -> None:
    """Nobody is synced three times because the machine was off for three days."""
    ids = insert_connections(ticks.installation, 40)
    ticks.connections()

    assert sorted(asked_by(ticks.schedule(TICKS[-1] + 3 * DAY))) == sorted(ids)


def test_a_clock_that_was_days_ahead_keeps_nobody_from_their_turn(runs: Runs, ticks: Ticks) -> None:
    """Until the right time came to what it had noted, nobody asked, and no run would have read."""
    [connection_id] = runs.linked()
    ahead = TICKS[-1] + 30 * DAY
    query = sa.update(connections).values(last_attempt_at=ahead, last_success_at=ahead)
    with ticks.installation.services.sync.engine.begin() as db:
        db.execute(query)
    before = runs.installation.syncs()

    [request] = ticks.schedule(turn_of(connection_id) + DAY)

    assert runs.of_request(request).success
    assert runs.installation.syncs() == before + 1
    assert ticks.schedule(turn_of(connection_id) + DAY) == []


def test_a_tick_that_is_evaluated_again_asks_for_the_same_runs(ticks: Ticks) -> None:
    """A daemon that is killed between two runs of a tick begins the tick anew."""
    insert_connections(ticks.installation, 40)
    ticks.connections()

    assert keys(ticks.schedule(TICKS[-1])) == keys(ticks.schedule(TICKS[-1]))


def test_what_no_run_did_is_asked_for_anew(ticks: Ticks) -> None:
    """Dagster drops a run key that it has seen: each tick needs its own."""
    ids = insert_connections(ticks.installation, 40)
    ticks.connections()

    lost, again = ticks.schedule(TICKS[-1]), ticks.schedule(TICKS[-1] + SLOT)

    assert {*keys(lost)}.isdisjoint(keys(again))
    assert {*asked_by(again)} == {*ids}


def test_what_a_run_under_way_covers_is_not_asked_for(ticks: Ticks) -> None:
    """A batch that waits in the queue is not asked for by every tick until it has run."""
    insert_connections(ticks.installation, OWN_RUNS_MAX + 1)
    ticks.connections()
    [batch] = ticks.schedule(TICKS[-1])
    ticks.queue(batch, dg.DagsterRunStatus.NOT_STARTED)

    assert ticks.schedule(TICKS[-1] + SLOT) == []


def test_work_asked_for_twice_is_done_once(runs: Runs, ticks: Ticks) -> None:
    """The run of a late request leaves alone what was synced since; the rest it does."""
    ids = runs.linked(3)
    [*requests] = ticks.schedule(TICKS[-1])
    runs.of_partition(ids[0])
    before = runs.installation.syncs()

    done = [runs.of_request(request) for request in requests]

    assert all(result.success for result in done)
    assert runs.installation.syncs() == before + 2
    assert all(runs.of_request(request).success for request in requests)
    assert runs.installation.syncs() == before + 2


def test_a_sync_in_the_very_moment_of_its_turn_is_the_days_sync(runs: Runs, ticks: Ticks) -> None:
    """The schedule and the run it asks for agree where a turn begins."""
    [connection_id] = runs.linked()
    [request] = ticks.schedule(turn_of(connection_id) + DAY)
    runs.of_request(request)
    before = runs.installation.syncs()

    assert runs.of_request(request).success
    assert runs.installation.syncs() == before
    assert ticks.schedule(turn_of(connection_id) + DAY) == []


def test_a_sync_of_balances_is_not_the_days_sync(runs: Runs, ticks: Ticks) -> None:
    """Only a whole sync is a connection's turn: a part of it leaves its transactions old."""
    [connection_id] = runs.linked()
    runs.of_partition(connection_id)
    ticks.installation.sandbox.clock.advance(TICKS[-1] - ticks.installation.sandbox.clock.now())
    runs.of_assets(connection_id, "balances")

    assert asked_by(ticks.schedule(TICKS[-1])) == [connection_id]


def test_a_connection_without_a_partition_is_skipped(ticks: Ticks) -> None:
    """One that the sensor has not seen yet does not fail the tick of all the others."""
    [known] = insert_connections(ticks.installation, 1)
    ticks.connections()
    ticks.installation.link()

    assert asked_by(ticks.schedule(TICKS[-1] + DAY)) == [known]


def test_a_revoked_connection_is_not_scheduled(ticks: Ticks) -> None:
    """Calls stop for good where only a new link helps; what waits for a login is looked at."""
    revoked, waiting = insert_connections(ticks.installation, 2)
    ticks.connections()
    set_status(ticks, revoked, ConnectionStatus.REVOKED)
    set_status(ticks, waiting, ConnectionStatus.NEEDS_REAUTH)

    assert asked_by(ticks.schedule(TICKS[-1])) == [waiting]


@pytest.fixture
def counting(ticks: Ticks, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ticks]:
    """An installation whose second provider counts calls."""
    url = f"{ticks.installation.sandbox.url}/gocardless"
    for name, value in (("SECRET_ID", "id"), ("SECRET_KEY", "key"), ("BASE_URL", url)):
        monkeypatch.setenv(f"GOCARDLESS_{name}", value)
    with closing(build_services(Settings())) as services:
        yield replace(ticks, installation=replace(ticks.installation, services=services))


def test_balances_are_read_again_half_a_day_later_where_calls_are_counted(counting: Ticks) -> None:
    """Once, as a part of the assets; where changes are told, nobody has to ask."""
    [counted] = insert_connections(counting.installation, 1, Provider.GOCARDLESS)
    insert_connections(counting.installation, 1, Provider.PLAID)
    counting.connections()
    at = turn_of(counted) + REFRESHED_AFTER

    assert counting.schedule(at - SLOT, balance_refresh_schedule) == []
    [request] = counting.schedule(at, balance_refresh_schedule)

    assert named_in(request) == [counted]
    assert request.asset_selection == [dg.AssetKey("balances")]
    with counting.installation.services.sync.engine.begin() as db:
        insert_call(db, balance_call(counted, at))
    assert counting.schedule(at + SLOT, balance_refresh_schedule) == []


def test_a_refresh_that_is_late_leaves_the_call_to_the_daily_sync(counting: Ticks) -> None:
    [counted] = insert_connections(counting.installation, 1, Provider.GOCARDLESS)
    counting.connections()
    late = turn_of(counted) + REFRESHED_AFTER + REFRESH_KEPT

    assert counting.schedule(late, balance_refresh_schedule) == []


@pytest.mark.parametrize(
    ("outcome", "is_asked"), [("failed", False), ("synced", False), ("deferred", True)]
)
def test_a_refresh_that_was_tried_is_not_tried_each_quarter_of_an_hour(
    counting: Ticks, outcome: str, is_asked: bool
) -> None:
    """As where no call is left, or no account is read: no call tells that it was."""
    [counted] = insert_connections(counting.installation, 1, Provider.GOCARDLESS)
    counting.connections()
    at = turn_of(counted) + REFRESHED_AFTER
    with counting.installation.services.sync.engine.begin() as db:
        started = start_sync_run(db, counted, reason="refresh", dagster_run_id=None, now=at)
        finish_sync_run(db, started, outcome=SyncOutcome(outcome), now=at)

    assert bool(counting.schedule(at + SLOT, balance_refresh_schedule)) is is_asked
    assert asked_by(counting.schedule(at + DAY, balance_refresh_schedule)) == [counted]


def test_who_waits_for_their_customer_has_no_second_look_a_day(counting: Ticks) -> None:
    [counted] = insert_connections(counting.installation, 1, Provider.GOCARDLESS)
    counting.connections()
    set_status(counting, counted, ConnectionStatus.NEEDS_REAUTH)

    at = turn_of(counted) + REFRESHED_AFTER

    assert counting.schedule(at, balance_refresh_schedule) == []


def balance_call(connection_id: ConnectionId, at: datetime) -> NewCall:
    return NewCall(
        provider=Provider.GOCARDLESS,
        operation="balances",
        connection_id=connection_id,
        sync_run_id=None,
        account_external_id="account",
        scope="balances",
        is_scheduled=True,
        is_counted=True,
        called_at=at,
    )


def test_a_turn_waits_for_what_the_provider_asked_for(runs: Runs, ticks: Ticks) -> None:
    [id_] = runs.linked()
    sandbox, turn = runs.installation.sandbox, turn_of(id_) + DAY
    sandbox.clock.advance_to(turn - timedelta(hours=1))
    limit = Fault(FaultKind.RATE_LIMITED, retry_after="7200")
    sandbox.faults.add("/transactions/sync", limit, times=None)
    request = SyncRequest(id_, SyncReason.RECOVERY)
    with pytest.raises(RateLimitedError):
        sync_connection(runs.installation.services.sync, request)

    assert ticks.schedule(turn) == []
    assert asked_by(ticks.schedule(turn + timedelta(hours=2))) == [id_]
