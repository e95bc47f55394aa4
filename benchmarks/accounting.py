"""Who used the CPU: processes that ended, the database's, and what a thread was busy with."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

import psutil

_MB: Final = 1024  # ru_maxrss counts kilobytes
_SAMPLE_S: Final = 0.001  # of CPU; the kernel's clock makes four of it


@dataclass(frozen=True)
class Ended:
    """What a process, with those that it waited for, had taken when it ended."""

    cpu_s: float
    peak_mb: float


def start(command: Sequence[str], *, log: Path) -> int:
    """Start a command; return its process id."""
    with log.open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output).pid


def wait_measured(pid: int, *, what: str) -> Ended:
    """Wait for a process of ours, which has to end well."""
    _, status, usage = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, f"{what} failed"
    return Ended(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / _MB)


def python(*arguments: str) -> list[str]:
    """Return the command that runs a module with our interpreter."""
    return [sys.executable, "-m", *arguments]


def postgres_cpu_s(folder: Path) -> float:
    """Return the CPU that the embedded server and all its backends took, those gone included."""
    pid = int((folder / "pg" / "postmaster.pid").read_text().split("\n", 1)[0])
    server = psutil.Process(pid)
    times = server.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for backend in server.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            used = backend.cpu_times()
            total += used.user + used.system
    return float(total)


@dataclass
class Shares:
    """How many samples fell upon each kind of work."""

    samples: Counter[str] = field(default_factory=Counter)

    def of(self, kind: str) -> float:
        """Return a kind's share."""
        return self.samples[kind] / max(1, self.samples.total())


@contextmanager
def sampled(kind_of: Callable[[FrameType], str]) -> Iterator[Shares]:
    """
    Look, at every tick of this process's CPU, what the main thread is busy with.

    Far cheaper than a profiler of calls, and it distorts nothing: a kind is that of the innermost
    frame that `kind_of` knows.
    """
    shares = Shares()

    def look(_number: int, frame: FrameType | None) -> None:
        if frame is not None:
            shares.samples[kind_of(frame)] += 1

    before = signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, _SAMPLE_S, _SAMPLE_S)
    try:
        yield shares
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


PROVIDER_IO: Final = "provider I/O"
READING: Final = "reading answers"
DATABASE: Final = "database, client"
RULES: Final = "comparing"
CACHE: Final = "cache"
OTHER: Final = "other"

_KINDS: Final = (
    ("/psycopg", DATABASE),
    ("/sqlalchemy/", DATABASE),
    ("/bank_pipeline/storage/", DATABASE),
    ("/dogpile/", CACHE),
    ("/bank_pipeline/providers/cache.py", CACHE),
    ("/httpx/", PROVIDER_IO),
    ("/httpcore/", PROVIDER_IO),
    ("/urllib3/", PROVIDER_IO),
    ("/plaid/api", PROVIDER_IO),
    ("/plaid/model", PROVIDER_IO),
    ("/bank_pipeline/providers/http.py", PROVIDER_IO),
    ("/bank_pipeline/providers/plaid/sdk.py", PROVIDER_IO),
    ("/bank_pipeline/providers/plaid/transport.py", PROVIDER_IO),
    ("/bank_pipeline/providers/", READING),
    ("/bank_pipeline/domain/", RULES),
    ("/bank_pipeline/", OTHER),
)
"""The first part of a file's name that fits says what its frames do, innermost frame first."""

_cached: dict[str, str | None] = {}


def kind_of_sync(frame: FrameType | None) -> str:
    """Say what of a sync a frame belongs to; reading an answer is reading, whatever it calls."""
    found = OTHER
    while frame is not None:
        name = frame.f_code.co_filename
        if name not in _cached:
            _cached[name] = next((kind for part, kind in _KINDS if part in name), None)
        kind = _cached[name]
        if kind == RULES:
            found = RULES  # perhaps on behalf of a reading: look further out
        elif kind is not None:
            return READING if kind == READING else found if found == RULES else kind
        frame = frame.f_back
    return found
