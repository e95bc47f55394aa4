"""URLs of every spelling lead to the right driver; what cannot work says what to do."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bank_pipeline.config import Settings
from bank_pipeline.errors import SetupError
from bank_pipeline.storage import embedded
from bank_pipeline.storage import engine as engine_module
from bank_pipeline.storage.engine import build_engine, check_server, dagster_url, resolve_database
from bank_pipeline.storage.health import load_health
from bank_pipeline.storage.migrate import head, migrate
from bank_pipeline.storage.roles import ROLES

PASSWORD = "hunter2/&?"
QUOTED = "hunter2%2F%26%3F"


@pytest.mark.parametrize(
    "scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"]
)
def test_every_spelling_means_psycopg_3(scheme: str) -> None:
    engine = build_engine(f"{scheme}://ann:{QUOTED}@db:5433/bank?sslmode=require")

    assert engine.url.drivername == "postgresql+psycopg"
    assert engine.url.password == PASSWORD
    assert engine.url.query == {"sslmode": "require"}


@pytest.mark.parametrize(
    "url", ["mysql://ann:hunter2@db/bank", "sqlite:///bank.db", "hunter2", "", "postgresql://db"]
)
def test_other_urls_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(SetupError, match="must look like postgresql://") as caught:
        build_engine(url)

    assert "hunter2" not in str(caught.value)


def test_sessions_are_ours(engine: sa.Engine) -> None:
    """UTC, and nothing waits or runs for ever."""
    with engine.connect() as db:
        shown = {
            name: db.scalar(sa.text(f"SHOW {name}"))
            for name in (
                "TimeZone",
                "statement_timeout",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
                "application_name",
            )
        }

    assert shown == {
        "TimeZone": "UTC",
        "statement_timeout": "2min",
        "lock_timeout": "30s",
        "idle_in_transaction_session_timeout": "5min",
        "application_name": "bank_pipeline",
    }


def test_a_connection_that_broke_is_replaced(engine: sa.Engine) -> None:
    """The server was restarted between two uses."""
    with engine.connect() as db:
        pid = db.scalar(sa.text("SELECT pg_backend_pid()"))
    other = build_engine(engine.url.render_as_string(hide_password=False))
    with other.begin() as db:
        assert db.scalar(sa.text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid})
    other.dispose()

    with engine.connect() as db:
        assert db.scalar(sa.text("SELECT pg_backend_pid()")) != pid


def test_rows_do_not_show_in_exceptions(engine: sa.Engine) -> None:
    with pytest.raises(sa.exc.DBAPIError) as caught, engine.connect() as db:
        db.execute(sa.text("SELECT 1 / :zero, :iban"), {"zero": 0, "iban": "DE02 1203 0000"})

    assert "DE02" not in str(caught.value)


def test_dagsters_url_keeps_what_was_given() -> None:
    """It adds the search path to options that are there already."""
    url = sa.make_url(
        dagster_url(f"postgres://ann:{QUOTED}@db/bank?options=-cgeqo%3Doff&sslmode=require")
    )

    assert url.drivername == "postgresql+psycopg2"
    assert url.password == PASSWORD
    assert url.query == {"options": "-cgeqo=off -csearch_path=dagster", "sslmode": "require"}


def test_dagster_keeps_its_tables_in_its_schema(engine: sa.Engine, tmp_path: Path) -> None:
    """A real instance stores and reads a run; nothing lands in `public` or `bank`."""
    (tmp_path / "dagster.yaml").write_text(
        "storage: {postgres: {postgres_url: {env: DAGSTER_URL}}}\ntelemetry: {enabled: false}\n"
    )
    url = dagster_url(engine.url.render_as_string(hide_password=False))
    script = (
        "import dagster as dg, sys\n"
        "@dg.asset\n"
        "def thing() -> int: return 1\n"
        "with dg.DagsterInstance.from_config(sys.argv[1]) as instance:\n"
        "    assert dg.materialize([thing], instance=instance).success\n"
        "    [run] = instance.get_runs(limit=1)\n"
        "    print(len(instance.all_logs(run.run_id)))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    environment = os.environ | {"DAGSTER_URL": url}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 5
    with engine.connect() as db:
        tables = db.execute(
            sa.text(
                "SELECT schemaname, tablename FROM pg_tables WHERE tablename LIKE '%event_log%'"
            )
        ).all()
    assert ("dagster", "event_logs") in [tuple(row) for row in tables]
    assert {row.schemaname for row in tables} == {"dagster"}


def test_without_a_url_the_embedded_server_is_used(server: Path) -> None:
    database = resolve_database(Settings(_env_file=None, state_dir=server))

    assert database.is_embedded
    assert sa.make_url(database.dagster_url).drivername == "postgresql+psycopg2"
    engine = build_engine(database.url)
    assert check_server(engine).startswith("18.")
    engine.dispose()


def test_configured_databases_are_used_and_not_shown(tmp_path: Path) -> None:
    """Nothing is started, and no repr holds a password."""
    settings = Settings(
        _env_file=None,
        state_dir=tmp_path / "state",
        database_url=f"postgres://ann:{QUOTED}@db/bank",
        dagster_database_url=f"postgresql://bob:{QUOTED}@db/dagster",
    )
    database = resolve_database(settings)

    assert sa.make_url(database.url).drivername == "postgresql+psycopg"
    assert sa.make_url(database.url).password == PASSWORD
    assert sa.make_url(database.dagster_url).query == {}
    assert sa.make_url(database.dagster_url).drivername == "postgresql+psycopg2"
    assert not database.is_embedded
    assert "hunter2" not in repr(database)
    assert not (tmp_path / "state").exists()


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """State folder of a server on which `ann` needs a password and `bob` does not exist."""
    folder = Path(tempfile.mkdtemp())
    url = embedded.ensure_running(folder / "state", is_durable=False)
    rules = "local all postgres,bob trust\nlocal all all scram-sha-256\n"
    (folder / "state" / "pg" / "pg_hba.conf").write_text(rules)
    engine = build_engine(url)
    with engine.begin() as db:
        db.execute(sa.text(f"CREATE ROLE ann LOGIN PASSWORD '{PASSWORD}'"))
        db.execute(sa.text("SELECT pg_reload_conf()"))
    engine.dispose()
    yield folder / "state"
    embedded.stop(folder / "state")
    shutil.rmtree(folder)


def problem_of(url: str) -> str:
    engine = build_engine(url)
    try:
        with pytest.raises(SetupError) as caught:
            check_server(engine)
    finally:
        engine.dispose()
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_each_failure_to_connect_says_what_to_do(server: Path) -> None:
    """And none of them says the password."""
    at = f"host={server / 'pg'}&port=5432"

    assert "is the server running" in problem_of(f"postgres://ann:{QUOTED}@127.0.0.1:9/bank")
    assert "check user and password" in problem_of(f"postgres://ann:wrong@/bank_pipeline?{at}")
    assert "needs a password" in problem_of(f"postgres://ann@/bank_pipeline?{at}")
    assert "create it" in problem_of(f"postgres://ann:{QUOTED}@/missing?{at}")
    assert "create the user" in problem_of(f"postgres://bob@/bank_pipeline?{at}")
    assert "no such socket" in problem_of("postgres://ann@/bank?host=/nowhere")
    assert "check the host's name" in problem_of(f"postgres://ann:{QUOTED}@no.invalid/bank")


def test_a_user_who_may_not_create_schemas_is_told_the_grant(server: Path) -> None:
    """It can be pasted."""
    problem = problem_of(
        f"postgres://ann:{QUOTED}@/bank_pipeline?host={server / 'pg'}&port=5432",
    )

    assert 'GRANT CREATE ON DATABASE "bank_pipeline" TO "ann"' in problem


def test_an_old_server_is_refused(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is moved, because no old server is at hand."""
    monkeypatch.setattr(engine_module, "SERVER_VERSION_MIN", 99)

    with pytest.raises(SetupError, match=r"PostgreSQL \d+\.\d+; it must be 99 or newer"):
        check_server(engine)


def test_health_of_a_migrated_database(engine: sa.Engine) -> None:
    health = load_health(engine)

    assert health.is_migrated
    assert health.revision == head()
    assert health.size_bytes > 1_000_000
    assert "transactions" in health.table_bytes
    assert health.missing_roles == frozenset()
    assert not health.is_durable  # tests trade that for speed


def test_health_of_a_fresh_database(server: Path) -> None:
    engine = build_engine(embedded.ensure_running(server))
    health = load_health(engine)
    engine.dispose()

    assert (health.revision, health.is_migrated, health.table_bytes) == (None, False, {})


def test_where_roles_may_not_be_created_migrating_works_and_says_so(server: Path) -> None:
    """An administrator may create them later: the next call of `ensure_roles` uses them."""
    administrator = build_engine(embedded.ensure_running(server))
    with administrator.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(sa.text("CREATE DATABASE anns OWNER ann"))
    administrator.dispose()
    engine = build_engine(f"postgres://ann:{QUOTED}@/anns?host={server / 'pg'}&port=5432")

    report = migrate(engine)
    health = load_health(engine)
    engine.dispose()

    assert report.missing_roles == health.missing_roles == frozenset(ROLES)
    assert health.is_migrated
