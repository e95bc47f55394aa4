"""Commands that look back and mend."""

from typing import Any

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.installation import Installation
from bank_pipeline_tests.sync.ground import SYNC


@pytest.fixture
def connection_id(installation: Installation) -> ConnectionId:
    """A linked and synced connection."""
    [connection_id] = installation.link()
    installation.sync(connection_id)
    return connection_id


@pytest.fixture
def transaction(cli: CommandLine, connection_id: ConnectionId) -> Any:
    """One transaction, as it is listed."""
    return cli("transactions", "--json", "--limit", "1").json[0]


def test_runs_can_be_found(cli: CommandLine, connection_id: ConnectionId) -> None:
    """Newest first, with what each wrote, and the id that undo asks for."""
    cli("sync", connection_id)

    newest, first = cli("runs", "--json").json

    assert (newest["rows"], newest["calls"], newest["outcome"]) == ("+0 ~0 -0", 2, "synced")
    assert first["counts"]["transactions"]["inserted"] > 0
    assert cli("runs", "-c", connection_id, "--limit", "1", "--json").json == [newest]
    assert newest["id"] in cli("runs").out


def test_explain_shows_what_the_provider_sent(
    cli: CommandLine, connection_id: ConnectionId, transaction: Any
) -> None:
    """In this command the raw record is shown, numbers as they were spelt."""
    told = cli("explain", transaction["id"])

    assert told.code == 0
    run_id = cli("runs", "--json").json[0]["id"]
    assert f"made by sync {run_id}" in told.out
    assert '"transaction_id"' in told.out
    record = cli("explain", transaction["id"], "--json").json["first"]["record"]
    assert record["operation"] == "transactions/sync"
    assert record["request_id"]
    assert transaction["amount"].lstrip("-") in record["text"]


def test_undo_says_first_what_it_will_do(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    """Then it does it, and the next sync brings all of it again."""
    rows = installation.rows(connection_id)
    run_id = cli("runs", "--json").json[0]["id"]

    planned = cli("undo", run_id, "--dry-run")
    assert f"{rows} transactions that it brought are deleted" in planned.out
    assert installation.rows(connection_id) == rows

    assert cli("undo", run_id, "--yes").code == 0
    assert installation.rows(connection_id) == 0
    assert [run["outcome"] for run in cli("runs", "--json").json] == ["undone", "undone"]
    assert cli("undo", run_id, "--yes").code == 1
    cli("sync", connection_id)
    assert installation.differences(connection_id) == []


def test_an_undo_promises_nothing_of_what_is_not_synced_any_more(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    run_id = cli("runs", "--json").json[0]["id"]
    with installation.services.sync.engine.begin() as db:
        db.execute(sa.text("UPDATE bank.connections SET status = 'disconnected'"))

    told = cli("undo", run_id, "--yes")

    assert told.code == 0
    assert "nothing would bring these rows again" in told.out
    assert "brings it again" not in told.out


def test_renormalise_shows_before_it_writes(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    """A row that our transform got wrong once is shown as it was and will be."""
    with installation.services.sync.engine.begin() as db:
        db.execute(
            sa.text(
                "UPDATE bank.transactions SET check_number = 'wrong', content_hash = '\\x00'"
                " WHERE id = (SELECT min(id::text)::uuid FROM bank.transactions)"
            )
        )

    shown = cli("renormalise")
    assert "check_number: wrong -> -" in shown.out
    assert "nothing was written" in shown.out
    [outcome] = cli("renormalise", "--since", "2000-01-01", "--apply", "--json").json
    assert [row["changes"] for row in outcome["changed"]] == [{"check_number": ["wrong", None]}]
    assert cli("renormalise", "--apply", "--json").json[0]["changed"] == []
    assert "renormalise" in cli("runs").out
    assert installation.differences(connection_id) == []


def test_quarantine_is_listed_without_what_the_bank_said(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    """The text is shown for one row, when it is asked for."""
    installation.sandbox.faults.add(SYNC, Fault(FaultKind.NULL_VALUE, key="date"))
    with installation.services.sync.engine.begin() as db:
        db.execute(sa.text("UPDATE bank.connections SET cursor = NULL"))
    cli("sync", connection_id)

    [row] = cli("quarantine", "--json").json

    assert "raw" not in row
    assert "transaction_id" not in cli("quarantine").out
    assert '"transaction_id"' in cli("quarantine", "show", str(row["id"])).out
    with installation.services.sync.engine.begin() as db:
        db.execute(sa.text("UPDATE bank.quarantine SET raw_ciphertext = raw_ciphertext || '\\x00'"))
    assert cli("quarantine", "--json").json == [row], "a list opens no text"
    assert "does not open" in cli("quarantine", "show", str(row["id"])).err
    assert cli("quarantine", "resolve", str(row["id"])).code == 0
    assert cli("quarantine", "--json").json == []
    assert cli("quarantine", "show", str(row["id"])).code == 1


@pytest.mark.parametrize("command", ["explain", "undo"])
@pytest.mark.parametrize("unknown", ["019a0000-0000-7000-8000-000000000000", "typo"])
def test_an_unknown_id_is_told(
    cli: CommandLine, installation: Installation, command: str, unknown: str
) -> None:
    outcome = cli(command, unknown)

    assert outcome.code == 1
    assert unknown in outcome.err
