"""
A sweep through everything an installation leaves behind, for what may not lie about in clear.

Four providers, real Dagster runs, a real gateway and a cluster of its own; every kind of failure on
the way. `sync/test_secrets.py` looks closer at one provider and at the texts of errors.
"""

import base64
import gc
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import sqlalchemy as sa

from bank_pipeline.cli.playground import Playground, playground
from bank_pipeline.cli.simulated import CAST, TEAM, link_simulated_banks
from bank_pipeline.domain.access import KeyScope
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.gateway.app import API
from bank_pipeline.gateway.visits import COOKIE
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.sandbox.gocardless.options import GoCardlessOptions
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline.storage.api_keys import insert_api_key
from bank_pipeline.storage.connections import ensure_team
from bank_pipeline.storage.keys import FILE_NAME
from bank_pipeline.sync.page_links import make_connect_link
from bank_pipeline_tests.environment import kept_environment
from bank_pipeline_tests.scanning import Finding, scan_cluster, scan_files, scan_texts
from bank_pipeline_tests.sync.leaks import Canaries, Recorder, recorded_logs

START: Final = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
STAGES: Final = (timedelta(seconds=1), timedelta(seconds=15), timedelta(minutes=2))
DAY: Final = timedelta(days=1)
LOGGERS: Final = ("dagster", "urllib3", "httpx", "httpcore", "alembic", "sqlalchemy", "uvicorn")
TROUBLES: Final = (
    Fault(FaultKind.HTTP_STATUS, status=502),
    Fault(FaultKind.HTML_BODY),
    Fault(FaultKind.EMPTY_BODY),
    Fault(FaultKind.RESET),
    Fault(FaultKind.RESET_BODY, after_bytes=40),
    Fault(FaultKind.TRUNCATED_BODY, after_bytes=120),
    Fault(FaultKind.LOST_ANSWER),
    Fault(FaultKind.REDIRECT),
    Fault(FaultKind.RATE_LIMITED, status=429, retry_after="7"),
    Fault(FaultKind.STRING_AMOUNTS),
    Fault(FaultKind.NAN_AMOUNTS),
    Fault(FaultKind.UNKNOWN_ACCOUNT_ID),
    Fault(FaultKind.LOGIN_REQUIRED),
)
EVERY: Final = 4  # calls between two troubles
OWN_FILES: Final = frozenset({FILE_NAME, "sandbox-ca.pem"})
TOLD_BY_BANKS: Final = (
    "bank.transactions.counterparty_identifiers",
    "bank.transactions.details",
    "bank.accounts.holder_name",
)
FOLLOWS_ROWS: Final = ("bank.transaction_revisions.changes",)
VISITOR: Final = ("httpx", "httpcore")
"""What writes of the visitor's own client, which is this test."""


@dataclass
class Life:
    """One installation, what may not lie about, and what it answered."""

    ground: Playground
    gateway: str
    canaries: Canaries = field(default_factory=Canaries)
    answers: dict[str, str] = field(default_factory=dict)

    def link(self) -> list[ConnectionId]:
        """Link everybody's bank, and look out for what opens it and for who they are."""
        ids = link_simulated_banks(self.ground.services)
        self.watch_for_the_banks()
        return ids

    def watch_for_the_banks(self) -> None:
        sandbox = self.ground.sandbox
        for item in sandbox.plaid.items:
            self.canaries.add(f"Plaid's token of {item.item_id}", item.access_token)
        teller: Any = sandbox.wings["teller"]
        for enrollment in teller.enrollments:
            self.canaries.add("Teller's token", enrollment.token)
        for account in sandbox.world.accounts.values():
            if account.iban is not None:
                self.canaries.add(f"IBAN of {account.id}", account.iban)
        for login in sandbox.world.logins.values():
            self.canaries.add(f"name of {login.id}", login.person_name)
            self.canaries.add(f"username of {login.id}", login.username)

    def watch_for_our_own(self, state_dir: Path) -> None:
        """Look out for what opens our doors, and what providers know us by."""
        key = (state_dir / FILE_NAME).read_text().strip()
        self.canaries.add("encryption key", key)
        self.canaries.add("encryption key in bytes", base64.b64decode(key).hex())
        settings = self.ground.services.settings
        for name, value in (
            ("secret of Plaid", settings.plaid_secret),
            ("secret of Teller's webhooks", settings.teller_signing_secret),
        ):
            if value is not None:
                self.canaries.add(name, value.get_secret_value())
        self.canaries.add("secret of GoCardless", GoCardlessOptions().secret_key)
        enable_banking: Any = self.ground.sandbox.wings["enable_banking"]
        line = enable_banking.private_key_pem.splitlines()[1]
        self.canaries.add("key of Enable Banking", line)

    def trouble(self) -> None:
        """Have every fourth call fail, each in its own way."""
        faults = self.ground.sandbox.faults
        for number, fault in enumerate(TROUBLES):
            faults.add("*", fault, after=number * EVERY)

    def forge(self) -> None:
        """Send webhooks that tell secrets to whoever keeps what is refused."""
        forged = f"canary-forged-{secrets.token_hex(8)}"
        self.canaries.add("words of a forged webhook", forged)
        for provider in (Provider.PLAID, Provider.TELLER):
            url = f"{self.gateway}/webhooks/{provider}"
            body = {"webhook_type": forged, "item_id": forged, "id": forged}
            headers = {"Plaid-Verification": forged, "Teller-Signature": f"t=1,v1={forged}"}
            assert httpx.post(url, json=body, headers=headers).status_code == 401

    def visit(self, ids: list[ConnectionId]) -> None:
        """Ask the gateway for all it has, as a program and as a person."""
        sync = self.ground.services.sync
        now = sync.clock()
        with sync.engine.begin() as db:
            team_id = ensure_team(db, TEAM, now=now)
            key = insert_api_key(db, team_id, name="sweep", scope=KeyScope.MANAGE, now=now)
        token = key.get_secret_value()
        self.canaries.add("key of the API", token)
        link = make_connect_link(sync, team_id, base_url=self.gateway).get_secret_value()
        self.canaries.add("link that was sent", link.rpartition("/")[2])
        with httpx.Client(timeout=30, follow_redirects=True) as guest:
            self.note("/l/…", guest.get(link))
        with httpx.Client(base_url=self.gateway, timeout=30) as http:
            headers = {"Authorization": f"Bearer {token}"}
            for path in api_paths(ids):
                self.note(path, http.get(path, headers=headers))
            http.post("/login", data={"key": token})
            self.canaries.add("cookie", http.cookies[COOKIE])
            for path in page_paths(ids):
                self.note(path, http.get(path))
            for path in ("/live", "/ready", "/metrics", "/api/v1/nothing", "/login"):
                self.answers[path] = http.get(path).text

    def note(self, path: str, answer: httpx.Response) -> None:
        """Keep an answer with its headers."""
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:200]}"
        self.answers[path] = f"{answer.headers}\n{answer.text}"


def api_paths(ids: list[ConnectionId]) -> Iterator[str]:
    for name in ("team", "connections", "accounts", "balances", "sync-runs", "institutions"):
        yield f"{API}/{name}"
    yield f"{API}/transactions?limit=500"
    yield f"{API}/transactions.csv"
    yield f"{API}/openapi.json"
    for one in ids:
        yield f"{API}/connections/{one}"


def page_paths(ids: list[ConnectionId]) -> Iterator[str]:
    yield from ("/connections", "/connect")
    for one in ids:
        yield f"/connections/{one}"
        yield f"/connections/{one}/disconnect"


def sweep(life: Life, logs: Recorder, folder: Path) -> list[Finding]:
    """Search the cluster, the files of the installation, its logs and its answers."""
    url = life.ground.services.sync.engine.url.render_as_string(hide_password=False)
    texts: Mapping[str, str] = {
        "logs": "\n".join(line for line in logs.lines if not line.startswith(VISITOR)),
        "written logs": "\n".join(logs.written),
        **{f"answer {path}": text for path, text in life.answers.items()},
    }
    found = {
        *scan_cluster(url, life.canaries),
        *scan_files([folder], life.canaries),
        *scan_texts(texts, life.canaries),
    }
    told = {one.canary for one in found if one.place.endswith(TOLD_BY_BANKS)}
    return sorted(one for one in found if not may_be_there(one, told))


def may_be_there(finding: Finding, told: set[str]) -> bool:
    """
    Say whether it is documented: keys in their files, and what banks told analysts.

    `told` are those that a bank told in a row that analysts read: the number of the
    counterparty, which here is at times another account of the same customer. Such a number lies
    where rows lie, in the server's statistics and in its own files too, and nowhere else.
    """
    place = finding.place
    if Path(place).name in OWN_FILES:
        return True
    in_rows = place.endswith((*TOLD_BY_BANKS, *FOLLOWS_ROWS))
    is_servers = "/state/pg/" in place or "pg_catalog.pg_statistic" in place
    return finding.canary in told and (in_rows or is_servers)


@pytest.mark.large
@pytest.mark.xdist_group("processes")
@pytest.mark.timeout(400)
def test_nothing_secret_lies_about_after_a_life_full_of_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    No token, key, account number, name or link in any database, file, log or answer.

    And what is planted is found, in each of those places.
    """
    monkeypatch.chdir(tmp_path)
    world = World(7, clock=VirtualClock(START), logins=len(CAST), history_days=40)
    state_dir = tmp_path / "state"
    with (
        kept_environment(),
        recorded_logs(*LOGGERS) as logs,
        SandboxServer(world=world, seed=7) as sandbox,
        playground(state_dir, sandbox) as ground,
    ):
        life = Life(ground, os.environ["BANK_PIPELINE_GATEWAY_URL"])
        life.watch_for_our_own(state_dir)
        ids = life.link()
        for wait in STAGES:
            ground.pass_time(wait)
        life.trouble()
        life.forge()
        failed = sum(not one.is_success for _ in range(3) for one in ground.pass_time(DAY))
        assert failed, "a life without a failure proves little"
        sandbox.faults.clear()
        life.visit(ids)

        assert sweep(life, logs, tmp_path) == []

        planted = plant(life, tmp_path)
        found = {one.place for one in sweep(life, logs, tmp_path)}
        assert {place for place in planted if not any(place in one for one in found)} == set()
    del life, ground
    gc.collect()  # a connection that nobody closed says so here, not in another test


def plant(life: Life, folder: Path) -> set[str]:
    """Leave an IBAN wherever one could be left; return the places."""
    iban = next(a.iban for a in life.ground.sandbox.world.accounts.values() if a.iban is not None)
    logging.getLogger("bank_pipeline").debug("planted %s", iban)
    (folder / "state" / "forgotten").write_text(iban)
    life.answers["/planted"] = iban
    with life.ground.services.sync.engine.begin() as db:
        db.execute(sa.text("UPDATE bank.teams SET name = :iban"), {"iban": iban})
        kept = sa.text("INSERT INTO dagster.kvs (key, value) VALUES ('k', :iban)")
        db.execute(kept, {"iban": iban})
    return {"bank.teams.name", "dagster.kvs.value", "forgotten", "logs", "answer /planted"}
