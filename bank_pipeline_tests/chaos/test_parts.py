"""The supervisor of a chaos run: what ends is started again, and nothing is left behind."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bank_pipeline_tests.waiting import wait_until
from chaos.parts import Supervisor

PATIENCE_S = 30
WORK = """
import subprocess, sys, threading
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, __file__, "child"])
threading.Event().wait()
"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """Supervise one part that has a child of its own."""
    program = tmp_path / "work.py"
    program.write_text(WORK)
    one = Supervisor(tmp_path, tmp_path)
    one.run("part", [sys.executable, str(program)], {"BANK_PIPELINE_STATE_DIR": str(tmp_path)})
    one.start()
    try:
        wait_until(lambda: len(pids(one)) == 2, seconds=PATIENCE_S, what="the part and its child")
        yield one
    finally:
        one.stop()


def pids(supervisor: Supervisor) -> set[int]:
    return {one.pid for one in supervisor.ours()}


def test_what_was_killed_is_started_again(supervisor: Supervisor) -> None:
    """Killed alone it leaves its child behind, as a kill by the kernel does."""
    before = pids(supervisor)

    assert supervisor.kill("part", whole=False, after_s=0.0)

    wait_until(lambda: len(pids(supervisor)) == 3, seconds=PATIENCE_S, what="another start")
    assert len(before & pids(supervisor)) == 1
    assert supervisor.ended == {}


def test_a_whole_part_dies_with_all_that_it_started(supervisor: Supervisor) -> None:
    """As when systemd ends a unit; then it starts anew."""
    before = pids(supervisor)

    assert supervisor.kill("part", whole=True, after_s=0.0)

    wait_until(
        lambda: len(pids(supervisor) - before) == 2, seconds=PATIENCE_S, what="another start"
    )
    assert not before & pids(supervisor)


def test_the_end_leaves_nothing_behind(supervisor: Supervisor) -> None:
    """Orphans neither."""
    supervisor.kill("part", whole=False, after_s=60.0)
    [orphan] = pids(supervisor)

    supervisor.stop()

    assert pids(supervisor) == set()
    assert not psutil.pid_exists(orphan) or psutil.Process(orphan).ppid() == 1
    assert os.getpid() not in pids(supervisor)
