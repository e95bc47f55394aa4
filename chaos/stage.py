"""Set up an installation of real processes over simulated banks."""

import base64
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from bank_pipeline.bootstrap import Services, build_services
from bank_pipeline.cli.playground import (
    open_gateway_to_sandbox,
    playground_environment,
    wings_environment,
)
from bank_pipeline.cli.processes import dagster_environment, python_command
from bank_pipeline.cli.serve import code_server_command
from bank_pipeline.cli.simulated import TEAM
from bank_pipeline.config import Settings
from bank_pipeline.domain.access import KeyScope
from bank_pipeline.domain.connection import Provider
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.faults import FaultPlan
from bank_pipeline.sandbox.serve import USUAL_START, SandboxServer
from bank_pipeline.sandbox.teller.simulator import Teller
from bank_pipeline.sandbox.world import World
from bank_pipeline.simulation.customers import SMALL_OFFERS
from bank_pipeline.simulation.installation import KEY, Installation
from bank_pipeline.simulation.plan import TEMPERS
from bank_pipeline.simulation.run import HISTORY_DAYS, SPENDING
from bank_pipeline.storage import embedded
from bank_pipeline.storage.api_keys import insert_api_key
from bank_pipeline.storage.connections import ensure_team
from bank_pipeline.sync.institutions import sync_institutions
from bank_pipeline_tests.ports import free_ports
from bank_pipeline_tests.waiting import answers, wait_until
from chaos.broker import Broker
from chaos.clock import WrongClock
from chaos.disk import SmallDisk, small_disk
from chaos.parts import Supervisor

MODULE: Final = "bank_pipeline_tests.e2e.compressed"
"""What the product runs; only the daily schedule is looked at every minute: days are short here."""

GATEWAY: Final = "gateway"
DAEMON: Final = "daemon"
WEBSERVER: Final = "webserver"
CODE: Final = "code"
WORKER: Final = "worker"
START_S: Final = 600.0
FAULT_RATE: Final = 0.02
_ROOT: Final = Path(__file__).parents[1]
_RUNS: Final = 4  # that a warm worker has at once
_PATIENCE_S: Final = "8"  # for a silent provider, so that hanging answers end within a blow or two


@dataclass(frozen=True)
class Stage:
    """Everything that is on it. `disk` and `broker` are None where there is none."""

    place: Installation
    services: Services
    supervisor: Supervisor
    clock: WrongClock
    disk: SmallDisk | None
    broker: Broker | None
    state_dir: Path
    logs: Path
    webserver_url: str
    gateway_url: str
    api_key: SecretStr

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of what is to run always."""
        usual = (GATEWAY, CODE, DAEMON, WEBSERVER)
        return usual if self.broker is None else (*usual, WORKER)

    def is_up(self) -> bool:
        """Say whether whoever listens answers."""
        return answers(f"{self.gateway_url}/ready") and answers(f"{self.webserver_url}/server_info")


@contextmanager
def set_up(folder: Path, seed: int, *, has_workers: bool) -> Iterator[Stage]:
    """Start everything, and end it. Changes this process's environment."""
    state_dir, logs = folder / "state", folder / "logs"
    state_dir.mkdir()
    logs.mkdir()
    code_port, webserver_port, gateway_port, redis_port = free_ports(4)
    gateway_url = f"http://127.0.0.1:{gateway_port}"
    webserver_url = f"http://127.0.0.1:{webserver_port}"
    with ExitStack() as stack:
        sandbox = stack.enter_context(_banks(seed))
        clock = stack.enter_context(WrongClock(sandbox.clock))
        broker = stack.enter_context(Broker(logs, redis_port)) if has_workers else None
        environment = _environment(state_dir, sandbox, gateway_url, broker)
        os.environ |= environment
        os.environ |= dagster_environment(Settings())
        disk = stack.enter_context(small_disk(folder / "disk", state_dir / "pg"))
        stack.callback(embedded.stop, state_dir)
        services = stack.enter_context(closing(build_services(Settings())))
        if disk is not None:
            disk.hold_archive(services.sync.engine)
        open_gateway_to_sandbox(sandbox.url, gateway_url)
        for provider in (Provider.GOCARDLESS, Provider.ENABLE_BANKING):
            sync_institutions(services.sync, provider)
        supervisor = Supervisor(logs, state_dir)
        stack.callback(supervisor.stop)
        theirs = {**os.environ, "BANK_PIPELINE_CLOCK_URL": clock.url}
        _run_all(supervisor, theirs, code_port, webserver_port, gateway_port, broker is not None)
        supervisor.start()
        url = services.sync.engine.url.render_as_string(hide_password=False)
        yield Stage(
            place=Installation(sandbox, services.sync, services.settings, url, {}),
            services=services,
            supervisor=supervisor,
            clock=clock,
            disk=disk,
            broker=broker,
            state_dir=state_dir,
            logs=logs,
            webserver_url=webserver_url,
            gateway_url=gateway_url,
            api_key=_make_key(services),
        )


def wait_until_up(stage: Stage) -> None:
    """Wait until whoever listens answers."""
    wait_until(stage.is_up, seconds=START_S, what="the installation")


def _make_key(services: Services) -> SecretStr:
    now = services.sync.clock()
    with services.sync.engine.begin() as db:
        team_id = ensure_team(db, TEAM, now=now)
        return insert_api_key(db, team_id, name="chaos", scope=KeyScope.MANAGE, now=now)


def _banks(seed: int) -> SandboxServer:
    """Build banks whose clock runs, and whose providers fail at times."""
    world = World(
        seed,
        clock=VirtualClock(USUAL_START, running=True),
        logins=0,
        history_days=HISTORY_DAYS,
        temper=TEMPERS["wild"],
        offers=SMALL_OFFERS,
        spending=SPENDING,
    )
    return SandboxServer(seed=seed, world=world, faults=FaultPlan.seeded(seed, FAULT_RATE))


def _environment(
    state_dir: Path, sandbox: SandboxServer, gateway_url: str, broker: Broker | None
) -> dict[str, str]:
    teller = sandbox.wings["teller"]
    assert isinstance(teller, Teller)
    brought = {}
    if broker is not None:
        brought = {
            "BANK_PIPELINE_BROKER_URL": f"{broker.url}/0",
            "BANK_PIPELINE_REDIS_URL": f"{broker.url}/1",
        }
    return {
        **playground_environment(state_dir, sandbox.url),
        **wings_environment(state_dir, sandbox.url),
        "TELLER_TOKEN_SIGNING_KEY": teller.signer.public_key,
        "BANK_PIPELINE_ENCRYPTION_KEY": base64.b64encode(KEY).decode(),
        "BANK_PIPELINE_GATEWAY_URL": gateway_url,
        "BANK_PIPELINE_PROVIDER_TIMEOUT_S": _PATIENCE_S,
        "BANK_PIPELINE_LOG_FORMAT": "json",
        "BANK_PIPELINE_LOG_LEVEL": "debug",
        "PYTHONPATH": str(_ROOT),
        **brought,
    }


def _run_all(
    supervisor: Supervisor,
    environment: Mapping[str, str],
    code_port: int,
    webserver_port: int,
    gateway_port: int,
    has_workers: bool,  # noqa: FBT001 - private, and named where it is called
) -> None:
    program, *arguments = code_server_command(MODULE, host="127.0.0.1", port=code_port)
    address = f"127.0.0.1:{code_port}"
    commands = {
        CODE: [str(Path(sys.executable).parent / program), *arguments],
        GATEWAY: python_command("gateway", "--port", str(gateway_port)),
        DAEMON: python_command("serve", "daemon", "--code-server", address),
        WEBSERVER: python_command(
            "serve", "webserver", "--port", str(webserver_port), "--code-server", address
        ),
    }
    if has_workers:
        commands[WORKER] = python_command("serve", "worker", "--runs", str(_RUNS))
    for name, command in commands.items():
        supervisor.run(name, command, environment)
