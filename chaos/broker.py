"""A Redis of our own, that forgets everything when it is gone."""

import shutil
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bank_pipeline.cli.worker import build_app
from bank_pipeline_tests.e2e.centre import redis_answers
from bank_pipeline_tests.waiting import wait_until

START_S: Final = 30.0
_ANSWER_S: Final = 2.0


def has_redis() -> bool:
    """Say whether warm workers can be tried here."""
    return shutil.which("redis-server") is not None


class Broker:
    """Carries runs to warm workers."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, empty, unless it runs."""
        with self._lock:
            if self._process is not None:
                return
            program = shutil.which("redis-server")
            assert program is not None, "asked before"
            options = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", ""]
            with (self._folder / "redis.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [program, *options, "--dir", str(self._folder)], stdout=log, stderr=log
                )
        wait_until(lambda: redis_answers(self._port), seconds=START_S, what="redis")

    def kill(self) -> bool:
        """Kill it, with all that it holds; say whether it ran."""
        with self._lock:
            if self._process is None:
                return False
            self._process.kill()
            self._process.wait()
            self._process = None
            return True

    def runs_in_hand(self) -> list[int]:
        """Return the process ids of the warm workers that have a run in hand just now."""
        inspect = build_app(f"{self.url}/0").control.inspect(timeout=_ANSWER_S)
        answers = inspect.active() or {}
        return [int(task["worker_pid"]) for tasks in answers.values() for task in tasks]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
