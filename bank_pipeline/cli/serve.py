"""`bank-pipeline serve`: one part of the installation, for supervisors and for several machines."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from bank_pipeline.cli.processes import (
    dagster_environment,
    find_configuration,
    write_configuration,
)
from bank_pipeline.config import Settings
from bank_pipeline.errors import SetupError
from bank_pipeline.logs.setup import set_up_service
from bank_pipeline.storage.credentials import load_vault
from bank_pipeline.storage.engine import open_database
from bank_pipeline.storage.health import load_health
from bank_pipeline.storage.migrate import migrate

RUNS: Final = 10  # as many as dagster.yaml lets run at once: none waits for a process
CODE_PORT: Final = 4530
DAGSTER_PORT: Final = 3000
DEFINITIONS: Final = "bank_pipeline.definitions"


class Part(StrEnum):
    """What one process does. The gateway has a command of its own."""

    WEBSERVER = "webserver"
    DAEMON = "daemon"
    CODE = "code"
    WORKER = "worker"


def serve(
    part: Annotated[
        Part,
        typer.Argument(
            help="webserver: Dagster's UI. daemon: its schedules, sensors and queue; one of these "
            "everywhere. code: the definitions, for both; optional. worker: executes runs that "
            "BANK_PIPELINE_BROKER_URL brings; any number, on any machine."
        ),
    ],
    host: Annotated[str, typer.Option(help="Address that webserver or code listens on.")] = (
        "127.0.0.1"
    ),
    port: Annotated[
        int | None, typer.Option(help="Its port; 3000 for the webserver, 4530 for code.")
    ] = None,
    code_server: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of `serve code`; else webserver and daemon load it."),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Runs that a worker has at once.")] = RUNS,
    name: Annotated[
        str | None, typer.Option(help="A worker's name; else that of its machine.")
    ] = None,
) -> None:
    """Run one part of the installation until it is told to end."""
    settings = Settings()
    environment = dagster_environment(settings)
    if part is Part.WORKER:
        if settings.broker_url is None:
            raise SetupError("A worker needs a broker: set BANK_PIPELINE_BROKER_URL")
        os.environ |= environment
        set_up_service(settings)
        from bank_pipeline.cli.worker import run_worker  # noqa: PLC0415 - Celery may be absent

        run_worker(settings.broker_url.get_secret_value(), runs=runs, name=name)
        return
    _make_tables(settings)
    workspace = _workspace(Path(environment["DAGSTER_HOME"]), code_server)
    listening = ["-h", host, "-p"]
    webserver = ["dagster-webserver", "-w", workspace, *listening, str(port or DAGSTER_PORT)]
    commands = {
        Part.WEBSERVER: webserver,
        Part.DAEMON: ["dagster-daemon", "run", "-w", workspace],
        Part.CODE: code_server_command(DEFINITIONS, host=host, port=port or CODE_PORT),
    }
    program, *arguments = commands[part]
    path = str(Path(sys.executable).parent / program)
    os.execve(path, [path, *arguments], {**os.environ, **environment})  # noqa: S606


def _make_tables(settings: Settings) -> None:
    """Create or update the tables, and with them the schema in which Dagster makes its own."""
    with open_database(settings) as engine:
        if not load_health(engine).is_migrated:  # else no key is needed, nor made
            migrate(engine, load_vault(settings))


def code_server_command(module: str, *, host: str, port: int) -> list[str]:
    """
    Return the command of a code server that is one process, which a supervisor can watch.

    `dagster code-server start` is two: a machine that is busy for half a minute makes the second
    one think that the first is gone, so that it ends; the first stays and refuses every run.
    """
    return ["dagster", "api", "grpc", "-m", module, "-h", host, "-p", str(port)]


def _workspace(home: Path, code_server: str | None) -> str:
    """Return the file that says where the definitions are."""
    if code_server is None:
        return str(find_configuration("workspace.yaml"))
    host, _, port = code_server.rpartition(":")
    if not host or not port.isdigit():
        raise SetupError(f"--code-server is HOST:PORT, not {code_server}")
    # The same name as in workspace.yaml: sensors and schedules keep their state under it.
    server = {"host": host, "port": int(port), "location_name": "bank_pipeline"}
    write_configuration(home / "workspace.yaml", {"load_from": [{"grpc_server": server}]})
    return str(home / "workspace.yaml")
