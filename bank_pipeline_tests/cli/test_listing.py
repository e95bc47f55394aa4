"""Commands that list and sync: tables for people, JSON for programs."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.storage.credentials import Vault, load_credential
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.installation import Installation

UNKNOWN: Final = "019a0000-0000-7000-8000-000000000000"


@pytest.fixture
def connection_id(installation: Installation) -> ConnectionId:
    """A linked and synced connection."""
    [connection_id] = installation.link()
    installation.sync(connection_id)
    return connection_id


def execute(installation: Installation, statement: str) -> None:
    with installation.services.sync.engine.begin() as db:
        db.execute(sa.text(statement))


def test_connections_as_json(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    """Every field, times as ISO texts with their zone, unknown as null."""
    [row] = cli("connections", "--json").json

    assert row["id"] == connection_id
    assert row["status"] == "active"
    assert row["history_stage"] == "complete"
    assert row["last_success_at"].endswith("+00:00")
    assert row["next_attempt_at"] is None
    assert row["account_count"] == installation.value("SELECT count(*) FROM bank.accounts")


def test_connections_as_a_table(cli: CommandLine, connection_id: ConnectionId) -> None:
    """The id can be copied, and what is unknown is a dash."""
    outcome = cli("connections")

    assert outcome.code == 0
    assert connection_id in outcome.out
    assert "active" in outcome.out


def test_no_connections_says_how_to_make_one(cli: CommandLine, installation: Installation) -> None:
    """An empty list is an empty JSON list, and for people an advice."""
    assert cli("connections", "--json").json == []
    assert "bank-pipeline link plaid" in cli("connections").words


def test_accounts_as_json(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    """Money is text with every digit; a program that reads numbers as floats loses nothing."""
    execute(installation, "UPDATE bank.chosen_balances SET amount = 12345678901234567.89")

    rows = cli("accounts", "--json").json

    assert {row["booked"] for row in rows} == {"12345678901234567.89"}
    assert {row["connection_id"] for row in rows} == {connection_id}


def test_a_balance_is_listed_in_its_own_currency_and_not_its_accounts(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    """A bank may tell none in the account's own."""
    execute(installation, "UPDATE bank.balances SET currency = 'CHF'")

    assert {row["currency"] for row in cli("accounts", "--json").json} == {"CHF"}


def test_an_amount_in_another_currency_than_its_row_says_so(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    """A bank may tell what can be spent in one, and what is booked in another."""
    assert "CHF" not in cli("accounts").words
    execute(installation, "UPDATE bank.balances SET currency = 'CHF' WHERE kind = 'available'")

    rows = [row for row in cli("accounts", "--json").json if row["available"] is not None]

    assert {(row["currency"], row["available_currency"]) for row in rows} == {("USD", "CHF")}
    assert "CHF" in cli("accounts").words


def test_an_unknown_balance_is_null_and_never_zero(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    """Without a balance JSON says null, and the table a dash."""
    execute(installation, "DELETE FROM bank.balances")

    assert {row["booked"] for row in cli("accounts", "--json").json} == {None}
    assert " 0 " not in cli("accounts", "-c", connection_id).out.splitlines()[3]


def test_transactions_as_json(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    """All of them at most `--limit`, newest first, amounts as text."""
    rows = cli("transactions", "--json", "--limit", "10000").json

    assert len(rows) == installation.rows(connection_id)
    assert [row["date"] for row in rows] == sorted((row["date"] for row in rows), reverse=True)
    total = sum(Decimal(row["amount"]) for row in rows if isinstance(row["amount"], str))
    assert total == installation.value("SELECT sum(amount) FROM analytics.transactions")
    assert len(cli("transactions", "--json", "--limit", "3").json) == 3


@pytest.mark.parametrize(
    ("options", "keeps"),
    [
        (["--since", "2026-02-20"], lambda row: row["date"] >= "2026-02-20"),
        (["--until", "2026-02-20"], lambda row: row["date"] <= "2026-02-20"),
        (["--search", "A%B_C"], lambda row: "a%b_c" in row["description"].lower()),
    ],
)
def test_transactions_can_be_narrowed(
    cli: CommandLine,
    installation: Installation,
    connection_id: ConnectionId,
    options: list[str],
    keeps: Callable[[Any], bool],
) -> None:
    """Days are inclusive, and a search takes its text literally."""
    execute(
        installation,
        "UPDATE bank.transactions SET cleaned_description = NULL, description = 'xA%b_Cx' "
        "WHERE id = (SELECT min(id::text)::uuid FROM bank.transactions)",
    )
    everything = cli("transactions", "--json", "--limit", "10000").json

    narrowed = cli("transactions", "--json", "--limit", "10000", *options).json

    assert narrowed == [row for row in everything if keeps(row)]
    assert narrowed


def test_dates_the_wrong_way_round_are_a_mistake(
    cli: CommandLine, installation: Installation
) -> None:
    """They looked like an account without rows."""
    outcome = cli("transactions", "--since", "2026-03-02", "--until", "2026-03-01", "--json")

    assert outcome.code == 2
    assert outcome.out == ""
    assert "--until lies before --since" in outcome.err


def test_transactions_of_one_account(cli: CommandLine, connection_id: ConnectionId) -> None:
    """An account's id, in any case, selects its rows."""
    everything = cli("transactions", "--json", "--limit", "10000").json
    account_id = everything[0]["account_id"]

    narrowed = cli("transactions", "--account", account_id.upper(), "--limit", "10000", "--json")

    assert narrowed.json == [row for row in everything if row["account_id"] == account_id]


@pytest.mark.parametrize("text", [r"back\[red]slash", "[/]", "[bold]SALE[/bold]", "a\x1b[31mb\rc"])
def test_a_banks_text_is_shown_and_never_obeyed(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId, text: str
) -> None:
    """What looks like markup is printed as it is; what would command the terminal is not sent."""
    with installation.services.sync.engine.begin() as db:
        query = sa.text("UPDATE bank.transactions SET description = :text")
        db.execute(query, {"text": text})

    outcome = cli("transactions", "--limit", "1")

    assert outcome.code == 0
    assert "".join(c if c.isprintable() else " " for c in text) in outcome.out
    assert "\x1b" not in outcome.out
    assert cli("transactions", "--limit", "1", "--json").json[0]["description"] == text


@pytest.mark.parametrize(
    "command",
    [
        ["accounts", "--connection"],
        ["transactions", "--connection"],
        ["transactions", "--account"],
        ["disconnect"],
        ["disconnect", "--yes"],
        ["link", "plaid", "--renew"],
        ["link", "finish"],
    ],
)
@pytest.mark.parametrize("unknown", [UNKNOWN, "typo"])
def test_an_unknown_id_is_an_error(
    cli: CommandLine, installation: Installation, command: list[str], unknown: str
) -> None:
    """A mistyped id must not look like a connection without rows."""
    outcome = cli(*command, unknown)

    assert outcome.code != 0
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert "SELECT" not in outcome.err


def test_sync_says_what_came_of_each(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    """One that fails is named with its reason; the others are synced; the exit code tells."""
    outcome = cli("sync", connection_id, UNKNOWN, "--json")

    assert outcome.code == 1
    [synced, failed] = outcome.json
    assert (synced["outcome"], synced["reason"], synced["new"]) == ("synced", None, 0)
    assert (failed["outcome"], failed["new"], failed["institution"]) == ("failed", None, None)
    assert UNKNOWN in failed["reason"]


def test_a_connection_that_is_named_twice_is_synced_once(
    cli: CommandLine, connection_id: ConnectionId
) -> None:
    """A second sync would spend calls that its bank counts."""
    [row] = cli("sync", connection_id, connection_id, "--json").json

    assert row["outcome"] == "synced"


def test_a_sync_that_fails_says_when_it_is_tried_again(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    """And one of a connection that was ended, what to do: it is not tried again."""
    faults = installation.sandbox.faults
    faults.add("/transactions/sync", Fault(FaultKind.ERROR, code="INSTITUTION_DOWN"), times=None)

    [failed] = cli("sync", connection_id, "--json").json
    [stored] = cli("connections", "--json").json

    assert (failed["outcome"], failed["reason"]) == ("failed", "transient: INSTITUTION_DOWN")
    assert failed["institution"] == stored["institution_name"]
    assert failed["next_try"] == stored["next_attempt_at"] is not None

    assert cli("disconnect", connection_id, "--yes").code == 0
    for command in (("sync",), ("backfill", "--from", "2026-01-15", "-c")):
        [ended] = cli(*command, connection_id, "--json").json
        assert (ended["outcome"], ended["next_try"]) == ("failed", None)
        assert "was ended: link the bank anew" in ended["reason"]


def test_an_unforeseen_failure_of_one_connection_ends_no_command(
    cli: CommandLine, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is says enough: its own words may quote a customer's row."""
    first, second = sorted(installation.link(2))

    def load(db: sa.Connection, connection_id: ConnectionId, vault: Vault) -> SecretStr:
        if connection_id == first:
            raise KeyError("canary-5a1e")
        return load_credential(db, connection_id, vault)

    monkeypatch.setattr("bank_pipeline.sync.next_consent.load_credential", load)
    for command in (("sync", "--all"), ("backfill", "--from", "2026-01-15", "--all")):
        outcome = cli(*command, "--json")

        failed = [row for row in outcome.json if row["connection"] == first]
        assert outcome.code == 1
        assert "canary" not in outcome.out + outcome.err
        assert failed[0]["outcome"] == "failed"
        assert failed[0]["reason"].startswith("unexpected: KeyError at test_listing.py:")
    assert installation.rows(second), "the other one is synced"


def test_sync_all(cli: CommandLine, installation: Installation) -> None:
    """`--all` syncs every connection that calls go on for."""
    ids = installation.link(2)

    outcome = cli("sync", "--all", "--json")

    assert outcome.code == 0
    assert {row["connection"] for row in outcome.json} == {*ids}
    assert [installation.differences(connection_id) for connection_id in ids] == [[], []]


def test_sync_of_nothing_is_a_mistake(cli: CommandLine, installation: Installation) -> None:
    """Without ids and without `--all` nothing is done, and that is said."""
    outcome = cli("sync")

    assert outcome.code == 2
    assert "--all" in outcome.err


def test_a_busy_connection_is_no_failure(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    """Somebody else is bringing it up to date."""
    with connection_lock(installation.services.sync.engine, connection_id):
        outcome = cli("sync", connection_id, "--json")

    assert outcome.code == 0
    assert outcome.json[0]["outcome"] == "busy"


def test_disconnect_ends_the_connection_and_keeps_its_rows(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    """The provider is told, the credential forgotten, the rows stay."""
    rows = installation.rows(connection_id)

    assert cli("disconnect", connection_id, "--yes").code == 0

    assert cli("connections", "--json").json[0]["status"] == "disconnected"
    assert installation.value("SELECT count(*) FROM bank.credentials") == 0
    assert installation.rows(connection_id) == rows > 0
    assert installation.sandbox.plaid.items.to_json()[0]["removed"]
