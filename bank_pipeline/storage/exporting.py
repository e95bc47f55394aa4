"""The rows of one team, as they leave: all of them, its own account numbers in clear, no secret."""

import base64
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB

from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.tables import raw_payloads
from bank_pipeline.storage.team_rows import NOBODYS, rows_of, team_tables

ROWS_AT_ONCE: Final = 1_000
_FEW_AT_ONCE: Final = 50  # an answer holds up to a megabyte

SECRETS: Final[Mapping[str, str]] = {
    "credentials": "secrets that open connections; they never leave the installation",
}
"""Tables of teams that are left out as a whole, and why."""

_HIDDEN: Final[Mapping[str, str]] = {
    "ciphertext": "a secret, encrypted",
    "state_ciphertext": "a secret, encrypted",
    "key_id": "of a secret",
    "bound_to": "of a secret",
    "state_fingerprint": "of a secret",
    "return_fingerprint": "of a secret",
    "browser_fingerprint": "of a secret",
}
_HIDDEN_OF: Final[Mapping[tuple[str, str], str]] = {
    ("api_keys", "digest"): "of a secret",
}


class Kind(StrEnum):
    """What a column holds, as far as files must know. Amounts are text: no float is near them."""

    TEXT = "text"
    AMOUNT = "amount"
    NUMBER = "number"
    FLAG = "flag"
    MOMENT = "moment"
    DAY = "day"
    JSON = "json"
    BYTES = "bytes"
    TEXTS = "texts"


@dataclass(frozen=True)
class ExportedColumn:
    """One column of a file."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class ExportedTable:
    """One table's rows of a team. `hidden`: columns that are left out, and why."""

    name: str
    columns: tuple[ExportedColumn, ...]
    hidden: Mapping[str, str]
    batches: Iterator[Sequence[Sequence[Any]]]


@contextmanager
def snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Read as of one moment, however long it takes: everybody else goes on writing."""
    reading = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**reading) as db:
        for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
            db.exec_driver_sql(f"SET LOCAL {name} = 0")
        yield db


def export_tables(db: sa.Connection, team_id: str, *, vault: Vault) -> Iterator[ExportedTable]:
    """Yield the tables of a team, each to be read before the next; a few rows at a time."""
    for table in team_tables():
        if table.name in SECRETS:
            continue
        hidden = {name: why for name in table.c.keys() if (why := _hidden(table.name, name))}  # noqa: SIM118
        columns = [column for column in table.c if column.name not in hidden]
        yield ExportedTable(
            name=table.name,
            columns=tuple(_to_exported(table, column) for column in columns),
            hidden=hidden,
            batches=_read(db, table, columns, team_id, vault),
        )


def left_out() -> dict[str, str]:
    """Return the tables that an export has no file of, and why."""
    return {**SECRETS, **NOBODYS}


def hidden_columns() -> frozenset[str]:
    """Return the columns that no export has, by the names of their tables."""
    return frozenset(
        f"{table.name}.{name}"
        for table in team_tables()
        for name in table.c.keys()  # noqa: SIM118
        if _hidden(table.name, name)
    )


def opened(table: str, column: str) -> "Open | None":
    """
    Return what makes a stored value legible for the team it belongs to; None: it is.

    The one place that knows which columns are stored compressed or encrypted.
    """
    return _OPENED.get((table, column))


Open = Callable[[Mapping[str, Any], Vault], Any]
"""Takes a whole row, since a ciphertext may be bound to its neighbours, and returns one value."""


def _open_body(row: Mapping[str, Any], _: Vault) -> str:
    body = zlib.decompress(row["body"])
    try:
        return body.decode()
    except UnicodeDecodeError:
        return f"base64:{base64.b64encode(body).decode()}"


_OPENED: Final[Mapping[tuple[str, str], Open]] = {("raw_payloads", "body"): _open_body}


def _hidden(table: str, column: str) -> str | None:
    return _HIDDEN.get(column) or _HIDDEN_OF.get((table, column))


def _to_exported(table: sa.Table, column: sa.Column[Any]) -> ExportedColumn:
    if opened(table.name, column.name) is not None:
        return ExportedColumn(column.name, Kind.TEXT)
    return ExportedColumn(column.name, _kind_of(column.type))


def _kind_of(type_: sa.types.TypeEngine[Any]) -> Kind:
    for sql_type, kind in _KINDS:
        if isinstance(type_, sql_type):
            return kind
    return Kind.TEXT


_KINDS: Final[Sequence[tuple[type[Any], Kind]]] = (
    (ARRAY, Kind.TEXTS),
    (JSON, Kind.JSON),
    (JSONB, Kind.JSON),
    (sa.Boolean, Kind.FLAG),
    (sa.Integer, Kind.NUMBER),
    (sa.Numeric, Kind.AMOUNT),
    (sa.DateTime, Kind.MOMENT),
    (sa.Date, Kind.DAY),
    (sa.LargeBinary, Kind.BYTES),
)


def _read(
    db: sa.Connection,
    table: sa.Table,
    columns: Sequence[sa.Column[Any]],
    team_id: str,
    vault: Vault,
) -> Iterator[Sequence[Sequence[Any]]]:
    """Read by a cursor on the server; what must not become a float comes as text."""
    size = _FEW_AT_ONCE if table is raw_payloads else ROWS_AT_ONCE
    query = sa.select(*(_as_read(column) for column in columns)).where(rows_of(table, team_id))
    query = query.order_by(*table.primary_key.columns)
    names = [column.name for column in columns]
    opens = {n: how for n, name in enumerate(names) if (how := opened(table.name, name))}
    streaming = db.execute(query, execution_options={"stream_results": True, "yield_per": size})
    for rows in streaming.partitions(size):
        if not opens:
            yield rows
            continue
        yield [_open_row(dict(zip(names, row, strict=True)), names, opens, vault) for row in rows]


def _open_row(
    row: Mapping[str, Any], names: Sequence[str], opens: Mapping[int, Open], vault: Vault
) -> list[Any]:
    return [opens[n](row, vault) if n in opens else row[name] for n, name in enumerate(names)]


def _as_read(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    if _kind_of(column.type) in {Kind.JSON, Kind.AMOUNT}:
        return sa.cast(column, sa.Text).label(column.name)
    return column
