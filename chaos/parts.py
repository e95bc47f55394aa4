"""The processes of an installation, and a supervisor that starts again what ends."""

import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

import psutil

RESTART_S: Final = 1.0  # a supervisor's pause before it starts something again
_LOOK_S: Final = 0.2
_STOP_S: Final = 20.0
_MARK: Final = "BANK_PIPELINE_STATE_DIR"
"""By this variable we know our processes from all others, whoever their parent is now."""


@dataclass
class Part:
    """One process that is to run always. `back_at` is when it may be started again."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    back_at: float = 0.0
    is_killed: bool = False


class Supervisor:
    """Start parts, and start them again whenever they end, as systemd or Kubernetes would."""

    def __init__(self, folder: Path, state_dir: Path) -> None:
        self._folder = folder
        self._state_dir = str(state_dir)
        self._parts: dict[str, Part] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self.ended: Counter[str] = Counter()
        """Parts that ended without having been killed: what they stood on was gone."""

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def run(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Add a part, and start it."""
        part = Part(name, command, environment)
        with self._lock:
            self._parts[name] = part
            self._launch(part)

    def kill(self, name: str, *, whole: bool, after_s: float = RESTART_S) -> bool:
        """
        Kill a part with SIGKILL, or with the `whole` group all that it started; say whether it ran.

        It is started again, but not before `after_s`.
        """
        with self._lock:
            part = self._parts[name]
            process = part.process
            if process is None or process.poll() is not None:
                return False
            part.is_killed = True
            part.back_at = monotonic() + after_s
            if whole:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            process.wait()
            return True

    def stop(self) -> None:
        """End everything that was started, and whatever that started."""
        self._stopping.set()
        self._thread.join(_STOP_S)
        for round_s in (2.0, _STOP_S):  # what starts a process just now is met a second time
            left = [*self.ours()]
            for one in left:
                with suppress(psutil.Error):
                    one.kill()
            psutil.wait_procs(left, timeout=round_s)
        for part in self._parts.values():
            if part.process is not None:
                part.process.wait(_STOP_S)

    def ours(self) -> Iterator[psutil.Process]:
        """Yield every process that works for this installation, orphans included."""
        for one in psutil.process_iter():
            with suppress(psutil.Error):
                if one.pid != os.getpid() and one.environ().get(_MARK) == self._state_dir:
                    yield one

    def cold_runs(self) -> list[psutil.Process]:
        """Return the processes that the code server started for one run each."""
        found = []
        for one in self.ours():
            with suppress(psutil.Error):
                if any("multiprocessing.spawn" in word for word in one.cmdline()):
                    found.append(one)
        return found

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            with self._lock:
                for part in self._parts.values():
                    self._look_at(part)

    def _look_at(self, part: Part) -> None:
        if part.process is not None:
            if part.process.poll() is None:
                return
            if not part.is_killed:
                self.ended[part.name] += 1
                part.back_at = monotonic() + RESTART_S
            part.process = None
        if monotonic() >= part.back_at:
            self._launch(part)

    def _launch(self, part: Part) -> None:
        part.is_killed = False
        with (self._folder / f"{part.name}.log").open("ab") as log:
            part.process = subprocess.Popen(
                [*part.command],
                env={**os.environ, **part.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
