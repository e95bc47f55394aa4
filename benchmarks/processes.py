"""Dagster's own processes, for what is measured through them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from bank_pipeline_tests.waiting import answers, wait_until

START_S: Final = 120.0


@contextmanager
def started(folder: Path, *command: str) -> Iterator[None]:
    """Run a Python module beside us; end it and what it started."""
    with (folder / "processes.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", *command], stdout=log, stderr=log)
        try:
            yield
        finally:
            found = psutil.Process(process.pid)
            for one in [*found.children(recursive=True), found]:
                if one.is_running():
                    one.kill()
            process.wait()


def wait_for(url: str) -> None:
    """Wait until something answers."""
    wait_until(lambda: answers(url), seconds=START_S, what=url)
