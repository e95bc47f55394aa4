"""`/api/v1`: rows of one team, whole and in pages, and nothing of others."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from bank_pipeline.bootstrap import Services
from bank_pipeline.config import Settings
from bank_pipeline.domain.access import KeyScope
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.gateway.app import API, create_app
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.storage import reading
from bank_pipeline.storage.api_keys import USED_EVERY, insert_api_key
from bank_pipeline.storage.connections import ensure_team
from bank_pipeline.storage.reading import TRANSACTIONS, TeamRows
from bank_pipeline_tests.gateway.conftest import Gate
from bank_pipeline_tests.sync.ground import sandbox_server

LISTS: Final = ("connections", "accounts", "balances", "transactions", "sync-runs")


@dataclass
class Desk:
    """A linked and read bank of team `home`, a key of it, and one of another team."""

    gate: Gate
    connection: ConnectionId
    key: str
    foreign_key: str

    def get(self, path: str, *, key: str | None = None, **params: Any) -> httpx.Response:
        """Ask with a key; with the own one unless another is given."""
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return self.gate.http.get(f"{API}{path}", headers=headers, params=params)

    def read(self, path: str, **params: Any) -> Any:
        """Ask, and return what came."""
        answer = self.get(path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def pages(self, path: str, **params: Any) -> Iterator[list[dict[str, Any]]]:
        """Walk through a list page by page."""
        cursor: dict[str, str] = {}
        while True:
            page = self.read(path, **params, **cursor)
            yield page["items"]
            if page["next"] is None:
                return
            cursor = {"cursor": page["next"]}

    def value(self, sql: str) -> Any:
        """Ask the database."""
        return self.gate.ground.query(sql)[0][0]


def make_key(gate: Gate, team: str, scope: KeyScope = KeyScope.READ) -> str:
    now = gate.ground.context.clock()
    with gate.ground.engine.begin() as db:
        team_id = ensure_team(db, team, now=now)
        return insert_api_key(db, team_id, name="test", scope=scope, now=now).get_secret_value()


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """Banks whose customers live as usual."""
    with sandbox_server(quiet=False) as server:
        yield server


@pytest.fixture
def desk(gate: Gate) -> Desk:
    connection = gate.ground.link()
    for _ in range(2):  # the first call has the history prepared
        gate.ground.pass_time(timedelta(hours=1))
        gate.ground.sync(connection)
    return Desk(gate, connection, make_key(gate, "home"), make_key(gate, "elsewhere"))


def test_pages_hold_every_row_once_in_the_order_of_the_whole_list(desk: Desk) -> None:
    for name in LISTS:
        [whole] = desk.pages(f"/{name}", limit=500)
        assert whole, name
        pages = [*desk.pages(f"/{name}", limit=3)]
        assert [row for page in pages for row in page] == whole
        assert {len(page) for page in pages[:-1]} <= {3}


def test_rows_are_those_of_the_tables_to_the_cent(desk: Desk) -> None:
    rows = {row["transaction_id"]: row for row in desk.read("/transactions", limit=500)["items"]}
    stored = desk.gate.ground.query(
        "SELECT transaction_id::text AS id, amount, currency, date FROM analytics.transactions"
    )
    assert len(rows) == len(stored) > 50
    for one in stored:
        row = rows[one.id]
        amount = None if one.amount is None else f"{one.amount:f}"
        day = None if one.date is None else one.date.isoformat()
        assert (row["amount"], row["currency"], row["date"]) == (amount, one.currency, day)


def test_a_balance_is_told_in_its_own_currency_and_not_its_accounts(desk: Desk) -> None:
    desk.gate.ground.execute("UPDATE bank.balances SET currency = 'CHF'")
    rows = desk.read("/accounts")["items"]
    assert {row["currency"] for row in rows} == {"USD"}
    assert {row["booked_balance_currency"] for row in rows} == {"CHF"}
    assert {row["is_available_balance_current"] for row in rows} <= {True, None}


def test_one_row_is_read_by_its_id(desk: Desk) -> None:
    for name, key in (
        ("connections", "connection_id"),
        ("accounts", "account_id"),
        ("transactions", "transaction_id"),
    ):
        row = desk.read(f"/{name}", limit=1)["items"][0]
        assert desk.read(f"/{name}/{row[key]}") == row


def test_transactions_are_found_by_what_they_are(desk: Desk) -> None:
    rows = desk.read("/transactions", limit=500)["items"]
    one = next(row for row in rows if row["date"] and row["amount"])
    for params, fits in (
        ({"account_id": one["account_id"]}, lambda row: row["account_id"] == one["account_id"]),
        ({"since": one["date"]}, lambda row: row["date"] >= one["date"]),
        ({"until": one["date"]}, lambda row: row["date"] <= one["date"]),
        ({"status": "pending"}, lambda row: row["status"] == "pending"),
        ({"amount_max": "-20.5"}, lambda row: float(row["amount"]) <= -20.5),
        ({"text": one["description"].upper()[:6]}, lambda row: one["description"][:6] in str(row)),
        ({"updated_since": "2999-01-01T00:00:00Z"}, lambda _: False),
    ):
        found = [row["transaction_id"] for page in desk.pages("/transactions", **params)
                 for row in page]  # fmt: skip
        wanted = [row["transaction_id"] for row in rows if fits(row)]
        assert found == wanted, params


def test_csv_holds_the_same_rows_and_no_formula(desk: Desk) -> None:
    desk.gate.ground.execute(
        "UPDATE bank.transactions SET description = '=HYPERLINK(1)' WHERE id = "
        "(SELECT min(id::text)::uuid FROM bank.transactions)"
    )
    desk.gate.ground.execute(
        "INSERT INTO bank.transaction_annotations (transaction_id, team_id, tags, updated_at) "
        "SELECT id, team_id, ARRAY['@SUM(1)', 'rent'], now() FROM bank.transactions LIMIT 1"
    )
    answer = desk.get("/transactions.csv")
    rows = [*csv.DictReader(io.StringIO(answer.text, newline=""))]
    listed = desk.read("/transactions", limit=500)["items"]
    listed.sort(key=lambda row: row["transaction_id"])
    assert [row["transaction_id"] for row in rows] == [row["transaction_id"] for row in listed]
    assert [row["amount"] for row in rows] == [row["amount"] or "" for row in listed]
    assert {row["description"] for row in rows} >= {"'=HYPERLINK(1)"}
    assert not [row for row in rows if row["description"].startswith("=")]
    assert {row["tags"] for row in rows} == {"'@SUM(1);rent", ""}


def test_a_row_whose_day_moves_while_the_file_is_written_is_in_it_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it books: one that was told goes to an earlier day, one to come to a later."""
    monkeypatch.setattr(reading, "CSV_CHUNK", 10)
    listed = [row["transaction_id"] for row in desk.read("/transactions", limit=500)["items"]]
    rows = TeamRows(desk.gate.ground.engine, desk.read("/team")["team_id"])
    chunks = rows.stream(TRANSACTIONS, given={})
    told = [str(row["transaction_id"]) for row in next(chunks)]
    to_come = next(one for one in reversed(listed) if one not in told)
    for one, day in ((told[0], "1999-01-01"), (to_come, "2999-01-01")):
        desk.gate.ground.execute(
            f"UPDATE bank.transactions SET status = 'booked', booking_date = '{day}' "
            f"WHERE id = '{one}'"
        )

    told += [str(row["transaction_id"]) for chunk in chunks for row in chunk]

    assert sorted(told) == sorted(listed)


def test_banks_are_found_by_name(desk: Desk) -> None:
    desk.gate.ground.execute(
        "INSERT INTO bank.institutions (provider, external_id, name, countries, fetched_at) "
        "VALUES ('plaid', 'ins_77', 'Müller Bank', '{DE}', now())"
    )
    [found] = desk.read("/institutions", text="mueller", country="DE")
    assert (found["external_id"], found["name"]) == ("ins_77", "Müller Bank")
    assert desk.read("/institutions", text="mueller", country="FR") == []


def routes(desk: Desk) -> list[str]:
    """Return every path of the API, with ids of rows that team `home` has."""
    ids = {
        "connection_id": desk.connection,
        "account_id": desk.value("SELECT min(id::text) FROM bank.accounts"),
        "transaction_id": desk.value("SELECT min(id::text) FROM bank.transactions"),
    }
    app = create_app(Services(settings=Settings(), sync=desk.gate.ground.context))
    documented = app.openapi()["paths"].items()
    found = [
        path for path, methods in documented if "rows" in methods.get("get", {}).get("tags", ())
    ]
    assert len(found) > 10
    return [path.removeprefix(API).format(**ids) for path in found]


def test_without_a_valid_key_every_route_says_the_same(desk: Desk) -> None:
    """Nothing tells whether a key, or the thing that was asked for, is there."""
    revoked = make_key(desk.gate, "home")
    newest = "SELECT max(id::text)::uuid FROM bank.api_keys"
    desk.gate.ground.execute(f"UPDATE bank.api_keys SET revoked_at = now() WHERE id = ({newest})")
    wrong = desk.key[:-1] + ("A" if desk.key[-1] != "A" else "B")
    unknown = f"bpk_{uuid4().hex}_{'x' * 43}"
    for path in routes(desk):
        answers = [desk.get(path, key=key) for key in (revoked, wrong, unknown, "nonsense", "bpk_")]
        answers.append(desk.gate.http.get(f"{API}{path}"))
        assert {(one.status_code, one.text) for one in answers} == {(401, answers[0].text)}, path
        assert answers[0].headers["content-type"] == "application/problem+json"


def test_another_team_sees_nothing_not_even_that_something_is_there(desk: Desk) -> None:
    for path in routes(desk):
        answer = desk.get(path, key=desk.foreign_key)
        if answer.status_code == 404:
            nowhere = path.rsplit("/", 1)[0] + f"/{uuid4()}"
            assert answer.text == desk.get(nowhere, key=desk.foreign_key).text
            continue
        assert answer.status_code == 200, path
        text = answer.text
        assert desk.connection not in text
        assert "First Harbor" not in text or path.startswith("/institutions"), path
    for name in LISTS:
        own = desk.get(f"/{name}", key=desk.foreign_key, connection_id=desk.connection).json()
        assert own["items"] == [], name


def test_what_is_not_as_documented_is_refused_without_repeating_it(desk: Desk) -> None:
    secret = "access-sandbox-canary"
    for path, params in (
        ("/transactions", {"limit": 0}),
        ("/transactions", {"limit": 501}),
        ("/transactions", {"since": secret}),
        ("/transactions", {"amount_min": "NaN"}),
        ("/transactions", {"unknown": secret}),
        ("/transactions", {"text": f"{secret}\0"}),
        ("/transactions.csv", {"text": f"{secret}\0"}),
        ("/connections", {"status": secret}),
        ("/sync-runs", {"outcome": secret}),
        (f"/accounts/{secret}", {}),
    ):
        answer = desk.get(path, **params)
        assert answer.status_code == 422, (path, params, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert secret not in answer.text


@pytest.mark.parametrize("cursor", ["", "x", "W10", "bnVsbA", "WyJhIiwgImIiXQ", "WzEsIFtdXQ"])
def test_a_cursor_of_nowhere_is_refused(desk: Desk, cursor: str) -> None:
    for name in LISTS:
        answer = desk.get(f"/{name}", cursor=cursor)
        assert (answer.status_code, name) == (400, name)
        assert "cursor" in answer.json()["detail"]


def test_the_use_of_a_key_is_written_down_now_and_then(desk: Desk) -> None:
    desk.read("/team")
    used = "SELECT count(*) FROM bank.api_keys WHERE last_used_at IS NOT NULL"
    assert desk.value(used) == 0
    desk.gate.ground.pass_time(2 * USED_EVERY)
    desk.read("/team")
    assert desk.value(used) == 1


def test_no_page_of_ours_loads_scripts_from_elsewhere(desk: Desk) -> None:
    for path in ("/docs", "/redoc", f"{API}/redoc"):
        assert desk.gate.http.get(path).status_code == 404
    page = desk.gate.http.get(f"{API}/docs")
    assert page.status_code == 200
    assert "<script" not in page.text
    assert "/api/v1/connections/{connection_id}/sync" in page.text
    assert desk.gate.http.get(f"{API}/openapi.json").json()["openapi"].startswith("3.")
