"""Tables like the one of transactions, for other ways of writing to write into."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa

from bank_pipeline.storage.copying import driver_of

_CHUNK: Final = 1 << 20
_KEYS_TO_OTHERS: Final = sa.text("""
    SELECT pg_get_constraintdef(oid) FROM pg_constraint
    WHERE contype = 'f' AND conrelid = 'bank.transactions'::regclass
      AND confrelid <> 'bank.transactions'::regclass
""")
_DEFERRED_KEYS: Final = sa.text("""
    SELECT conname, replace(pg_get_constraintdef(oid), ' DEFERRABLE', '') FROM pg_constraint
    WHERE contype = 'u' AND condeferrable AND conrelid = CAST(:name AS regclass)
""")


def make_twin(db: sa.Connection, name: str, *, is_checked: bool = True) -> None:
    """
    Make an identical table: columns, indexes, checks, and keys to other tables if `is_checked`.

    Autovacuum is off in it: it would work, and write WAL, at any moment of a measurement.
    """
    db.execute(sa.text(f"CREATE TABLE {name} (LIKE bank.transactions INCLUDING ALL)"))
    if is_checked:
        for definition in [*db.scalars(_KEYS_TO_OTHERS)]:
            db.execute(sa.text(f"ALTER TABLE {name} ADD {definition}"))
    let_alone(db, name)


def let_alone(db: sa.Connection, name: str) -> None:
    """Keep autovacuum away from a table."""
    db.execute(sa.text(f"ALTER TABLE {name} SET (autovacuum_enabled = off)"))


def make_keys_immediate(db: sa.Connection, name: str) -> None:
    """Exchange keys that are checked at the end of a transaction: ON CONFLICT cannot use those."""
    for key, definition in [*db.execute(_DEFERRED_KEYS, {"name": name})]:
        db.execute(sa.text(f"ALTER TABLE {name} DROP CONSTRAINT {key}, ADD {definition}"))


def read_as_text(db: sa.Connection, table: str) -> bytes:
    """Return the rows of a table as COPY's own text."""
    with driver_of(db).cursor() as cursor, cursor.copy(f"COPY {table} TO STDOUT") as copy:
        return b"".join(bytes(block) for block in copy)


def copy_text(db: sa.Connection, table: str, text: bytes) -> None:
    """Copy COPY's own text into a table: the fastest way there is."""
    with driver_of(db).cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        for start in range(0, len(text), _CHUNK):
            copy.write(text[start : start + _CHUNK])


@contextmanager
def alone(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a connection outside of transactions."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        yield db


def wal_position(db: sa.Connection) -> int:
    """Return how many bytes of WAL there were ever."""
    position = sa.text("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
    return int(db.execute(position).scalar_one())


def vacuum(engine: sa.Engine, tables: Sequence[str]) -> None:
    """Do what autovacuum has done by the next day."""
    with alone(engine) as db:
        for table in tables:
            db.execute(sa.text(f"VACUUM ANALYZE {table}"))
