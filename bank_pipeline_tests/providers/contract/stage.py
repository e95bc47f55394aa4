"""Simulated banks behind all four providers, and the pipeline that watches them."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx
import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.cli.proof import compare_connection
from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.providers.base import ProviderClient
from bank_pipeline.providers.http import fetch_json
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline.storage.account_questions import ListedQuestion, list_questions
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.credentials import Vault, load_credential
from bank_pipeline.storage.evidence import load_evidence
from bank_pipeline.storage.sync_runs import SyncRun, load_sync_runs
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.link import accept_return, complete_link, find_link_widget, start_link
from bank_pipeline.sync.linked import LinkState
from bank_pipeline.sync.reports import SyncReason, SyncReport, SyncRequest
from bank_pipeline_tests.providers.contract.banks import GATEWAY, Banks
from bank_pipeline_tests.providers.contract.cases import Case

READY: Final = timedelta(minutes=2)  # by then every provider has handed over the whole history
TICK: Final = timedelta(milliseconds=1)
ANCHOR: Final = Decimal("7.77")


@dataclass(frozen=True)
class Row:
    """
    One stored transaction.

    `whole` is every column as text. `version` is Postgres' own: it changes with every write.
    """

    id: str
    external_id: str
    account: str
    status: str
    amount: Decimal | None
    description: str
    whole: str
    is_removed: bool
    version: str


@dataclass
class Stage:
    """One provider's banks and a pipeline with an empty database."""

    case: Case
    banks: Banks
    context: SyncContext
    passed: dict[str, str] = field(default_factory=dict)
    """What went through the browser in links so far, by its name there."""

    @property
    def sandbox(self) -> SandboxServer:
        return self.banks.sandbox

    @property
    def world(self) -> World:
        return self.banks.sandbox.world

    @property
    def provider(self) -> ProviderClient:
        """Our client of the provider."""
        return self.context.provider(self.case.provider)

    # Linking, as a browser does.

    def new_login(self, *, is_idle: bool = False) -> str:
        """
        Bring a customer of the case's bank.

        Unless they are idle, each account has one old row, which `live` leaves out: of an
        account that shows nothing at all, nothing is ever concluded to be gone.
        """
        login = self.world.add_login(self.case.bank_id)
        for account in () if is_idle else self.world.login_accounts(login.id):
            self.world.add_booked(account.id, ANCHOR, description="Anchor")
        return login.id

    def account(self, login: str, kind: AccountKind = AccountKind.CHECKING) -> str:
        """Return the world's id of a login's account of a kind."""
        accounts = self.world.login_accounts(login)
        return next(one.id for one in accounts if one.kind is kind)

    def consent(
        self, login: str, *kinds: AccountKind, renews: ConnectionId | None = None
    ) -> LinkState:
        """Go through a link, or a renewal, and share the accounts of these kinds, else all."""
        return self.agreed(login, *kinds, renews=renews)()

    def agreed(
        self, login: str, *kinds: AccountKind, renews: ConnectionId | None = None
    ) -> Callable[[], LinkState]:
        """Do the same at the provider; what is returned ends the link here."""
        accounts = self.world.login_accounts(login)
        shared = [one.id for one in accounts if one.kind in kinds] if kinds else None
        capabilities = self.provider.capabilities
        needs_bank = capabilities.is_institution_chosen_first and renews is None
        page = f"{GATEWAY}/link/widget/{self.case}" if capabilities.is_linked_on_our_page else None
        started = start_link(
            self.context,
            self.case.provider,
            team_name="home",
            institution=self.institution_of(login) if needs_bank else None,
            renews=renews,
            return_url=page,
        )
        self.passed["url"] = started.url
        with _unheard():
            returned = (self._use_widget if page else self.agree)(started.url, login, shared)
        self.passed |= returned
        if not returned:
            return partial(complete_link, self.context, started.session_id)
        return partial(accept_return, self.context, self.case.provider, returned)

    def link(self, login: str, *kinds: AccountKind) -> ConnectionId:
        """Link a login's accounts of these kinds, else all; their history is ready then."""
        connection_id = self.consent(login, *kinds).connection_ids[0]
        self.sandbox.advance(READY)
        return connection_id

    def linked(self, *kinds: AccountKind) -> tuple[str, ConnectionId]:
        """Link a new login's accounts of these kinds, else the current one, and sync them."""
        login = self.new_login()
        connection_id = self.link(login, *(kinds or [AccountKind.CHECKING]))
        self.sync(connection_id)
        return login, connection_id

    # Syncing.

    def sync(
        self, connection_id: ConnectionId, reason: SyncReason = SyncReason.MANUAL
    ) -> SyncReport:
        """Sync a moment later: no two syncs happen at once."""
        self.sandbox.clock.advance(TICK)
        return sync_connection(self.context, SyncRequest(connection_id, reason))

    def pass_time(self, delta: timedelta) -> None:
        """Let virtual time pass."""
        self.sandbox.advance(delta)

    def fail(
        self,
        operation: str,
        kind: FaultKind | str,
        *,
        subject: str = "*",
        times: int | None = 1,
        after: int = 0,
        **fields: Any,
    ) -> None:
        """Let calls fail: with a fault, or with an error of the provider's when it is a code."""
        if isinstance(kind, FaultKind):
            fault = Fault(kind, **fields)
        else:
            fault = Fault(FaultKind.ERROR, code=kind, **fields)
        self.sandbox.faults.add(operation, fault, subject=subject, times=times, after=after)

    def heal(self) -> None:
        """End all faults."""
        self.sandbox.faults.clear()

    # Looking.

    def connection(self, connection_id: ConnectionId) -> Connection:
        """Return the stored connection."""
        with self.context.engine.connect() as db:
            return load_connection(db, connection_id)

    def last_run(self, connection_id: ConnectionId) -> SyncRun:
        """Return the connection's newest sync."""
        with self.context.engine.connect() as db:
            return load_sync_runs(db, connection_id, limit=1)[0]

    def rows(self) -> list[Row]:
        """Return the stored transactions, removed ones too."""
        query = """
            SELECT t.id::text, t.external_id, a.name, t.status, t.amount, t.description,
                   t::text, t.removed_at IS NOT NULL OR t.status = 'vanished', t.xmin::text
            FROM bank.transactions t JOIN bank.accounts a ON a.id = t.account_id ORDER BY t.id
        """
        return [Row(*row) for row in self.query(query)]

    def live(self, **wanted: Any) -> list[Row]:
        """Return the live rows that a test brought, those whose fields are these."""
        return [
            row
            for row in self.rows()
            if not row.is_removed
            and row.amount != ANCHOR
            and all(getattr(row, name) == value for name, value in wanted.items())
        ]

    def session(self) -> sa.Connection:
        """Open a session that commits each statement, as a sync's own does."""
        return self.context.engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def query(self, sql: str, **parameters: Any) -> Sequence[Any]:
        """Ask the database."""
        with self.context.engine.connect() as db:
            return db.execute(sa.text(sql), parameters).all()

    def versions(self) -> dict[str, list[str]]:
        """Return what changes with every write of accounts, balances and transactions."""
        return {
            table: [
                str(row[0]) for row in self.query(f"SELECT xmin::text FROM bank.{table} ORDER BY 1")
            ]
            for table in ("accounts", "balances", "transactions", "transaction_revisions")
        }

    def truth(self, connection_id: ConnectionId) -> dict[str, Any]:
        """Return what the banks say."""
        return self._truth_of(self.connection(connection_id).external_id)

    def _truth_of(self, external_id: str) -> dict[str, Any]:
        url = f"{self.sandbox.url}/_sim/{self.case.truth_path}{external_id}"
        truth: dict[str, Any] = fetch_json(url)
        return truth

    def calls(self) -> Counter[tuple[str, str]]:
        """Count what came to a wing of the sandbox so far, by operation and account."""
        return Counter(self.sandbox.wings[str(self.case)].calls)

    def credential(self, connection_id: ConnectionId) -> SecretStr:
        """Return what opens the connection at the provider."""
        with self.context.engine.connect() as db:
            return load_credential(db, connection_id, self.context.vault)

    def external_ids(self) -> list[str]:
        """Return the connections that the provider holds open."""
        found = fetch_json(f"{self.sandbox.url}/_sim/{self.case.truth_path.partition('?')[0]}")
        shown = found.get("connections") or found.get("items") or []
        return [one.get("external_id") or one.get("item_id") for one in shown]

    def account_id(self, connection_id: ConnectionId, world_account_id: str) -> str:
        """Return the provider's id of one of the world's accounts."""
        return _name_of(world_account_id, self.truth(connection_id))

    def next_consent(self) -> str:
        """Return the provider's id of the consent that waits to be read by."""
        [[external_id]] = self.query("SELECT external_id FROM bank.next_consents")
        return str(external_id)

    def next_account_id(self, world_account_id: str) -> str:
        """Return the provider's id of an account under the consent that waits to be read by."""
        return _name_of(world_account_id, self._truth_of(self.next_consent()))

    def questions(self) -> list[ListedQuestion]:
        """Return what is asked of people, the oldest first."""
        with self.context.engine.connect() as db:
            return list_questions(db)

    def differences(self, connection_id: ConnectionId) -> list[str]:
        """Return everything in which our tables differ from the banks."""
        with self.context.engine.connect() as db:
            held = load_evidence(db, connection_id)
        compared = compare_connection("bank", self.truth(connection_id), held)
        assert compared, "a linked bank shows accounts"
        return [f"{one.account}: {text}" for one in compared for text in one.differences]

    def true_count(self, connection_id: ConnectionId) -> int:
        """Count the transactions that the banks show."""
        accounts = self.truth(connection_id)["accounts"].values()
        return sum(len(account["transactions"]) for account in accounts)

    def agree(self, url: str, login: str, shared: Sequence[str] | None) -> dict[str, str]:
        """Agree on the provider's page; return what the browser brings back to us."""
        chosen = {} if shared is None else {"account": list(shared)}
        choice = {"outcome": self.case.consent_word, "login": login, **chosen}
        answer = httpx.post(url, data=choice)
        if not answer.is_redirect:
            answer.raise_for_status()
            return {}
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))

    def _use_widget(self, url: str, login: str, shared: Sequence[str] | None) -> dict[str, str]:
        """Do what the widget does in a browser; return what it hands over."""
        state = dict(parse_qsl(urlsplit(url).query))["state"]
        widget = find_link_widget(self.context, self.case.provider, state)
        asked = {
            "login": login,
            "account": shared,
            "nonce": widget.settings["nonce"],
            "enrollment_id": widget.settings.get("enrollmentId"),
        }
        answer = httpx.post(f"{self.sandbox.url}/_sim/{self.case}/connect", json=asked)
        done = answer.raise_for_status().json()
        return {
            "state": state,
            "access_token": done["accessToken"],
            "enrollment_id": done["enrollment"]["id"],
            "institution_name": done["enrollment"]["institution"]["name"],
            "user_id": done["user"]["id"],
            "signatures": ",".join(done.get("signatures", [])),
        }

    def institution_of(self, login: str) -> str:
        bank = self.world.banks[self.world.logins[login].bank_id]
        offered = self.provider.fetch_institutions().institutions
        return next(
            one.external_id
            for one in offered
            if one.name == bank.name and bank.country in one.countries
        )


def _name_of(world_account_id: str, truth: Mapping[str, Any]) -> str:
    accounts = truth["accounts"].items()
    return next(str(key) for key, one in accounts if one["world_account_id"] == world_account_id)


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep what browsers do out of our logs: it is not ours."""
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def stage_of(case: Case, banks: Banks, engine: sa.Engine, vault: Vault) -> Iterator[Stage]:
    """Put the pipeline over the banks of one provider; no fault outlives the test."""
    context = SyncContext(
        engine=engine,
        providers=banks.providers,
        vault=vault,
        clock=banks.sandbox.clock.now,
        cache=banks.cache,
    )
    try:
        yield Stage(case, banks, context)
    finally:
        banks.sandbox.faults.clear()
