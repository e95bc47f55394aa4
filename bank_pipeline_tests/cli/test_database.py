"""`bank-pipeline db`: the embedded database's life, and a way into the tables."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
import sqlalchemy as sa

from bank_pipeline.cli import database
from bank_pipeline.storage import embedded
from bank_pipeline.storage.engine import build_engine
from bank_pipeline_tests.architecture.sources import ROOT
from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.installation import Installation


@pytest.mark.xdist_group("processes")
def test_the_embedded_database_lives_as_told(cli: CommandLine, alone: Path) -> None:
    """Status starts nothing; start, migrate and stop do what they say, and may be repeated."""
    assert cli("db", "status", "--json").json[0]["status"] == "not created yet"
    assert [*alone.iterdir()] == []
    try:
        assert cli("db", "start").code == 0
        assert cli("db", "start").code == 0
        running = cli("db", "status", "--json").json[0]
        assert running["status"] == "running"
        assert isinstance(running["pid"], int)
        assert "running" in cli("db", "status").words
        assert cli("db", "migrate").code == 0
    finally:
        assert cli("db", "stop").out == "stopped\n"
    assert cli("db", "status", "--json").json[0]["status"] == "stopped"
    assert "not running" in cli("db", "stop").out


@pytest.mark.parametrize("command", ["start", "stop", "status"])
def test_an_external_database_is_not_ours_to_start_or_stop(
    cli: CommandLine, installation: Installation, command: str
) -> None:
    """The operator is told so instead of getting a second, empty database."""
    outcome = cli("db", command)

    assert outcome.code == 2
    assert "external" in outcome.err


def test_psql_url_opens_the_tables(cli: CommandLine, installation: Installation) -> None:
    """The printed URL is whole, in the form that every PostgreSQL client takes."""
    url = cli("db", "psql", "--url").out.strip()

    assert url.startswith("postgresql://")
    engine = build_engine(url)
    with engine.connect() as db:
        assert db.scalar(sa.text("SELECT count(*) FROM analytics.connections")) == 0
    engine.dispose()


@pytest.mark.xdist_group("processes")
def test_psql_url_is_read_by_clients_also_where_its_folder_has_a_space(
    cli: CommandLine, alone: Path
) -> None:
    """Projects lie in folders with names as people give them."""
    state = ["--state-dir", str(alone / "my state + more")]
    try:
        url = cli(*state, "db", "psql", "--url").out.strip()

        with psycopg.connect(url) as db:
            assert db.execute("SELECT count(*) FROM analytics.connections").fetchone() == (0,)
    finally:
        cli(*state, "db", "stop")


def test_psql_keeps_the_password_off_the_command_line(
    cli: CommandLine, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody on a machine can read the arguments of its processes."""
    started: list[tuple[list[str], dict[str, str]]] = []
    url = "postgresql+psycopg://me:p%40ss@db.example:5432/bank?sslmode=require"
    monkeypatch.setattr(database, "open_services", lambda: None)
    monkeypatch.setenv("BANK_PIPELINE_DATABASE_URL", url)
    monkeypatch.setattr(
        "os.execve", lambda _, arguments, environment: started.append((arguments, environment))
    )

    assert cli("db", "psql").code == 0

    [(arguments, environment)] = started
    assert arguments[1] == "postgresql://me@db.example:5432/bank?sslmode=require"
    assert environment["PGPASSWORD"] == "p@ss"


@pytest.mark.xdist_group("processes")
def test_make_clean_ends_every_server_before_it_deletes_its_data(alone: Path) -> None:
    """Also those of demo and playground where a `.env` names a database of its own."""
    script = alone / "venv" / "bin" / "bank-pipeline"
    script.parent.mkdir(parents=True)
    script.symlink_to(Path(sys.executable).parent / "bank-pipeline")
    (alone / ".env").write_text("BANK_PIPELINE_DATABASE_URL=postgresql://bank@db.internal/bank\n")
    folder = alone / ".bank-pipeline" / "playground"
    embedded.ensure_running(folder, is_durable=False)
    server = psutil.Process(embedded.status(folder).pid)
    try:
        command = ["make", "-f", str(ROOT / "Makefile"), "clean", "VENV=venv"]
        subprocess.run(command, cwd=alone, check=True, capture_output=True)

        assert not folder.exists()
        assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
    finally:
        with suppress(psutil.NoSuchProcess):
            server.kill()
