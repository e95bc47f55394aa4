"""
No secret leaves: canaries in every place that holds one, and a search of everything left behind.

A whole installation lives through links, syncs, webhooks, Dagster runs and every kind of
failure, with all logs on.
"""

import base64
import logging
import os
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Final

import dagster as dg
import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.bootstrap import Services, build_services
from bank_pipeline.cli.processes import dagster_environment
from bank_pipeline.config import Settings
from bank_pipeline.definitions import defs
from bank_pipeline.defs.operate import run_what_is_due
from bank_pipeline.defs.resources import close_services
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.gateway.serve import GatewayThread
from bank_pipeline.providers.plaid.provider import build_plaid
from bank_pipeline.providers.retry import Retry
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.storage.credentials import load_credential
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.keys import FILE_NAME
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.link import complete_link, link_with_token, start_link
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline_tests.scanning import (
    Finding,
    scan_database,
    scan_files,
    scan_texts,
    table_names,
)
from bank_pipeline_tests.sync.ground import CHECKING, READY, sandbox_server
from bank_pipeline_tests.sync.leaks import (
    Canaries,
    Recorder,
    recorded_logs,
)

CLIENT_SECRET: Final = "canary-client-secret-3f9d1c"
DATABASE_PASSWORD: Final = "canary-password-77ab01"
LOGGERS: Final = ("dagster", "urllib3", "httpx", "httpcore", "alembic", "sqlalchemy")
CODES: Final = ("ITEM_LOGIN_REQUIRED", "INVALID_API_KEYS", "INVALID_FIELD", "INTERNAL_SERVER_ERROR")
FAULTS: Final = (
    *(Fault(FaultKind.ERROR, code=code) for code in CODES),
    Fault(FaultKind.HANG, seconds=0.01),
    Fault(FaultKind.HTTP_STATUS),
    Fault(FaultKind.RATE_LIMITED),
    Fault(FaultKind.HTML_BODY),
    Fault(FaultKind.REDIRECT),
    Fault(FaultKind.LOST_ANSWER),
    Fault(FaultKind.RESET_BODY),
    Fault(FaultKind.MISSING_KEY, key="transaction_id"),
    Fault(FaultKind.MISSING_KEY, key="accounts"),
    Fault(FaultKind.NAN_AMOUNTS),
    Fault(FaultKind.STRING_AMOUNTS),
    Fault(FaultKind.UNKNOWN_ACCOUNT_ID),
    Fault(FaultKind.ENDLESS_PAGES),
    Fault(FaultKind.MUTATION),
    Fault(FaultKind.CURSOR_REJECTED),
    Fault(FaultKind.LOGIN_REQUIRED),
)
OPERATIONS: Final = ("/transactions/sync", "/accounts/get")
QUICK: Final = Retry(2, 5.0, lambda _: None)


@dataclass
class Installation:
    """One installation with all its secrets, and what it said."""

    sandbox: SandboxServer
    services: Services
    instance: dg.DagsterInstance
    state_dir: Path
    canaries: Canaries
    logs: Recorder
    said: dict[str, str] = field(default_factory=dict)

    def link(self, login: str) -> ConnectionId:
        """Link through the hosted page, and look out for every token on the way."""
        started = start_link(self.services.sync, Provider.PLAID, team_name="home")
        self.canaries.add("link token", started.url.rsplit("/", 1)[1])
        self.said[f"start {login}"] = repr(started.session_id)
        self.decide(started.url, login)
        self.note_public_token(started.url.rsplit("/", 1)[1])
        [connection_id] = complete_link(self.services.sync, started.session_id).connection_ids
        for item in self.sandbox.plaid.items:
            self.canaries.add("access token", item.access_token)
        return connection_id

    def decide(self, url: str, login: str) -> None:
        """Agree on the hosted page; what the customer's browser logs is not ours."""
        before = len(self.logs.lines)
        httpx.post(url, data={"outcome": "success", "login": login}).raise_for_status()
        self.sandbox.settle()
        spoken = self.logs.lines[before:]
        self.logs.lines[before:] = [line for line in spoken if not line.startswith("http")]

    def note_public_token(self, link_token: str) -> None:
        """Look out for the token that the finished link yields."""
        with self.sandbox.plaid.lock:
            link = self.sandbox.plaid.links.find(link_token)
        for session in link.sessions:
            if session.added is not None:
                self.canaries.add("public token", session.added.public_token)

    def suffer(self, name: str, act: Callable[[], object]) -> None:
        """Do something that may fail, and keep all that the failure says."""
        try:
            self.said[f"{name}: result"] = repr(act())
        except Exception as error:  # noqa: BLE001 - every failure has something to say
            chain = "".join(traceback.format_exception(error))
            inner = [repr(one) for one in (error, error.__cause__, error.__context__)]
            self.said[name] = "\n".join([chain, str(error), *inner, repr(error.__dict__)])

    def run_dagster(self, wait: timedelta) -> list[bool]:
        """Let time pass and run what the sensors ask for, as real Dagster runs."""
        self.sandbox.advance(wait)
        return [one.is_success for one in run_what_is_due(defs, self.instance, self.services)]

    def sync(self, connection_id: ConnectionId) -> object:
        """Sync outside Dagster."""
        return sync_connection(self.services.sync, SyncRequest(connection_id, SyncReason.MANUAL))

    def leaks(self) -> list[Finding]:
        """Search everything."""
        servers_own = Path(os.environ["BANK_PIPELINE_TEST_SERVER"])
        logs = [path.parent for path in servers_own.rglob("*.log")]
        return [
            *scan_database(self.services.sync.engine, self.canaries),
            *scan_files([self.state_dir], self.canaries, but={FILE_NAME}),
            *scan_files(logs, self.canaries),
            *scan_texts(self.said, self.canaries),
            *scan_texts({"logs": "\n".join(self.logs.lines)}, self.canaries),
            *scan_texts({"written logs": "\n".join(self.logs.written)}, self.canaries),
        ]


@contextmanager
def _database_of_its_own(server_url: str) -> Iterator[str]:
    """Make an empty database; its URL carries a password, which the local server ignores."""
    name = "secrets_" + os.environ.get("PYTEST_XDIST_WORKER", "alone")
    server = build_engine(server_url).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as db:
        db.execute(sa.text(f"CREATE DATABASE {name}"))
    url = sa.make_url(server_url).set(database=name, password=DATABASE_PASSWORD)
    yield url.set(drivername="postgresql").render_as_string(hide_password=False)
    with server.connect() as db:
        db.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture
def installation(
    server_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Installation]:
    """Everything real but the banks, in a database and a folder of its own."""
    monkeypatch.chdir(tmp_path)  # no `.env` of the developer's
    with (
        recorded_logs(*LOGGERS) as logs,
        _database_of_its_own(server_url) as database_url,
        sandbox_server(secret=CLIENT_SECRET) as sandbox,
    ):
        state_dir = tmp_path / "state"
        variables = {
            "BANK_PIPELINE_STATE_DIR": str(state_dir),
            "BANK_PIPELINE_CLOCK_URL": f"{sandbox.url}/_sim/clock",
            "BANK_PIPELINE_DATABASE_URL": database_url,
            "PLAID_CLIENT_ID": sandbox.plaid.options.client_id,
            "PLAID_SECRET": CLIENT_SECRET,
            "PLAID_ENV": "sandbox",
            "PLAID_BASE_URL": sandbox.url,
            "PLAID_COUNTRY_CODES": "US,GB,DE",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        for name, value in dagster_environment(Settings()).items():
            monkeypatch.setenv(name, value)
        with closing(build_services(Settings())) as listening, GatewayThread(listening) as gateway:
            monkeypatch.setenv("BANK_PIPELINE_GATEWAY_URL", gateway.url)
            with (
                closing(build_services(Settings())) as services,
                dg.DagsterInstance.get() as instance,
            ):
                canaries = Canaries()
                canaries.add("client secret", CLIENT_SECRET)
                canaries.add("database password", DATABASE_PASSWORD)
                key = (state_dir / FILE_NAME).read_text().strip()
                canaries.add("encryption key", key)
                canaries.add("encryption key", base64.b64decode(key).hex())
                yield Installation(sandbox, services, instance, state_dir, canaries, logs)
        close_services()


@pytest.mark.large
def test_no_secret_is_left_anywhere(installation: Installation) -> None:
    _live(installation)

    assert installation.leaks() == []

    _leave_secrets_behind(installation)
    places = {leak.place for leak in installation.leaks()}
    assert places >= {
        "bank.teams.name",
        "dagster.kvs.value",
        "bank.raw_payloads.body",
        str(installation.state_dir / "cache" / "forgotten"),
        "failure",
        "logs",
    }
    assert "written logs" not in places


def _live(one: Installation) -> None:
    """Link, sync, fail in every way, repair, and end, inside Dagster and outside."""
    world, sync = one.sandbox.world, one.services.sync
    world.add_booked(CHECKING, Decimal("-4.50"))
    first, second = one.link("login-1"), one.link("login-2")
    assert one.run_dagster(timedelta(seconds=1)) == [True, True]
    assert all(one.run_dagster(READY))
    retries = build_plaid(Settings(), retry=QUICK)
    hasty = SyncRequest(first, SyncReason.MANUAL)
    quick = replace(sync, providers={Provider.PLAID: retries}, clock=one.sandbox.clock.now)
    for operation, fault in product(OPERATIONS, FAULTS):
        world.add_booked(CHECKING, Decimal("-1.25"))
        one.sandbox.faults.add(operation, fault, times=2)
        one.suffer(f"{operation} {fault}", lambda: sync_connection(quick, hasty))
        one.sandbox.faults.clear()
        one.sandbox.plaid.announcer.repair(next(iter(one.sandbox.plaid.items)), sync.clock())
    retries.close()
    for operation in ("/link/token/create", "/link/token/get", "/item/public_token/exchange"):
        one.sandbox.faults.add(operation, Fault(FaultKind.ERROR, code="INVALID_FIELD"))
        one.suffer(operation, lambda: one.link("login-3"))
        one.sandbox.faults.clear()
    for fault in (Fault(FaultKind.RESET), Fault(FaultKind.ERROR, code="ITEM_LOGIN_REQUIRED")):
        one.sandbox.faults.add("/transactions/sync", fault, times=None)
        world.add_booked(CHECKING, Decimal("-2.50"))
        one.run_dagster(timedelta(hours=25))
        one.sandbox.faults.clear()
    one.suffer("bad token", lambda: _link_with_a_spent_token(one))
    one.suffer("unopened", lambda: _sync_with_an_altered_credential(one, second))
    one.suffer("disconnect", lambda: disconnect(sync, first))
    one.suffer("credential", lambda: _load(one, second))
    one.said["reprs"] = repr([one.services, sync, sync.providers, sync.vault, sync.engine.url])
    assert any("failed" in line for line in one.logs.lines)
    assert {"bank.credentials", "dagster.event_logs"} <= table_names(sync.engine)


def _link_with_a_spent_token(one: Installation) -> object:
    token = "public-sandbox-canary-55d0"
    one.canaries.add("public token", token)
    return link_with_token(one.services.sync, Provider.PLAID, SecretStr(token), team_name="home")


def _sync_with_an_altered_credential(one: Installation, connection_id: ConnectionId) -> object:
    with one.services.sync.engine.begin() as db:
        db.execute(sa.text("UPDATE bank.credentials SET ciphertext = ciphertext || '\\x00'"))
    return one.sync(connection_id)


def _load(one: Installation, connection_id: ConnectionId) -> object:
    with one.services.sync.engine.connect() as db:
        return load_credential(db, connection_id, one.services.sync.vault)


def _leave_secrets_behind(one: Installation) -> None:
    """Prove that the search can fail: plain, compressed, escaped, in a file, in words."""
    token = next(iter(one.sandbox.plaid.items)).access_token
    with one.services.sync.engine.begin() as db:
        db.execute(sa.text("UPDATE bank.teams SET name = :text"), {"text": f"my {token}"})
        db.execute(
            sa.text("INSERT INTO dagster.kvs (key, value) VALUES ('forgotten', :text)"),
            {"text": base64.b64encode(CLIENT_SECRET.encode()).decode()},
        )
        db.execute(
            sa.text("UPDATE bank.raw_payloads SET body = :body"),
            {"body": zlib.compress(f'{{"access_token": "{token}"}}'.encode())},
        )
    (one.state_dir / "cache" / "forgotten").write_text(f"key={CLIENT_SECRET}")
    one.said["failure"] = f"ValueError: {token}"
    _log_carelessly(one, token)


def _log_carelessly(one: Installation, token: str) -> None:
    """Say what must not be said, in the ways in which it happens."""
    log = logging.getLogger("dagster.careless")
    log.info("asking with %s", token)
    log.info("asked", extra={"access_token": token, "settings": {"plaid_secret": CLIENT_SECRET}})
    log.info("settings: %r", {"PLAID_SECRET": CLIENT_SECRET, "password": DATABASE_PASSWORD})
    log.info("postgresql://me:%s@db/bank", DATABASE_PASSWORD)
    error = ValueError(f"{DATABASE_PASSWORD} {CLIENT_SECRET} {token}")
    log.error("it failed: %s", error, exc_info=error)
    assert any(DATABASE_PASSWORD in line for line in one.logs.lines)
