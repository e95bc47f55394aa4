"""Two teams with a row in every table, and logins of their analysts on a real server."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg
import sqlalchemy as sa

from bank_pipeline.domain.ids import TeamId
from bank_pipeline.storage.analysts import close_analyst, drop_login, insert_analyst
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.migrate import migrate
from bank_pipeline.storage.roles import load_missing_roles
from bank_pipeline.storage.tables import NOBODYS
from bank_pipeline_tests.storage.rows import insert_row_everywhere
from bank_pipeline_tests.vaults import VAULT

OURS: Final = " of ours"
THEIRS: Final = " of others"
_BY_PASSWORD: Final = "local all +analyst scram-sha-256\n"


@dataclass(frozen=True)
class Teams:
    """A row of each of two teams in every table that has a team. `banned`: what only B's hold."""

    ours: Mapping[str, Mapping[str, Any]]
    theirs: Mapping[str, Mapping[str, Any]]
    banned: tuple[str, ...]

    @property
    def our_id(self) -> TeamId:
        """The team that looks."""
        return TeamId(self.ours["teams"]["id"])

    @property
    def their_id(self) -> TeamId:
        """The team that is not to be seen."""
        return TeamId(self.theirs["teams"]["id"])

    def leaks(self, text: str) -> list[str]:
        """Return what of the other team is in a text."""
        return [one for one in self.banned if one in text]


def insert_teams(db: sa.Connection, now: datetime) -> Teams:
    """Fill every table for two teams."""
    ours = insert_row_everywhere(db, now, mark=OURS)
    skipped = set(NOBODYS) - {"teams"}
    theirs = insert_row_everywhere(db, now, mark=THEIRS, skipped=skipped)
    ids = {str(row["id"]) for row in theirs.values() if isinstance(row.get("id"), str)}
    return Teams(ours, theirs, (THEIRS.strip(), *sorted(ids)))


def relations(engine: sa.Engine, schema: str) -> list[str]:
    """List the tables or views of a schema, as the catalogue has them."""
    query = sa.text(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = CAST(:schema AS regnamespace) "
        "AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY c.relname"
    )
    with engine.connect() as db:
        return [f"{schema}.{name}" for name in db.scalars(query, {"schema": schema})]


@contextmanager
def analyst_of(engine: sa.Engine, team_id: TeamId, now: datetime) -> Iterator[str]:
    """Register an analyst; yields the URL that they connect by, for psycopg."""
    login = f"analyst-{new_id()}"
    demand_passwords(engine)
    with engine.begin() as db:
        password = insert_analyst(db, login, team_id, now=now)
    url = engine.url.set(
        drivername="postgresql", username=login, password=password.get_secret_value()
    )
    try:
        yield url.render_as_string(hide_password=False)
    finally:
        with engine.begin() as db:
            close_analyst(db, login)
        with engine.begin() as db:
            drop_login(db, login)


def demand_passwords(engine: sa.Engine) -> None:
    """Have the tests' server ask analysts for their password, as a real one does."""
    server = engine.execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as db:
        db.execute(sa.text("SELECT pg_advisory_lock(2)"))
        path = Path(str(db.scalar(sa.text("SHOW hba_file"))))
        rules = path.read_text(encoding="utf-8")
        if _BY_PASSWORD not in rules:
            path.write_text(_BY_PASSWORD + rules, encoding="utf-8")
            loaded = db.scalar(sa.text("SELECT pg_conf_load_time()"))
            db.execute(sa.text("SELECT pg_reload_conf()"))
            while db.scalar(sa.text("SELECT pg_conf_load_time()")) == loaded:
                pass
        db.execute(sa.text("SELECT pg_advisory_unlock(2)"))


@contextmanager
def listening(url: str) -> Iterator[tuple[psycopg.Connection[Any], list[str]]]:
    """Connect, and collect whatever the server says besides rows: notices and errors."""
    said: list[str] = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.add_notice_handler(lambda told: said.append(str(told.message_primary)))
        yield connection, said


def try_it(connection: psycopg.Connection[Any], statement: str) -> str:
    """Run a statement, and return all that it says: rows, or the error with all its parts."""
    try:
        found = connection.execute(statement)
        return "" if found.description is None else repr(found.fetchall())
    except psycopg.Error as error:
        parts = (getattr(error.diag, name) for name in dir(error.diag) if not name.startswith("_"))
        return " ".join(str(part) for part in parts)


@contextmanager
def plain_login(
    server_url: str, *, may_create_roles: bool = False, has_roles: bool = True
) -> Iterator[sa.Engine]:
    """
    Own a migrated database as a user who is no superuser, as on managed servers.

    `has_roles`: an administrator has created ours; else the server has those it had.
    """
    name = f"plain_{new_id().replace('-', '')}"
    server = build_engine(server_url).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as db:
        for role in load_missing_roles(db) if has_roles else ():
            db.exec_driver_sql(_CREATE_ROLE.format(role=role))
        db.execute(sa.text(f"CREATE ROLE {name} LOGIN {'CREATEROLE' if may_create_roles else ''}"))
        db.execute(sa.text(f"CREATE DATABASE {name} OWNER {name}"))
    url = sa.make_url(server_url).set(username=name, database=name)
    engine = build_engine(url.render_as_string(hide_password=False))
    try:
        migrate(engine, VAULT)
        yield engine
    finally:
        engine.dispose()
        with server.connect() as db:
            db.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
            for member in db.scalars(_GRANTED_BY, {"name": name}).all():
                db.execute(sa.text(f"REVOKE {member} FROM {name}"))
            db.execute(sa.text(f"DROP ROLE {name}"))
        server.dispose()


_CREATE_ROLE: Final = """
    DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$
"""
_GRANTED_BY: Final = sa.text(
    "SELECT m.roleid::regrole::text FROM pg_auth_members m WHERE m.member = to_regrole(:name)"
)
