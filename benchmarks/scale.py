"""Ticks of every sensor and schedule, and what the UI's pages ask for, over many connections."""

import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

import dagster as dg
import sqlalchemy as sa

from bank_pipeline.bootstrap import Services, build_services, system_now
from bank_pipeline.cli.playground import playground_environment
from bank_pipeline.cli.processes import dagster_environment
from bank_pipeline.config import Settings
from bank_pipeline.definitions import defs
from bank_pipeline.defs.partitions import CONNECTIONS
from bank_pipeline.defs.requests import BATCH_SIZE
from bank_pipeline.storage import embedded
from bank_pipeline.storage.connections import ensure_team
from bank_pipeline_tests.dagster_ui import ask
from bank_pipeline_tests.environment import kept_environment
from bank_pipeline_tests.ports import free_ports
from benchmarks.processes import started, wait_for

TICK_REPEATS: Final = 3
PAGE_REPEATS: Final = 20
UNDER_WAY: Final = 40  # batches that are queued or run meanwhile
_EVENTS_EVERY: Final = 100  # of so many connections one has a webhook that waits
_FILL: Final = """
    INSERT INTO bank.connections (id, team_id, provider, external_id, status, status_since,
        history_stage, created_at, last_attempt_at, last_success_at)
    SELECT gen_random_uuid(), :team, 'plaid', 'item-' || n, 'active', :now, 'complete',
        :now - interval '30 days', :now - interval '15 minutes', :now - interval '15 minutes'
    FROM generate_series(1, :count) n
"""
_WEBHOOKS: Final = """
    INSERT INTO bank.webhook_events (provider, event_key, kind, code, connection_external_id,
        received_at)
    SELECT 'plaid', external_id, 'sync', 'SYNC_UPDATES_AVAILABLE', external_id, :now
    FROM bank.connections WHERE substr(external_id, 6)::int % :every = 0
"""
_COPY: Final = """
    INSERT INTO dagster.event_logs
        (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
    SELECT e.run_id, replace(e.event, e.partition, p.partition), e.dagster_event_type,
        e.timestamp, e.step_key, e.asset_key, p.partition
    FROM dagster.event_logs e CROSS JOIN
        (SELECT partition FROM dagster.dynamic_partitions ORDER BY partition LIMIT :count) p
    WHERE e.partition = :template AND p.partition <> :template
"""
_STATUSES: Final = """
    assetPartitionStatuses { ... on DefaultPartitionStatuses {
        materializedPartitions failedPartitions materializingPartitions } }
    partitionStats { numMaterialized numPartitions numFailed numMaterializing }
"""
_ASSET: Final = "query($key: [String!]!) { assetNodeOrError(assetKey: {path: $key}) { "
PAGES: Final = {
    "asset page": _ASSET
    + """... on AssetNode { id groupName description opNames
        assetMaterializations(limit: 100) { timestamp runId partition metadataEntries { label } }
        """
    + _STATUSES
    + "} } }",
    "partitions page": _ASSET
    + "... on AssetNode { id partitionKeysByDimension { partitionKeys }"
    + _STATUSES
    + "} } }",
    "one partition": """query($key: [String!]!, $partition: String!) {
        assetNodeOrError(assetKey: {path: $key}) { ... on AssetNode { id
        latestRunForPartition(partition: $partition) { id status }
        assetMaterializations(partitions: [$partition], limit: 50) {
            timestamp runId metadataEntries { label description } }
        assetObservations(partitions: [$partition], limit: 50) { timestamp runId } } } }""",
    "run page": """query($run: ID!) { runOrError(runId: $run) { ... on Run {
        id status tags { key value } runConfigYaml assetSelection { path } stats {
        ... on RunStatsSnapshot { materializations stepsFailed } } } }
        logsForRun(runId: $run, limit: 1000) { ... on EventConnection { hasMore events {
        __typename } } } }""",
    "runs page": """query { runsOrError(limit: 30) { ... on Runs { results {
        id status startTime endTime tags { key value } assetSelection { path } } } } }""",
}


_PLAIN: Final = {
    "BANK_PIPELINE_CLOCK_URL": "",
    "BANK_PIPELINE_WEBHOOK_WAIT_S": "0",  # what a tick does is asked, not how long it listens
}


@dataclass(frozen=True)
class Filled:
    """An installation with so many connections, each a partition."""

    services: Services
    instance: dg.DagsterInstance
    folder: Path


@contextmanager
def filled(count: int) -> Iterator[Filled]:
    """Make an installation with so many connections that were synced a moment ago."""
    folder = Path(tempfile.mkdtemp(prefix="bank-scale-"))
    with ExitStack() as stack:
        stack.callback(embedded.stop, folder)
        stack.enter_context(kept_environment())
        os.environ |= playground_environment(folder, "") | _PLAIN
        os.environ |= dagster_environment(Settings())
        services = stack.enter_context(closing(build_services(Settings())))
        instance = stack.enter_context(dg.DagsterInstance.get())
        _fill(services, instance, count)
        yield Filled(services, instance, folder)


def measure_ticks(count: int) -> dict[str, float]:
    """Return the median seconds of one tick of each sensor and schedule."""
    with filled(count) as place:
        return {name: _median(tick) for name, tick in _ticks(place)}


def measure_pages(count: int) -> dict[str, float]:
    """Return the seconds within which 95 % of the answers to each page's question came."""
    with filled(count) as place:
        run_id = _materialize_all(place, count)
        [port] = free_ports(1)
        with started(place.folder, "dagster_webserver", "-m", "bank_pipeline.definitions",
                     "-p", str(port)):  # fmt: skip
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/server_info")
            [partition, *_] = place.instance.get_dynamic_partitions(CONNECTIONS)
            variables = {"key": ["transactions"], "partition": partition, "run": run_id}
            return {
                name: _p95(partial(ask, url, query, **variables)) for name, query in PAGES.items()
            }


def _fill(services: Services, instance: dg.DagsterInstance, count: int) -> None:
    now = system_now()
    with services.sync.engine.begin() as db:
        team_id = ensure_team(db, "scale", now=now)
        db.execute(sa.text(_FILL), {"team": team_id, "now": now, "count": count})
        db.execute(sa.text(_WEBHOOKS), {"now": now, "every": _EVENTS_EVERY})
        ids = [str(one) for one in db.scalars(sa.text("SELECT id FROM bank.connections"))]
    for start in range(0, count, 10_000):
        instance.add_dynamic_partitions(CONNECTIONS, ids[start : start + 10_000])
    job = defs.resolve_job_def("sync_connections_job")
    for number in range(UNDER_WAY):
        some = ids[number * BATCH_SIZE : (number + 1) * BATCH_SIZE]
        config = {"ops": {"sync_connections": {"config": {"connection_ids": some}}}}
        instance.create_run_for_job(job, run_config=config, status=dg.DagsterRunStatus.STARTED)
    _analyze(services)


def _ticks(place: Filled) -> Iterator[tuple[str, Callable[[], object]]]:
    resources = {"services": place.services}
    repository = defs.get_repository_def()

    def sense(sensor: dg.SensorDefinition) -> object:
        with dg.build_sensor_context(
            instance_ref=place.instance.get_ref(), definitions=defs, resources=resources
        ) as context:
            return sensor.evaluate_tick(context)

    def schedule(one: dg.ScheduleDefinition) -> object:
        with dg.build_schedule_context(
            instance=place.instance,
            scheduled_execution_time=system_now(),
            repository_def=repository,
            resources=resources,
        ) as context:
            return one.evaluate_tick(context)

    for sensor in repository.sensor_defs:
        if not isinstance(sensor, dg.RunStatusSensorDefinition):  # asked about runs, one by one
            yield sensor.name, lambda sensor=sensor: sense(sensor)  # type: ignore[misc]
    for one in repository.schedule_defs:
        yield one.name, lambda one=one: schedule(one)  # type: ignore[misc]


def _materialize_all(place: Filled, count: int) -> str:
    """Write the events of a batch, as if it had been of all connections; return its run's id."""
    [template, *_] = sorted(place.instance.get_dynamic_partitions(CONNECTIONS))
    metadata = {f"value {number}": number for number in range(18)}
    for asset in ("accounts", "balances", "transactions"):
        place.instance.report_runless_asset_event(
            dg.AssetMaterialization(asset, partition=template, metadata=metadata)
        )
    [run, *_] = place.instance.get_runs(limit=1)
    copy = sa.text(_COPY)
    with place.services.sync.engine.begin() as db:
        db.execute(copy, {"count": count, "template": template})
        db.execute(sa.text(_OF_RUN), {"run": run.run_id, "count": BATCH_SIZE * 3})
    _analyze(place.services)  # as autovacuum does within a minute; else the planner guesses badly
    return run.run_id


def _analyze(services: Services) -> None:
    with services.sync.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(sa.text("ANALYZE"))


_OF_RUN: Final = """
    UPDATE dagster.event_logs SET run_id = :run WHERE id IN
        (SELECT id FROM dagster.event_logs WHERE partition IS NOT NULL ORDER BY id LIMIT :count)
"""


def _timed(what: Callable[[], object]) -> float:
    begun = perf_counter()
    what()
    return perf_counter() - begun


def _median(what: Callable[[], object]) -> float:
    return round(statistics.median(_timed(what) for _ in range(TICK_REPEATS)), 3)


def _p95(what: Callable[[], object]) -> float:
    what()  # the first fills the UI's cache of partitions, as any look before it has
    taken = [_timed(what) for _ in range(PAGE_REPEATS)]
    return round(statistics.quantiles(taken, n=20)[-1], 3)
