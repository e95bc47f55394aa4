"""`bank-pipeline up` and `gateway`: the running installation."""

import sys
from typing import Annotated, Final

import typer

from bank_pipeline.bootstrap import build_services
from bank_pipeline.cli.output import console
from bank_pipeline.cli.processes import (
    dagster_environment,
    find_configuration,
    python_command,
    run_together,
)
from bank_pipeline.config import SANDBOX_URL, Settings
from bank_pipeline.gateway.serve import serve_gateway

GATEWAY_PORT: Final = 4520
DAGSTER_PORT: Final = 3000


def up(
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Also serve a simulated Plaid and use it.")
    ] = False,
    host: Annotated[str, typer.Option(help="Address that Dagster's UI listens on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of Dagster's UI.")] = DAGSTER_PORT,
    gateway_port: Annotated[int, typer.Option(help="Port of the gateway.")] = GATEWAY_PORT,
) -> None:
    """Run everything: database, Dagster's UI and daemon, the gateway."""
    environment: dict[str, str] = {}
    commands = [
        ["dagster", "dev", "-w", str(find_configuration("workspace.yaml")), "-h", host,
         "-p", str(port)],
        python_command("gateway", "--port", str(gateway_port)),
    ]  # fmt: skip
    if sandbox:
        environment |= {
            "PLAID_CLIENT_ID": "sandbox",
            "PLAID_SECRET": "sandbox",
            "PLAID_ENV": "sandbox",
            "PLAID_BASE_URL": SANDBOX_URL,
            "BANK_PIPELINE_CLOCK_URL": f"{SANDBOX_URL}/_sim/clock",
            "BANK_PIPELINE_GATEWAY_URL": f"http://127.0.0.1:{gateway_port}",
        }
        commands.insert(0, python_command("sandbox", "serve"))
    settings = Settings()
    build_services(settings)
    environment |= dagster_environment(settings)
    console.print(f"Dagster UI   http://{host}:{port}")
    console.print(f"gateway      http://127.0.0.1:{gateway_port}")
    if sandbox:
        console.print(f"sandbox      {SANDBOX_URL}")
    sys.exit(run_together(commands, environment=environment))


def gateway(
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = GATEWAY_PORT,
) -> None:
    """Serve webhooks and health until interrupted."""
    serve_gateway(build_services(Settings()), host=host, port=port)
