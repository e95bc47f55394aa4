"""Dagster's instance stays small, shows the same, and forgets connections that were erased."""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import dagster as dg
import pytest
import sqlalchemy as sa

from bank_pipeline.bootstrap import system_now
from bank_pipeline.definitions import defs
from bank_pipeline.defs.checks import CHECKS
from bank_pipeline.defs.housekeeping import (
    BY_CONNECTION,
    HousekeepingReport,
    erased_sensor,
    prune_instance,
)
from bank_pipeline.defs.partitions import CONNECTIONS
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.storage import instance_history as history
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline_tests.defs.runs import ASSETS, PartitionStatus, Runs
from bank_pipeline_tests.defs.test_assets import everything_logged
from bank_pipeline_tests.defs.ticks import Ticks
from bank_pipeline_tests.waiting import wait_for_lock

DAYS: Final = timedelta(days=1)
AGED: Final = (
    "UPDATE dagster.event_logs SET timestamp = timestamp - interval '30 days'",
    "UPDATE dagster.asset_check_executions SET create_timestamp = now() - interval '30 days'",
    "UPDATE dagster.runs SET update_timestamp = update_timestamp - interval '30 days'",
)


def change(runs: Runs, *statements: str) -> None:
    with runs.installation.services.sync.engine.begin() as db:
        for statement in statements:
            db.execute(sa.text(statement))


def count(runs: Runs, what: str) -> int:
    return int(runs.installation.value(f"SELECT count(*) FROM dagster.{what}"))


def prune(runs: Runs) -> HousekeepingReport:
    return prune_instance(runs.instance, events_kept=14 * DAYS, runs_kept=20 * DAYS)


def execute(runs: Runs, job: str) -> None:
    result = defs.resolve_job_def(job).execute_in_process(
        instance=runs.instance,
        resources={"services": runs.installation.services},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert result.success


def shown(runs: Runs) -> dict[str, tuple[PartitionStatus, set[str], dict[str, str]]]:
    """Read what the UI shows: from its cache, then from nothing, and of each partition."""
    cached = {asset: runs.status(asset) for asset in ASSETS}
    found = {}
    for asset in ASSETS:
        key = dg.AssetKey(asset)
        runs.instance.wipe_asset_cached_status([key])
        assert runs.status(asset) == cached[asset]
        newest = {
            partition: event.run_id
            for partition in cached[asset].materialized
            for record in runs.instance.fetch_materializations(
                dg.AssetRecordsFilter(key, asset_partitions=[partition]), limit=1
            ).records
            for event in [record.event_log_entry]
        }
        listed = runs.instance.get_materialized_partitions(key)
        found[asset] = (cached[asset], listed, newest)
    return found


@pytest.fixture
def busy(runs: Runs) -> list[ConnectionId]:
    """Three connections, each synced thrice; the last sync of one failed; everything is old."""
    ids = runs.linked(3)
    assert runs.of_range(ids).success
    assert runs.of_config(ids).success
    runs.break_feed(ids[1])
    assert not runs.of_range(ids).success
    execute(runs, "checks_job")
    execute(runs, "checks_job")
    change(runs, *AGED)
    return ids


def test_old_events_go_and_every_partition_shows_as_before(
    runs: Runs, busy: Sequence[ConnectionId]
) -> None:
    """The failed partition is still failed, the others have the newest run's materialisation."""
    before = shown(runs)
    events, executed = count(runs, "event_logs"), count(runs, "runs")
    assert before["accounts"][0] == PartitionStatus({*busy}, {busy[1]})

    report = prune(runs)

    assert shown(runs) == before
    assert (report.events_deleted > events / 2, report.runs_deleted) == (True, 2)
    assert count(runs, "event_logs") == events - report.events_deleted
    assert count(runs, "runs") == executed - 2  # those whose every event is superseded
    assert prune(runs) == HousekeepingReport()


def test_the_newest_evaluation_of_each_check_stays(
    runs: Runs, busy: Sequence[ConnectionId]
) -> None:
    assert count(runs, "asset_check_executions") == 2 * len(CHECKS)

    assert prune(runs).evaluations_deleted == len(CHECKS)

    keys = [one.check_key for one in CHECKS]
    latest = runs.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert {*latest} == {*keys}
    assert all(record.event is not None for record in latest.values())
    assert {runs.instance.has_run(record.run_id) for record in latest.values()} == {True}
    assert busy


def test_what_is_young_or_under_way_stays(runs: Runs, busy: Sequence[ConnectionId]) -> None:
    """A run that still runs keeps its events, however old they are."""
    prune(runs)
    assert runs.of_config(busy[:1]).success
    assert prune(runs).events_deleted == len(ASSETS)  # only what the new run superseded
    young = count(runs, "event_logs")

    change(runs, *AGED, "UPDATE dagster.runs SET status = 'STARTED'")

    assert prune(runs).events_deleted == 0
    assert count(runs, "event_logs") == young


def test_a_connection_that_left_keeps_its_history_for_as_long_as_others_keep_theirs(
    runs: Runs, busy: Sequence[ConnectionId]
) -> None:
    """A disconnected one has no partition any more, so that nothing of it is kept for showing."""
    others = {*busy[:2]}
    runs.instance.delete_dynamic_partition(CONNECTIONS, busy[2])
    of_it = f"event_logs WHERE partition = '{busy[2]}'"
    change(runs, "UPDATE dagster.event_logs SET timestamp = timestamp + interval '20 days'")
    prune(runs)
    assert count(runs, of_it) > 0

    change(runs, *AGED)
    prune(runs)

    assert count(runs, of_it) == 0
    assert runs.instance.get_materialized_partitions(dg.AssetKey("balances")) == others


def test_a_purge_that_dies_anywhere_is_harmless(runs: Runs, busy: Sequence[ConnectionId]) -> None:
    """After each of its statements, the UI shows the same; the next purge does the rest."""
    before = shown(runs)
    assert before["accounts"][1] == {*busy}
    cut = system_now() - 14 * DAYS
    url = runs.instance.event_log_storage.postgres_url  # type: ignore[attr-defined]
    with history.opened(url) as engine:
        with history.housekeeping(engine) as db:
            assert db is not None
            history.delete_old_evaluations(db, before=cut)
        assert shown(runs) == before
        wait_for_lock(engine, history.HOUSEKEEPING_LOCK)
        with history.housekeeping(engine) as db:
            assert db is not None
            history.delete_old_events(db, BY_CONNECTION, before=cut)
            with pytest.raises(sa.exc.DBAPIError):
                db.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))
        wait_for_lock(engine, history.HOUSEKEEPING_LOCK)

    assert shown(runs) == before
    assert prune(runs).runs_deleted == 2
    assert shown(runs) == before


def test_two_never_purge_at_once(runs: Runs, busy: Sequence[ConnectionId]) -> None:
    url = runs.instance.event_log_storage.postgres_url  # type: ignore[attr-defined]
    with history.opened(url) as engine:
        with history.housekeeping(engine):
            assert prune(runs) == HousekeepingReport(is_busy=True)
        wait_for_lock(engine, history.HOUSEKEEPING_LOCK)

    assert prune(runs).events_deleted > 0
    assert busy


def test_step_logs_go_by_their_age(runs: Runs) -> None:
    base = runs.step_logs
    old, young, stored = base / "old-run", base / "young-run", base / "storage" / "old-run"
    for folder in (old, young, stored):
        (folder / "compute_logs").mkdir(parents=True)
    then = (system_now() - 15 * DAYS).timestamp()
    for folder in (old, stored):
        os.utime(folder, (then, then))

    assert prune(runs).step_logs_deleted == 2

    assert [one.exists() for one in (old, young, stored)] == [False, True, False]


def tick(runs: Runs) -> dg.RunRequest | None:
    with dg.build_sensor_context(
        instance_ref=runs.instance.get_ref(),
        definitions=defs,
        resources={"services": runs.installation.services},
    ) as context:
        requests = erased_sensor.evaluate_tick(context).run_requests or []
    return requests[0] if requests else None


@pytest.fixture
def erased(runs: Runs) -> tuple[ConnectionId, ConnectionId]:
    """One of two connections was erased; it had runs of its own and shared ones, and failed."""
    ids = runs.linked(2)
    assert runs.of_partition(ids[0]).success
    runs.break_feed(ids[0])
    assert not runs.of_config(ids).success
    execute(runs, "checks_job")
    disconnect(runs.installation.services.sync, ids[0], erase=True)
    return ids[0], ids[1]


def test_an_erased_connection_is_forgotten_within_the_next_ticks(
    runs: Runs, erased: tuple[ConnectionId, ConnectionId]
) -> None:
    """Nothing that it was or did is left: no event, no metadata, no reason of a failure."""
    gone, other = erased
    status = runs.status("transactions")
    assert gone in status.failed
    request = tick(runs)
    assert request is not None

    execute(runs, "forget_erased_job")

    assert tick(runs) is None
    assert gone not in runs.instance.get_dynamic_partitions(CONNECTIONS)
    assert count(runs, f"event_logs WHERE event LIKE '%{gone}%'") == 0
    assert count(runs, f"asset_keys WHERE asset_keys::text LIKE '%{gone}%'") == 0
    assert count(runs, f"asset_check_executions WHERE evaluation_event LIKE '%{gone}%'") == 0
    assert count(runs, "asset_check_executions WHERE execution_status = 'FAILED'") == 1
    assert count(runs, f"run_tags WHERE value = '{gone}'") == 0
    for asset in ASSETS:
        assert runs.status(asset) == PartitionStatus({other}, set())
        latest = runs.instance.get_latest_materialization_event(dg.AssetKey(asset))
        assert latest is not None
        assert latest.asset_materialization is not None
        assert latest.asset_materialization.partition == other
    assert other in everything_logged(runs.instance)


def test_what_no_tick_saw_is_forgotten_by_the_daily_run(
    runs: Runs, erased: tuple[ConnectionId, ConnectionId]
) -> None:
    runs.installation.sandbox.advance(timedelta(days=4))
    assert tick(runs) is None

    execute(runs, "prune_instance_job")

    assert count(runs, f"event_logs WHERE event LIKE '%{erased[0]}%'") == 0


def test_a_run_under_way_is_forgotten_once_it_has_ended(
    runs: Runs, erased: tuple[ConnectionId, ConnectionId]
) -> None:
    own = f"runs WHERE run_id IN (SELECT run_id FROM dagster.run_tags WHERE value = '{erased[0]}')"
    change(runs, "UPDATE dagster.runs SET status = 'STARTED'")
    execute(runs, "forget_erased_job")
    assert count(runs, own) == 1
    assert tick(runs) is not None

    change(runs, "UPDATE dagster.runs SET status = 'SUCCESS'")
    execute(runs, "forget_erased_job")

    assert count(runs, own) == 0
    assert tick(runs) is None


def test_a_connection_that_left_is_counted_no_more(runs: Runs, ticks: Ticks) -> None:
    """The asset shows the connections that there are, and its history holds the one that left."""
    ids = runs.linked(2)
    assert runs.of_range(ids).success
    assert runs.status("accounts").materialized == {*ids}

    disconnect(runs.installation.services.sync, ids[0])
    ticks.connections()

    assert ticks.partitions() == {ids[1]}
    assert runs.status("accounts").materialized == {ids[1]}
    assert runs.instance.get_materialized_partitions(dg.AssetKey("accounts")) == {*ids}
    prune(runs)
    assert runs.instance.get_materialized_partitions(dg.AssetKey("accounts")) == {*ids}
