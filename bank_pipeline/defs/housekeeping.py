"""
What Dagster's instance forgets: old events and runs by age, erased connections at once.

Repeatable at any point: each statement finds for itself what is still to be done.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import dagster as dg
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster_postgres.event_log import PostgresEventLogStorage

from bank_pipeline.bootstrap import Services, system_now
from bank_pipeline.defs.failures import words_kept_back
from bank_pipeline.defs.labels import LIFECYCLE, UPKEEP
from bank_pipeline.defs.metadata import to_metadata
from bank_pipeline.defs.partitions import CONNECTIONS
from bank_pipeline.defs.requests import ASK_AGAIN
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.storage import instance_history as history
from bank_pipeline.storage.erase import load_erased_ids
from bank_pipeline.sync.reports import Step

LOOKED_BACK: Final = timedelta(days=3)  # a run that outlives its connection ends within hours
BY_CONNECTION: Final = history.Partitioned(tuple(Step), CONNECTIONS)


@dataclass(frozen=True)
class HousekeepingReport:
    """What was deleted. `is_busy`: nothing, because another run is at it."""

    events_deleted: int = 0
    evaluations_deleted: int = 0
    runs_deleted: int = 0
    backfills_deleted: int = 0
    step_logs_deleted: int = 0
    is_busy: bool = False


def prune_instance(
    instance: dg.DagsterInstance, *, events_kept: timedelta, runs_kept: timedelta
) -> HousekeepingReport:
    """
    Delete what is older than its retention and not needed to show the present state.

    By the machine's clock, since Dagster's events are. Step logs are those of this machine.
    """
    now = system_now()
    with (
        history.opened(instance_url(instance)) as engine,
        history.housekeeping(engine) as db,
    ):
        if db is None:
            return HousekeepingReport(is_busy=True)
        before = now - events_kept
        evaluations = history.delete_old_evaluations(db, before=before)
        events = history.delete_old_events(db, BY_CONNECTION, before=before)
        oldest = now - max(runs_kept, events_kept)
        runs = history.delete_old_runs(db, before=oldest)
        backfills = history.delete_old_backfills(db, before=oldest)
        history.vacuum(db)
        logs = _delete_logs(_old_logs(instance, before=before))
    return HousekeepingReport(events, evaluations, runs, backfills, logs)


def forget_connections(
    instance: dg.DagsterInstance, connection_ids: Sequence[ConnectionId]
) -> HousekeepingReport:
    """Delete every trace of erased connections, but for their ids in the config of shared runs."""
    runs: list[str] = []
    with (
        history.opened(instance_url(instance)) as engine,
        history.housekeeping(engine) as db,
    ):
        if db is None:
            return HousekeepingReport(is_busy=True)
        for connection_id in history.load_remembered(db, BY_CONNECTION, connection_ids):
            instance.delete_dynamic_partition(CONNECTIONS, connection_id)
            with engine.begin() as forgetting:
                runs += history.forget_partition(forgetting, BY_CONNECTION, connection_id)
    logs = _delete_logs(_logs_of(instance, runs))
    return HousekeepingReport(runs_deleted=len(runs), step_logs_deleted=logs)


@dg.op(out=dg.Out(dg.Nothing))
def prune_instance_history(
    context: dg.OpExecutionContext, services: dg.ResourceParam[Services]
) -> Iterator[dg.Output[None]]:
    """Forget erased connections, and events, evaluations, runs and step logs past their time."""
    with words_kept_back():
        with services.sync.engine.connect() as db:
            erased = load_erased_ids(db)
        forgotten = forget_connections(context.instance, erased)
        report = prune_instance(
            context.instance,
            events_kept=timedelta(days=services.settings.event_retention_days),
            runs_kept=timedelta(days=services.settings.run_retention_days),
        )
    counts = {**asdict(report), "runs_of_erased_deleted": forgotten.runs_deleted}
    yield dg.Output(None, metadata=to_metadata(**counts))


@dg.job(executor_def=dg.in_process_executor, tags=UPKEEP)
def prune_instance_job() -> None:
    """Keep Dagster's own tables small; the present state of every partition stays."""
    prune_instance_history()


@dg.op(out=dg.Out(dg.Nothing))
def forget_erased_connections(
    context: dg.OpExecutionContext, services: dg.ResourceParam[Services]
) -> Iterator[dg.Output[None]]:
    """Delete what Dagster remembers of connections that were erased."""
    with words_kept_back():
        since = services.sync.clock() - LOOKED_BACK
        with services.sync.engine.connect() as db:
            erased = load_erased_ids(db, since=since)
        report = forget_connections(context.instance, erased)
    yield dg.Output(None, metadata=to_metadata(**asdict(report)))


@dg.job(executor_def=dg.in_process_executor, tags=LIFECYCLE)
def forget_erased_job() -> None:
    """Delete what Dagster remembers of connections that were erased: events, runs, step logs."""
    forget_erased_connections()


prune_instance_schedule = dg.ScheduleDefinition(
    name="prune_instance_schedule",
    job=prune_instance_job,
    cron_schedule="10 4 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Forgets daily what Dagster's instance no longer needs.",
    metadata=UPKEEP,
)


@dg.sensor(
    job_name="forget_erased_job",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Has Dagster forget connections that were erased, within a minute or two.",
    metadata=LIFECYCLE,
)
def erased_sensor(
    context: dg.SensorEvaluationContext, services: dg.ResourceParam[Services]
) -> dg.RunRequest | dg.SkipReason:
    """Start one run while the instance still has events or runs of an erased connection."""
    now = services.sync.clock()
    with services.sync.engine.connect() as db:
        erased = load_erased_ids(db, since=now - LOOKED_BACK)
    if not erased:
        return dg.SkipReason("No connection was erased lately.")
    with history.opened(instance_url(context.instance)) as engine, engine.connect() as db:
        remembered = history.load_remembered(db, BY_CONNECTION, erased)
    if not remembered:
        return dg.SkipReason("Nothing is left of the connections that were erased.")
    turn = int(now.timestamp() // ASK_AGAIN.total_seconds())
    return dg.RunRequest(run_key=f"forget:{erased[0]}:{len(erased)}:{turn}")


def instance_url(instance: dg.DagsterInstance) -> str:
    """Return where an instance keeps its history."""
    storage = instance.event_log_storage
    assert isinstance(storage, PostgresEventLogStorage), "dagster.yaml keeps the instance there"
    return storage.postgres_url


def _old_logs(instance: dg.DagsterInstance, *, before: datetime) -> Iterator[Path]:
    """
    Find folders of runs, of logs and of stored values, that nobody wrote into since then.

    By age and not by run: a run may be gone already, and the folders are one machine's own.
    """
    oldest = before.timestamp()
    for folder in _log_folders(instance):
        for one in folder.iterdir() if folder.is_dir() else ():
            if one.is_dir() and one.name != "storage" and one.stat().st_mtime < oldest:
                yield one


def _logs_of(instance: dg.DagsterInstance, runs: Iterable[str]) -> Iterator[Path]:
    folders = [*_log_folders(instance)]
    return (folder / run for run in runs for folder in folders if (folder / run).is_dir())


def _log_folders(instance: dg.DagsterInstance) -> Iterator[Path]:
    manager = instance.compute_log_manager
    if isinstance(manager, LocalComputeLogManager):  # others expire by rules of their own
        base = Path(manager.get_captured_local_path(["any"], "out")).parent
        yield from (base, base / "storage")


def _delete_logs(folders: Iterator[Path]) -> int:
    found = [*folders]
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)  # what stays is found again
    return len(found)
