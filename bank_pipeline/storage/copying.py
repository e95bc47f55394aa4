"""COPY: the fastest way in, for the rows that are many."""

from collections.abc import Iterable, Sequence
from typing import Any

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

    Raises:
        ConcurrentSyncError: a row's natural key is there already, so somebody else wrote it
            after we looked.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.schema or "public", table.name),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
    )
    try:
        with driver_of(db).cursor() as cursor:
            with cursor.copy(statement) as copy:
                for row in rows:
                    copy.write_row(row)
            return cursor.rowcount
    except psycopg.errors.UniqueViolation:
        raise ConcurrentSyncError(f"{table.name}: a row appeared while we wrote it") from None
    except psycopg.Error as error:
        # Detail and context quote the row, and bank data stays out of logs.
        raise type(error)(error.diag.message_primary or "connection lost") from None


def driver_of(db: sa.Connection) -> psycopg.Connection[Any]:
    """Return psycopg's own connection, inside the same transaction."""
    driver = db.connection.driver_connection
    assert isinstance(driver, psycopg.Connection), "build_engine uses psycopg"
    return driver
