"""What a user reads when something is wrong: one line that says what to do, and an exit code."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa

from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.installation import Installation

CANARY: Final = "canary-5a1e"


@pytest.fixture
def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BANK_PIPELINE_SYNC_THREADS", f"{CANARY}-many"),
        ("PLAID_ENV", CANARY),
        ("PLAID_DAYS_REQUESTED", "99999"),
        ("PLAID_SECRET", CANARY),
        ("PLAID_COUNTRY_CODES", CANARY),
        ("BANK_PIPELINE_GATEWAY_URL", CANARY),
        ("BANK_PIPELINE_REDIS_URL", f"{CANARY}:6379"),
        ("BANK_PIPELINE_REDIS_URL", f"redis://:{CANARY}/of@localhost:6379"),
        ("BANK_PIPELINE_BROKER_URL", f"redis://localhost:{CANARY}"),
    ],
)
def test_a_bad_value_is_named_and_not_echoed(
    cli: CommandLine, alone: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """The variable is named; its value may be a secret pasted in the wrong place."""
    monkeypatch.setenv(variable, value)

    outcome = cli("connections")

    assert outcome.code == 2
    assert variable in outcome.err
    assert CANARY not in outcome.err + outcome.out
    assert "Traceback" not in outcome.err


def test_production_refuses_a_sandbox(
    cli: CommandLine, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real credentials never go to a simulator, nor simulated time to real banks."""
    monkeypatch.setenv("PLAID_ENV", "production")

    outcome = cli("connections")

    assert outcome.code == 2
    assert "PLAID_BASE_URL" in outcome.err


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        (f"mysql://user:{CANARY}@localhost/bank", "only PostgreSQL"),
        ("postgresql://user@localhost", "names no database"),
        (f"nonsense {CANARY}", "must look like"),
        (f"postgresql://user:{CANARY}@127.0.0.1:{{port}}/bank", "is the server running"),
        (f"postgresql://user:{CANARY}@[::1]:{{port}}/bank", "is the server running"),
    ],
)
@pytest.mark.parametrize("command", [["connections"], ["db", "migrate"], ["db", "psql", "--url"]])
def test_a_database_that_cannot_be_used(
    cli: CommandLine,
    alone: Path,
    closed_port: int,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    advice: str,
    command: list[str],
) -> None:
    """One line says what is wrong with the URL or the server, without the password."""
    monkeypatch.setenv("BANK_PIPELINE_DATABASE_URL", url.format(port=closed_port))

    outcome = cli(*command)

    assert outcome.code == 2
    assert outcome.out == ""
    assert advice in outcome.err
    assert CANARY not in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_a_database_that_goes_away_meanwhile_is_told_in_words(
    cli: CommandLine, installation: Installation
) -> None:
    """Without the statement that it did not do, which may hold what is nobody's business."""
    [connection_id] = installation.link()
    kill = sa.text("SELECT pg_terminate_backend(:pid)")

    def go_away(_db: object, cursor: Any, statement: str, *_: object) -> None:
        if "INSERT INTO bank.sync_runs" in statement:
            with installation.services.sync.engine.connect() as other:
                other.execute(kill, {"pid": cursor.connection.info.backend_pid})

    sa.event.listen(sa.Engine, "before_cursor_execute", go_away)
    try:
        outcome = cli("sync", connection_id)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", go_away)

    assert outcome.code == 1
    assert "it went away" in outcome.err
    assert "doctor" in outcome.err
    assert "bank.sync_runs" not in outcome.err


def test_a_foreign_data_folder(cli: CommandLine, alone: Path) -> None:
    """What is not ours is not touched; its name is shown even where it looks like markup."""
    state = alone / "odd[red]name[/]"
    (state / "pg").mkdir(parents=True)
    (state / "pg" / "precious.txt").write_text("mine")

    outcome = cli("--state-dir", str(state), "connections")

    assert outcome.code == 2
    assert "odd[red]name[/]/pg" in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
    assert [file.name for file in (state / "pg").iterdir()] == ["precious.txt"]


@pytest.mark.parametrize("command", [["serve", "daemon"], ["demo"]])
def test_a_state_folder_that_cannot_be_made_is_told(
    cli: CommandLine, alone: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """Such as one on a disk that is read-only, or below somebody else's folder."""
    monkeypatch.setenv("BANK_PIPELINE_DATABASE_URL", "postgresql://u@127.0.0.1:1/bank")
    (alone / "file").touch()

    outcome = cli("--state-dir", "file/state", *command)

    assert outcome.code == 2
    assert "file/state" in outcome.err
    assert "cannot be used (Not a directory)" in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_variables_in_another_encoding_are_told(cli: CommandLine, alone: Path) -> None:
    """As an editor of another age writes them."""
    (alone / ".env").write_bytes(f"PLAID_CLIENT_NAME={CANARY} M\xfcller\n".encode("latin-1"))

    outcome = cli("db", "status")

    assert outcome.code == 2
    assert ".env" in outcome.err
    assert CANARY not in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "command",
    [
        ["quarantine", "show"],
        ["quarantine", "resolve"],
        ["balance-checks", "resolve"],
        ["notify", "list", "--limit"],
        ["audit", "list", "--limit"],
    ],
)
def test_a_number_that_is_too_large_is_a_mistake(
    cli: CommandLine, installation: Installation, command: list[str]
) -> None:
    """The database has no such number, and is not asked."""
    outcome = cli(*command, "99999999999999999999")

    assert outcome.code == 2
    assert outcome.out == ""
    assert "should be less than or equal to" in " ".join(outcome.err.split())
    assert "Traceback" not in outcome.err


def test_an_argument_in_another_encoding_is_told(
    cli: CommandLine, installation: Installation
) -> None:
    """Python hands on bytes that are no text, and no database takes them."""
    outcome = cli("teams", "add", b"M\xfcller".decode(errors="surrogateescape"))

    assert outcome.code == 2
    assert "not UTF-8" in outcome.err


def test_a_wrong_key_stops_everything(
    cli: CommandLine, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that does not open what is stored must not be used to store more."""
    installation.link()
    monkeypatch.setenv("BANK_PIPELINE_ENCRYPTION_KEY", "A" * 43 + "=")

    outcome = cli("connections")

    assert outcome.code in {1, 2}
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert "key" in outcome.err.lower()


def test_a_sync_without_its_provider(
    cli: CommandLine, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that was switched off fails its connections' syncs, and says how to mend it."""
    [connection_id] = installation.link()
    monkeypatch.delenv("PLAID_CLIENT_ID")
    monkeypatch.delenv("PLAID_SECRET")

    outcome = cli("sync", connection_id, "--json")

    assert outcome.code == 1
    assert "not configured" in outcome.json[0]["reason"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_all_letters_ends_no_command(
    cli: CommandLine, installation: Installation, encoding: str
) -> None:
    """JSON has them escaped; a table shows what can be shown."""
    name = "Żółw & Söhne"
    assert cli("teams", "add", name).code == 0
    command = [sys.executable, "-m", "bank_pipeline.cli", "teams", "list"]
    elsewhere = {**os.environ, "PYTHONIOENCODING": encoding}

    told = [
        subprocess.run([*command, *wish], env=elsewhere, capture_output=True, check=False)
        for wish in ([], ["--json"])
    ]

    assert [one.returncode for one in told] == [0, 0]
    assert b"hne" in told[0].stdout
    assert json.loads(told[1].stdout.decode(encoding))[0]["name"] == name


def test_the_installed_command_answers(alone: Path) -> None:
    """The real script of the installation, in a process of its own, far from the sources."""
    script = Path(sys.executable).parent / "bank-pipeline"

    outcome = subprocess.run(
        [script, "db", "status", "--json"], capture_output=True, text=True, check=True
    )

    assert '"not created yet"' in outcome.stdout
    assert [*alone.iterdir()] == []
