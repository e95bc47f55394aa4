"""Dagster runs as its launchers start them: a process each, its CPU and memory counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.origin import JobPythonOrigin
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import serialize_value

from bank_pipeline.definitions import defs
from bank_pipeline.defs.requests import Asked, to_run_requests
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sync.reports import SyncReason
from benchmarks.accounting import Ended, python, start, wait_measured

LOCATION: Final = "benchmarks.location"
JOB: Final = "sync_connections_job"


@dataclass(frozen=True)
class Runner:
    """Makes runs on an instance; `log` gets what their processes print."""

    instance: dg.DagsterInstance
    log: Path

    def run_batches(
        self, wanted: Sequence[tuple[ConnectionId, Provider]], *, key: str
    ) -> list[Ended]:
        """Sync connections as the daily schedule has it: batches, one run after the other."""
        asked = [Asked(one, provider, key) for one, provider in wanted]
        requests = [*to_run_requests(asked, SyncReason.SCHEDULE)]
        return [self._wait(self._start(one)) for one in requests]

    def run_each(
        self,
        wanted: Sequence[tuple[ConnectionId, Provider]],
        *,
        key: str,
        at_once: int = 1,
        reason: SyncReason = SyncReason.SCHEDULE,
    ) -> list[Ended]:
        """Sync connections in a run each, so many at once."""
        requests = [
            request
            for one, provider in wanted
            for request in to_run_requests([Asked(one, provider, key)], reason)
        ]
        ended: list[Ended] = []
        for begin in range(0, len(requests), at_once):
            started = [self._start(one) for one in requests[begin : begin + at_once]]
            ended += [self._wait(one) for one in started]
        return ended

    def _start(self, request: dg.RunRequest) -> tuple[str, int]:
        run_config = request.run_config
        tags = dict(request.tags)
        if request.partition_key is not None:
            tags["dagster/partition"] = request.partition_key
        run = self.instance.create_run_for_job(
            job_def=defs.resolve_job_def(JOB),
            run_config=dict(run_config),
            tags=tags,
            job_code_origin=self._origin,
        )
        arguments = ExecuteRunArgs(
            self._origin, run.run_id, self.instance.get_ref(), set_exit_code_on_failure=True
        )
        command = python("dagster", "api", "execute_run", serialize_value(arguments))
        return run.run_id, start(command, log=self.log)

    def _wait(self, started: tuple[str, int]) -> Ended:
        run_id, pid = started
        return wait_measured(pid, what=f"run {run_id}")

    @cached_property
    def _origin(self) -> JobPythonOrigin:
        repository = ReconstructableRepository.for_module(LOCATION, "defs", None)
        return repository.get_reconstructable_job(JOB).get_python_origin()
