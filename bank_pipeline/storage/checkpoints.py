"""
What a sync moves besides rows of transactions and balances: as it was before, to be put back.

Accounts, the dates that are covered, the cursor and what goes with it. Compared column by
column, so that putting back touches nothing that the sync did not touch.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.storage.account_numbers import COLUMNS
from bank_pipeline.storage.coverage import INSERT_RANGES
from bank_pipeline.storage.tables import accounts

Moved = Mapping[str, Any]
"""
What differs, as it was before; parts that are equal are absent.

`connection`: {column: value}. `accounts`: {id: {column: value}}. `new_accounts`: ids.
`coverage`: {account id: rows}, no rows where nothing was covered. JSON as Postgres reads it back.
"""


@dataclass(frozen=True)
class Checkpoint:
    """The state of one connection at one moment, rows by their ids, columns by their names."""

    connection: Mapping[str, Any]
    accounts: Mapping[str, Mapping[str, Any]]
    coverage: Mapping[str, list[Mapping[str, Any]]]


def load_checkpoint(db: sa.Connection, connection_id: ConnectionId) -> Checkpoint:
    """Load the state of a connection, in its own transaction."""
    row = db.execute(_STATE, {"id": connection_id}).one()
    return Checkpoint(*(json.loads(part, parse_float=Decimal) for part in row))


def to_moved(before: Checkpoint, after: Checkpoint) -> Moved:
    """Compare two moments of a connection. Pure."""
    old = {
        id_: changed
        for id_, row in before.accounts.items()
        if (changed := _changed(row, after.accounts.get(id_, row)))
    }
    covered = {
        id_: before.coverage.get(id_, [])
        for id_ in before.coverage.keys() | after.coverage.keys()
        if before.coverage.get(id_, []) != after.coverage.get(id_, [])
    }
    moved = {
        "connection": _changed(before.connection, after.connection),
        "accounts": old,
        "new_accounts": sorted(after.accounts.keys() - before.accounts.keys()),
        "coverage": covered,
    }
    return {part: _plain(value) for part, value in moved.items() if value}


def restore(db: sa.Connection, connection_id: ConnectionId, moved: Moved) -> None:
    """
    Put back what a sync moved. The caller has looked that nobody moved it since.

    Accounts that were new go, with everything that hangs on them.
    """
    db.execute(accounts.delete().where(accounts.c.id.in_(moved.get("new_accounts", ()))))
    if "connection" in moved:
        row = json.dumps(moved["connection"])
        db.execute(_RESTORE_CONNECTION, {"id": connection_id, "row": row})
    for id_, columns in moved.get("accounts", {}).items():
        db.execute(_RESTORE_ACCOUNT, {"id": id_, "row": json.dumps(columns)})
    new = set(moved.get("new_accounts", ()))
    for id_, rows in moved.get("coverage", {}).items():
        if id_ not in new:
            db.execute(_FORGET_COVERAGE, {"id": id_})
            db.execute(INSERT_RANGES, {"rows": json.dumps(rows)})


_CONNECTION_COLUMNS: Final = (
    "cursor",
    "history_stage",
    "last_full_accounts_at",
    "refused_beyond_days",
)
_WATCHED: Final = (*_CONNECTION_COLUMNS, "provider")  # which does not go back: its consent ended
# Not what is sealed: rows that are kept for looking back would keep keys from being retired.
# With the older hash the next sync brings the numbers, as it brings everything else.
_LEFT_ALONE: Final = frozenset({"id", *COLUMNS})
_ACCOUNT_COLUMNS: Final = ", ".join(
    f'"{column.name}"' for column in accounts.columns if column.name not in _LEFT_ALONE
)
_SEALED: Final = ", ".join(f"'{name}'" for name in COLUMNS)
_STATE: Final = sa.text(
    """
    SELECT
        (SELECT CAST(jsonb_build_object({connection}) AS text)
         FROM bank.connections c WHERE c.id = :id),
        (SELECT CAST(coalesce(jsonb_object_agg(a.id, to_jsonb(a) - ARRAY[{sealed}]), '{{}}')
                     AS text)
         FROM bank.accounts a WHERE a.connection_id = :id),
        (SELECT CAST(coalesce(jsonb_object_agg(one.account_id, one.days), '{{}}') AS text) FROM (
            SELECT v.account_id, jsonb_agg(to_jsonb(v) ORDER BY v.first_day) AS days
            FROM bank.account_coverage v JOIN bank.accounts a ON a.id = v.account_id
            WHERE a.connection_id = :id GROUP BY v.account_id
        ) AS one)
    """.format(  # noqa: S608 - our own names
        connection=", ".join(f"'{name}', c.{name}" for name in _WATCHED),
        sealed=_SEALED,
    )
)
_RESTORE_CONNECTION: Final = sa.text(
    """
    UPDATE bank.connections c SET ({columns}) = (
        SELECT {columns} FROM jsonb_populate_record(c, CAST(:row AS jsonb))
    ) WHERE c.id = :id
    """.format(columns=", ".join(_CONNECTION_COLUMNS))  # noqa: S608
)
_RESTORE_ACCOUNT: Final = sa.text(
    f"""
    UPDATE bank.accounts a SET ({_ACCOUNT_COLUMNS}) = (
        SELECT {_ACCOUNT_COLUMNS} FROM jsonb_populate_record(a, CAST(:row AS jsonb))
    ) WHERE a.id = :id
    """  # noqa: S608
)
_FORGET_COVERAGE: Final = sa.text("DELETE FROM bank.account_coverage WHERE account_id = :id")


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in before.items() if value != after.get(name)}


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Write exact numbers as text, which Postgres reads back as numbers."""
    return json.loads(json.dumps(value, default=str))
