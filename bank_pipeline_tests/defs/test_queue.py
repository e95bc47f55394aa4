"""The queue: what waits in it outlives a restart of the code server."""

from typing import Final

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import (
    QueuedRunCoordinatorDaemon,
)

from bank_pipeline.definitions import defs
from bank_pipeline_tests.ports import free_ports

LOCATION: Final = "bank_pipeline"


@pytest.mark.filterwarnings("ignore:Error loading repository location")
def test_a_queued_run_waits_for_a_code_server_that_starts_anew(
    instance: dg.DagsterInstance,
) -> None:
    """A release restarts it: what a person has queued must not fail, one run each second."""
    [nobody] = free_ports(1)
    server = GrpcServerTarget("127.0.0.1", nobody, None, LOCATION)
    with (
        WorkspaceProcessContext(instance, server) as workspace,
        QueuedRunCoordinatorDaemon(interval_seconds=1) as daemon,
    ):
        [at] = server.create_origins()
        assert isinstance(at, GrpcServerCodeLocationOrigin)
        for _ in range(2):
            _queue(instance, at)

        for _ in range(3):
            [*daemon.run_iteration(workspace)]

    assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.QUEUED}


def _queue(instance: dg.DagsterInstance, at: GrpcServerCodeLocationOrigin) -> None:
    """Queue a run of a job at this code server, as the UI does."""
    job = defs.resolve_job_def("checks_job")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(at, "__repository__"), job.name)
    run = instance.create_run_for_job(job, remote_job_origin=origin)
    instance.report_dagster_event(DagsterEvent.job_enqueue(run), run_id=run.run_id)
