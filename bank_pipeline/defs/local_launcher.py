"""How runs get a process each on the code server's machine; here lost ones are noticed."""

import threading
import time
from typing import Final

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster_shared.serdes import deserialize_value
from typing_extensions import override

SILENCE_S: Final = 60.0  # above a restart of the code server; no run is declared dead for one
_ANSWER_S: Final = 10


class LocalRunLauncher(dg.DefaultRunLauncher):
    """
    Starts a process for each run, and asks the code server that started it whether it has it.

    The code server says so itself when a run's process dies. When the code server dies, too, or
    the whole machine, nobody is left to say it: Dagster's own launcher would wait for the run
    until its time limit, and the lane that it holds with it.
    """
