"""`bank-pipeline doctor`: what is configured, reachable and missing."""

import os
from pathlib import Path

import pytest
import sqlalchemy as sa

from bank_pipeline.errors import CredentialsRefusedError
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.storage.figures import load_figures
from bank_pipeline.storage.migrate import head
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.installation import SECRET, Installation
from bank_pipeline_tests.ports import free_ports


def states(cli: CommandLine) -> tuple[int, dict[str, str]]:
    outcome = cli("doctor", "--json")
    return outcome.code, {row["part"]: row["state"] for row in outcome.json}


def paused(context: SyncContext) -> dict[str, float]:
    """Return what `/metrics` says of providers that are paused."""
    figures = load_figures(context.engine, now=context.clock())
    return {one.labels[0]: one.value for one in figures if one.name == "provider_paused"}


def test_a_sound_installation(cli: CommandLine, installation: Installation) -> None:
    """Everything that is needed is ok; what merely is not set warns, and the exit code is 0."""
    code, found = states(cli)

    assert code == 0
    assert found["database"] == found["encryption key"] == found["plaid"] == found["clock"] == "ok"
    assert found["webhooks"] == "warning"


def test_the_table_says_the_same(cli: CommandLine, installation: Installation) -> None:
    """Part, state and what to do, without a secret."""
    outcome = cli("doctor")

    assert outcome.code == 0
    assert "keys accepted" in outcome.words
    assert "BANK_PIPELINE_GATEWAY_URL" in outcome.words
    assert SECRET not in outcome.out


def test_a_misspelt_variable_is_told(
    cli: CommandLine, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the environment or in a .env: it is ignored, and another database is used in silence."""
    monkeypatch.setenv("BANK_PIPELINE_DATABSE_URL", "postgresql://u:canary@db.internal/bank")
    Path(".env").write_text("BANK_PIPELINE_LOGLEVEL=canary\nPLAID_PRODUCTS=of another program\n")

    outcome = cli("doctor", "--json")

    told = {row["detail"].split()[0] for row in outcome.json if row["part"] == "settings"}
    assert told >= {"BANK_PIPELINE_DATABSE_URL", "BANK_PIPELINE_LOGLEVEL"}
    assert "PLAID_PRODUCTS" not in told
    assert (outcome.code, "canary" in outcome.out) == (0, False)


def test_whoever_runs_it_as_root_is_told(cli: CommandLine, installation: Installation) -> None:
    """Nothing needs root, and a fault in any part of it would be a fault with all rights."""
    expected = "warning" if os.geteuid() == 0 else "ok"

    code, found = states(cli)

    assert (code, found["process"]) == (0, expected)


def test_a_provider_that_is_off_is_no_fault(
    cli: CommandLine, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every provider is optional; doctor says which variables switch it on."""
    monkeypatch.delenv("PLAID_CLIENT_ID")
    monkeypatch.delenv("PLAID_SECRET")

    code, found = states(cli)

    assert (code, found["plaid"]) == (0, "off")


def test_a_provider_that_is_off_is_told_while_connections_go_through_it(
    cli: CommandLine, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their syncs fail, whether somebody forgot the variables or paused the provider by that."""
    installation.link()
    monkeypatch.delenv("PLAID_CLIENT_ID")
    monkeypatch.delenv("PLAID_SECRET")

    outcome = cli("doctor", "--json")

    [told] = [row for row in outcome.json if row["part"] == "plaid"]
    assert (outcome.code, told["state"]) == (0, "warning")
    assert "1 connection goes through it" in told["detail"]


def test_refused_keys_are_missing(
    cli: CommandLine, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong keys are found before a customer's sync fails on them, and are not printed."""
    monkeypatch.setenv("PLAID_SECRET", "wrong-canary")

    outcome = cli("doctor", "--json")

    assert outcome.code == 1
    [plaid] = [row for row in outcome.json if row["part"] == "plaid"]
    assert plaid["state"] == "missing"
    assert "wrong-canary" not in outcome.out


def test_a_pause_is_told_for_as_long_as_a_sync_waits_for_it(
    cli: CommandLine, installation: Installation
) -> None:
    """Once its last connection has gone to another provider, or ended, nobody probes it."""
    [connection_id] = installation.link()
    faults, context = installation.sandbox.faults, installation.services.sync
    faults.add("*", Fault(FaultKind.ERROR, code="INVALID_API_KEYS"), times=None)
    with pytest.raises(CredentialsRefusedError):
        installation.sync(connection_id)
    assert states(cli)[1]["plaid syncs"] == "warning"
    assert paused(context) == {"plaid": 1}
    faults.clear()

    assert disconnect(context, connection_id).is_ended

    assert "plaid syncs" not in states(cli)[1]
    assert paused(context) == {"plaid": 0}


def test_a_provider_that_is_down_is_missing(cli: CommandLine, installation: Installation) -> None:
    """An outage is told as such."""
    installation.sandbox.faults.add("*", Fault(FaultKind.HTTP_STATUS, status=400), times=None)

    code, found = states(cli)

    assert (code, found["plaid"]) == (1, "missing")


def test_a_database_of_a_newer_release_is_missing(
    cli: CommandLine, installation: Installation
) -> None:
    """No command goes on with it; doctor said that migrations run on first use."""
    engine, current = installation.services.sync.engine, head()

    def be_at(revision: str) -> None:
        with engine.begin() as db:
            db.execute(
                sa.text("UPDATE bank.alembic_version SET version_num = :to"), {"to": revision}
            )

    be_at("r9999")
    try:
        outcome = cli("doctor", "--json")
        refused = cli("connections")
    finally:
        be_at(current)

    [database] = [row for row in outcome.json if row["part"] == "database"]
    assert (outcome.code, database["state"]) == (1, "missing")
    assert "written by a newer one" in database["detail"]
    assert refused.code == 2


def test_a_database_that_is_away(
    cli: CommandLine, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other parts are looked at all the same."""
    monkeypatch.setenv("BANK_PIPELINE_DATABASE_URL", "postgresql://u:canary@127.0.0.1:1/bank")

    outcome = cli("doctor", "--json")

    found = {row["part"]: row["state"] for row in outcome.json}
    assert outcome.code == 1
    assert (found["database"], found["plaid"]) == ("missing", "ok")
    assert "canary" not in outcome.out


def test_a_clock_that_does_not_answer_is_one_finding(
    cli: CommandLine, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a shell at a sandbox that has ended: the other parts are looked at all the same."""
    [nobody] = free_ports(1)
    monkeypatch.setenv("BANK_PIPELINE_CLOCK_URL", f"http://127.0.0.1:{nobody}/_sim/clock")

    code, found = states(cli)

    assert (code, found["clock"], found["database"], found["plaid"]) == (1, "missing", "ok", "ok")


def test_a_cache_that_keeps_nothing_is_not_ok(
    cli: CommandLine, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It only spares calls, so that nothing fails without it: else nobody would hear of it."""
    assert states(cli)[1]["cache"] == "ok"
    [nobody] = free_ports(1)
    monkeypatch.setenv("BANK_PIPELINE_REDIS_URL", f"redis://:canary@127.0.0.1:{nobody}")

    outcome = cli("doctor", "--json")

    found = {row["part"]: row["state"] for row in outcome.json}
    assert (outcome.code, found["cache"]) == (0, "warning")
    assert "canary" not in outcome.out + outcome.err


def test_a_key_that_does_not_fit_is_missing(
    cli: CommandLine, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restored database with another machine's key is found by doctor, not by a sync."""
    installation.link()
    monkeypatch.setenv("BANK_PIPELINE_ENCRYPTION_KEY", "A" * 43 + "=")

    code, found = states(cli)

    assert (code, found["encryption key"]) == (1, "missing")
