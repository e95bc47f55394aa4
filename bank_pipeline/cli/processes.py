"""The environment and the processes of a running installation."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from bank_pipeline.config import Settings
from bank_pipeline.errors import SetupError
from bank_pipeline.storage.engine import resolve_database

STOP_S_MAX: Final = 20.0
EVENT_BATCH_SIZE: Final = "1000"
"""Events of a large backfill that are written together: one by one they take minutes."""
_PACKAGE: Final = Path(__file__).parents[1]


def dagster_environment(settings: Settings) -> dict[str, str]:
    """
    Prepare Dagster's home in the state folder and return the variables that name it.

    The instance's storage is in Postgres; the home holds its configuration and step logs.
    """
    home = settings.state_dir.resolve() / "dagster"
    logs = home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(find_configuration("dagster.yaml"), home / "dagster.yaml")
    return {
        "DAGSTER_HOME": str(home),
        "DAGSTER_EVENT_BATCH_SIZE": EVENT_BATCH_SIZE,
        "BANK_PIPELINE_STATE_DIR": str(settings.state_dir.resolve()),
        "BANK_PIPELINE_DAGSTER_URL": resolve_database(settings).dagster_url,
        "BANK_PIPELINE_COMPUTE_LOGS": str(logs),
    }


def find_configuration(name: str) -> Path:
    """Return the shipped file: beside the package in a checkout, inside it in a wheel."""
    for folder in (_PACKAGE, _PACKAGE.parent):
        if (folder / name).is_file():
            return folder / name
    raise SetupError(f"{name} is missing from the installation: install bank-pipeline again")


def run_together(
    commands: Sequence[Sequence[str]],
    *,
    environment: Mapping[str, str],
    meanwhile: Callable[[], None] = lambda: None,
) -> int:
    """
    Run commands side by side until one ends or we are interrupted, then stop them all.

    `meanwhile` runs once beside them. Returns the exit code of the command that ended by
    itself, 0 when interrupted.
    """
    interrupted = threading.Event()
    ended = threading.Event()

    def interrupt(*_: object) -> None:
        interrupted.set()
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    processes = [
        subprocess.Popen(  # noqa: S603
            [*command], env={**os.environ, **environment}, start_new_session=True
        )
        for command in commands
    ]
    for process in processes:
        threading.Thread(target=_wait, args=(process, ended), daemon=True).start()
    threading.Thread(target=meanwhile, daemon=True).start()
    ended.wait()
    codes = [code for process in processes if (code := process.poll()) is not None]
    _stop(processes)
    return 0 if interrupted.is_set() else max((abs(code) for code in codes), default=0)


def python_command(*arguments: str) -> list[str]:
    """Return the command line of our own program in this interpreter."""
    return [sys.executable, "-m", "bank_pipeline.cli", *arguments]


def _wait(process: subprocess.Popen[bytes], ended: threading.Event) -> None:
    process.wait()
    ended.set()


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
    for process in processes:
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
