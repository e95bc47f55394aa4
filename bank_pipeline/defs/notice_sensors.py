"""
What Dagster does about notices: writes those that time brings, sends what waits, watches itself.

Notices of syncs are written by the syncs. The sensors here are level-triggered but for the one
that hears of failed runs: they ask what is due, keep no cursor, and forget nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

import dagster as dg
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from bank_pipeline.bootstrap import Services
from bank_pipeline.defs.failures import to_cause, to_reason, words_kept_back
from bank_pipeline.defs.labels import NOTICES
from bank_pipeline.defs.metadata import to_metadata
from bank_pipeline.defs.requests import ASK_AGAIN
from bank_pipeline.defs.ticks import load_last_ticks
from bank_pipeline.storage.engine import UNREACHABLE
from bank_pipeline.storage.faults import FaultName, FaultSource, OpenFault
from bank_pipeline.sync.delivering import deliver_notices, load_delivery_due
from bank_pipeline.sync.expiring import note_expiring
from bank_pipeline.sync.faults import (
    clear_faults,
    load_faults,
    load_over,
    note_failed_connections,
    note_fault,
)
from bank_pipeline.sync.refusals import note_webhook_faults

CHECK_FAILS: Final = "check failed"


@dg.op(out=dg.Out(dg.Nothing))
def deliver_due_notices(services: dg.ResourceParam[Services]) -> Iterator[dg.Output[None]]:
    """Send every notice that is due to each target of its team."""
    with words_kept_back():
        report = deliver_notices(
            services.sync,
            renewal_url=services.settings.renewal_url,
            gateway_url=services.settings.gateway_url,
        )
    yield dg.Output(None, metadata=to_metadata(**asdict(report)))


@dg.job(executor_def=dg.in_process_executor, tags=NOTICES)
def deliver_notices_job() -> None:
    """Send notices by mail, chat and webhook; what fails is tried again, slower each time."""
    deliver_due_notices()


@dg.sensor(
    job_name="deliver_notices_job",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    metadata=NOTICES,
    description="Tells teams of consents that end soon, once per step; has what waits sent.",
)
def notice_sensor(services: dg.ResourceParam[Services]) -> dg.RunRequest | dg.SkipReason:
    """Write the notices of consents that end soon, and start one run when a notice is due."""
    note_expiring(services.sync)
    due = load_delivery_due(services.sync)
    if due is None:
        return dg.SkipReason("No notice waits to be sent.")
    notice_id, since, attempts = due
    # As long as nothing was tried the key repeats, and Dagster drops it; lost runs are asked
    # for again.
    lost = (services.sync.clock() - since) // ASK_AGAIN
    return dg.RunRequest(run_key=f"notices:{notice_id}:{attempts}:{lost}")


@dg.run_failure_sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    metadata=NOTICES,
    description="Alerts the operator of failed runs: once per fault, however many runs show it.",
)
def failed_run_sensor(
    context: dg.RunFailureSensorContext, services: dg.ResourceParam[Services]
) -> None:
    """
    Note what failed: the job as such, or the connections in it, one fault per class.

    A run in which some connections failed is no fault of its job. While the database cannot be
    reached the run is heard of again with each tick.
    """
    try:
        _note_failure(context, services)
    except UNREACHABLE as error:
        raise _NotNotedError(to_reason(error)) from None


class _NotNotedError(dg.DagsterError):
    """A failure could not be noted. Dagster leaves out a run whose tick failed by other errors."""


def _note_failure(context: dg.RunFailureSensorContext, services: Services) -> None:
    run = context.dagster_run
    failed = _failed_connections(context)
    if failed:
        note_failed_connections(services.sync, run.run_id, failed)
        return
    record = context.instance.get_run_record_by_id(run.run_id)
    ended_at = record.end_time if record else None
    note_fault(
        services.sync,
        FaultName(FaultSource.RUN, run.job_name, _cause(context)),
        seen_at=services.sync.clock() if ended_at is None else _to_time(ended_at),
        facts={"run_id": run.run_id, "count": 1},
    )


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    metadata=NOTICES,
    description="Alerts the operator of checks and ticks that fail and of webhooks that are "
    "refused or wait, and tells when a fault is over.",
)
def fault_sensor(
    context: dg.SensorEvaluationContext, services: dg.ResourceParam[Services]
) -> dg.SkipReason:
    """Compare checks' newest results, the last ticks and the faults that last with what is now."""
    open_faults = load_faults(services.sync)
    over = [*_look_at_checks(context, services, open_faults)]
    over += _look_at_ticks(context, services, open_faults)
    over += _of_what_is_gone(_repository(context), open_faults)
    over += [
        one.id
        for one in open_faults
        if one.name.source is FaultSource.RUN and _has_succeeded_since(context.instance, one)
    ]
    over += load_over(services.sync, open_faults)
    over += note_webhook_faults(services.sync, open_faults)
    ended = [one for one in open_faults if one.id in over]
    cleared = clear_faults(services.sync, ended, at=services.sync.clock()) if ended else 0
    return dg.SkipReason(f"{len(open_faults) - cleared} faults last, {cleared} are over.")


def _look_at_checks(
    context: dg.SensorEvaluationContext, services: Services, open_faults: list[OpenFault]
) -> Iterator[str]:
    """Note the checks whose newest result is a failure; yield the faults of those that pass."""
    graph = _repository(context).asset_graph
    keys = sorted(graph.asset_check_keys, key=lambda key: key.to_user_string())
    if not keys:
        return
    # Dagster offers this to its own UI alone; one query for all checks.
    found = context.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    of_check = {
        one.name.subject: one for one in open_faults if one.name.source is FaultSource.CHECK
    }
    for key, record in found.items():
        name = key.to_user_string()
        fault = of_check.get(name)
        if record.status is AssetCheckExecutionRecordStatus.FAILED and (
            fault is None or _is_newer(record, fault)
        ):
            note_fault(
                services.sync,
                FaultName(FaultSource.CHECK, name, CHECK_FAILS),
                seen_at=_to_time(record.create_timestamp),
                facts={"run_id": record.run_id, "count": 1},
            )
        elif record.status is AssetCheckExecutionRecordStatus.SUCCEEDED and fault is not None:
            yield fault.id


def _look_at_ticks(
    context: dg.SensorEvaluationContext, services: Services, open_faults: list[OpenFault]
) -> Iterator[str]:
    """Note the sensors and schedules whose ticks fail; yield the faults of those that go well."""
    names = _ticking(_repository(context))
    known = {one.name: one for one in open_faults if one.name.source is FaultSource.TICK}
    for tick in load_last_ticks(context.instance, names):
        if tick.cause is None:
            yield from (one.id for name, one in known.items() if name.subject == tick.name)
            continue
        name = FaultName(FaultSource.TICK, tick.name, tick.cause)
        if name not in known or tick.at > known[name].last_seen_at:
            note_fault(services.sync, name, seen_at=tick.at, facts={"count": 1})


def _of_what_is_gone(
    repository: dg.RepositoryDefinition, open_faults: list[OpenFault]
) -> Iterator[str]:
    """Yield the faults of checks, jobs, sensors and schedules that this release does not have."""
    there = {
        FaultSource.CHECK: {
            key.to_user_string() for key in repository.asset_graph.asset_check_keys
        },
        FaultSource.RUN: {*repository.job_names},
        FaultSource.TICK: _ticking(repository),
    }
    for one in open_faults:
        if one.name.source in there and one.name.subject not in there[one.name.source]:
            yield one.id


def _ticking(repository: dg.RepositoryDefinition) -> set[str]:
    sensors = {one.name for one in repository.sensor_defs}
    return sensors | {one.name for one in repository.schedule_defs}


def _repository(context: dg.SensorEvaluationContext) -> dg.RepositoryDefinition:
    repository = context.repository_def
    assert repository is not None, "the daemon evaluates sensors within their repository"
    return repository


def _is_newer(record: AssetCheckExecutionRecord, fault: OpenFault) -> bool:
    return _to_time(record.create_timestamp) > fault.last_seen_at


def _has_succeeded_since(instance: dg.DagsterInstance, fault: OpenFault) -> bool:
    """Say whether the job of a fault has run well, begun after the fault was last seen."""
    filters = dg.RunsFilter(
        job_name=fault.name.subject,
        statuses=[dg.DagsterRunStatus.SUCCESS],
        created_after=fault.last_seen_at,
    )
    return bool(instance.get_run_records(filters, limit=1))


def _failed_connections(context: dg.RunFailureSensorContext) -> Mapping[str, str]:
    """Return the connections that the run says failed, with their reasons; none of other runs."""
    failed: dict[str, str] = {}
    for event in context.get_step_failure_events():
        data = event.step_failure_data.user_failure_data
        told = data.metadata.get("failed") if data else None
        if isinstance(told, dg.JsonMetadataValue) and isinstance(told.data, dict):
            failed |= {str(key): str(reason) for key, reason in told.data.items()}
    return failed


def _cause(context: dg.RunFailureSensorContext) -> str:
    """Return the class of the error that ended a run, never its words: they may quote rows."""
    for event in context.get_step_failure_events():
        error, told = event.step_failure_data.error, event.step_failure_data.user_failure_data
        if told is not None and told.description:
            return to_cause(told.description)
        if error is not None:
            inner = error.cause or error
            return str(inner.cls_name or error.cls_name)
    return "RunEnded"  # killed, or it never began


def _to_time(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
