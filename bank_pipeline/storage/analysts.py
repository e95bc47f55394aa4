"""
Logins of analysts: people and tools that read the views in `analytics`, of one team.

Logins belong to the whole server. A login is an analyst's here by a row in `bank.analysts`,
which the policies ask by the name that began the session: nothing that an analyst can set.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psycopg
import sqlalchemy as sa
from psycopg import sql
from pydantic import SecretStr

from bank_pipeline.domain.ids import TeamId
from bank_pipeline.errors import NotFoundError, RefusedError, SetupError
from bank_pipeline.storage.copying import driver_of
from bank_pipeline.storage.roles import ANALYST, load_missing_roles
from bank_pipeline.storage.tables import analysts

LOGIN_BYTES_MAX: Final = 63  # PostgreSQL cuts longer names, and then two could be one
_RESERVED: Final = ("none", "public")  # words of PostgreSQL, also in quotes
SESSIONS_MAX: Final = 8  # a notebook or a dashboard opens a few
_PASSWORD_BYTES: Final = 24
_END_MS: Final = 5_000
_SETTINGS: Final = {
    "default_transaction_read_only": "on",
    "search_path": "analytics",
    "statement_timeout": "5min",
    "idle_in_transaction_session_timeout": "5min",  # an open transaction keeps old rows alive
}
"""Where a session begins. An analyst may set them otherwise: what is seen hangs on none of them."""

_NOT_ALLOWED: Final = (
    "The database's user may not manage logins: it must own the tables, and needs CREATEROLE and "
    "ADMIN of the role analyst. As a superuser: `ALTER ROLE {login} CREATEROLE; GRANT analyst TO "
    "{login} WITH ADMIN OPTION`"
)


@dataclass(frozen=True)
class Analyst:
    """A registered login. `has_login`: the server has it, it may log in, and is an analyst."""

    login: str
    team_name: str
    created_at: datetime
    has_login: bool
    sessions_count: int


@dataclass(frozen=True)
class Address:
    """Where a login connects to, as our own URL has it; None: what clients do without."""

    host: str | None
    port: int | None
    database: str | None


def address_of(engine: sa.Engine) -> Address:
    """Return where this engine's server is; of several that the URL names, the first."""
    _, given = engine.dialect.create_connect_args(engine.url)
    host, port = (str(given.get(name) or "").split(",")[0] for name in ("host", "port"))
    return Address(host or None, int(port) if port else None, engine.url.database)


def insert_analyst(db: sa.Connection, login: str, team_id: TeamId, *, now: datetime) -> SecretStr:
    """
    Create a login that sees the views of one team, and return its password, this once.

    The server is told only what proves the password (SCRAM), so no log of its can hold it.

    Raises:
        RefusedError: the name is taken, or is none that a login can have.
        SetupError: we may not create logins.
    """
    _check_name(login)
    if ANALYST in load_missing_roles(db):
        raise SetupError("The role analyst is missing: `bank-pipeline doctor` says what to do")
    if db.scalar(_ROLE_EXISTS, {"login": login}) or db.scalar(_IS_REGISTERED, {"login": login}):
        raise RefusedError(
            f"there is a login {login!r} already, on this server or in the list: a login is made "
            "for one team alone. Choose another name, or remove the old one first"
        )
    password = SecretStr(secrets.token_urlsafe(_PASSWORD_BYTES))
    name = sql.Identifier(login)
    database = sql.Identifier(str(db.scalar(sa.text("SELECT current_database()"))))
    with _explained(db):
        _run(db, _CREATE.format(name=name, verifier=_verifier(db, login, password)))
        for setting, value in _SETTINGS.items():
            parts = {"setting": sql.Identifier(setting), "value": sql.Literal(value)}
            _run(db, _SET.format(name=name, database=database, **parts))
        _run(db, sql.SQL("GRANT analyst TO {name}").format(name=name))
        row = {"login": login, "team_id": team_id, "created_at": now}
        db.execute(analysts.insert(), row)
    return password


def list_analysts(db: sa.Connection) -> list[Analyst]:
    """List the registered logins by team and name."""
    return [Analyst(**row) for row in db.execute(_LIST).mappings()]


def list_logins_of(db: sa.Connection, team_id: TeamId) -> list[str]:
    """List the registered logins of one team."""
    return [*db.scalars(sa.select(analysts.c.login).where(analysts.c.team_id == team_id))]


def close_analyst(db: sa.Connection, login: str) -> TeamId:
    """
    Take a login out of the list and keep it from logging in: from now on it sees nothing.

    Returns the team whose rows it saw.

    Raises:
        NotFoundError: it is no analyst's login.
    """
    with _explained(db):
        closed = analysts.delete().where(analysts.c.login == login).returning(analysts.c.team_id)
        team_id = db.scalar(closed)
        if team_id is None:
            raise NotFoundError(f"no analyst {login!r}; see `bank-pipeline analysts list`")
        if db.scalar(_ROLE_EXISTS, {"login": login}):
            _run(db, sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(login)))
    return TeamId(team_id)


def drop_login(db: sa.Connection, login: str) -> None:
    """
    End the sessions of a closed login, and drop it with what is its own in this database.

    Raises:
        SetupError: another database of the server has something of its own.
    """
    if not db.scalar(_ROLE_EXISTS, {"login": login}):
        return
    name = sql.Identifier(login)
    with _explained(db):
        if not db.scalar(_MAY_END, {"login": login}):  # who created a role is no member of it
            _run(db, sql.SQL("GRANT {} TO CURRENT_USER").format(name))
        db.execute(_END, {"login": login, "wait_ms": _END_MS})
        _run(db, sql.SQL("DROP OWNED BY {}").format(name))
        _run(db, sql.SQL("DROP ROLE {}").format(name))


def _check_name(login: str) -> None:
    is_name = bool(login) and login.isprintable() and login == login.strip()
    is_reserved = login.startswith("pg_") or login in _RESERVED
    if not is_name or is_reserved or len(login.encode()) > LOGIN_BYTES_MAX:
        raise RefusedError(
            f"{login!r} is no name for a login: at most {LOGIN_BYTES_MAX} bytes, printable, not "
            f"beginning with pg_, and none of {', '.join(_RESERVED)}"
        )


def _verifier(db: sa.Connection, login: str, password: SecretStr) -> sql.Literal:
    connection = driver_of(db).pgconn
    encoding = "utf-8"
    verifier = connection.encrypt_password(
        password.get_secret_value().encode(encoding), login.encode(encoding), b"scram-sha-256"
    )
    return sql.Literal(verifier.decode(encoding))


def _run(db: sa.Connection, statement: sql.Composed) -> None:
    driver_of(db).execute(statement)


@contextmanager
def _explained(db: sa.Connection) -> Iterator[None]:
    """Say what to do where we lack a right; quote nothing of the statement."""
    try:
        yield
    except (psycopg.errors.InsufficientPrivilege, sa.exc.ProgrammingError) as error:
        cause = error.orig if isinstance(error, sa.exc.ProgrammingError) else error
        if not isinstance(cause, psycopg.errors.InsufficientPrivilege):
            raise
        raise SetupError(_NOT_ALLOWED.format(login=f'"{db.engine.url.username}"')) from None
    except psycopg.errors.DependentObjectsStillExist:
        raise SetupError(
            "The login sees nothing any more, but it owns something in another database of the "
            "server, so it is still there: `DROP OWNED BY` it in that database, then `DROP ROLE`"
        ) from None


_CREATE: Final = sql.SQL(
    f"CREATE ROLE {{name}} LOGIN CONNECTION LIMIT {SESSIONS_MAX} PASSWORD {{verifier}}"
)
_SET: Final = sql.SQL("ALTER ROLE {name} IN DATABASE {database} SET {setting} = {value}")
_ROLE_EXISTS: Final = sa.text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :login)")
_IS_REGISTERED: Final = sa.text("SELECT EXISTS (SELECT FROM bank.analysts WHERE login = :login)")
_MAY_END: Final = sa.text("SELECT pg_has_role(CAST(:login AS name), 'USAGE')")
_END: Final = sa.text(
    "SELECT pg_terminate_backend(pid, :wait_ms) FROM pg_stat_activity WHERE usename = :login"
)
_LIST: Final = sa.text(
    """
    SELECT a.login, t.name AS team_name, a.created_at,
           coalesce(r.rolcanlogin AND pg_has_role(r.oid, 'analyst', 'USAGE'), false) AS has_login,
           (SELECT count(*) FROM pg_stat_activity s WHERE s.usename = a.login) AS sessions_count
    FROM bank.analysts a JOIN bank.teams t ON t.id = a.team_id
    LEFT JOIN pg_roles r ON r.rolname = a.login
    ORDER BY t.name, a.login
    """
)
