"""The environment and the processes of a running installation."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from bank_pipeline.config import Settings
from bank_pipeline.errors import SetupError
from bank_pipeline.storage.engine import resolve_database

STOP_S_MAX: Final = 20.0
EVENT_BATCH_SIZE: Final = "1000"
"""Events of a large backfill that are written together: one by one they take minutes."""
FAILURES_PER_TICK: Final = "25"
"""Failed runs that a tick hears of, as many as it reads: by five it falls behind in an outage."""
_THIS_MACHINE: Final = {"localhost", "127.0.0.1", "::1", None}  # None: a socket's path
_PACKAGE: Final = Path(__file__).parents[1]


def dagster_environment(settings: Settings) -> dict[str, str]:
    """
    Prepare Dagster's home in the state folder and return the variables that name it.

    The instance's storage is in Postgres; the home holds its configuration and step logs.

    Raises:
        SetupError: a broker is named, and something is missing that hosts have to share.
    """
    home = settings.state_dir.resolve() / "dagster"
    logs = home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    parts = ["dagster.yaml"]
    broker = {}
    if settings.broker_url is not None:
        check_shared(settings)
        parts.append("dagster.hosts.yaml")
        broker = {"BANK_PIPELINE_BROKER_URL": settings.broker_url.get_secret_value()}
    write_configuration(home / "dagster.yaml", join_configuration(parts))
    return {
        "DAGSTER_HOME": str(home),
        "DAGSTER_EVENT_BATCH_SIZE": EVENT_BATCH_SIZE,
        "DAGSTER_RUN_STATUS_SENSOR_PROCESS_LIMIT": FAILURES_PER_TICK,
        "BANK_PIPELINE_STATE_DIR": str(settings.state_dir.resolve()),
        "BANK_PIPELINE_DAGSTER_URL": resolve_database(settings).dagster_url,
        "BANK_PIPELINE_COMPUTE_LOGS": str(logs),
        **broker,
    }


def join_configuration(names: Sequence[str]) -> dict[str, Any]:
    """Read the shipped files; what a later one says of a subject replaces what an earlier said."""
    joined: dict[str, Any] = {}
    for name in names:
        joined |= yaml.safe_load(find_configuration(name).read_text())
    return joined


def write_configuration(path: Path, configuration: Mapping[str, Any]) -> None:
    """Write it whole or not at all: processes that start together write the same file."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as aside:
        yaml.safe_dump(dict(configuration), aside, sort_keys=False)
    Path(aside.name).replace(path)


def check_shared(settings: Settings) -> None:
    """
    Check that nothing on this machine's disk is needed by workers on others.

    Raises:
        SetupError: the packages, or the settings, are missing.
    """
    if find_spec("dagster_celery") is None:
        raise SetupError(
            "BANK_PIPELINE_BROKER_URL needs more packages: install requirements-hosts.lock, or "
            "`pip install 'bank-pipeline[hosts]'`"
        )
    assert settings.broker_url is not None, "asked only where there is a broker"
    host = urlsplit(settings.broker_url.get_secret_value()).hostname
    if host in _THIS_MACHINE:
        return
    needed = {
        "BANK_PIPELINE_DATABASE_URL": settings.database_url,
        "BANK_PIPELINE_ENCRYPTION_KEY": settings.encryption_key
        or settings.encryption_key_file
        or settings.encryption_key_command,
        "BANK_PIPELINE_REDIS_URL": settings.redis_url,
    }
    if missing := [name for name, value in needed.items() if value is None]:
        raise SetupError(
            f"The broker is on another machine, so workers may be, too: set {', '.join(missing)} "
            "to the same on all, or BANK_PIPELINE_BROKER_URL to a Redis on localhost"
        )


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

    `meanwhile` runs once beside them. Returns 0 when interrupted; else that of the command which
    ended by itself, after saying which it was, and 1 where that says 0: none of them is to end.
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
    over = [one for one in zip(commands, processes, strict=True) if one[1].poll() is not None]
    _stop(processes)
    if interrupted.is_set():
        return 0
    for command, process in over:
        told = f"ended by itself, and so does the rest (exit code {process.returncode})"
        print(f"{shlex.join(command)}: {told}", file=sys.stderr)
    # `dagster dev` says 0 also when its daemon died: a supervisor would take that for an end.
    return max((abs(process.returncode) for _, process in over), default=0) or 1


def check_free(host: str, port: int, *, option: str) -> None:
    """
    Check that we could listen there, before anything is started or deleted for it.

    Raises:
        SetupError: somebody listens there already, or it is no address of ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]  # what follows tells the address again
        raise SetupError(
            f"Nothing can listen on {host}, port {port} ({reason}): does it run already? "
            f"Else choose another with {option}"
        ) from None


def python_command(*arguments: str) -> list[str]:
    """Return the command line of our own program in this interpreter."""
    return [sys.executable, "-m", "bank_pipeline.cli", *arguments]


def _wait(process: subprocess.Popen[bytes], ended: threading.Event) -> None:
    process.wait()
    ended.set()


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End them, and what one that was killed has left behind."""
    for process in processes:
        _signal(process, signal.SIGTERM)
    for process in processes:
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # they are gone; so macOS says it
        os.killpg(process.pid, number)
