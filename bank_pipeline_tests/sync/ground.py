"""A whole pipeline over simulated banks, without Dagster: link, sync, look, compare."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx
import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.bootstrap import Services
from bank_pipeline.cli.proof import compare_connection
from bank_pipeline.config import Settings
from bank_pipeline.domain.connection import Connection, Provider
from bank_pipeline.domain.ids import ConnectionId, LinkSessionId
from bank_pipeline.gateway.serve import GatewayThread
from bank_pipeline.providers.cache import build_file_cache
from bank_pipeline.providers.http import fetch_json
from bank_pipeline.providers.plaid.provider import PlaidProvider
from bank_pipeline.providers.retry import Retry
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.sandbox.life import CALM, Temper
from bank_pipeline.sandbox.plaid.options import PlaidOptions
from bank_pipeline.sandbox.serve import USUAL_START, SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.consents import store_next_consent
from bank_pipeline.storage.credentials import Vault, load_credential
from bank_pipeline.storage.evidence import load_evidence
from bank_pipeline.storage.listing import load_unhandled_events
from bank_pipeline.storage.sync_runs import SyncRun, load_sync_runs
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.link import complete_link, start_link
from bank_pipeline.sync.linked import LinkState
from bank_pipeline.sync.reports import ALL_STEPS, Step, SyncReason, SyncReport, SyncRequest

READY: Final = timedelta(minutes=2)  # Plaid has handed over the whole history by then
TICK: Final = timedelta(milliseconds=1)
COUNTRIES: Final = ("US", "GB", "DE", "FR", "CA")
CHECKING: Final = "acc-1-1"  # login-1 is at First Harbor Bank: checking, savings, card, mortgage
SAVINGS: Final = "acc-1-2"
CARD: Final = "acc-1-3"
SYNC: Final = "/transactions/sync"
ACCOUNTS: Final = "/accounts/get"


@dataclass(frozen=True)
class Row:
    """One stored transaction, live or not, as tests look at it."""

    id: str
    external_id: str
    pending_external_id: str | None
    status: str
    amount: Decimal | None
    currency: str | None
    unofficial_currency: str | None
    description: str
    is_removed: bool
    version: str  # Postgres' own: changes with every write, needless ones too


@dataclass
class Ground:
    """
    Simulated banks and a pipeline that watches them, on one virtual clock.

    `slept` are the waits inside calls, which nobody waited for.
    """

    sandbox: SandboxServer
    context: SyncContext
    cache_dir: Path
    slept: list[float] = field(default_factory=list)

    @property
    def world(self) -> World:
        """The banks."""
        return self.sandbox.world

    @property
    def engine(self) -> sa.Engine:
        """The pipeline's database."""
        return self.context.engine

    # Linking.

    def begin_link(
        self, *, renews: ConnectionId | None = None, team: str = "home"
    ) -> tuple[LinkSessionId, str]:
        """Begin a link or a renewal; return its session and the page for the customer."""
        started = start_link(self.context, Provider.PLAID, team_name=team, renews=renews)
        return started.session_id, started.url

    def decide(self, url: str, login: str = "login-1", *accounts: str) -> None:
        """Agree on the hosted page, sharing all accounts of the login or those named."""
        choice = {"outcome": "success", "login": login, "account": list(accounts)}
        httpx.post(url, data=choice).raise_for_status()

    def leave(self, url: str) -> None:
        """Leave the hosted page without agreeing."""
        httpx.post(url, data={"outcome": "exit"}).raise_for_status()

    def complete(self, session_id: LinkSessionId) -> LinkState:
        """Ask how the link stands."""
        return complete_link(self.context, session_id)

    def link(self, login: str = "login-1", *accounts: str) -> ConnectionId:
        """Link a login through the hosted page."""
        session_id, url = self.begin_link()
        self.decide(url, login, *accounts)
        return self.complete(session_id).connection_ids[0]

    def link_ready(self, login: str = "login-1", *accounts: str) -> ConnectionId:
        """Link a login and sync it when its whole history is there."""
        connection_id = self.link(login, *accounts)
        self.sandbox.advance(READY)
        self.sync(connection_id)
        return connection_id

    # Syncing.

    def add_next_consent(
        self, connection: ConnectionId, external_id: str, *, like: ConnectionId
    ) -> None:
        """Have a consent wait beside the one in use, which opens what another connection's does."""
        vault, now = self.context.vault, self.context.clock()
        with self.engine.begin() as db:
            store_next_consent(
                db,
                connection,
                Provider.PLAID,
                external_id=external_id,
                credential=load_credential(db, like, vault),
                institution=(None, None),
                consent_expires_at=None,
                told=None,
                vault=vault,
                now=now,
            )

    def sync(
        self,
        connection_id: ConnectionId,
        reason: SyncReason = SyncReason.MANUAL,
        steps: frozenset[Step] = ALL_STEPS,
    ) -> SyncReport:
        """Sync a moment later: no two syncs happen at once, and a balance has a newest word."""
        self.sandbox.clock.advance(TICK)
        return sync_connection(self.context, SyncRequest(connection_id, reason, steps))

    def pass_time(self, delta: timedelta) -> None:
        """Let virtual time pass."""
        self.sandbox.advance(delta)

    def fail(
        self,
        operation: str,
        kind: FaultKind | str,
        *,
        times: int | None = 1,
        after: int = 0,
        **fields: Any,
    ) -> None:
        """Let calls fail: with a fault, or with an error of Plaid's when it is a code."""
        if isinstance(kind, FaultKind):
            fault = Fault(kind, **fields)
        else:
            fault = Fault(FaultKind.ERROR, code=kind, **fields)
        self.sandbox.faults.add(operation, fault, times=times, after=after)

    # Looking.

    def connection(self, connection_id: ConnectionId) -> Connection:
        """Return the stored connection."""
        with self.engine.connect() as db:
            return load_connection(db, connection_id)

    def runs(self, connection_id: ConnectionId) -> list[SyncRun]:
        """Return the connection's syncs, in their order."""
        with self.engine.connect() as db:
            return load_sync_runs(db, connection_id, limit=1000)[::-1]

    def rows(self, *, removed: bool = False) -> list[Row]:
        """Return the stored transactions, oldest first: the live ones, or the removed ones."""
        query = f"""
            SELECT id::text, external_id, pending_external_id, status, amount, currency,
                   unofficial_currency, description, removed_at IS NOT NULL, xmin::text
            FROM bank.transactions WHERE removed_at IS {"NOT NULL" if removed else "NULL"}
            ORDER BY id
        """
        return [Row(*row) for row in self.query(query)]

    def row(self, **wanted: Any) -> Row:
        """Return the one live row whose fields are these."""
        [found] = [
            row for row in self.rows() if all(getattr(row, k) == v for k, v in wanted.items())
        ]
        return found

    def query(self, sql: str, **parameters: Any) -> Sequence[Any]:
        """Ask the database."""
        with self.engine.connect() as db:
            return db.execute(sa.text(sql), parameters).all()

    def execute(self, sql: str, **parameters: Any) -> None:
        """Do to the database what no sync does."""
        with self.engine.begin() as db:
            db.execute(sa.text(sql), parameters)

    def count(self, table: str) -> int:
        """Count a table's rows."""
        return int(self.query(f"SELECT count(*) FROM bank.{table}")[0][0])

    def events(self, connection_id: ConnectionId) -> list[tuple[str | None, str, str | None]]:
        """Return the connection's history: from, to, reason."""
        found = self.query(
            "SELECT from_status, to_status, reason FROM bank.connection_events"
            " WHERE connection_id = :id ORDER BY id",
            id=connection_id,
        )
        return [(row[0], row[1], row[2]) for row in found]

    def calls(self, operation: str = SYNC) -> int:
        """Count the calls that the sandbox received."""
        found = fetch_json(f"{self.sandbox.url}/_sim/calls")["calls"]
        return sum(call["count"] for call in found if call["operation"] == operation)

    def switch(self, path: str, **body: Any) -> None:
        """Use one of the sandbox's own switches."""
        httpx.post(f"{self.sandbox.url}/_sim/{path}", json=body).raise_for_status()

    def break_item(
        self, connection_id: ConnectionId, code: str = "ITEM_LOGIN_REQUIRED", *, tell: bool = False
    ) -> None:
        """Put the Item into an error at Plaid; `tell` sends the webhook."""
        external_id = self.connection(connection_id).external_id
        self.switch(f"items/{external_id}/break", code=code, webhook=tell)

    def repair_item(self, connection_id: ConnectionId, *, tell: bool = False) -> None:
        """Heal the Item elsewhere; `tell` sends the webhook."""
        self.switch(f"items/{self.connection(connection_id).external_id}/repair", webhook=tell)

    def churn(self, connection_id: ConnectionId, world_account_id: str) -> None:
        """Have Plaid lose track of an account, and tell of it under another id."""
        external_id = self.connection(connection_id).external_id
        account_id = self.account_id(connection_id, world_account_id)
        self.switch(f"items/{external_id}/churn", account_id=account_id)

    def fire(self, connection_id: ConnectionId, code: str) -> None:
        """Have Plaid send a webhook, true or not, and wait until it was tried."""
        item = self.sandbox.plaid.item(self.connection(connection_id).external_id)
        keys = {"client_id": "sandbox-client", "secret": "sandbox-secret"}
        body = {**keys, "access_token": item.access_token, "webhook_code": code}
        url = f"{self.sandbox.url}/sandbox/item/fire_webhook"
        httpx.post(url, json=body).raise_for_status()
        self.sandbox.settle()

    def waiting(self) -> list[ConnectionId]:
        """Return the connections with events that no sync has covered, as the sensor sees them."""
        now = self.context.clock()
        with self.engine.connect() as db:
            return [one.connection_id for one in load_unhandled_events(db, now=now, limit=1000)]

    def account_id(self, connection_id: ConnectionId, world_account_id: str) -> str:
        """Return Plaid's id of one of the world's accounts."""
        [found] = [
            external_id
            for external_id, account in self._truth(connection_id)["accounts"].items()
            if account["world_account_id"] == world_account_id and account["listed"]
        ]
        return str(found)

    def differences(self, connection_id: ConnectionId) -> list[str]:
        """Return everything in which our tables differ from the banks."""
        with self.engine.connect() as db:
            held = load_evidence(db, connection_id)
        compared = compare_connection("bank", self._truth(connection_id), held)
        return [f"{one.account}: {text}" for one in compared for text in one.differences]

    def true_count(self, connection_id: ConnectionId) -> int:
        """Count the transactions that the banks show."""
        accounts = self._truth(connection_id)["accounts"].values()
        return sum(len(account["transactions"]) for account in accounts)

    def _truth(self, connection_id: ConnectionId) -> dict[str, Any]:
        external_id = self.connection(connection_id).external_id
        truth: dict[str, Any] = fetch_json(f"{self.sandbox.url}/_sim/truth?item_id={external_id}")
        return truth


@contextmanager
def sandbox_server(
    *, seed: int = 7, quiet: bool = True, temper: Temper | None = None, **options: Any
) -> Iterator[SandboxServer]:
    """Serve a world: a `quiet` one does only what a test scripts."""
    world = World(
        seed,
        clock=VirtualClock(USUAL_START),
        quiet=quiet,
        history_days=120,
        temper=temper or CALM,
    )
    with SandboxServer(
        seed=seed, world=world, options=PlaidOptions(**{"limit_scale": None, **options})
    ) as server:
        yield server


@contextmanager
def ground_over(
    sandbox: SandboxServer, engine: sa.Engine, vault: Vault, folder: Path, **named: Any
) -> Iterator[Ground]:
    """Put the pipeline over a sandbox; `named` are settings of the provider."""
    slept: list[float] = []
    provider = build_provider(sandbox.url, Retry(3, 30.0, slept.append), **named)
    context = SyncContext(
        engine=engine,
        providers={Provider.PLAID: provider},
        vault=vault,
        clock=sandbox.clock.now,
        cache=build_file_cache(folder),
    )
    try:
        yield Ground(sandbox, context, folder, slept)
    finally:
        provider.close()


@contextmanager
def gateway_over(ground: Ground) -> Iterator[tuple[Ground, str]]:
    """Run the real gateway; yield the ground whose links announce it, and its URL."""
    services = Services(settings=Settings(_env_file=None), sync=ground.context)
    with GatewayThread(services) as gateway:
        url = f"{gateway.url}/webhooks/plaid"
        provider = build_provider(
            ground.sandbox.url, Retry(3, 30.0, ground.slept.append), webhook_url=url
        )
        context = replace(ground.context, providers={Provider.PLAID: provider})
        try:
            yield replace(ground, context=context), gateway.url
        finally:
            provider.close()


def build_provider(
    url: str,
    retry: Retry,
    *,
    client_id: str = "sandbox-client",
    secret: str = "sandbox-secret",  # noqa: S107 - opens nothing but the simulator
    timeout_s: float = 5.0,
    webhook_url: str | None = None,
) -> PlaidProvider:
    """Build the real provider for a sandbox."""
    return PlaidProvider(
        client_id=client_id,
        secret=SecretStr(secret),
        base_url=url,
        timeout_s=timeout_s,
        country_codes=COUNTRIES,
        language="en",
        client_name="Books",
        redirect_uri=None,
        webhook_url=webhook_url,
        days_requested=730,
        retry=retry,
    )
