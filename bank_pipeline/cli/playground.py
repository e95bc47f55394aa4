"""A whole installation over simulated banks, in this process and in a folder of its own."""

import base64
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import dagster as dg

from bank_pipeline.bootstrap import Services, build_services
from bank_pipeline.cli.processes import dagster_environment
from bank_pipeline.config import Settings
from bank_pipeline.definitions import defs
from bank_pipeline.defs.operate import RunOutcome, run_what_is_due
from bank_pipeline.defs.resources import close_services
from bank_pipeline.gateway.serve import GatewayThread
from bank_pipeline.providers.http import build_http, fetch_json
from bank_pipeline.sandbox.gocardless.options import GoCardlessOptions
from bank_pipeline.sandbox.plaid.options import PlaidOptions
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.storage import embedded

_OF_PROVIDERS: Final = tuple(one.alias for one in Settings.model_fields.values() if one.alias)


@dataclass(frozen=True)
class Playground:
    """Simulated banks with everything that watches them."""

    sandbox: SandboxServer
    services: Services
    instance: dg.DagsterInstance

    def pass_time(self, delta: timedelta) -> list[RunOutcome]:
        """Let virtual time pass, webhooks included, then run what has become due."""
        self.sandbox.advance(delta)
        return run_what_is_due(defs, self.instance, self.services)


@contextmanager
def playground(state_dir: Path, sandbox: SandboxServer) -> Iterator[Playground]:
    """Set up a fresh installation in `state_dir` over a started sandbox; stop it at the end."""
    reset(state_dir)
    os.environ |= playground_environment(state_dir, sandbox.url)
    os.environ |= wings_environment(state_dir, sandbox.url)
    os.environ["BANK_PIPELINE_WEBHOOK_WAIT_S"] = "0"  # time passes by command here
    with ExitStack() as stack:
        stack.callback(embedded.stop, state_dir)
        os.environ |= dagster_environment(Settings())
        listening = stack.enter_context(closing(build_services(Settings())))
        gateway = stack.enter_context(GatewayThread(listening))
        os.environ["BANK_PIPELINE_GATEWAY_URL"] = gateway.url
        open_gateway_to_sandbox(sandbox.url, gateway.url)
        services = stack.enter_context(closing(build_services(Settings())))
        stack.callback(close_services)
        yield Playground(sandbox, services, stack.enter_context(dg.DagsterInstance.get()))


def playground_environment(state_dir: Path, sandbox_url: str) -> dict[str, str]:
    """Return the variables of an installation that talks to simulated banks only."""
    own_folder = {"BANK_PIPELINE_STATE_DIR": str(state_dir.resolve())}
    return own_folder | simulated_environment(sandbox_url)


def simulated_environment(sandbox_url: str) -> dict[str, str]:
    """
    Return the variables that point commands at simulated banks, wherever their state is.

    Blank ones are unset on purpose: a real database or key that this machine's `.env` names
    must not meet simulated rows, nor what it says of a provider the simulated one.
    """
    return {
        "BANK_PIPELINE_CLOCK_URL": f"{sandbox_url}/_sim/clock",
        "BANK_PIPELINE_DATABASE_URL": "",
        "BANK_PIPELINE_DAGSTER_DATABASE_URL": "",
        "BANK_PIPELINE_ENCRYPTION_KEY": "",
        "BANK_PIPELINE_ENCRYPTION_KEY_FILE": "",
        "BANK_PIPELINE_ENCRYPTION_KEY_COMMAND": "",
        "BANK_PIPELINE_REDIS_URL": "",
        "BANK_PIPELINE_BROKER_URL": "",
        **dict.fromkeys(_OF_PROVIDERS, ""),
        **plaid_environment(sandbox_url),
    }


def plaid_environment(sandbox_url: str) -> dict[str, str]:
    """Return the variables of the simulated Plaid."""
    simulated = PlaidOptions()
    return {
        "PLAID_CLIENT_ID": simulated.client_id,
        "PLAID_SECRET": simulated.secret,
        "PLAID_ENV": "sandbox",
        "PLAID_BASE_URL": sandbox_url,
        "PLAID_COUNTRY_CODES": "US,CA,GB,DE,FR,ES,NL,IE,IT",
        "PLAID_REDIRECT_URI": "",
        "PLAID_LINK_URL": f"{sandbox_url}/link/v2/stable/link-initialize.js",
    }


def wings_environment(state_dir: Path, sandbox_url: str) -> dict[str, str]:
    """Return the variables of the providers beside Plaid, with the keys of a running sandbox."""
    application = fetch_json(f"{sandbox_url}/_sim/enable_banking/application")
    certificate = fetch_json(f"{sandbox_url}/_sim/teller/certificate")
    signing_secrets = fetch_json(f"{sandbox_url}/_sim/teller/application")["signing_secrets"]
    ca_path = state_dir.resolve() / "sandbox-ca.pem"
    ca_path.write_text(certificate["ca"])
    gocardless = GoCardlessOptions()
    return {
        "GOCARDLESS_SECRET_ID": gocardless.secret_id,
        "GOCARDLESS_SECRET_KEY": gocardless.secret_key,
        "GOCARDLESS_BASE_URL": f"{sandbox_url}/gocardless",
        "ENABLE_BANKING_APPLICATION_ID": application["application_id"],
        "ENABLE_BANKING_KEY_BASE64": _base64(application["private_key_pem"]),
        "ENABLE_BANKING_BASE_URL": f"{sandbox_url}/enable_banking",
        "TELLER_APPLICATION_ID": "app_sandbox",
        "TELLER_CERT_BASE64": _base64(certificate["certificate"]),
        "TELLER_KEY_BASE64": _base64(certificate["key"]),
        "TELLER_SIGNING_SECRET": ",".join(signing_secrets),
        "TELLER_BASE_URL": certificate["tls_url"],
        "TELLER_CONNECT_URL": f"{sandbox_url}/teller/connect.js",
        "TELLER_CA_PATH": str(ca_path),
    }


def open_gateway_to_sandbox(sandbox_url: str, gateway_url: str) -> None:
    """Tell the simulated providers where our gateway is, as their dashboards would be told."""
    with build_http(read_timeout_s=30) as http:
        for path, url in (
            ("enable_banking/redirect_urls", f"{gateway_url}/link/return/enable_banking"),
            ("teller/webhook_url", f"{gateway_url}/webhooks/teller"),
        ):
            http.post(f"{sandbox_url}/_sim/{path}", json={"url": url}).raise_for_status()


def reset(state_dir: Path) -> None:
    """Stop what runs in the folder and delete it."""
    if state_dir.exists():
        embedded.stop(state_dir)
        shutil.rmtree(state_dir)
    state_dir.mkdir(parents=True)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
