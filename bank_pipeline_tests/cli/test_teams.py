"""Teams on the command line: made, listed, handed out, erased; and who did it."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from bank_pipeline.cli import teams
from bank_pipeline.cli.simulated import TEAM
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.installation import Installation


@pytest.fixture
def connection_id(installation: Installation) -> ConnectionId:
    """A linked and synced connection."""
    [connection_id] = installation.link()
    installation.sync(connection_id)
    return connection_id


@pytest.fixture
def _no_dagster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Dagster's own part is tested where Dagster is; making its tables takes seconds."""
    with dg.instance_for_test() as instance:
        monkeypatch.setattr(teams, "dagster_environment", lambda _: {})
        monkeypatch.setattr(dg.DagsterInstance, "get", lambda: instance)
        monkeypatch.setattr(teams, "build_forget", lambda _: lambda _: True)
        yield


def test_teams_are_made_and_listed(cli: CommandLine, connection_id: ConnectionId) -> None:
    made = cli("teams", "add", "Household Smith")
    assert made.code == 0
    assert cli("teams", "add", "Household Smith").code == 1

    rows = {row["name"]: row for row in cli("teams", "list", "--json").json}
    assert rows["Household Smith"]["id"] == made.out.strip()
    assert (rows[TEAM]["connections"], rows[TEAM]["erasure"]) == (1, None)
    assert rows[TEAM]["accounts"] > 0


def test_a_team_is_handed_out(
    cli: CommandLine, connection_id: ConnectionId, tmp_path: Path
) -> None:
    folder = tmp_path / "out"

    told = cli("teams", "export", TEAM, "--to", str(folder))

    assert told.code == 0
    assert "transactions.parquet" in told.out
    assert json.loads((folder / "manifest.json").read_text())["team_name"] == TEAM
    again = cli("teams", "export", TEAM, "--to", str(folder))
    assert (again.code, "already" in again.err) == (1, True)
    assert cli("teams", "export", "nobody", "--to", str(tmp_path / "other")).code == 1
    only = tmp_path / "only"
    report = cli("teams", "export", TEAM, "--to", str(only), "--format", "jsonl", "--json").json
    assert {Path(one["name"]).suffix for one in report["files"]} == {".jsonl"}


def test_what_does_not_open_is_told_by_an_export(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId, tmp_path: Path
) -> None:
    altered = "UPDATE bank.accounts SET numbers_ciphertext = 'altered'"
    with installation.services.sync.engine.begin() as db:
        count = db.execute(sa.text(altered)).rowcount

    told = cli("teams", "export", TEAM, "--to", str(tmp_path / "out"), "--format", "jsonl")

    assert told.code == 0
    assert f"accounts.numbers of {count} rows did not open" in " ".join(told.out.split())


@pytest.mark.usefixtures("_no_dagster")
def test_a_team_is_erased_by_who_says_its_name_twice(
    cli: CommandLine, connection_id: ConnectionId
) -> None:
    refused = cli("teams", "erase", TEAM, "--confirm", "yes")
    assert (refused.code, "letter by letter" in refused.err) == (1, True)
    assert len(cli("connections", "--json").json) == 1

    told = cli("teams", "erase", TEAM, "--confirm", TEAM)

    assert told.code == 0
    assert "what remains" in told.out
    assert "bank.audit_log" in told.out
    assert cli("connections", "--json").json == []
    assert cli("teams", "list", "--json").json == []
    assert cli("teams", "erase", TEAM, "--confirm", TEAM).code == 1


@pytest.mark.usefixtures("_no_dagster")
def test_an_erasure_that_waits_says_what_for(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    fault = Fault(FaultKind.ERROR, code="INTERNAL_SERVER_ERROR")
    installation.sandbox.faults.add("/item/remove", fault, times=None)

    told = cli("teams", "erase", TEAM, "--confirm", TEAM)

    assert told.code == 1
    assert "is not erased yet" in told.words
    assert "next try" in told.words
    assert cli("teams", "list", "--json").json[0]["erasure"] == "consents"
    assert "erasure" in {row["part"] for row in cli("doctor", "--json").json}
    given_up = cli("teams", "erase", TEAM, "--confirm", TEAM, "--give-up-consents", "--json").json
    assert given_up["erasures"][0]["state"] == "done"


def test_the_audit_log_is_listed_and_verified(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    cli("sync", connection_id)
    head = cli("audit", "verify").out.split()[-1]
    key = cli("api-keys", "create", "books", "--team", TEAM)
    assert key.code == 0

    rows = cli("audit", "list", "--team", TEAM, "--json").json
    assert [row["action"] for row in rows] == ["api_key_made", "synced", "synced", "linked"]
    assert rows[0]["actor"].startswith("cli:")
    assert cli("audit", "list", "-c", connection_id, "--action", "linked").code == 0
    assert len(cli("audit", "list", "--since", "2126-01-01", "--json").json) == 0
    proof = cli("audit", "verify", "--expect", head, "--json")
    assert (proof.code, proof.json["is_whole"], proof.json["sealed_count"]) == (0, True, 4)
    assert cli("audit", "verify", "--expect", "ab" * 32).code == 1
    assert cli("audit", "verify", "--expect", "no hash").code == 2
    assert cli("audit", "list", "-c", "no id").code == 2


def test_a_team_has_a_name(cli: CommandLine, installation: Installation) -> None:
    """It is by its name that a team is shown, exported and erased."""
    for blank in ("", "  "):
        refused = cli("teams", "add", blank)
        assert refused.code == 1
        assert "needs a name" in refused.err
    assert cli("teams", "list", "--json").json == []


def test_an_altered_entry_is_named(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    cli("audit", "verify")
    with installation.services.sync.engine.begin() as db:
        db.execute(sa.text("SET LOCAL session_replication_role = replica"))
        db.execute(sa.text("UPDATE bank.audit_log SET action = 'synced' WHERE action = 'linked'"))

    told = cli("audit", "verify")

    assert told.code == 1
    assert "changed: seal 1" in told.words


def test_the_doctor_sees_that_nobody_seals(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    parts = {row["part"] for row in cli("doctor", "--json").json}
    assert "audit log" not in parts

    installation.sandbox.advance(timedelta(minutes=11))

    parts = {row["part"] for row in cli("doctor", "--json").json}
    assert "audit log" in parts
