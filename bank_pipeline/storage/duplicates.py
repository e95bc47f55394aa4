"""
Rows that may be one told twice, and what people decided of them.

A decision is a person's: no sync writes it. A dropped row is removed as others are, and stays
so whatever the bank shows; it is matched all the same.
"""

import uuid
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.ids import ConnectionId, TeamId, TransactionId
from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.errors import NotFoundError
from bank_pipeline.storage.connections import lock_connection
from bank_pipeline.storage.depth import request_backfill
from bank_pipeline.storage.revisions import insert_revisions, to_json
from bank_pipeline.storage.tables import accounts, transactions
from bank_pipeline.storage.transaction_writes import DROP

KEEP: Final = "keep"
KEPT: Final = "kept: a row of its own"
DROPPED: Final = "dropped: another row told twice"


@dataclass(frozen=True)
class _Decided:
    """A row as far as it was decided of."""

    id: str
    team_id: str
    status: str
    booking_date: date | None
    transaction_date: date | None
    created_at: datetime
    removed_at: datetime | None
    duplicate_decision: str | None


@dataclass(frozen=True)
class SuspectedDuplicate:
    """A live row that may be `twin_id` once more: equal in day, amount, currency and text."""

    id: str
    twin_id: str
    account_id: str
    institution_name: str | None
    account_name: str
    date: date | None
    amount: Decimal | None
    currency: str | None
    description: str
    seen_at: datetime
    twin_seen_at: datetime


def list_suspected_duplicates(
    db: sa.Connection, *, connection_id: ConnectionId | None = None
) -> list[SuspectedDuplicate]:
    """List what nobody decided yet, the newest first."""
    rows = db.execute(_SUSPECTED, {"connection_id": connection_id}).mappings()
    return [SuspectedDuplicate(**row) for row in rows]


def drop_duplicate(db: sa.Connection, transaction_id: str, *, now: datetime) -> None:
    """
    Remove a row that is another one told twice; dropping it again changes nothing.

    Raises:
        NotFoundError: no live row has this id.
    """
    row, _ = _lock(db, transaction_id)
    if row.duplicate_decision == DROP:
        return
    if row.removed_at is not None:
        raise NotFoundError(f"transaction {transaction_id} is removed already, by its bank")
    _decide(db, row, DROP, removed_at=now, reason=DROPPED, now=now)


def keep_duplicate(db: sa.Connection, transaction_id: str, *, now: datetime) -> None:
    """
    Say that a row is one of its own; if it was dropped, it is back.

    Its bank may have taken it back meanwhile, which nobody noted of a dropped row. So the next
    sync asks as far back as its day, or a change feed for its whole history.

    Raises:
        NotFoundError: no row has this id, or its bank removed it.
    """
    row, connection_id = _lock(db, transaction_id)
    if row.duplicate_decision == KEEP:
        return
    if row.removed_at is not None and row.duplicate_decision != DROP:
        raise NotFoundError(f"transaction {transaction_id} was removed by its bank")
    is_vanished = row.status == TransactionStatus.VANISHED
    removed_at = row.removed_at if is_vanished else None
    _decide(db, row, KEEP, removed_at=removed_at, reason=KEPT, now=now)
    if removed_at != row.removed_at:
        day = row.booking_date or row.transaction_date or row.created_at.date()
        request_backfill(db, connection_id, since=day, now=now, is_due=False)


def _lock(db: sa.Connection, transaction_id: str) -> tuple[_Decided, ConnectionId]:
    """Lock a row, and before it its connection, as syncs do."""
    nothing = NotFoundError(f"no transaction {transaction_id}; `duplicates list` shows the ids")
    try:
        id_ = str(uuid.UUID(transaction_id))
    except ValueError:
        raise nothing from None
    owner = sa.select(accounts.c.connection_id).join(
        transactions, transactions.c.account_id == accounts.c.id
    )
    connection_id = db.scalar(owner.where(transactions.c.id == id_))
    if connection_id is None:
        raise nothing
    lock_connection(db, connection_id)
    columns = [transactions.c[field.name] for field in fields(_Decided)]
    query = sa.select(*columns).where(transactions.c.id == id_)
    row = db.execute(query.with_for_update()).mappings().one_or_none()
    if row is None:
        raise nothing
    return _Decided(**row), connection_id


def _decide(
    db: sa.Connection,
    row: _Decided,
    decision: str,
    *,
    removed_at: datetime | None,
    reason: str,
    now: datetime,
) -> None:
    values = {
        "duplicate_decision": decision,
        "duplicate_decided_at": now,
        "removed_at": removed_at,
        "updated_at": now,
    }
    db.execute(sa.update(transactions).where(transactions.c.id == row.id).values(values))
    if removed_at != row.removed_at:
        changes = {"removed_at": (to_json(row.removed_at), to_json(removed_at))}
        one = (TransactionId(row.id), changes)
        team_id = TeamId(row.team_id)
        insert_revisions(db, [one], team_id=team_id, sync_run_id=None, now=now, reason=reason)


_SUSPECTED: Final = sa.text(
    """
    SELECT t.transaction_id::text AS id, t.suspected_duplicate_of::text AS twin_id,
           t.account_id::text, t.institution_name, t.account_name, t.date, t.amount,
           coalesce(t.currency, t.unofficial_currency) AS currency, t.description,
           t.created_at AS seen_at, twin.created_at AS twin_seen_at
    FROM analytics.transactions t
    JOIN bank.transactions twin ON twin.id = t.suspected_duplicate_of
    WHERE CAST(:connection_id AS text) IS NULL OR t.connection_id::text = :connection_id
    ORDER BY t.date DESC NULLS FIRST, t.transaction_id DESC
    """
)
