"""
Calls that a provider counts: one row each, written before the call.

A process that dies in a call leaves its row, and the row counts: rather one call too few than
one too many. Rows of one connection are written under its lock.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.quota import PERIOD, PastCall
from bank_pipeline.storage.tables import provider_calls

ANSWERED: Final = "answered"
APPLIED: Final = "applied"
"""Answered, and what the answer said is in the tables."""

FAILED: Final = "failed"


def load_recent_calls(
    db: sa.Connection,
    connection_id: ConnectionId,
    *,
    account_external_id: str,
    scope: str,
    counts_failures: bool,
    now: datetime,
) -> list[PastCall]:
    """Load the calls of the last 24 hours, oldest first."""
    columns = provider_calls.c
    query = (
        sa.select(
            columns.called_at,
            columns.is_scheduled,
            columns.outcome,
            columns.calls_left,
            columns.resets_at,
        )
        .where(
            columns.connection_id == connection_id,
            columns.account_external_id == account_external_id,
            columns.scope == scope,
            columns.called_at > now - PERIOD,
        )
        .order_by(columns.called_at, columns.id)
    )
    return [
        PastCall(
            called_at=row.called_at,
            is_scheduled=row.is_scheduled,
            is_counted=counts_failures or row.outcome != FAILED,
            calls_left=row.calls_left,
            resets_at=row.resets_at,
        )
        for row in db.execute(query)
    ]


def load_last_applied(
    db: sa.Connection, connection_id: ConnectionId, *, account_external_id: str, scope: str
) -> datetime | None:
    """
    Return when the newest call was made whose answer is in the tables; None without one.

    None, too, when a later one failed: what it was made for is not here.
    """
    columns = provider_calls.c
    newest = {
        outcome: sa.func.max(columns.called_at).filter(columns.outcome == outcome)
        for outcome in (APPLIED, FAILED)
    }
    applied, failed = db.execute(
        sa.select(newest[APPLIED], newest[FAILED]).where(
            columns.connection_id == connection_id,
            columns.account_external_id == account_external_id,
            columns.scope == scope,
        )
    ).one()
    is_outdated = applied is None or (failed is not None and failed > applied)
    return None if is_outdated else applied


def insert_call(
    db: sa.Connection,
    connection_id: ConnectionId,
    *,
    account_external_id: str,
    scope: str,
    is_scheduled: bool,
    now: datetime,
) -> int:
    """Write that a call is about to be made; return the row's id."""
    row = {
        "connection_id": connection_id,
        "account_external_id": account_external_id,
        "scope": scope,
        "is_scheduled": is_scheduled,
        "called_at": now,
    }
    statement = provider_calls.insert().values(row).returning(provider_calls.c.id)
    return int(db.execute(statement).scalar_one())


def finish_call(
    db: sa.Connection,
    call_id: int,
    *,
    outcome: str,
    calls_left: int | None,
    resets_at: datetime | None,
) -> None:
    """Write how a call ended, and what the answer said of the quota."""
    db.execute(
        provider_calls.update()
        .where(provider_calls.c.id == call_id)
        .values(outcome=outcome, calls_left=calls_left, resets_at=resets_at)
    )


def set_calls_applied(db: sa.Connection, call_ids: Collection[int]) -> None:
    """Write, together with the rows, that what these calls brought is in the tables."""
    if call_ids:
        statement = provider_calls.update().where(provider_calls.c.id.in_(call_ids))
        db.execute(statement.values(outcome=APPLIED))


def delete_calls(db: sa.Connection, *, before: datetime, limit: int) -> int:
    """Delete calls made before this, at most `limit`; return how many."""
    old = sa.select(provider_calls.c.id).where(provider_calls.c.called_at < before).limit(limit)
    return db.execute(provider_calls.delete().where(provider_calls.c.id.in_(old))).rowcount
