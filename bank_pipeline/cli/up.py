"""`bank-pipeline up` and `gateway`: the running installation."""

import os
import sys
import threading
from typing import Annotated, Final

import typer

from bank_pipeline.bootstrap import Services, build_services
from bank_pipeline.cli.output import console
from bank_pipeline.cli.playground import link_simulated_banks, playground_environment, reset
from bank_pipeline.cli.processes import (
    dagster_environment,
    find_configuration,
    python_command,
    run_together,
)
from bank_pipeline.config import SANDBOX_URL, Settings
from bank_pipeline.errors import BankPipelineError, SetupError
from bank_pipeline.gateway.serve import serve_gateway
from bank_pipeline.providers.http import fetch_json

DAGSTER_PORT: Final = 3000
GATEWAY_PORT: Final = 4520
SANDBOX_START_S: Final = 30


def up(
    sandbox: Annotated[
        bool,
        typer.Option("--sandbox", help="A fresh playground: simulated banks, linked at once."),
    ] = False,
    host: Annotated[str, typer.Option(help="Address that Dagster's UI listens on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of Dagster's UI.")] = DAGSTER_PORT,
    gateway_port: Annotated[int, typer.Option(help="Port of the gateway.")] = GATEWAY_PORT,
) -> None:
    """Run everything: database, Dagster's UI and daemon, the gateway. Ctrl-C ends it all."""
    commands = [
        _dagster_command(host, port),
        python_command("gateway", "--port", str(gateway_port)),
    ]
    if sandbox:
        state_dir = Settings().state_dir / "playground"
        reset(state_dir)  # simulated banks forget their customers when they end
        os.environ |= playground_environment(state_dir, SANDBOX_URL)
        os.environ["BANK_PIPELINE_GATEWAY_URL"] = f"http://127.0.0.1:{gateway_port}"
        commands.insert(0, python_command("sandbox", "serve"))
    settings = Settings()
    services = build_services(settings)
    console.print(f"Dagster UI   http://{host}:{port}   (ready in some ten seconds)")
    console.print(f"gateway      http://127.0.0.1:{gateway_port}")
    if sandbox:
        console.print(f"sandbox      {SANDBOX_URL}")
    code = run_together(
        commands,
        environment=dagster_environment(settings),
        meanwhile=(lambda: _populate(services)) if sandbox else lambda: None,
    )
    sys.exit(code)


def gateway(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = GATEWAY_PORT,
) -> None:
    """Serve webhooks and health until interrupted."""
    serve_gateway(build_services(Settings()), host=host, port=port)


def _dagster_command(host: str, port: int) -> list[str]:
    workspace = str(find_configuration("workspace.yaml"))
    return [sys.executable, "-m", "dagster", "dev", "-w", workspace, "-h", host, "-p", str(port)]


def _populate(services: Services) -> None:
    """Link the simulated banks once they answer; the sensors do the rest."""
    try:
        _wait_for_sandbox()
        ids = link_simulated_banks(services, SANDBOX_URL)
    except BankPipelineError as error:
        console.print(f"[red]the simulated banks were not linked:[/] {error}")
    else:
        console.print(f"linked {len(ids)} simulated banks; their first syncs start by themselves")


def _wait_for_sandbox() -> None:
    pause = threading.Event()
    for _ in range(SANDBOX_START_S * 4):
        try:
            fetch_json(f"{SANDBOX_URL}/_sim/clock")
        except SetupError:
            pause.wait(0.25)
        else:
            return
    raise SetupError(f"nothing answers at {SANDBOX_URL}: is its port taken?")
