"""How stored rows stand beside what an archive shows of them: read for a replay, and stamped."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.changes import Update
from bank_pipeline.domain.ids import ConnectionId, SyncRunId, TransactionId
from bank_pipeline.storage.revisions import Changes, to_changes
from bank_pipeline.storage.rows import BANK_COLUMNS, to_values
from bank_pipeline.storage.tables import accounts, transactions


def load_last_writers(
    db: sa.Connection, connection_id: ConnectionId
) -> dict[TransactionId, SyncRunId]:
    """Load, for every row of a connection, the sync that had the last word on it."""
    query = (
        sa.select(transactions.c.id, transactions.c.last_sync_run_id)
        .join(accounts, accounts.c.id == transactions.c.account_id)
        .where(accounts.c.connection_id == connection_id)
    )
    return {TransactionId(id_): SyncRunId(run) for id_, run in db.execute(query)}


def load_differences(db: sa.Connection, updates: Sequence[Update]) -> dict[TransactionId, Changes]:
    """Compare stored rows with what they would become, in what a provider may change."""
    after = {
        update.id: dict(zip(BANK_COLUMNS, to_values(update.transaction), strict=True))
        for update in updates
    }
    columns = [transactions.c[name] for name in BANK_COLUMNS]
    query = sa.select(transactions.c.id, *columns).where(
        transactions.c.id == sa.any_(_ids([*after]))
    )
    found: dict[TransactionId, Changes] = {}
    for row in db.execute(query).mappings():
        before = {name: row[name] for name in BANK_COLUMNS}
        found[row["id"]] = to_changes(before, after[row["id"]])
    return found


def set_last_writers(
    db: sa.Connection, writers: Mapping[TransactionId, SyncRunId], *, made_by: SyncRunId
) -> None:
    """
    Write which syncs had the last word on rows that a replay changed.

    A replay has none of its own: a later one, by a better transform, may change them again.
    Rows that the replay itself made are given it by their names.
    """
    rows = {"ids": [*writers], "runs": [*writers.values()], "made_by": made_by}
    db.execute(_STAMP, rows)
    db.execute(_NOTE_NAMED, {"runs": [*{*writers.values()}]})


def load_made_by(db: sa.Connection, sync_run_id: SyncRunId) -> dict[tuple[Any, str], TransactionId]:
    """Load the rows that a run made, by account and external id."""
    query = sa.select(
        transactions.c.account_id, transactions.c.external_id, transactions.c.id
    ).where(transactions.c.first_sync_run_id == sync_run_id)
    return {(row[0], row[1]): TransactionId(row[2]) for row in db.execute(query)}


_STAMP: Final = sa.text(
    """
    UPDATE bank.transactions t SET last_sync_run_id = given.run
    FROM unnest(CAST(:ids AS uuid[]), CAST(:runs AS uuid[])) AS given (id, run)
    WHERE t.id = given.id AND t.last_sync_run_id = :made_by
    """
)


_NOTE_NAMED: Final = sa.text(
    """
    UPDATE bank.sync_runs SET counts = coalesce(counts, '{}') || '{"is_named": true}'
    WHERE id = ANY(CAST(:runs AS uuid[]))
    """
)
"""Else a quiet one, that changed nothing by itself, would go some day, and the row's origin."""


def _ids(ids: Sequence[str]) -> sa.ColumnElement[Any]:
    return sa.cast(sa.literal([*ids], sa.ARRAY(sa.Text)), sa.ARRAY(sa.UUID(as_uuid=False)))
