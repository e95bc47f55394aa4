"""COPY: the fastest way in, for the rows that are many."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from psycopg import sql

from bank_pipeline.errors import ConcurrentSyncError


def copy_rows(
    db: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> int:
    """
    Add rows to a table, each with its values in the order of `columns`; return how many.

    Inside the caller's transaction: a failure takes back everything. JSON values come as text.
    PostgreSQL copies into a guarded table for a superuser alone: other logins copy aside, and
    insert from there.

    Raises:
        ConcurrentSyncError: a row's natural key is there already, so somebody else wrote it
            after we looked.
    """
    target = sql.Identifier(table.schema or "public", table.name)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    is_aside = _is_guarded(db, table)
    aside = sql.Identifier("pg_temp", f"copied_{table.name}") if is_aside else target
    try:
        with without_details(), driver_of(db).cursor() as cursor:
            if is_aside:
                bare = sql.Identifier(f"copied_{table.name}")
                cursor.execute(_ASIDE.format(aside=bare, names=names, target=target))
                cursor.execute(sql.SQL("TRUNCATE {}").format(aside))
            with cursor.copy(_COPY.format(target=aside, names=names)) as copy:
                for row in rows:
                    copy.write_row(row)
            if is_aside:
                cursor.execute(_INSERT.format(target=target, names=names, aside=aside))
            return cursor.rowcount
    except psycopg.errors.UniqueViolation:
        raise ConcurrentSyncError(f"{table.name}: a row appeared while we wrote it") from None


@contextmanager
def without_details() -> Iterator[None]:
    """Take out of the driver's errors what quotes rows: bank data stays out of logs."""
    try:
        yield
    except psycopg.Error as error:
        raise type(error)(error.diag.message_primary or "connection lost") from None


def driver_of(db: sa.Connection) -> psycopg.Connection[Any]:
    """Return psycopg's own connection, inside the same transaction."""
    driver = db.connection.driver_connection
    assert isinstance(driver, psycopg.Connection), "build_engine uses psycopg"
    return driver


def _is_guarded(db: sa.Connection, table: sa.Table) -> bool:
    """Say whether row-level security holds for our login; asked once per session of the pool."""
    known: dict[str, bool] = db.info.setdefault("guarded_tables", {})
    if table.fullname not in known:
        known[table.fullname] = bool(db.scalar(_GUARDED, {"name": table.fullname}))
    return known[table.fullname]


_GUARDED: Final = sa.text("SELECT row_security_active(CAST(:name AS text))")
_ASIDE: Final = sql.SQL(
    "CREATE TEMPORARY TABLE IF NOT EXISTS {aside} ON COMMIT DROP "
    "AS SELECT {names} FROM {target} WITH NO DATA"
)
_COPY: Final = sql.SQL("COPY {target} ({names}) FROM STDIN")
_INSERT: Final = sql.SQL("INSERT INTO {target} ({names}) SELECT {names} FROM {aside}")
