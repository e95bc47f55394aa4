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
from bank_pipeline.providers.http import build_http, fetch_json
from bank_pipeline.sandbox.plaid.options import PlaidOptions
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.storage import embedded
from bank_pipeline.sync.link import complete_link, start_link


@dataclass(frozen=True)
class Playground:
    """Simulated banks with everything that watches them."""

    sandbox: SandboxServer
    services: Services
    instance: dg.DagsterInstance

    def pass_time(self, delta: timedelta) -> list[RunOutcome]:
        """Let virtual time pass, webhooks included, then run what the sensors ask for."""
        self.sandbox.advance(delta)
        return run_what_is_due(defs, self.instance, self.services)


@contextmanager
def playground(state_dir: Path, sandbox: SandboxServer) -> Iterator[Playground]:
    """Set up a fresh installation in `state_dir` over a started sandbox; stop it at the end."""
    reset(state_dir)
    os.environ |= playground_environment(state_dir, sandbox.url)
    try:
        os.environ |= dagster_environment(Settings())
        with GatewayThread(build_services(Settings())) as gateway:
            os.environ["BANK_PIPELINE_GATEWAY_URL"] = gateway.url
            services = build_services(Settings())
            with dg.DagsterInstance.get() as instance:
                yield Playground(sandbox, services, instance)
    finally:
        embedded.stop(state_dir)


def playground_environment(state_dir: Path, sandbox_url: str) -> dict[str, str]:
    """
    Return the variables of an installation that talks to simulated banks only.

    Blank ones are unset on purpose: a real database or key that this machine's `.env` names
    must not meet simulated rows.
    """
    simulated = PlaidOptions()
    return {
        "BANK_PIPELINE_STATE_DIR": str(state_dir.resolve()),
        "BANK_PIPELINE_CLOCK_URL": f"{sandbox_url}/_sim/clock",
        "BANK_PIPELINE_DATABASE_URL": "",
        "BANK_PIPELINE_DAGSTER_DATABASE_URL": "",
        "BANK_PIPELINE_ENCRYPTION_KEY": "",
        "BANK_PIPELINE_REDIS_URL": "",
        "PLAID_CLIENT_ID": simulated.client_id,
        "PLAID_SECRET": simulated.secret,
        "PLAID_ENV": "sandbox",
        "PLAID_BASE_URL": sandbox_url,
        "PLAID_COUNTRY_CODES": "US,GB,DE,FR,ES,NL,IE,IT",
        "PLAID_REDIRECT_URI": "",
    }


def link_simulated_banks(services: Services, sandbox_url: str) -> list[ConnectionId]:
    """Link every login of the simulated world, each through the hosted page."""
    logins = fetch_json(f"{sandbox_url}/_sim/logins")["logins"]
    return [link_simulated_bank(services, login["login_id"]) for login in logins]


def link_simulated_bank(services: Services, login_id: str) -> ConnectionId:
    """Link one simulated person's bank as a person would: through the hosted page."""
    started = start_link(services.sync, Provider.PLAID, team_name="demo")
    _decide_hosted_link(started.url, login_id)
    state = complete_link(services.sync, started.session_id)
    if not state.connection_ids:
        raise SetupError(f"the simulated link yielded nothing: {state.exit_reason}")
    return state.connection_ids[0]


def reset(state_dir: Path) -> None:
    """Stop what runs in the folder and delete it."""
    if state_dir.exists():
        embedded.stop(state_dir)
        shutil.rmtree(state_dir)
    state_dir.mkdir(parents=True)


def _decide_hosted_link(url: str, login_id: str) -> None:
    """Do on the simulated hosted page what a person would: pick a bank and agree."""
    with build_http(read_timeout_s=30) as http:
        http.post(url, data={"outcome": "success", "login": login_id}).raise_for_status()
