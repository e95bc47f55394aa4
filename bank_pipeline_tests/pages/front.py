"""The gateway as people see it: a real server over simulated banks, and a real browser."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, sync_playwright
from pydantic import SecretStr

from bank_pipeline.bootstrap import Services, build_providers
from bank_pipeline.cli.playground import (
    open_gateway_to_sandbox,
    plaid_environment,
    wings_environment,
)
from bank_pipeline.config import Settings
from bank_pipeline.domain.access import KeyScope
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId, TeamId
from bank_pipeline.gateway.serve import GatewayThread
from bank_pipeline.providers.cache import build_file_cache
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.storage.api_keys import insert_api_key
from bank_pipeline.storage.connections import ensure_team
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.listing import load_due_attempts, load_requested_syncs
from bank_pipeline.storage.seals import VaultSeal
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.institutions import sync_institutions
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline_tests.ports import free_ports

CHROMIUM: Final = shutil.which("chromium") or shutil.which("google-chrome")
"""The system's browser; without one that which `playwright install chromium` brought."""


@dataclass(frozen=True)
class Front:
    """A gateway between simulated banks and our tables, and what stands in for Dagster."""

    url: str
    sandbox: SandboxServer
    services: Services

    def make_key(self, team: str = "home", scope: KeyScope = KeyScope.MANAGE) -> str:
        """Make a key of a team."""
        now = self.services.sync.clock()
        with self.services.sync.engine.begin() as db:
            team_id = ensure_team(db, team, now=now)
            return insert_api_key(db, team_id, name="t", scope=scope, now=now).get_secret_value()

    def team_id(self, team: str = "home") -> TeamId:
        """Return a team's id; it is made where there is none."""
        with self.services.sync.engine.begin() as db:
            return ensure_team(db, team, now=self.services.sync.clock())

    def sync_what_is_due(self) -> list[ConnectionId]:
        """Sync what Dagster's sensors would start now, and return it."""
        context = self.services.sync
        with context.engine.connect() as db:
            due = load_due_attempts(db, now=context.clock(), limit=100)
            asked = load_requested_syncs(db, limit=100)
        ids = [*dict.fromkeys(one.connection_id for one in (*due, *asked))]
        for one in ids:
            sync_connection(context, SyncRequest(one, SyncReason.MANUAL))
        return ids

    def query(self, sql: str, **bound: Any) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with self.services.sync.engine.connect() as db:
            return [tuple(row) for row in db.execute(sa.text(sql), bound)]


@contextmanager
def open_front(
    sandbox: SandboxServer, engine: sa.Engine, vault: Vault, folder: Path, **more: str
) -> Iterator[Front]:
    """Run the gateway over all four simulated providers, with settings beside the usual."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    variables: dict[str, Any] = {
        **{name.lower(): value for name, value in plaid_environment(sandbox.url).items()},
        **{name.lower(): value for name, value in wings_environment(folder, sandbox.url).items()},
        "clock_url": f"{sandbox.url}/_sim/clock",
        "gateway_url": url,
        **{name: value.format(gateway=url) for name, value in more.items()},
    }
    settings = Settings(_env_file=None, **variables)
    cache = build_file_cache(folder / "cache", seal=VaultSeal(vault))
    context = SyncContext(
        engine=engine,
        providers=build_providers(settings, cache),
        vault=vault,
        clock=sandbox.clock.now,
        cache=cache,
    )
    services = Services(settings, context)
    open_gateway_to_sandbox(sandbox.url, url)
    for provider in (Provider.ENABLE_BANKING, Provider.GOCARDLESS):
        sync_institutions(context, provider)
    try:
        with GatewayThread(services, port=port):
            yield Front(url, sandbox, services)
    finally:
        for client in context.providers.values():
            client.close()


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Run the system's Chromium; the test is skipped where there is none."""
    with sync_playwright() as playwright:
        path = CHROMIUM or playwright.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no Chromium is installed; `playwright install chromium` brings one")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def secret(link: SecretStr) -> str:
    """Return the address that a person would click."""
    return link.get_secret_value()
