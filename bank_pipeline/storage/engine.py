"""From settings to connections: which database, for us and for Dagster, and how we talk to it."""

import logging
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
import sqlalchemy as sa

from bank_pipeline.config import Settings
from bank_pipeline.errors import SetupError
from bank_pipeline.storage import embedded

SERVER_VERSION_MIN: Final = 15
UNREACHABLE: Final = (sa.exc.OperationalError, sa.exc.TimeoutError)
"""Raised where the server, or a free session of the pool, cannot be had just now."""
DAGSTER_SCHEMA: Final = "dagster"
_SCHEMES: Final = ("postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2")
_CONNECT_TIMEOUT_S: Final = 10
_WATCH_TIMEOUT_S: Final = 2  # the least that libpq takes
_STATEMENT_TIMEOUT_S: Final = 120  # the longest statement of ours takes seconds
_LOCK_TIMEOUT_S: Final = 30  # then another process hangs, and the run is better retried
_IDLE_TIMEOUT_S: Final = 300  # no transaction of ours waits for a network: a bug or a crash
_ALIVE_IDLE_S: Final = 20  # then either side asks whether the other one is still there
_ALIVE_PROBES: Final = 4
_ALIVE_EVERY_S: Final = 10
_UNHEARD_S: Final = 60  # what was sent is not acknowledged for so long: the other side is gone
_RESTED_S: Final = 60  # then a session of the pool is asked whether it lives
_RETURNED_AT: Final = "returned_at"
_SHAPE: Final = "postgresql://user:password@host:5432/database"
_ADVICE: Final = (
    ("password authentication failed", "check user and password in the URL"),
    ("no password supplied", "the URL needs a password"),
    ("no pg_hba.conf entry", "the server does not admit this user from this machine"),
    ('database "', "create it (`createdb`), or correct the name in the URL"),
    ('role "', "create the user, or correct it in the URL"),
    ("Connection refused", "is the server running, and are host and port right?"),
    ("No such file or directory", "is the server running? There is no such socket"),
    ("resolve host", "check the host's name in the URL"),
    ("Name or service not known", "check the host's name in the URL"),
    ("timeout expired", "the host does not answer: check its address and the firewall"),
    ("too many", "raise the server's max_connections, or lower BANK_PIPELINE_SYNC_THREADS"),
    ("SSL", "check `sslmode` in the URL"),
)

# At DEBUG it logs every row that it reads: names and IBANs. Whoever sets the root logger to DEBUG
# must not get them.
logging.getLogger("sqlalchemy.engine").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Database:
    """Where the data is. The URLs may hold passwords, so they are not shown."""

    url: str = field(repr=False)
    dagster_url: str = field(repr=False)
    is_embedded: bool


def resolve_database(settings: Settings) -> Database:
    """
    Find the database of these settings, starting the embedded one where no URL is given.

    Raises:
        SetupError: a URL is unusable, or the embedded server does not start.
    """
    configured = settings.database_url
    if configured is None:
        url = embedded.ensure_running(settings.state_dir)
    else:
        url = _render(_parse(configured.get_secret_value()))
    if settings.dagster_database_url is None:
        return Database(url, dagster_url(url), is_embedded=configured is None)
    own = _parse(settings.dagster_database_url.get_secret_value())
    return Database(url, _render(own, "psycopg2"), is_embedded=configured is None)


def build_engine(
    database_url: str, *, application_name: str = "bank_pipeline", connections_max: int = 20
) -> sa.Engine:
    """
    Build an engine on psycopg 3; it connects on first use.

    Sessions speak UTC and end what hangs: a statement after two minutes, a wait for a lock
    after 30 s, a transaction left open after five minutes, and after a minute the session of a
    machine that vanished without a word, whose locks would else be held for hours. These are set
    by statements, not by start-up options, which connection poolers refuse.

    Raises:
        SetupError: the URL is not one of a PostgreSQL.
    """
    return _create(
        _parse(database_url).set(drivername="postgresql+psycopg"),
        application_name,
        _CONNECT_TIMEOUT_S,
        pool_size=connections_max,
        max_overflow=0,
        pool_timeout=_LOCK_TIMEOUT_S,
    )


@contextmanager
def open_database(settings: Settings) -> Iterator[sa.Engine]:
    """
    Build an engine on the database of these settings, for as long as the context lasts.

    Raises:
        SetupError: as of `resolve_database`.
    """
    engine = build_engine(resolve_database(settings).url)
    try:
        yield engine
    finally:
        engine.dispose()


def build_watcher(engine: sa.Engine) -> sa.Engine:
    """
    Build an engine on the same database for those who watch over it: a new session each time.

    They must not wait until a busy pool has room, nor be answered by a session that was opened
    when all was well; and they give up soon.
    """
    return _create(engine.url, "bank_pipeline watch", _WATCH_TIMEOUT_S, poolclass=sa.NullPool)


def build_unpooled(engine: sa.Engine) -> sa.Engine:
    """Build an engine on the same database for who must not wait for the pool, nor take of it."""
    return _create(engine.url, "bank_pipeline", _CONNECT_TIMEOUT_S, poolclass=sa.NullPool)


def dagster_url(database_url: str) -> str:
    """
    Derive the URL for Dagster's instance: the same database, its own schema `dagster`.

    By search path, not by a database of its own, because on a managed server we may not be
    allowed to create one. Dagster makes its tables there itself; the migrations make the
    schema. It needs psycopg2: dagster-postgres 0.29 fails on psycopg 3 (`NOTIFY ..., $1`).
    A connection pooler in between that refuses start-up options, or pools by transaction
    (LISTEN needs a session), needs BANK_PIPELINE_DAGSTER_DATABASE_URL with a direct address.

    Raises:
        SetupError: the URL is not one of a PostgreSQL.
    """
    url = _parse(database_url)
    given = url.query.get("options", "")
    options = given if isinstance(given, str) else " ".join(given)
    wanted = f"{options} -csearch_path={DAGSTER_SCHEMA}".strip()
    return _render(url.update_query_dict({"options": wanted}), "psycopg2")


def check_server(engine: sa.Engine) -> str:
    """
    Connect, and return the server's version, such as "18.1".

    Raises:
        SetupError: no connection, a server too old, or no right to create our schemas.
    """
    try:
        with engine.connect() as db:
            number = int(db.scalar(sa.text("SHOW server_version_num")) or 0)
            version = str(db.scalar(sa.text("SHOW server_version"))).split()[0]
            may_create = db.scalar(_MAY_CREATE)
    except sa.exc.DBAPIError as error:
        raise SetupError(_explain(engine.url, str(error.orig))) from None
    if number // 10_000 < SERVER_VERSION_MIN:
        raise SetupError(
            f"The database runs PostgreSQL {version}; it must be {SERVER_VERSION_MIN} or newer: "
            "upgrade it, or set BANK_PIPELINE_DATABASE_URL to another"
        )
    if not may_create:
        raise SetupError(
            f"The user {engine.url.username} may not create schemas in the database "
            f'{engine.url.database}: as its owner, `GRANT CREATE ON DATABASE "'
            f'{engine.url.database}" TO "{engine.url.username}"`'
        )
    return version


_MAY_CREATE: Final = sa.text(
    "SELECT has_database_privilege(current_database(), 'CREATE') OR "
    "(SELECT count(*) = 2 FROM pg_namespace WHERE nspname IN ('bank', 'analytics'))"
)


def _parse(database_url: str) -> sa.URL:
    try:
        url = sa.make_url(database_url.strip())
    except (sa.exc.ArgumentError, ValueError):
        raise SetupError(
            f"The database URL cannot be read: it must look like {_SHAPE}, with special "
            "characters in the password percent-encoded"
        ) from None
    if url.drivername not in _SCHEMES:
        raise SetupError(
            f"The database URL begins with {url.drivername}://, but only PostgreSQL is "
            f"supported: it must look like {_SHAPE}"
        )
    if not url.database:
        raise SetupError(f"The database URL names no database: it must look like {_SHAPE}")
    return url


def _render(url: sa.URL, driver: str = "psycopg") -> str:
    return url.set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)


def _create(
    url: sa.URL,
    application_name: str,
    connect_timeout_s: int,
    **pool: Any,  # noqa: ANN401 - how connections are kept
) -> sa.Engine:
    engine = sa.create_engine(
        url,
        hide_parameters=True,  # rows never show in messages of exceptions
        connect_args={
            "application_name": application_name,
            "connect_timeout": connect_timeout_s,
            "keepalives_idle": _ALIVE_IDLE_S,
            "keepalives_interval": _ALIVE_EVERY_S,
            "keepalives_count": _ALIVE_PROBES,
            "tcp_user_timeout": _UNHEARD_S * 1_000,
        },
        **pool,
    )
    sa.event.listen(engine, "connect", _prepare_session)
    sa.event.listen(engine, "checkin", _note_return)
    sa.event.listen(engine, "checkout", _check_session)
    sa.event.listen(engine, "handle_error", _take_out_rows)
    return engine


def _note_return(_: object, record: sa.pool.ConnectionPoolEntry) -> None:
    record.info[_RETURNED_AT] = time.monotonic()


def _check_session(connection: Any, record: sa.pool.ConnectionPoolEntry, _: object) -> None:  # noqa: ANN401 -- as above
    """
    Replace a session of the pool that ended meanwhile.

    A server that goes says so, and a session that rests hears nothing else: so a look at the
    socket spares most of them a question. Only where a machine vanished there is no word; so one
    that rested for long is asked as well.
    """
    returned_at = record.info.get(_RETURNED_AT)
    if returned_at is None:
        return  # it is new
    try:
        if _has_word(connection.fileno()) or time.monotonic() - returned_at > _RESTED_S:
            connection.execute("")
            connection.rollback()
    except psycopg.Error as error:
        raise sa.exc.InvalidatePoolError("a session of the pool has ended") from error


def _has_word(socket: int) -> bool:
    """Say whether there is something to be read."""
    poll = select.poll()  # unlike `select`, for any number of open files
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(0))


def _take_out_rows(context: sa.ExceptionContext) -> None:
    """
    Leave out of an error what the server quotes of rows, before anybody keeps its words.

    Details name the values of a row, contexts those of a COPY, and errors of data (class 22)
    what could not be read.
    """
    original = context.original_exception
    sqlstate = getattr(original, "sqlstate", None)
    if sqlstate is None:
        return  # the server could not be asked: nothing is quoted, and all of it helps
    for error in (original, context.sqlalchemy_exception):
        if error is not None and error.args and isinstance(error.args[0], str):
            first = error.args[0].partition("\n")[0]
            words = first.partition(": ")[0] if sqlstate.startswith("22") else first
            error.args = (words, *error.args[1:])


def _prepare_session(connection: Any, _: object) -> None:  # noqa: ANN401 -- psycopg's, through SQLAlchemy
    settings = {
        "TimeZone": "UTC",
        "statement_timeout": f"{_STATEMENT_TIMEOUT_S}s",
        "lock_timeout": f"{_LOCK_TIMEOUT_S}s",
        "idle_in_transaction_session_timeout": f"{_IDLE_TIMEOUT_S}s",
        "tcp_keepalives_idle": f"{_ALIVE_IDLE_S}s",
        "tcp_keepalives_interval": f"{_ALIVE_EVERY_S}s",
        "tcp_keepalives_count": f"{_ALIVE_PROBES}",
        "tcp_user_timeout": f"{_UNHEARD_S}s",
    }
    statement = "; ".join(f"SET {name} = '{value}'" for name, value in settings.items())
    connection.autocommit = True
    connection.execute(statement)
    connection.autocommit = False


def _explain(url: sa.URL, message: str) -> str:
    """Say what to do about a failed connection, without the password."""
    where = f"{url.host or url.query.get('host', 'the local socket')}, database {url.database}"
    advice = next((text for symptom, text in _ADVICE if symptom in message), None)
    reason = " ".join(message.split())
    if isinstance(url.password, str) and url.password:
        reason = reason.replace(url.password, "***")
    return f"No connection to {where}: {advice or reason}" + (f" ({reason})" if advice else "")
