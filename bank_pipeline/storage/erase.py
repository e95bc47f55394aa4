"""Erase what is stored of a connection that was ended, all but that there was one."""

from datetime import datetime

import sqlalchemy as sa

from bank_pipeline.domain.connection import Connection, ConnectionStatus
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.storage.tables import (
    account_questions,
    accounts,
    connections,
    consents_to_end,
    credentials,
    erasures,
    link_sessions,
    next_consents,
    notifications,
    provider_calls,
    quarantine,
    raw_payloads,
    sync_runs,
    webhook_events,
)

_ITS_TABLES = (
    accounts,  # and with them balances, coverage, transactions, revisions and annotations
    account_questions,
    consents_to_end,
    credentials,
    next_consents,
    notifications,
    provider_calls,
    quarantine,
    raw_payloads,
    sync_runs,
)


def set_erase_asked(db: sa.Connection, connection_id: ConnectionId, *, now: datetime) -> None:
    """Note that a connection is to be erased once its consents have ended."""
    db.execute(
        connections.update()
        .where(connections.c.id == connection_id, connections.c.erased_at.is_(None))
        .values(erase_asked_at=sa.func.coalesce(connections.c.erase_asked_at, now))
    )


def load_erasable(
    db: sa.Connection, *, limit: int, connection_id: ConnectionId | None = None
) -> list[ConnectionId]:
    """Load the connections that are to be erased and whose consents have all ended."""
    is_held = sa.exists().where(
        consents_to_end.c.connection_id == connections.c.id, consents_to_end.c.ended_at.is_(None)
    )
    query = sa.select(connections.c.id).where(
        connections.c.erase_asked_at.is_not(None),
        connections.c.erased_at.is_(None),
        connections.c.status == ConnectionStatus.DISCONNECTED,
        ~is_held,
    )
    if connection_id is not None:
        query = query.where(connections.c.id == connection_id)
    query = query.order_by(connections.c.erase_asked_at).limit(limit)
    return [ConnectionId(id_) for id_ in db.execute(query).scalars()]


def is_erased(db: sa.Connection, connection_id: ConnectionId) -> bool:
    """Say whether what was stored of a connection is gone."""
    query = sa.select(connections.c.erased_at).where(connections.c.id == connection_id)
    return db.scalar(query) is not None


def load_oldest_erasable(db: sa.Connection) -> datetime | None:
    """Load since when a connection waits to be erased that can be; None when none does."""
    ids = load_erasable(db, limit=1)
    if not ids:
        return None
    query = sa.select(connections.c.erase_asked_at).where(connections.c.id == ids[0])
    asked_at: datetime | None = db.scalar(query)
    return asked_at


def erase_connection(db: sa.Connection, connection: Connection, *, now: datetime) -> None:
    """
    Delete every row of a connection, and what names its bank or its consent.

    That it existed stays, with the history of its status: nothing is forgotten in silence.
    """
    for table in _ITS_TABLES:
        db.execute(sa.delete(table).where(table.c.connection_id == connection.id))
    _delete_events(db, connection)
    db.execute(
        sa.delete(link_sessions).where(
            (link_sessions.c.renews_connection_id == connection.id)
            | (connection.id == sa.any_(link_sessions.c.connection_ids))
        )
    )
    db.execute(
        connections.update()
        .where(connections.c.id == connection.id)
        .values(
            external_id=f"erased-{connection.id}",
            institution_external_id=None,
            institution_name=None,
            cursor=None,
            consent_expires_at=None,
            erased_at=now,
        )
    )


def _delete_events(db: sa.Connection, connection: Connection) -> None:
    """
    Delete what was told of a connection by webhooks, under the consents before this one, too.

    Those are its team's, and name what no connection has any more; of which it was, nobody knows.
    No sync waits for any of them.
    """
    columns = webhook_events.c
    is_held = sa.exists().where(
        connections.c.provider == columns.provider,
        connections.c.external_id == columns.connection_external_id,
    )
    is_its = sa.and_(
        columns.provider == connection.provider,
        columns.connection_external_id == connection.external_id,
    )
    is_former = sa.and_(
        columns.team_id == connection.team_id,
        columns.connection_external_id.is_not(None),
        ~is_held,
    )
    db.execute(sa.delete(webhook_events).where(is_its | is_former))


def load_erased_ids(db: sa.Connection, *, since: datetime | None = None) -> list[ConnectionId]:
    """
    Load the connections that were erased, all or those since then, the newest first.

    Those that went with their teams, too: a run may outlive its connection.
    """
    gone = sa.select(
        sa.func.unnest(erasures.c.connection_ids).label("id"), erasures.c.done_at.label("at")
    )
    own = sa.select(connections.c.id, connections.c.erased_at.label("at"))
    erased = sa.union_all(own.where(connections.c.erased_at.is_not(None)), gone).subquery()
    query = sa.select(erased.c.id).where(erased.c.at.is_not(None))
    if since is not None:
        query = query.where(erased.c.at >= since)
    ids = db.scalars(query.order_by(erased.c.at.desc()))
    return [ConnectionId(id_) for id_ in ids]
