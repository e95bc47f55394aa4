"""
Do in this process what Dagster's daemon does: tick sensors and schedules, execute their runs.

For the demo and for tests, which must not wait for a daemon. The runs are ordinary ones on
the given instance.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from bank_pipeline.bootstrap import Services
from bank_pipeline.defs.jobs import sync_connections_job
from bank_pipeline.defs.schedules import daily_sync_schedule
from bank_pipeline.defs.sensors import connection_sensor, webhook_sensor

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The event log keeps everything; the terminal belongs to the caller."""


@dataclass(frozen=True)
class RunOutcome:
    """One Dagster run: why it was asked for, and whether every connection in it succeeded."""

    run_id: str
    run_key: str | None
    is_success: bool


def run_what_is_due(
    definitions: dg.Definitions, instance: dg.DagsterInstance, services: Services
) -> list[RunOutcome]:
    """Tick the daily schedule and the sensors once; execute the requested runs one by one."""
    outcomes: list[RunOutcome] = []
    requests = [*_daily_syncs(definitions, instance, services)]
    outcomes += [_execute(r, definitions, instance, services) for r in requests]
    for sensor in (connection_sensor, webhook_sensor):
        requests = [*_tick(sensor, definitions, instance, services)]
        outcomes += [_execute(r, definitions, instance, services) for r in requests]
    return outcomes


def _daily_syncs(
    definitions: dg.Definitions, instance: dg.DagsterInstance, services: Services
) -> Iterator[dg.RunRequest]:
    with dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=services.sync.clock(),
        repository_def=definitions.get_repository_def(),
        resources={"services": services},
    ) as context:
        yield from daily_sync_schedule.evaluate_tick(context).run_requests or []


def _tick(
    sensor: dg.SensorDefinition,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    services: Services,
) -> Iterator[dg.RunRequest]:
    with dg.build_sensor_context(
        instance_ref=instance.get_ref(), definitions=definitions, resources={"services": services}
    ) as context:
        tick = sensor.evaluate_tick(context)
    for change in tick.dynamic_partitions_requests or []:
        if isinstance(change, dg.AddDynamicPartitionsRequest):
            instance.add_dynamic_partitions(change.partitions_def_name, change.partition_keys)
        else:
            for key in change.partition_keys:
                instance.delete_dynamic_partition(change.partitions_def_name, key)
    yield from tick.run_requests or []


def _execute(
    request: dg.RunRequest,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    services: Services,
) -> RunOutcome:
    result = definitions.resolve_job_def(sync_connections_job.name).execute_in_process(
        instance=instance,
        partition_key=request.partition_key,
        run_config={**request.run_config, **_QUIET},
        tags=dict(request.tags),
        resources={"services": services},
        raise_on_error=False,
    )
    return RunOutcome(result.run_id, request.run_key, result.success)
