"""The rows of one team, as they leave: all of them, its own account numbers in clear, no secret."""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB

from bank_pipeline.errors import SecretError
from bank_pipeline.storage.credentials import Sealed, Vault
from bank_pipeline.storage.raw_payloads import to_body
from bank_pipeline.storage.sealed_columns import SEALED, SealedColumn
from bank_pipeline.storage.tables import NOBODYS, erasures, raw_payloads, teams
from bank_pipeline.storage.team_rows import rows_of, team_tables

ROWS_AT_ONCE: Final = 1_000
_FEW_AT_ONCE: Final = 50  # an answer holds up to a megabyte

SECRETS: Final[Mapping[str, str]] = {
    "credentials": "secrets that open connections; they never leave the installation",
}
"""Tables of teams that are left out as a whole, and why."""

_HIDDEN: Final[Mapping[str, str]] = {
    "ciphertext": "a secret, encrypted",
    "state_ciphertext": "a secret, encrypted",
    "told_ciphertext": "comes with the consent once it is in use",
    "key_id": "of a secret",
    "told_key_id": "of a secret",
    "numbers_key_id": "of a secret",
    "raw_key_id": "of a secret",
    "number_fingerprints": "of a secret",
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
    """
    One table's rows of a team. `hidden`: columns that are left out, and why.

    `unopened`, once the batches are read: rows whose sealed value does not open and is None
    instead, by the name of the column.
    """

    name: str
    columns: tuple[ExportedColumn, ...]
    hidden: Mapping[str, str]
    batches: Iterator[Sequence[Sequence[Any]]]
    unopened: Mapping[str, list[str]]


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
        unopened: dict[str, list[str]] = {}
        yield ExportedTable(
            name=table.name,
            columns=tuple(_to_exported(table, column) for column in columns),
            hidden=hidden,
            batches=_read(db, table, columns, team_id, partial(_open, table, vault, unopened)),
            unopened=unopened,
        )


def left_out() -> dict[str, str]:
    """Return the tables that an export has no file of, and why."""
    nobodys = {name: why for name, why in NOBODYS.items() if name != teams.name}
    return {**SECRETS, **nobodys, erasures.name: "of teams that are being erased"}


def hidden_columns() -> frozenset[str]:
    """Return the columns that no export has, by the names of their tables."""
    return frozenset(
        f"{table.name}.{name}"
        for table in team_tables()
        for name in table.c.keys()  # noqa: SIM118
        if _hidden(table.name, name)
    )


def opened(table: str, column: str) -> "Opening | None":
    """
    Return what makes a stored value legible for the team it belongs to; None: it is.

    The one place that knows what of the sealed columns is a team's own data.
    """
    for one in SEALED:
        if (one.table.name, one.ciphertext) == (table, column) and one.kind in _LEGIBLE:
            return Opening(one, _LEGIBLE[one.kind])
    return None


@dataclass(frozen=True)
class Opening:
    """How a sealed column of a team is opened, and its content made a text."""

    column: SealedColumn
    to_text: Callable[[bytes], str]

    def open(self, row: Mapping[str, Any], vault: Vault) -> str | None:
        """Return the text of a row, which has all columns that the ciphertext is bound to."""
        content = row[self.column.ciphertext]
        if content is None:
            return None
        sealed = Sealed(bytes(content), row[self.column.key_id])
        return self.to_text(vault.unseal(sealed, self.column.bound_to(row)))


def _to_text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return f"base64:{base64.b64encode(content).decode()}"


def _to_answer(content: bytes) -> str:
    return _to_text(to_body(content))


_LEGIBLE: Final[Mapping[str, Callable[[bytes], str]]] = {
    "account numbers": _to_text,
    "questions about accounts": _to_text,
    "quarantined rows": _to_text,
    "answers": _to_answer,
}
"""Kinds of sealed columns that hold what is the team's own, by what makes them a text."""


def _hidden(table: str, column: str) -> str | None:
    return _HIDDEN.get(column) or _HIDDEN_OF.get((table, column))


def _to_exported(table: sa.Table, column: sa.Column[Any]) -> ExportedColumn:
    if opened(table.name, column.name) is not None:
        return ExportedColumn(_shown_name(column.name), Kind.TEXT)
    return ExportedColumn(column.name, _kind_of(column.type))


def _shown_name(column: str) -> str:
    return column.removesuffix("_ciphertext")


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


_Open = Callable[[str, Opening, Mapping[str, Any]], str | None]


def _read(
    db: sa.Connection,
    table: sa.Table,
    columns: Sequence[sa.Column[Any]],
    team_id: str,
    open_: _Open,
) -> Iterator[Sequence[Sequence[Any]]]:
    """Read by a cursor on the server; what must not become a float comes as text."""
    size = _FEW_AT_ONCE if table is raw_payloads else ROWS_AT_ONCE
    opens = {n: how for n, one in enumerate(columns) if (how := opened(table.name, one.name))}
    keys = [table.c[how.column.key_id] for how in opens.values()]  # read, and not shown
    query = sa.select(*(_as_read(column) for column in columns), *keys)
    query = query.where(rows_of(table, team_id)).order_by(*table.primary_key.columns)
    streaming = db.execute(query, execution_options={"stream_results": True, "yield_per": size})
    for rows in streaming.partitions(size):
        yield [_open_row(row, opens, columns, open_) for row in rows] if opens else rows


def _open_row(
    row: sa.Row[Any],
    opens: Mapping[int, Opening],
    columns: Sequence[sa.Column[Any]],
    open_: _Open,
) -> list[Any]:
    named = dict(row._mapping)  # noqa: SLF001 -- its public name
    values = [*row[: len(columns)]]
    for n, how in opens.items():
        values[n] = open_(columns[n].name, how, named)
    return values


def _open(
    table: sa.Table,
    vault: Vault,
    unopened: dict[str, list[str]],
    name: str,
    how: Opening,
    row: Mapping[str, Any],
) -> str | None:
    """Open a value, or write down whose it is: for one that is lost the others still leave."""
    try:
        return how.open(row, vault)
    except SecretError:
        key = " ".join(str(row[one.name]) for one in table.primary_key.columns)
        unopened.setdefault(_shown_name(name), []).append(key)
        return None


def _as_read(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    if _kind_of(column.type) in {Kind.JSON, Kind.AMOUNT}:
        return sa.cast(column, sa.Text).label(column.name)
    return column
