"""`/api/v1` that changes things: who may, what happens, and what is said where it may not."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from bank_pipeline.domain.access import KeyScope
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.gateway.app import API
from bank_pipeline.storage.engine import build_engine
from bank_pipeline_tests.gateway.conftest import Gate
from bank_pipeline_tests.gateway.test_api import make_key

OWN_BANK: Final = {"provider": "plaid"}
BODIES: Final[dict[str, dict[str, Any]]] = {
    "/links": OWN_BANK,
    "/page-links": {},
    "/connections/{connection_id}/accounts": {"account_ids": [str(uuid4())]},
}


@dataclass(frozen=True)
class Office:
    """A linked and read bank of team `home`, and keys for managing and for reading."""

    gate: Gate
    connection: ConnectionId
    key: str
    reader: str
    foreign: str

    def ask(
        self, method: str, path: str, *, key: str | None = None, body: Any = None
    ) -> httpx.Response:
        """Ask with a key; with the managing one unless another is given."""
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return self.gate.http.request(method, f"{API}{path}", headers=headers, json=body)

    def connection_state(self) -> tuple[Any, ...]:
        """Return what a change of the connection would change."""
        (row,) = self.gate.ground.query(
            "SELECT status, sync_requested_at, next_attempt_at FROM bank.connections"
        )
        return tuple(row)


@pytest.fixture
def office(gate: Gate) -> Office:
    connection = gate.ground.link()
    for _ in range(2):  # the first call has the history prepared
        gate.ground.sync(connection)
        gate.ground.pass_time(timedelta(minutes=2))
    return Office(
        gate,
        connection,
        make_key(gate, "home", KeyScope.MANAGE),
        make_key(gate, "home", KeyScope.READ),
        make_key(gate, "other", KeyScope.MANAGE),
    )


def routes(office: Office) -> Iterator[tuple[str, str, bool]]:
    """Walk through the documented routes: method, path, and whether it changes anything."""
    document = office.gate.http.get(f"{API}/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            manages = "actions" in told["tags"] and not path.endswith("/events")
            yield method.upper(), path.removeprefix(API), manages


def test_without_a_key_no_route_does_anything(office: Office) -> None:
    found = [*routes(office)]
    assert len(found) > 15
    before = office.connection_state()
    for method, path, _ in found:
        asked = path.replace("{connection_id}", office.connection)
        answer = office.gate.http.request(method, f"{API}{asked}", json=BODIES.get(path))
        assert answer.status_code == 401, (method, path)
    assert office.connection_state() == before


def test_a_key_for_reading_changes_nothing(office: Office) -> None:
    changing = [(method, path) for method, path, manages in routes(office) if manages]
    assert len(changing) >= 6
    before = office.connection_state()
    for method, path in changing:
        asked = path.replace("{connection_id}", office.connection)
        asked = asked.replace("{link_id}", str(uuid4()))
        answer = office.ask(method, asked, key=office.reader, body=BODIES.get(path))
        assert answer.status_code == 403, (method, path)
    assert office.connection_state() == before


def test_another_teams_connection_is_as_if_there_were_none(office: Office) -> None:
    """Equal to the byte with what is said of an id that nobody has."""
    before = office.connection_state()
    named = [(m, p) for m, p, _ in routes(office) if "{connection_id}" in p]
    assert len(named) >= 5
    for method, path in named:
        answers = [
            office.ask(
                method,
                path.replace("{connection_id}", one),
                key=office.foreign,
                body=BODIES.get(path),
            )
            for one in (office.connection, str(uuid4()))
        ]
        assert [one.status_code for one in answers] == [404, 404], (method, path)
        assert answers[0].content == answers[1].content
    for body in ({"renews": office.connection}, {"renews": str(uuid4())}):
        answer = office.ask("POST", "/page-links", key=office.foreign, body=body)
        assert answer.status_code == 404
        answer = office.ask("POST", "/links", key=office.foreign, body=OWN_BANK | body)
        assert answer.status_code == 404
    assert office.connection_state() == before


def test_whose_login_it_is_is_not_said_to_a_provider_that_takes_no_notice_of_it(
    office: Office,
) -> None:
    refused = office.ask("POST", "/links", body=OWN_BANK | {"customer_kind": "business"})

    assert refused.status_code == 409, refused.text
    assert "does not ask whose login it is" in refused.json()["detail"]
    assert (
        office.ask("POST", "/links", body=OWN_BANK | {"customer_kind": "bank"}).status_code == 422
    )


def test_a_link_is_begun_followed_and_kept(office: Office) -> None:
    begun = office.ask("POST", "/links", body=OWN_BANK)
    assert begun.status_code == 201, begun.text
    told = begun.json()
    path = f"/links/{told['link_id']}"
    assert office.ask("GET", path).json()["is_finished"] is False
    assert office.ask("GET", path, key=office.foreign).status_code == 404

    httpx.post(told["url"], data={"outcome": "success", "login": "login-2"})

    state = office.ask("GET", path).json()
    assert state["is_finished"] is True
    (made,) = state["connection_ids"]
    assert office.ask("GET", f"/connections/{made}").json()["status"] == "pending"


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}])
def test_a_body_of_another_kind_is_told_what_to_send(
    office: Office, headers: dict[str, str]
) -> None:
    """What `curl -d` sends is a form, unless it is told otherwise."""
    sent = {"Authorization": f"Bearer {office.key}", **headers}
    answer = office.gate.http.request(
        "POST", f"{API}/links", headers=sent, content=b'{"provider": "plaid"}'
    )

    assert answer.status_code == 422
    assert "Content-Type: application/json" in answer.json()["detail"]


def test_a_sync_is_asked_for_and_refused_with_a_time_while_it_cannot_help(office: Office) -> None:
    path = f"/connections/{office.connection}/sync"
    early = office.ask("POST", path)
    assert early.status_code == 409
    assert "moments ago" in early.json()["detail"]
    assert early.json()["next_at"] is not None

    office.gate.ground.pass_time(timedelta(minutes=6))
    assert office.ask("POST", path).status_code == 202
    assert office.ask("POST", path).status_code == 202, "asked twice it is the same one"
    assert office.connection_state()[1] is not None

    office.gate.ground.sync(office.connection)
    assert office.connection_state()[1] is None


def test_what_stopped_says_what_to_do_instead_of_a_time(office: Office) -> None:
    office.gate.ground.execute("UPDATE bank.connections SET status = 'needs_reauth'")
    office.gate.ground.pass_time(timedelta(hours=1))
    answer = office.ask("POST", f"/connections/{office.connection}/sync")
    assert (answer.status_code, answer.json()["next_at"]) == (409, None)
    assert "reconnect" in answer.json()["detail"]


def test_whoever_follows_a_connection_hears_of_its_change_at_once(office: Office) -> None:
    headers = {"Authorization": f"Bearer {office.reader}"}
    url = f"{API}/connections/{office.connection}/events"
    heard: list[str] = []
    first, ended = threading.Event(), threading.Event()

    def listen() -> None:
        with office.gate.http.stream("GET", url, headers=headers, timeout=20) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    heard.append(line.replace(" ", ""))
                    first.set()
                if '"status":"disconnected"' in line.replace(" ", ""):
                    ended.set()
                    return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert first.wait(10)
    office.gate.ground.pass_time(timedelta(minutes=6))
    office.ask("DELETE", f"/connections/{office.connection}")
    assert ended.wait(10), heard
    listener.join(5)
    assert '"status":"disconnected"' not in heard[0]


def test_a_connection_is_ended_at_its_provider_and_its_rows_are_kept(office: Office) -> None:
    rows = office.gate.ground.query("SELECT count(*) FROM bank.transactions")
    answer = office.ask("DELETE", f"/connections/{office.connection}")
    assert answer.json()["is_ended"] is True
    assert office.connection_state()[0] == "disconnected"
    assert office.gate.ground.query("SELECT count(*) FROM bank.transactions") == rows


def test_the_audit_log_names_the_key_that_was_sent(office: Office) -> None:
    office.ask("DELETE", f"/connections/{office.connection}")

    ids = office.gate.ground.query(
        "SELECT id::text FROM bank.api_keys WHERE scope = 'manage'"
        " AND team_id = (SELECT id FROM bank.teams WHERE name = 'home')"
    )
    told = office.gate.ground.query(
        "SELECT actor_id FROM bank.audit_log"
        " WHERE action = 'disconnected' AND actor_kind = 'api_key'"
    )
    assert [*map(tuple, told)] == [*map(tuple, ids)]


def test_a_page_link_opens_the_page_it_is_for_and_leaves_its_address_behind(
    office: Office,
) -> None:
    made = office.ask("POST", "/page-links", body={"renews": office.connection}).json()
    answer = httpx.get(made["url"])
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/connections/{office.connection}/reconnect"
    assert "httponly" in answer.headers["set-cookie"].lower()

    altered = f"{made['url'][:-4]}AAAA"
    assert httpx.get(altered).status_code == 404
    office.gate.ground.pass_time(timedelta(days=31))
    assert httpx.get(made["url"]).status_code == 404


def test_without_its_database_the_gateway_says_not_now_to_programs_and_people(
    office: Office, server_url: str
) -> None:
    """Every session is ended under it; the next request finds it well again."""
    name = office.gate.ground.engine.url.database
    limit = "ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}"
    server = build_engine(server_url).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as admin:
        try:
            admin.exec_driver_sql(limit.format(name, "false"))
            admin.exec_driver_sql(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                f"WHERE datname = '{name}'"
            )
            answer = office.ask("GET", "/connections")
            assert (answer.status_code, answer.json()["status"]) == (503, 503)
            page = office.gate.http.post("/login", data={"key": office.key})
            assert page.status_code == 503
            assert page.headers["content-type"].startswith("text/html")
        finally:
            admin.exec_driver_sql(limit.format(name, "true"))
    server.dispose()
    assert office.ask("GET", "/connections").status_code == 200
