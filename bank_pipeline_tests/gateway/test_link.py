"""Customers come back from their banks to the real gateway, over HTTP, with real providers."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import sqlalchemy as sa

from bank_pipeline.bootstrap import Services, build_providers
from bank_pipeline.cli.playground import open_gateway_to_sandbox, wings_environment
from bank_pipeline.cli.simulated import link_simulated_bank
from bank_pipeline.config import Settings
from bank_pipeline.domain.connection import Provider
from bank_pipeline.gateway.serve import GatewayThread
from bank_pipeline.providers.cache import build_file_cache
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.serve import USUAL_START, SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.credentials import Vault, load_credential
from bank_pipeline.storage.seals import VaultSeal
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.link import LinkStarted, complete_link, start_link

EB, TELLER = Provider.ENABLE_BANKING, Provider.TELLER


@dataclass(frozen=True)
class Station:
    """A gateway between simulated banks and our tables."""

    url: str
    sandbox: SandboxServer
    services: Services

    def begin(self, provider: Provider, institution: str | None = None) -> LinkStarted:
        return start_link(
            self.services.sync,
            provider,
            team_name="home",
            institution=institution,
            return_url=f"{self.url}/link/widget/{provider}" if provider is TELLER else None,
        )

    def connections(self) -> list[tuple[Any, ...]]:
        with self.services.sync.engine.connect() as db:
            query = "SELECT provider, status FROM bank.connections ORDER BY provider"
            return [tuple(row) for row in db.execute(sa.text(query))]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    world = World(7, clock=VirtualClock(USUAL_START), logins=5, quiet=True, history_days=10)
    with SandboxServer(seed=7, world=world) as server:
        yield server


@pytest.fixture
def station(
    sandbox: SandboxServer, engine: sa.Engine, vault: Vault, tmp_path: Path
) -> Iterator[Station]:
    variables: dict[str, Any] = wings_environment(tmp_path, sandbox.url)
    variables["clock_url"] = f"{sandbox.url}/_sim/clock"
    cache = build_file_cache(tmp_path / "cache", seal=VaultSeal(vault))
    context = SyncContext(
        engine=engine, providers={}, vault=vault, clock=sandbox.clock.now, cache=cache
    )
    unaware = Settings(_env_file=None, **variables)
    context = replace(context, providers=build_providers(unaware, cache))
    with GatewayThread(Services(unaware, context)) as gateway:
        settings = Settings(_env_file=None, gateway_url=gateway.url, **variables)
        open_gateway_to_sandbox(sandbox.url, gateway.url)
        aware = replace(context, providers=build_providers(settings, cache))
        yield Station(gateway.url, sandbox, Services(settings, aware))
        for client in (*context.providers.values(), *aware.providers.values()):
            client.close()


@pytest.mark.parametrize(
    ("provider", "login"),
    [(EB, "login-2"), (Provider.GOCARDLESS, "login-2"), (TELLER, "login-1")],
)
def test_a_customer_who_agrees_and_comes_back_is_connected(
    station: Station, provider: Provider, login: str
) -> None:
    link_simulated_bank(station.services, login, provider)
    assert station.connections() == [(provider.value, "pending")]


def test_a_customer_who_denies_is_not_connected_and_the_link_is_over(station: Station) -> None:
    started = station.begin(EB, "FI:Nordea")
    answer = httpx.post(started.url, data={"outcome": "cancel"})
    page = httpx.get(answer.headers["location"])

    assert (page.status_code, "Not connected" in page.text) == (200, True)
    state = complete_link(station.services.sync, started.session_id)
    assert (state.is_finished, state.exit_reason) == (True, "access_denied")
    assert station.connections() == []


def test_coming_back_twice_is_one_connection(station: Station) -> None:
    """A reload of the last page sends the code again."""
    started = station.begin(EB, "FI:Nordea")
    answer = httpx.post(started.url, data={"outcome": "approve", "login": "login-2"})

    pages = [httpx.get(answer.headers["location"]) for _ in range(2)]

    assert ["Connected" in page.text for page in pages] == [True, True]
    assert len(station.connections()) == 1


def test_a_state_that_we_did_not_make_opens_nothing(station: Station) -> None:
    started = station.begin(EB, "FI:Nordea")
    answer = httpx.post(started.url, data={"outcome": "approve", "login": "login-2"})
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    for provider, asked in (
        ("enable_banking", {"code": query["code"][0], "state": "made-up"}),
        ("enable_banking", {"code": query["code"][0]}),
        ("gocardless", {"state": query["state"][0]}),
        ("nobody", {"state": query["state"][0]}),
    ):
        page = httpx.get(f"{station.url}/link/return/{provider}", params=asked)
        assert page.status_code == 404
    assert station.connections() == []


def test_the_page_with_the_widget_is_framed_cached_and_told_of_by_nobody(
    station: Station,
) -> None:
    started = station.begin(TELLER)
    page = httpx.get(started.url)

    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'nonce-" in policy
    assert station.sandbox.url in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert f"{station.sandbox.url}/teller/connect.js" in page.text


def test_the_page_of_a_link_that_is_over_shows_nothing(station: Station) -> None:
    started = station.begin(TELLER)
    state = parse_qs(urlsplit(started.url).query)["state"][0]
    form = {"state": state, "exit": "1"}
    assert "Not connected" in httpx.post(f"{station.url}/link/return/teller", data=form).text
    assert httpx.get(started.url).status_code == 404
    assert httpx.get(f"{station.url}/link/widget/teller?state=other").status_code == 404


def test_a_token_that_teller_did_not_give_connects_nothing(station: Station) -> None:
    started = station.begin(TELLER)
    state = parse_qs(urlsplit(started.url).query)["state"][0]
    form = {"state": state, "access_token": "test_token_made_up", "enrollment_id": "enr_made_up"}
    page = httpx.post(f"{station.url}/link/return/teller", data=form)
    assert page.status_code == 502
    assert station.connections() == []


def test_a_form_longer_than_any_widget_sends_is_not_read(station: Station) -> None:
    page = httpx.post(f"{station.url}/link/return/teller", data={"state": "x" * 20_000})
    assert page.status_code == 413


@pytest.mark.parametrize(("login", "is_same"), [("login-1", True), ("login-4", False)])
def test_a_repair_is_over_only_with_the_enrollment_that_it_repairs(
    station: Station, login: str, is_same: bool
) -> None:
    """A browser hands over whatever it likes: another login's enrollment repairs nothing."""
    connection = link_simulated_bank(station.services, "login-1", TELLER)
    context = station.services.sync
    with context.engine.connect() as db:
        before = load_connection(db, connection)
    started = start_link(
        context,
        TELLER,
        team_name="home",
        renews=connection,
        return_url=f"{station.url}/link/widget/teller",
    )
    state = parse_qs(urlsplit(started.url).query)["state"][0]
    wish = {"login": login, "nonce": state}
    if is_same:
        wish["enrollment_id"] = before.external_id
    done = httpx.post(f"{station.sandbox.url}/_sim/teller/connect", json=wish).json()
    form = {
        "state": state,
        "access_token": done["accessToken"],
        "enrollment_id": done["enrollment"]["id"],
    }

    page = httpx.post(f"{station.url}/link/return/teller", data=form)

    assert ("Not renewed" in page.text) is not is_same
    with context.engine.connect() as db:
        after = load_connection(db, connection)
        credential = load_credential(db, connection, context.vault)
    assert after.external_id == before.external_id
    assert (credential.get_secret_value() == done["accessToken"]) is is_same
