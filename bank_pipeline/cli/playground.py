"""A whole installation over simulated banks, in this process and in a folder of its own."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import dagster as dg

from bank_pipeline.bootstrap import Services, build_services
from bank_pipeline.cli.processes import dagster_environment
from bank_pipeline.config import Settings
from bank_pipeline.definitions import defs
from bank_pipeline.defs.operate import RunOutcome, run_what_is_due
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import SetupError
from bank_pipeline.gateway.serve import GatewayThread
from bank_pipeline.providers.http import build_http
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.storage import embedded
from bank_pipeline.sync.link import complete_link, start_link


@dataclass(frozen=True)
class Playground:
    """Simulated banks with everything that watches them."""

    sandbox: SandboxServer
    services: Services
    instance: dg.DagsterInstance

    def link(self, login_id: str) -> ConnectionId:
        """Link one simulated person's bank as a person would: through the hosted page."""
        started = start_link(self.services.sync, Provider.PLAID, team_name="demo")
        decide_hosted_link(started.url, login_id)
        state = complete_link(self.services.sync, started.session_id)
        if not state.connection_ids:
            raise SetupError(f"the simulated link yielded nothing: {state.exit_reason}")
        return state.connection_ids[0]

    def pass_time(self, delta: timedelta) -> list[RunOutcome]:
        """Let virtual time pass, webhooks included, then run what the sensors ask for."""
        self.sandbox.advance(delta)
        return run_what_is_due(defs, self.instance, self.services)


@contextmanager
def playground(state_dir: Path, sandbox: SandboxServer) -> Iterator[Playground]:
    """Set up a fresh installation in `state_dir` over a started sandbox; stop it at the end."""
    reset(state_dir)
    os.environ.pop("BANK_PIPELINE_DATABASE_URL", None)
    os.environ.pop("BANK_PIPELINE_DAGSTER_DATABASE_URL", None)
    os.environ |= {
        "BANK_PIPELINE_STATE_DIR": str(state_dir.resolve()),
        "BANK_PIPELINE_CLOCK_URL": f"{sandbox.url}/_sim/clock",
        "PLAID_CLIENT_ID": sandbox.plaid.options.client_id,
        "PLAID_SECRET": sandbox.plaid.options.secret,
        "PLAID_ENV": "sandbox",
        "PLAID_BASE_URL": sandbox.url,
        "PLAID_COUNTRY_CODES": "US,GB,DE,FR,ES,NL,IE,IT",
    }
    try:
        os.environ |= dagster_environment(Settings())
        with GatewayThread(build_services(Settings())) as gateway:
            os.environ["BANK_PIPELINE_GATEWAY_URL"] = gateway.url
            services = build_services(Settings())
            with dg.DagsterInstance.get() as instance:
                yield Playground(sandbox, services, instance)
    finally:
        embedded.stop(state_dir)


def reset(state_dir: Path) -> None:
    """Stop what runs in the folder and delete it."""
    if state_dir.exists():
        embedded.stop(state_dir)
        shutil.rmtree(state_dir)
    state_dir.mkdir(parents=True)


def decide_hosted_link(url: str, login_id: str) -> None:
    """Do on the simulated hosted page what a person would: pick a bank and agree."""
    with build_http(read_timeout_s=30) as http:
        http.post(url, data={"outcome": "success", "login": login_id}).raise_for_status()
