"""One row for every table, by column type: for tests that need tables to be filled."""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB

from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.tables import metadata


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
    for table in metadata.sorted_tables:
        if table.name in skipped:
            continue
        row = {
            column.name: _value(column, now, rows, mark)
            for column in table.columns
            if column.identity is None
        }
        rows[table.name] = dict(db.execute(sa.insert(table).returning(table), row).one()._mapping)  # noqa: SLF001 -- its public name
    return rows


def _value(
    column: sa.Column[Any], now: datetime, rows: dict[str, dict[str, Any]], mark: str
) -> object:
    if column.name == "team_id":
        return rows["teams"]["id"]
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
