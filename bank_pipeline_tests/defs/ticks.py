"""Ticks of sensors and of the schedule, as the daemon evaluates them: partition keys validated."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from bank_pipeline.definitions import defs
from bank_pipeline.defs.partitions import CONNECTIONS
from bank_pipeline.defs.schedules import daily_sync_schedule
from bank_pipeline.defs.sensors import connection_sensor, webhook_relief_sensor, webhook_sensor
from bank_pipeline_tests.installation import Installation


@dataclass(frozen=True)
class Ticks:
    """Evaluates ticks over an installation; the instance keeps what they change."""

    installation: Installation
    instance: dg.DagsterInstance

    def connections(self) -> list[dg.RunRequest]:
        """Tick the connection sensor, and change the partitions as it asks."""
        return self._tick(connection_sensor)

    def webhooks(self) -> list[dg.RunRequest]:
        """Tick the webhook sensor."""
        return self._tick(webhook_sensor)

    def relief(self) -> list[dg.RunRequest]:
        """Tick the sensor that takes the webhook sensor's place."""
        return self._tick(webhook_relief_sensor)

    def schedule(
        self, at: datetime, schedule: dg.ScheduleDefinition = daily_sync_schedule
    ) -> list[dg.RunRequest]:
        """Let time pass until `at`, and evaluate a schedule's tick of then."""
        now = self.installation.services.sync.clock()
        assert at >= now, "time runs one way"
        self.installation.sandbox.clock.advance(at - now)
        with dg.build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=at,
            resources=self._resources(),
            repository_def=defs.get_repository_def(),
        ) as context:
            return [*(schedule.evaluate_tick(context).run_requests or [])]

    def queue(self, request: dg.RunRequest, status: dg.DagsterRunStatus) -> dg.DagsterRun:
        """Make the requested run, in this status, without executing it."""
        job = defs.resolve_job_def("sync_connections_job")
        tags = dict(request.tags)
        if request.partition_key is not None:
            tags["dagster/partition"] = request.partition_key
        return self.instance.create_run_for_job(
            job, run_config=request.run_config, tags=tags, status=status
        )

    def partitions(self) -> set[str]:
        """Return the partitions there are."""
        return {*self.instance.get_dynamic_partitions(CONNECTIONS)}

    def _tick(self, sensor: dg.SensorDefinition) -> list[dg.RunRequest]:
        with dg.build_sensor_context(
            instance_ref=self.instance.get_ref(), definitions=defs, resources=self._resources()
        ) as context:
            tick = sensor.evaluate_tick(context)
        for change in tick.dynamic_partitions_requests or []:
            if isinstance(change, dg.AddDynamicPartitionsRequest):
                self.instance.add_dynamic_partitions(CONNECTIONS, [*change.partition_keys])
            else:
                for key in change.partition_keys:
                    self.instance.delete_dynamic_partition(CONNECTIONS, key)
        return [*(tick.run_requests or [])]

    def _resources(self) -> Mapping[str, Any]:
        return {"services": self.installation.services}


def named_in(request: dg.RunRequest) -> list[str]:
    """Return the connections that a run request is about."""
    if request.partition_key is not None:
        return [request.partition_key]
    return [*request.run_config["ops"]["sync_connections"]["config"]["connection_ids"]]
