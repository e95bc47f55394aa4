"""`bank-pipeline analysts`: logins of people who query the views with tools of their own."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg import sql

from bank_pipeline.domain.ids import TeamId
from bank_pipeline.errors import RefusedError
from bank_pipeline.storage.analysts import (
    Address,
    address_of,
    close_analyst,
    drop_login,
    insert_analyst,
)
from bank_pipeline.storage.connections import ensure_team
from bank_pipeline.storage.engine import build_engine
from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.installation import Installation
from bank_pipeline_tests.storage.tenants import demand_passwords

pytestmark = pytest.mark.xdist_group("logins")  # they are the server's, which all workers use

LOGIN = 'an analyst\'s "login"'


@pytest.fixture
def cleared(engine: sa.Engine) -> Iterator[None]:
    """Leave no login behind on the server, which other tests use."""
    yield
    with engine.begin() as db:
        logins = db.scalars(sa.text("SELECT login FROM bank.analysts")).all()
        for login in logins:
            close_analyst(db, login)
            drop_login(db, login)


@pytest.fixture
def _home(installation: Installation, engine: sa.Engine) -> None:
    """A team without connections."""
    with engine.begin() as db:
        ensure_team(db, "home", now=installation.services.sync.clock())


@pytest.mark.usefixtures("cleared")
def test_an_analyst_logs_in_and_queries_their_team(
    cli: CommandLine, installation: Installation, engine: sa.Engine
) -> None:
    """By the password that is printed once, and is nowhere else: the server has its proof only."""
    [connection_id] = installation.link()
    installation.sync(connection_id)
    team = installation.value("SELECT name FROM bank.teams")
    demand_passwords(engine)

    made = cli("analysts", "add", LOGIN, "--team", team, "--json").json

    assert (made["login"], made["team"], made["database"]) == (LOGIN, team, engine.url.database)
    address = {"host": made["host"], "port": made["port"], "dbname": made["database"]}
    with psycopg.connect(**address, user=LOGIN, password=made["password"]) as db:
        [found] = db.execute("SELECT count(*) FROM transactions").fetchone() or [0]
        assert found == installation.rows(connection_id) > 0
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            db.execute("CREATE TEMPORARY TABLE held AS TABLE transactions")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(**address, user=LOGIN, password="wrong")
    proof = "SELECT rolpassword FROM pg_authid WHERE rolname = :login"
    assert installation.value(proof, login=LOGIN).startswith("SCRAM-SHA-256$")


@pytest.mark.usefixtures("cleared", "_home")
def test_analysts_are_listed_and_removed(
    cli: CommandLine, installation: Installation, engine: sa.Engine
) -> None:
    """With their sessions, which end at once."""
    made = cli("analysts", "add", "first", "--team", "home", "--json").json
    assert "embedded" not in cli("analysts", "add", "second", "--team", "home").out
    address = {"host": made["host"], "port": made["port"], "dbname": made["database"]}
    session = psycopg.connect(**address, user="first", password=made["password"])
    [first, second] = cli("analysts", "list", "--json").json
    assert (first["login"], first["team_name"], first["has_login"]) == ("first", "home", True)
    assert (first["sessions_count"], second["sessions_count"]) == (1, 0)
    assert made["password"] not in cli("analysts", "list").out

    assert cli("analysts", "remove", "first").code == 0

    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    assert installation.value("SELECT count(*) FROM pg_roles WHERE rolname = 'first'") == 0
    assert [row["login"] for row in cli("analysts", "list", "--json").json] == ["second"]
    assert cli("analysts", "remove", "first").code == 1
    acts = [one["action"] for one in cli("audit", "list", "--json").json]
    assert (acts.count("login_made"), acts.count("login_removed")) == (2, 1)


@pytest.mark.usefixtures("cleared")
def test_the_logins_of_an_erased_team_go_with_it(
    cli: CommandLine, installation: Installation, engine: sa.Engine
) -> None:
    with engine.begin() as db:
        for team in ("going", "staying"):
            ensure_team(db, team, now=installation.services.sync.clock())
    for team in ("going", "staying"):
        assert cli("analysts", "add", f"of {team}", "--team", team).code == 0

    assert cli("teams", "erase", "going", "--confirm", "going").code == 0

    query = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'of %'"
    with engine.connect() as db:
        assert db.scalars(sa.text(query)).all() == ["of staying"]


@pytest.mark.usefixtures("cleared", "_home")
def test_a_login_is_made_for_one_team_alone(
    cli: CommandLine, installation: Installation, engine: sa.Engine
) -> None:
    """A name that is taken, also by another use of the server, is refused; so is a slip."""
    assert cli("analysts", "add", "first", "--team", "home").code == 0

    for name, said in (
        ("first", "already"),
        ("postgres", "already"),
        ("bank_writer", "already"),
        ("pg_mine", "no name"),
        ("public", "no name"),
        ("none", "no name"),
        ("", "no name"),
        ("x" * 64, "no name"),
    ):
        refused = cli("analysts", "add", name, "--team", "home")
        assert (refused.code, said in refused.err) == (1, True), name
    unknown = cli("analysts", "add", "other", "--team", "hoem")
    assert (unknown.code, "hoem" in unknown.err) == (1, True)
    assert cli("analysts", "remove", "postgres").code == 1


@pytest.mark.usefixtures("cleared", "_home")
def test_doctor_warns_of_an_analyst_with_another_role(
    cli: CommandLine, installation: Installation, engine: sa.Engine
) -> None:
    """Nothing is lost by it, but it was hardly meant."""
    assert cli("analysts", "add", "first", "--team", "home").code == 0
    assert "database roles" not in cli("doctor").out
    with engine.begin() as db:
        db.execute(sa.text("GRANT bank_reader TO first"))

    [found] = [row for row in cli("doctor", "--json").json if row["part"] == "database roles"]

    assert (found["state"], "first" in found["detail"]) == ("warning", True)
    assert "bank_reader" in found["detail"]


@pytest.fixture(scope="module")
def home(database_url: str) -> Iterator[tuple[sa.Engine, TeamId]]:
    """A team to make logins for, all in one transaction that is never committed."""
    engine = sa.create_engine(database_url)
    with engine.connect() as db:
        yield db, ensure_team(db, "of names", now=db.scalar(sa.text("SELECT now()")))  # type: ignore[misc]
    engine.dispose()


@given(st.text(min_size=1, max_size=70))
@example('"; DROP SCHEMA bank CASCADE; --')
@example("%s %(name)s {name} :name")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_is_that_login_and_no_other_statement(
    home: tuple[sa.Connection, TeamId], name: str
) -> None:
    """Or it is refused: whatever is in it, it is a name."""
    db, team_id = home
    with db.begin_nested() as place:
        now = db.scalar(sa.text("SELECT now()"))
        try:
            insert_analyst(db, name, team_id, now=now)
        except RefusedError:
            return
        found = db.scalars(sa.text("SELECT rolname FROM pg_roles WHERE rolname = :n"), {"n": name})
        assert found.all() == [name]
        drop_login(db, name)
        place.rollback()


def test_nothing_of_a_password_reaches_the_servers_log(
    cli: CommandLine, installation: Installation, engine: sa.Engine, tmp_path: Path
) -> None:
    """Even where every statement is logged: what is sent is only what proves it."""
    sent: list[str] = []
    with engine.connect() as db:
        team_id = ensure_team(db, "home", now=installation.services.sync.clock())
        driver = db.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        log = tmp_path / "trace"
        with log.open("wb") as trace:
            driver.pgconn.trace(trace.fileno())
            password = insert_analyst(db, "traced", team_id, now=installation.services.sync.clock())
            driver.pgconn.untrace()
        sent.append(log.read_text(errors="replace"))

    assert "SCRAM-SHA-256$" in sent[0]
    assert password.get_secret_value() not in sent[0]
    assert sql.Identifier("traced").as_string(None) in sent[0]


@pytest.mark.parametrize(
    ("query", "host", "port"),
    [
        ("host=one,two&port=5433,5434", "one", 5433),
        ("host=one:5433&host=two:5434", "one", 5433),
        ("host=/var/run/postgresql", "/var/run/postgresql", None),
    ],
)
def test_of_several_servers_an_analyst_is_told_the_first(
    query: str, host: str, port: int | None
) -> None:
    """Where one takes over from the other, the URL names both."""
    engine = build_engine(f"postgresql://us@/bank?{query}")

    assert address_of(engine) == Address(host, port, "bank")
