"""Deeper passes and backfills that were asked for, kept until a sync has made them."""

from datetime import date, datetime

import sqlalchemy as sa

from bank_pipeline.domain.connection import SYNCABLE
from bank_pipeline.domain.depth import BACKFILL_KEPT
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.storage.tables import connections


def request_deep_pass(db: sa.Connection, connection_id: ConnectionId, *, now: datetime) -> bool:
    """
    Have the connection's next scheduled sync look as far back as its bank goes.

    While one is asked for and not made, asking again changes nothing: returns whether it did.
    """
    last_at, asked_at = connections.c.last_deep_at, connections.c.deep_requested_at
    is_waiting = asked_at.is_not(None) & (last_at.is_(None) | (asked_at >= last_at))
    statement = connections.update().where(connections.c.id == connection_id, ~is_waiting)
    return db.execute(statement.values(deep_requested_at=now)).rowcount == 1


def request_backfill(
    db: sa.Connection,
    connection_id: ConnectionId,
    *,
    since: date,
    now: datetime,
    is_due: bool = True,
) -> None:
    """
    Have the connection's syncs go back to a date until one has done so; the next one is due now.

    Unless `is_due` is False: then it comes when it would have come.

    Of two backfills that wait the longer one holds; one that is given up waits no more.
    """
    columns = connections.c
    is_waiting = columns.backfill_requested_at >= now - BACKFILL_KEPT
    longer = sa.func.least(columns.backfill_since, since)  # which looks past NULL
    is_syncable = columns.status.in_(SYNCABLE)
    statement = connections.update().where(columns.id == connection_id)
    db.execute(
        statement.values(
            backfill_since=sa.case((is_waiting, longer), else_=since),
            backfill_requested_at=now,
            next_attempt_at=sa.case(
                (is_syncable & sa.literal(is_due), now), else_=columns.next_attempt_at
            ),
        )
    )


def end_backfill(db: sa.Connection, connection_id: ConnectionId, *, requested_at: datetime) -> None:
    """Forget a backfill that is done or given up, unless another was asked for since."""
    columns = connections.c
    statement = connections.update().where(
        columns.id == connection_id, columns.backfill_requested_at == requested_at
    )
    db.execute(statement.values(backfill_since=None, backfill_requested_at=None))
