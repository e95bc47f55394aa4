"""One row for every table, by column type: for tests that need tables to be filled."""

import zlib
from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB

from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.sealed_columns import SEALED, SealedColumn
from bank_pipeline.storage.tables import encryption_keys, metadata, teams
from bank_pipeline_tests.vaults import VAULT


def insert_row_everywhere(
    db: sa.Connection, now: datetime, *, mark: str = "", skipped: Collection[str] = ()
) -> dict[str, dict[str, Any]]:
    """
    Insert one row into each table of the schema, and return the rows by table name.

    Every column is set but numbered ids; references point at the row of the other table.
    A column with a list of allowed values gets the first one of its check. Another `mark` in
    texts makes other rows, of another team; tables of no team take only one such row, and are
    `skipped` then.
    """
    rows: dict[str, dict[str, Any]] = {}
    if encryption_keys.name not in skipped:  # an installation that has begun has its row already
        db.execute(sa.delete(encryption_keys))
    of_all = sorted(metadata.sorted_tables, key=lambda one: one is not teams)
    for table in of_all:  # the team first: not everything that names one refers to it
        if table.name in skipped:
            continue
        row = {
            column.name: _value(column, now, rows, mark)
            for column in table.columns
            if column.identity is None
        }
        row |= _GIVEN.get(table.name, {})
        rows[table.name] = dict(db.execute(sa.insert(table).returning(table), row).one()._mapping)  # noqa: SLF001 -- its public name
    for column in SEALED:
        if column.table.name in rows:
            _seal(db, column, rows[column.table.name])
    return rows


def _seal(db: sa.Connection, column: SealedColumn, row: dict[str, Any]) -> None:
    """Put something in a sealed column that opens there."""
    sealed = VAULT.seal(_CONTENTS.get(column.kind, b"secret"), column.bound_to(row))
    row |= {column.ciphertext: sealed.ciphertext, column.key_id: sealed.key_id}
    is_this = [key == row[key.name] for key in column.table.primary_key]
    news = {name: row[name] for name in (column.ciphertext, column.key_id)}
    db.execute(sa.update(column.table).where(*is_this).values(news))


_GIVEN: Final[dict[str, dict[str, object]]] = {
    "encryption_keys": {"id": VAULT.key_id, "in_use_id": VAULT.key_id, "retired_at": None},
    "accounts": {"number_fingerprints": [b"fingerprint"]},
}
_NUMBERS: Final = b'{"identifiers": {"iban": "1"}, "stable_external_ids": ["iban:1", "bban:2"]}'
_CONTENTS: Final = {
    "data keys": bytes(32).hex().encode(),
    "account numbers": _NUMBERS,
    "questions about accounts": _NUMBERS,
    "accounts of new consents": b'{"accounts": [], "balances": []}',
    "quarantined rows": b'{"a": "row"}',
    "answers": bytes([1]) + b"d" + zlib.compress(b"{}"),
}


def _value(
    column: sa.Column[Any], now: datetime, rows: dict[str, dict[str, Any]], mark: str
) -> object:
    if column.name == "team_id":
        return rows["teams"]["id"]
    if any(key.column.table is encryption_keys for key in column.foreign_keys):
        return VAULT.key_id
    for key in column.foreign_keys:
        # A reference to its own table could name nobody but the row itself.
        return rows.get(key.column.table.name, {}).get(key.column.name)
    allowed = _allowed(column)
    return _by_type(column, now, mark) if allowed is None else allowed


def _by_type(column: sa.Column[Any], now: datetime, mark: str) -> object:
    item = column.type.item_type if isinstance(column.type, ARRAY) else column.type
    if isinstance(item, sa.Uuid):
        return new_id() if item is column.type else [new_id()]
    if isinstance(column.type, sa.DateTime | sa.Date):
        dated = now if isinstance(column.type, sa.DateTime) else now.date()
        return None if column.name in {"removed_at", "closed_at"} else dated
    if isinstance(column.type, BYTEA):
        return f"bytes{mark}".encode()
    for kind, value in _VALUES.items():
        if isinstance(column.type, kind):
            return value
    return f"{column.name} of {column.table.name}{mark}"


_VALUES: Final[dict[type[Any], object]] = {
    sa.Boolean: False,
    sa.Integer: 1,
    sa.Numeric: Decimal("-12.34"),
    ARRAY: ["one"],
    JSONB: {"name": "value"},
}


def _allowed(column: sa.Column[Any]) -> str | None:
    """Choose a value that the column's checks admit; rows are booked euros."""
    if column.name == "status" and column.table.name == "transactions":
        return "booked"
    for check in column.table.constraints:
        text = str(check.sqltext) if isinstance(check, sa.CheckConstraint) else ""
        if text.startswith(f"{column.name} IN ("):
            return text.split("'")[1]
        if text.startswith(f"{column.name} ~"):
            return "EUR"
    return None
