"""How runs get a process each beside the code server; here lost ones are noticed."""

import threading
import time
from contextlib import suppress
from typing import Final

import dagster as dg
import psutil
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import ConfigurableClassData, deserialize_value
from typing_extensions import override

SILENCE_S: Final = 60.0  # above a restart of the code server; no run is declared dead for that
_ANSWER_S: Final = 10
_OF_A_RUN: Final = "multiprocessing"  # stands in the command line of every run's process
_ROUNDING_S: Final = 2.0  # a process's beginning is known to the second, by the machine's
_STARTED: Final = {dg.DagsterEventType.ENGINE_EVENT}


class LocalRunLauncher(dg.DefaultRunLauncher):
    """
    Starts a process for each run, and knows by asking whether it is still there.

    A code server notices when the process of a run dies. When it dies itself, or the whole
    machine, nobody is left to notice: Dagster's own launcher then waits for the run until its
    time limit, and nobody gets the lane and the connection that the run holds.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data)
        self._lock = threading.Lock()
        self._silent_since: dict[str, float] = {}

    @property
    @override
    def supports_check_run_worker_health(self) -> bool:
        """Say that runs may be asked about."""
        return True

    @override
    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """
        Say that a run is lost when for `SILENCE_S` neither its code server nor this machine had it.

        A run outlives its code server, and a new one knows nothing of it: then its process tells.
        """
        is_there = self._is_in_hand(run.run_id) or self._has_process(run.run_id)
        now = time.monotonic()
        with self._lock:
            if is_there:
                self._silent_since.pop(run.run_id, None)
                return CheckRunHealthResult(WorkerStatus.RUNNING)
            since = self._silent_since.setdefault(run.run_id, now)
            if now - since < SILENCE_S:
                return CheckRunHealthResult(WorkerStatus.RUNNING, "its code server has it not")
            del self._silent_since[run.run_id]
        return CheckRunHealthResult(
            WorkerStatus.FAILED, "its process is gone; what it had not synced is planned again"
        )

    def _is_in_hand(self, run_id: str) -> bool:
        """Ask the code server that was told to start the run."""
        client = self._get_grpc_client_for_termination(run_id)  # type: ignore[no-untyped-call]
        if client is None:  # it has just ended, or was started by somebody else's means
            return True
        try:
            asked = CanCancelExecutionRequest(run_id=run_id)
            answer = client.can_cancel_execution(asked, timeout=_ANSWER_S)
        except DagsterUserCodeUnreachableError:
            return False
        return deserialize_value(answer, CanCancelExecutionResult).can_cancel

    def _has_process(self, run_id: str) -> bool:
        """Look for the process of the run on this machine, by the numbers that it wrote down."""
        for record in self._instance.all_logs(run_id, of_type=_STARTED):
            event = record.dagster_event
            pid = event.engine_event_data.metadata.get("pid") if event else None
            with suppress(psutil.Error):
                if pid and _wrote(psutil.Process(int(str(pid.value))), at=record.timestamp):
                    return True
        return False


def _wrote(process: psutil.Process, *, at: float) -> bool:
    """Say whether it can have written its number down then: after a reboot others have it."""
    is_of_a_run = any(_OF_A_RUN in word for word in process.cmdline())
    return is_of_a_run and process.create_time() <= at + _ROUNDING_S
