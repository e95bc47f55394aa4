"""The launcher of one machine: no run is declared dead that may be alive, none lives for ever."""

import json
import multiprocessing
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import dagster as dg
import grpc  # type: ignore[import-untyped]
import pytest
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.launcher import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.__generated__ import dagster_api_pb2, dagster_api_pb2_grpc
from dagster._grpc.types import CanCancelExecutionResult
from dagster._serdes import serialize_value

from bank_pipeline.defs import local_launcher as module
from bank_pipeline.defs.local_launcher import LocalRunLauncher
from bank_pipeline_tests.ports import free_ports


class CodeServer(dagster_api_pb2_grpc.DagsterApiServicer):
    """A code server that has every run in hand, or none."""

    def __init__(self, *, has_runs: bool) -> None:
        self._has_runs = has_runs

    def CanCancelExecution(  # noqa: N802 - its name over the wire
        self, _request: object, _context: object
    ) -> dagster_api_pb2.CanCancelExecutionReply:
        answer = serialize_value(CanCancelExecutionResult(can_cancel=self._has_runs))
        return dagster_api_pb2.CanCancelExecutionReply(
            serialized_can_cancel_execution_result=answer
        )


def work() -> None:
    threading.Event().wait()


@contextmanager
def code_server(*, has_runs: bool) -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(1))
    ours = CodeServer(has_runs=has_runs)
    dagster_api_pb2_grpc.add_DagsterApiServicer_to_server(ours, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait()


@pytest.fixture
def launcher() -> Iterator[LocalRunLauncher]:
    with dg.DagsterInstance.ephemeral() as instance:
        one = LocalRunLauncher()
        one.register_instance(instance)
        yield one


def started(launcher: LocalRunLauncher, port: int) -> dg.DagsterRun:
    """Return a run that the code server of this port was told to start."""
    tags = {GRPC_INFO_TAG: json.dumps({"host": "127.0.0.1", "port": port})}
    run = dg.DagsterRun(
        job_name="job",
        run_id=str(uuid.uuid4()),
        tags=tags,
        status=dg.DagsterRunStatus.STARTED,
    )
    launcher._instance.add_run(run)  # noqa: SLF001 - where launchers keep theirs
    return run


def written_down(run: dg.DagsterRun, pid: int, *, at: float) -> dg.EventLogEntry:
    """Return what the process of a run says of itself when it begins."""
    event = DagsterEvent(
        event_type_value=dg.DagsterEventType.ENGINE_EVENT.value,
        job_name=run.job_name,
        event_specific_data=EngineEventData.in_process(pid),
    )
    return dg.EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level=10,
        user_message="",
        run_id=run.run_id,
        timestamp=at,
        job_name=run.job_name,
        dagster_event=event,
    )


def status(launcher: LocalRunLauncher, run: dg.DagsterRun) -> WorkerStatus:
    return launcher.check_run_worker_health(run).status


def test_a_run_that_its_code_server_has_is_well(
    launcher: LocalRunLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it lasts."""
    monkeypatch.setattr(module, "SILENCE_S", 0.0)
    with code_server(has_runs=True) as port:
        assert status(launcher, started(launcher, port)) is WorkerStatus.RUNNING


@pytest.mark.parametrize("is_back", [True, False])
def test_a_run_that_died_with_its_code_server_is_lost_after_a_while(
    launcher: LocalRunLauncher,
    monkeypatch: pytest.MonkeyPatch,
    is_back: bool,
) -> None:
    """Not at the first silence, be the code server back or gone: it may be starting again."""
    [nobody] = free_ports(1)
    with code_server(has_runs=False) as port:
        lost = started(launcher, port if is_back else nobody)
        assert status(launcher, lost) is WorkerStatus.RUNNING

        monkeypatch.setattr(module, "SILENCE_S", 0.0)

        assert status(launcher, lost) is WorkerStatus.FAILED


def test_a_run_that_outlives_its_code_server_is_well(
    launcher: LocalRunLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process goes on and ends by itself; once that is gone, too, it is lost."""
    monkeypatch.setattr(module, "SILENCE_S", 0.0)
    worker = multiprocessing.get_context("spawn").Process(target=work)
    worker.start()
    try:
        with code_server(has_runs=False) as port:
            run = started(launcher, port)
            assert worker.pid is not None
            launcher._instance.report_engine_event(  # noqa: SLF001 - as above
                "Started process for run", run, EngineEventData.in_process(worker.pid)
            )
            assert status(launcher, run) is WorkerStatus.RUNNING

            worker.kill()
            worker.join()

            assert status(launcher, run) is WorkerStatus.FAILED
    finally:
        worker.kill()


def test_a_process_that_began_after_the_run_is_not_its_own(
    launcher: LocalRunLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reboot, and in each new container, numbers of processes begin anew."""
    monkeypatch.setattr(module, "SILENCE_S", 0.0)
    other = multiprocessing.get_context("spawn").Process(target=work)
    other.start()
    try:
        with code_server(has_runs=False) as port:
            run = started(launcher, port)
            assert other.pid is not None
            an_hour_ago = time.time() - 3600
            launcher._instance.handle_new_event(  # noqa: SLF001 - as above
                written_down(run, other.pid, at=an_hour_ago)
            )

            assert status(launcher, run) is WorkerStatus.FAILED
    finally:
        other.kill()
