"""The processes of `bank-pipeline up`: one that ends by itself ends all, and is a failure."""

import os
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
import pytest

from bank_pipeline_tests.waiting import wait_until

WAITS: Final = "import signal; signal.pause()"
_TOGETHER: Final = """
import sys
from bank_pipeline.cli.processes import run_together
commands = [[sys.executable, "-c", text] for text in sys.argv[1:]]
sys.exit(run_together(commands, environment={}))
"""
_IS_KILLED: Final = f"""
import os, signal, subprocess, sys
nowhere = subprocess.DEVNULL
child = subprocess.Popen([sys.executable, "-c", {WAITS!r}], stdout=nowhere, stderr=nowhere)
open("child", "w").write(str(child.pid))
os.kill(os.getpid(), signal.SIGKILL)
"""


def together(folder: Path, *texts: str) -> "subprocess.CompletedProcess[str]":
    """Run these programs side by side, in a process of its own: it takes the signals."""
    command = [sys.executable, "-c", _TOGETHER, *texts]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("text", "code"), [("pass", 1), ("import sys; sys.exit(3)", 3)])
def test_a_part_that_ends_by_itself_is_a_failure(tmp_path: Path, text: str, code: int) -> None:
    """Dagster's says 0 when its daemon dies: a supervisor would not start it again."""
    ended = together(tmp_path, WAITS, text)

    assert ended.returncode == code
    assert f"{shlex.quote(text)}: ended by itself" in ended.stderr
    assert WAITS not in ended.stderr


def test_what_a_killed_part_left_behind_is_ended(tmp_path: Path) -> None:
    """Dagster's daemon went on, beside that of the next `up`."""
    ended = together(tmp_path, WAITS, _IS_KILLED)

    assert ended.returncode == signal.SIGKILL
    child = int((tmp_path / "child").read_text())
    try:
        wait_until(lambda: not runs(child), seconds=10, what="its end")
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def runs(pid: int) -> bool:
    """Say whether the process is there; containers may have nobody who reaps it."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
