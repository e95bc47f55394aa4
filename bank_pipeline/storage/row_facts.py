"""One transaction with everything that is stored of it, for those who ask where it came from."""

import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from bank_pipeline.domain.ids import AccountId, ConnectionId, SyncRunId, TransactionId
from bank_pipeline.errors import NotFoundError
from bank_pipeline.storage.rows import BANK_COLUMNS
from bank_pipeline.storage.tables import accounts, transactions


@dataclass(frozen=True)
class RowFacts:
    """A row: what the bank says of it by column, and which syncs wrote it first and last."""

    id: TransactionId
    account_id: AccountId
    connection_id: ConnectionId
    account_name: str
    columns: dict[str, Any]
    first_sync_run_id: SyncRunId
    last_sync_run_id: SyncRunId


def load_row_facts(db: sa.Connection, transaction_id: str) -> RowFacts:
    """
    Load one row.

    Raises:
        NotFoundError: there is none of this id, or it is no id at all.
    """
    try:
        id_ = str(uuid.UUID(transaction_id))
    except ValueError:
        raise NotFoundError(f"{transaction_id!r} is not the id of a transaction") from None
    query = (
        sa.select(transactions, accounts.c.connection_id, accounts.c.name.label("account_name"))
        .join(accounts, accounts.c.id == transactions.c.account_id)
        .where(transactions.c.id == id_)
    )
    row = db.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFoundError(
            f"no transaction {transaction_id}; see `bank-pipeline transactions --json`"
        )
    return RowFacts(
        id=row["id"],
        account_id=row["account_id"],
        connection_id=row["connection_id"],
        account_name=row["account_name"],
        columns={name: row[name] for name in (*BANK_COLUMNS, "removed_at")},
        first_sync_run_id=row["first_sync_run_id"],
        last_sync_run_id=row["last_sync_run_id"],
    )
