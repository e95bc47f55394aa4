"""What each sync changed in a stored row, from and to, so that any past state can be told."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.ids import AccountId, SyncRunId, TeamId, TransactionId
from bank_pipeline.storage.copying import copy_rows
from bank_pipeline.storage.tables import transaction_revisions

Changes = Mapping[str, tuple[Any, Any]]
"""column -> (from, to) as JSON holds them: amounts and dates are exact text, None is NULL."""

_COLUMNS: Final = ("transaction_id", "team_id", "sync_run_id", "at", "changes", "reason")


@dataclass(frozen=True)
class Revision:
    """
    One change of one row: put every `from` back, and the row is what it was before.

    No `sync_run_id`: a person did it. `reason` is why, where the bank's word alone is not.
    """

    id: int
    transaction_id: TransactionId
    sync_run_id: SyncRunId | None
    at: datetime
    changes: Changes
    reason: str | None = None


def to_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    """Compare a row with what it becomes, in the columns of `before`. Pure."""
    return {
        column: (to_json(old), to_json(after[column]))
        for column, old in before.items()
        if old != after[column]
    }


def to_json(value: Any) -> Any:  # noqa: ANN401 -- any value of a column
    """Return a value as JSON holds it without loss, and as Postgres reads it back. Pure."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    return value


def insert_revisions(
    db: sa.Connection,
    changes: Iterable[tuple[TransactionId, Changes]],
    *,
    team_id: TeamId,
    sync_run_id: SyncRunId | None,
    now: datetime,
    reason: str | None = None,
) -> int:
    """Append what changed in a team's rows, none without a difference; return how many."""
    rows = [
        (transaction_id, team_id, sync_run_id, now, json.dumps(differences), reason)
        for transaction_id, differences in changes
        if differences
    ]
    return copy_rows(db, transaction_revisions, _COLUMNS, rows) if rows else 0


def load_revisions(db: sa.Connection, transaction_id: TransactionId) -> list[Revision]:
    """Load every revision of one transaction, oldest first."""
    query = sa.select(transaction_revisions).order_by(transaction_revisions.c.id)
    rows = db.execute(query.where(transaction_revisions.c.transaction_id == transaction_id))
    return [
        Revision(
            id=row.id,
            transaction_id=TransactionId(row.transaction_id),
            sync_run_id=None if row.sync_run_id is None else SyncRunId(row.sync_run_id),
            at=row.at,
            changes={column: (old, new) for column, (old, new) in row.changes.items()},
            reason=row.reason,
        )
        for row in rows
    ]


def load_borne_names(
    db: sa.Connection, account_ids: Collection[AccountId], names: Collection[str]
) -> frozenset[str]:
    """Return those of these names that a row of the accounts bears, or bore before."""
    given = {"accounts": [*account_ids], "names": [*names]}
    return frozenset(db.scalars(_BORNE_NAMES, given))


_BORNE_NAMES: Final = sa.text("""
    SELECT t.external_id FROM bank.transactions t
    WHERE t.account_id = ANY(CAST(:accounts AS uuid[])) AND t.external_id = ANY(:names)
    UNION
    SELECT r.changes->'external_id'->>0 FROM bank.transaction_revisions r
    JOIN bank.transactions t ON t.id = r.transaction_id
    WHERE t.account_id = ANY(CAST(:accounts AS uuid[]))
        AND r.changes->'external_id'->>0 = ANY(:names)
""")
