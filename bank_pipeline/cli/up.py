"""`bank-pipeline up` and `gateway`: the running installation."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer
from pydantic import SecretStr
from rich.markup import escape

from bank_pipeline.bootstrap import Services, build_services, system_now
from bank_pipeline.cli.output import console
from bank_pipeline.cli.playground import (
    open_gateway_to_sandbox,
    playground_environment,
    reset,
    wings_environment,
)
from bank_pipeline.cli.processes import (
    check_free,
    dagster_environment,
    find_configuration,
    python_command,
    run_together,
)
from bank_pipeline.cli.simulated import CAST, TEAM, link_simulated_banks
from bank_pipeline.config import SANDBOX_URL, Settings
from bank_pipeline.domain.access import KeyScope
from bank_pipeline.errors import BankPipelineError, SetupError
from bank_pipeline.gateway.serve import serve_gateway
from bank_pipeline.logs.setup import set_up_service
from bank_pipeline.providers.http import fetch_json
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline.storage import embedded
from bank_pipeline.storage.api_keys import insert_api_key
from bank_pipeline.storage.connections import load_team
from bank_pipeline.sync.institutions import sync_institutions

DAGSTER_PORT: Final = 3000
GATEWAY_PORT: Final = 4520
GATEWAY_START_S: Final = 60
DATABASE_LOOK_S: Final = 5.0
SEED: Final = 7


def up(
    sandbox: Annotated[
        bool,
        typer.Option("--sandbox", help="A fresh playground: simulated banks, linked at once."),
    ] = False,
    host: Annotated[str, typer.Option(help="Address that Dagster's UI listens on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of Dagster's UI.")
    ] = DAGSTER_PORT,
    gateway_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of the gateway.")
    ] = GATEWAY_PORT,
) -> None:
    """
    Run everything: database, Dagster's UI and daemon, the gateway. Ctrl-C ends it all.

    With BANK_PIPELINE_BROKER_URL also a worker, which keeps processes warm for runs.
    """
    check_free(host, port, option="--port")
    check_free("127.0.0.1", gateway_port, option="--gateway-port")
    with ExitStack() as stack:
        gateway_url = f"http://127.0.0.1:{gateway_port}"
        if sandbox:
            stack.enter_context(_simulation(gateway_url))
        settings = Settings()
        services = build_services(settings)
        console.print(f"Dagster UI   http://{host}:{port}   (ready in some ten seconds)")
        console.print(f"gateway      {gateway_url}")
        if sandbox:
            console.print(f"sandbox      {SANDBOX_URL}")
        code = run_together(
            [
                _dagster_command(host, port),
                python_command("gateway", "--port", str(gateway_port)),
                *([python_command("serve", "worker")] if settings.broker_url else []),
            ],
            environment=dagster_environment(settings),
            meanwhile=lambda: _stand_by(services, gateway_url if sandbox else None),
        )
    sys.exit(code)


@contextmanager
def _simulation(gateway_url: str) -> Iterator[None]:
    """Serve a fresh world beside us, and point the environment at it."""
    state_dir = Settings().state_dir / "playground"
    port = urlsplit(SANDBOX_URL).port
    assert port is not None, "the sandbox's address names its port"
    world = World(SEED, clock=VirtualClock(system_now(), running=True), logins=len(CAST))
    try:
        sandbox = SandboxServer(world=world, seed=SEED, port=port)
        sandbox.start()
    except OSError:
        raise SetupError(f"port {port} is taken: is a sandbox running already?") from None
    try:
        reset(state_dir)  # simulated banks forget their customers when they end
        os.environ |= playground_environment(state_dir, SANDBOX_URL)
        os.environ |= wings_environment(state_dir, SANDBOX_URL)
        os.environ["BANK_PIPELINE_GATEWAY_URL"] = gateway_url
        open_gateway_to_sandbox(SANDBOX_URL, gateway_url)
        yield
    finally:
        sandbox.stop()


def gateway(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = GATEWAY_PORT,
) -> None:
    """Serve webhooks and health until interrupted."""
    check_free(host, port, option="--port")
    settings = Settings()
    set_up_service(settings)
    serve_gateway(build_services(settings), host=host, port=port)


def _dagster_command(host: str, port: int) -> list[str]:
    workspace = str(find_configuration("workspace.yaml"))
    return [sys.executable, "-m", "dagster", "dev", "-w", workspace, "-h", host, "-p", str(port)]


def _stand_by(services: Services, gateway_of_sandbox: str | None) -> None:
    """Do beside the parts what none of them does."""
    if gateway_of_sandbox is not None:
        _populate(services, gateway_of_sandbox)
    if services.settings.database_url is None:
        _keep_database(services.settings.state_dir)


def _keep_database(state_dir: Path) -> None:
    """Look after the embedded database, which nobody else would start again while we run."""
    pause = threading.Event()
    while not pause.wait(DATABASE_LOOK_S):
        try:
            embedded.keep_running(state_dir)
        except SetupError as error:
            console.print(f"[red]the database:[/] {escape(str(error))}")


def _populate(services: Services, gateway_url: str) -> None:
    """Link the simulated banks once our gateway answers; the sensors do the rest."""
    try:
        _wait_for(f"{gateway_url}/live")
        ids = link_simulated_banks(services)
        key = _open_pages(services)
    except (BankPipelineError, OSError) as error:
        console.print(f"[red]the simulated banks were not linked:[/] {error}")
    else:
        console.print(f"linked {len(ids)} simulated banks; their first syncs start by themselves")
        console.print(f"log in at {gateway_url}/login with this key, made for this playground:")
        console.print(key.get_secret_value(), highlight=False, soft_wrap=True)


def _open_pages(services: Services) -> SecretStr:
    """Read the banks that people choose from, and return a key for the pages."""
    for provider, client in services.sync.providers.items():
        if client.capabilities.is_institution_chosen_first:
            sync_institutions(services.sync, provider)
    with services.sync.engine.begin() as db:
        team_id = load_team(db, TEAM)
        manage = KeyScope.MANAGE
        now = services.sync.clock()
        return insert_api_key(db, team_id, name="playground", scope=manage, now=now)


def _wait_for(url: str) -> None:
    pause = threading.Event()
    for _ in range(GATEWAY_START_S * 4):
        try:
            fetch_json(url)
        except SetupError:
            pause.wait(0.25)
        else:
            return
    raise SetupError(f"nothing answers at {url}: is its port taken?")
