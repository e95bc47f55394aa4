"""Two teams at one gateway: the database itself keeps their rows apart, whatever its login may."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import sqlalchemy as sa

from bank_pipeline.domain.access import KeyScope
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.gateway.app import API
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.storage.api_keys import insert_api_key
from bank_pipeline.storage.connections import ensure_team
from bank_pipeline.storage.credentials import Vault
from bank_pipeline_tests.gateway.conftest import Gate
from bank_pipeline_tests.storage.tenants import plain_login
from bank_pipeline_tests.sync.ground import gateway_over, ground_over, sandbox_server

LISTS: Final = ("connections", "accounts", "balances", "transactions", "sync-runs")


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """Banks whose customers live as usual."""
    with sandbox_server(quiet=False) as server:
        yield server


def open_key(gate: Gate, team: str) -> str:
    now = gate.ground.context.clock()
    with gate.ground.engine.begin() as db:
        team_id = ensure_team(db, team, now=now)
        made = insert_api_key(db, team_id, name="x", scope=KeyScope.MANAGE, now=now)
    return made.get_secret_value()


@contextmanager
def readers(engine: sa.Engine) -> Iterator[list[str]]:
    """Note as which role each statement on rows of banks was run."""
    roles: list[str] = []

    def look(db: Any, _: object, statement: str, *__: object) -> None:
        if "analytics." in statement:
            roles.append(
                str(db.connection.driver_connection.execute("SELECT current_user").fetchone()[0])
            )

    sa.event.listen(engine, "before_cursor_execute", look)
    yield roles
    sa.event.remove(engine, "before_cursor_execute", look)


def linked(gate: Gate) -> ConnectionId:
    connection = gate.ground.link()
    for _ in range(2):  # the first call has the history prepared
        gate.ground.pass_time(timedelta(hours=1))
        gate.ground.sync(connection)
    return connection


def ask(gate: Gate, path: str, key: str) -> httpx.Response:
    return gate.http.get(f"{API}{path}", headers={"Authorization": f"Bearer {key}"})


def test_every_list_is_read_as_one_team(gate: Gate) -> None:
    """By the role that sees no more: a statement that forgot the team would show no other."""
    linked(gate)
    ours, theirs = open_key(gate, "home"), open_key(gate, "elsewhere")

    with readers(gate.ground.engine) as roles:
        for name in LISTS:
            assert ask(gate, f"/{name}", ours).json()["items"], name
            assert ask(gate, f"/{name}", theirs).json()["items"] == [], name

    assert len(roles) >= 2 * len(LISTS)
    assert set(roles) == {"bank_reader"}


def test_every_page_is_read_as_one_team(gate: Gate) -> None:
    connection = linked(gate)
    for team, status in (("home", 200), ("elsewhere", 404)):
        browser = httpx.Client(base_url=gate.url)
        browser.post("/login", data={"key": open_key(gate, team)})
        with readers(gate.ground.engine) as roles:
            assert browser.get("/connections").status_code == 200
            for part in ("", "/accounts", "/reconnect", "/disconnect"):
                answer = browser.get(f"/connections/{connection}{part}")
                assert answer.status_code == status, part
        assert set(roles) == {"bank_reader"}
        browser.close()


def test_no_request_leaves_a_team_behind_in_the_pool(gate: Gate) -> None:
    """Many requests of two teams at few sessions; then each session is asked."""
    linked(gate)
    for key in (open_key(gate, "home"), open_key(gate, "elsewhere")):
        for name in (*LISTS, "team", "transactions.csv", "connections/nowhere"):
            ask(gate, f"/{name}", key)
    engine = gate.ground.engine
    sessions = [engine.connect() for _ in range(engine.pool.size())]  # type: ignore[attr-defined]
    who = sa.text("SELECT current_user = session_user, current_setting('bank.team_id', true)")
    found = {tuple(one.execute(who).one()) for one in sessions}
    for one in sessions:
        one.close()

    assert found <= {(True, None), (True, "")}


@pytest.mark.parametrize("is_reader", [False, True])
def test_all_goes_on_where_our_login_is_no_superuser(
    sandbox: SandboxServer, server_url: str, vault: Vault, tmp_path: Path, is_reader: bool
) -> None:
    """As on a managed server: linked, read and shown, with and without the gateway's role."""
    with plain_login(server_url) as engine:
        if is_reader:
            server = sa.create_engine(server_url)
            with server.begin() as db:
                db.execute(sa.text(f"GRANT bank_reader TO {engine.url.username}"))
            server.dispose()
        with (
            ground_over(sandbox, engine, vault, tmp_path) as plain,
            gateway_over(plain) as (ground, url),
            httpx.Client(base_url=url) as http,
        ):
            gate = Gate(ground, http, url)
            connection = linked(gate)
            assert ground.true_count(connection) > 0
            assert ground.differences(connection) == []
            ground.fire(connection, "SYNC_UPDATES_AVAILABLE")
            assert ground.query("SELECT team_id IS NULL FROM bank.webhook_events") != []
            ground.sync(connection)
            assert ground.differences(connection) == []

            with readers(engine) as roles:
                for name in LISTS:
                    assert ask(gate, f"/{name}", open_key(gate, "home")).json()["items"], name
                    others = ask(gate, f"/{name}", open_key(gate, "elsewhere"))
                    assert others.json()["items"] == [], name
            assert set(roles) == {"bank_reader" if is_reader else engine.url.username}
