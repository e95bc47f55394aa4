"""What the tables are made of: the kinds of columns and checks that recur."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSON, UUID

SCHEMA: Final = "bank"


def own_id() -> sa.Column[Any]:
    """Return our own key of a row."""
    return sa.Column("id", UUID(as_uuid=False), primary_key=True)


def ref(name: str, target: str, *, nullable: bool = False, index: bool = False) -> sa.Column[Any]:
    """Return a reference to another table of ours; its rows go with what they refer to."""
    key = sa.ForeignKey(f"{SCHEMA}.{target}.id", ondelete="CASCADE")
    return sa.Column(name, UUID(as_uuid=False), key, nullable=nullable, index=index)


def team() -> sa.Column[Any]:
    """Return whose row it is, where the row comes with another one that says so too."""
    return sa.Column("team_id", UUID(as_uuid=False), nullable=False)


def part_of(
    name: str, target: str, *, is_key: bool = False, nullable: bool = False, index: bool = False
) -> tuple[sa.Column[Any], sa.ForeignKeyConstraint]:
    """
    Return a reference to a row of the same team; what refers goes with it.

    The team is part of the reference, so that no row can name a row of another team. `is_key`:
    there is one row at most for each row of the other table, or the key begins with it.
    """
    column = sa.Column(
        name, UUID(as_uuid=False), primary_key=is_key, nullable=nullable, index=index or None
    )
    return column, _within_team(name, target)


def numbered_part_of(name: str, target: str) -> tuple[sa.Column[Any], sa.ForeignKeyConstraint]:
    """Return the same, to a table whose rows are numbered."""
    column = sa.Column(name, sa.BigInteger, nullable=False, index=True)
    return column, _within_team(name, target)


def _within_team(name: str, target: str) -> sa.ForeignKeyConstraint:
    columns = [f"{SCHEMA}.{target}.id", f"{SCHEMA}.{target}.team_id"]
    return sa.ForeignKeyConstraint([name, "team_id"], columns, ondelete="CASCADE")


def sealed_by(name: str, *, nullable: bool) -> sa.Column[Any]:
    """Return the column that names the key of what is sealed beside it: one that is in use."""
    key = sa.ForeignKey(f"{SCHEMA}.encryption_keys.in_use_id")
    return sa.Column(name, sa.Text, key, nullable=nullable)


def text(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    """Return a column of text."""
    return sa.Column(name, sa.Text, nullable=nullable)


def moment(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    """Return a column of a time, in UTC."""
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def day(name: str) -> sa.Column[Any]:
    """Return a column of a calendar date, the bank's."""
    return sa.Column(name, sa.Date)


def amount(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    """Return a column of money, without a scale."""
    return sa.Column(name, sa.Numeric, nullable=nullable)


def one_of(column: str, values: Iterable[StrEnum]) -> sa.CheckConstraint:
    """Return the check that a column holds a value of an enumeration."""
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def is_any_id(column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Return that a column is one of the parameter `ids`: for statements that are built once."""
    return column == sa.any_(sa.bindparam("ids", type_=ARRAY(UUID(as_uuid=False))))


def given_rows(table: sa.Table, names: Iterable[str]) -> sa.TableValuedAlias:
    """
    Return rows of a table's columns out of the parameter `rows`, an array of JSON objects.

    So a statement about many rows is the same text whatever their number, and built once.
    """
    columns = [sa.column(name, table.c[name].type) for name in names]
    array = sa.cast(sa.bindparam("rows", type_=sa.Text), JSON)
    given = sa.func.json_to_recordset(array).table_valued(*columns, name="given")
    return given.render_derived(with_types=True)


def iso(column: str) -> sa.CheckConstraint:
    """Return the check that a column holds an ISO 4217 code."""
    return sa.CheckConstraint(f"{column} ~ '^[A-Z]{{3}}$'", name=column)
