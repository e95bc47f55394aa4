"""How runs reach workers on many hosts: Dagster's Celery launcher, which here notices lost ones."""

import threading
import time
import warnings
from typing import Any, Final

import dagster as dg
from celery.exceptions import CeleryError, DuplicateTaskNameWarning
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG
from kombu.exceptions import KombuError
from redis.exceptions import RedisError
from typing_extensions import override

SILENCE_S: Final = 60.0  # above a worker's longest pause; no run is declared dead for a hiccup
_ANSWER_S: Final = 2.0  # workers answer from their main process, which does nothing else
_FRESH_S: Final = 10.0  # one question serves all runs of a round of monitoring
_ENDED: Final = {"SUCCESS": WorkerStatus.SUCCESS, "FAILURE": WorkerStatus.FAILED}

# Dagster's launcher names the same task anew for each run, which Celery finds odd each time.
warnings.filterwarnings("ignore", category=DuplicateTaskNameWarning)


class HostsRunLauncher(CeleryRunLauncher):
    """
    Starts runs on Celery workers, and knows by asking them which runs they have in hand.

    Celery itself says "started" of a run for ever when its host is gone; Dagster would then
    wait for the run until its time limit. And it says nothing of runs once its store was
    emptied; Dagster would then fail runs that are well.
    """

    def __init__(self, default_queue: str, **named: Any) -> None:  # noqa: ANN401 - as Dagster has it
        super().__init__(default_queue, **named)
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._in_hand: frozenset[str] = frozenset()
        self._silent_since: dict[str, float] = {}

    @override
    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Say that a run is lost when no worker had it in hand for `SILENCE_S`."""
        task_id = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        if task_id is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "just sent to the workers")
        with self._lock:
            try:
                is_in_hand = task_id in self._load_in_hand()
                state = self.celery.AsyncResult(task_id).state  # after: it may have just ended
            except (CeleryError, KombuError, RedisError, OSError):
                self._silent_since.clear()
                return CheckRunHealthResult(WorkerStatus.RUNNING, "the broker does not answer")
            return self._judge(task_id, state, is_in_hand=is_in_hand)

    def _judge(self, task_id: str, state: str, *, is_in_hand: bool) -> CheckRunHealthResult:
        if is_in_hand or state in _ENDED:
            self._silent_since.pop(task_id, None)
            return CheckRunHealthResult(_ENDED.get(state, WorkerStatus.RUNNING))
        now = time.monotonic()
        since = self._silent_since.setdefault(task_id, now)
        if now - since < SILENCE_S:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "no worker answers for it")
        del self._silent_since[task_id]
        return CheckRunHealthResult(
            WorkerStatus.FAILED, "its worker is gone; what it had not synced is planned again"
        )

    def _load_in_hand(self) -> frozenset[str]:
        """Ask all workers for the tasks that they have in hand."""
        if time.monotonic() - self._asked_at > _FRESH_S:
            answers = self.celery.control.inspect(timeout=_ANSWER_S).active() or {}
            self._in_hand = frozenset(task["id"] for tasks in answers.values() for task in tasks)
            self._asked_at = time.monotonic()
        return self._in_hand
