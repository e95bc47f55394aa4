"""`bank-pipeline backfill`: what each account was asked for, and what came of it."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.installation import Installation

UNKNOWN = "019a0000-0000-7000-8000-000000000000"


@pytest.fixture
def connection_id(installation: Installation) -> ConnectionId:
    """A connection whose whole history is here."""
    [connection_id] = installation.link()
    installation.sync(connection_id)
    return connection_id


def test_a_backfill_says_of_each_account_what_came(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    """A row that was lost is new again, one that was altered is changed back."""
    with installation.services.sync.engine.begin() as db:
        rows = "SELECT id, account_id::text FROM bank.transactions ORDER BY id LIMIT 2"
        (lost, account), (altered, _) = db.execute(sa.text(rows)).all()
        db.execute(sa.text("DELETE FROM bank.transactions WHERE id = :id"), {"id": lost})
        query = "UPDATE bank.transactions SET content_hash = '\\x00', amount = 1 WHERE id = :id"
        db.execute(sa.text(query), {"id": altered})

    outcome = cli("backfill", "--from", "2026-01-15", "--connection", connection_id, "--json")

    assert outcome.code == 0
    assert {row["outcome"] for row in outcome.json} == {"done"}
    assert {row["asked"] for row in outcome.json} == {"whole history"}
    [own] = [row for row in outcome.json if row["account_id"] == account]
    assert own["new"] == 1
    assert sum(row["new"] for row in outcome.json) == 1
    assert sum(row["changed"] for row in outcome.json) == 1
    assert own["covered_before"] == own["covered_after"] != []
    assert installation.differences(connection_id) == []


def test_a_connection_that_is_named_in_capitals_is_that_one(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    """Of each of its accounts is said what came, and it is read once."""
    named = ("-c", connection_id.upper(), "-c", connection_id)
    rows = cli("backfill", "--from", "2026-01-15", *named, "--json").json

    assert {row["connection"] for row in rows} == {connection_id}
    assert len(rows) == installation.value("SELECT count(*) FROM bank.accounts")
    assert {row["asked"] for row in rows} == {"whole history"}
    assert len(cli("sync", connection_id.upper(), connection_id, "--json").json) == 1


def test_a_backfill_for_people(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    outcome = cli("backfill", "--from", "2026-01-15", "--all")

    assert outcome.code == 0
    assert "backfill from 2026-01-15" in outcome.words
    assert "whole history" in outcome.words


def test_a_backfill_that_fails_says_why_and_when_it_goes_on(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    faults = installation.sandbox.faults
    faults.add("/transactions/sync", Fault(FaultKind.ERROR, code="INSTITUTION_DOWN"), times=None)

    outcome = cli("backfill", "--from", "2026-01-15", "-c", connection_id, "-c", UNKNOWN, "--json")

    assert outcome.code == 1
    *failed, unknown = outcome.json
    assert {row["outcome"] for row in failed} == {"failed"}
    assert {row["reason"] for row in failed} == {"transient: INSTITUTION_DOWN"}
    assert all(row["next_try"] for row in failed)
    assert all(row["asked"] is None for row in failed)
    assert (unknown["connection"], unknown["outcome"]) == (UNKNOWN, "failed")


def test_a_busy_connection_is_backfilled_by_its_next_sync(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    with connection_lock(installation.services.sync.engine, connection_id):
        outcome = cli("backfill", "--from", "2026-01-15", "-c", connection_id, "--json")

    assert outcome.code == 0
    assert {row["outcome"] for row in outcome.json} == {"busy"}
    assert installation.stored(connection_id).backfill_since is not None


def test_a_connection_that_its_first_sync_is_about_to_read_is_busy(
    cli: CommandLine, installation: Installation
) -> None:
    [linked] = installation.link()
    with connection_lock(installation.services.sync.engine, linked):
        outcome = cli("backfill", "--from", "2026-01-15", "-c", linked, "--json")

    assert outcome.code == 0
    assert {row["outcome"] for row in outcome.json} == {"busy"}


@pytest.mark.parametrize("arguments", [["--from", "2026-01-15"], ["--from", "yesterday", "--all"]])
def test_a_backfill_of_nothing_or_from_no_day_is_a_mistake(
    cli: CommandLine, installation: Installation, arguments: list[str]
) -> None:
    assert cli("backfill", *arguments).code == 2


def test_a_backfill_cannot_begin_tomorrow(cli: CommandLine, installation: Installation) -> None:
    tomorrow = installation.sandbox.clock.now() + timedelta(days=1)
    assert cli("backfill", "--from", f"{tomorrow:%Y-%m-%d}", "--all").code == 2
