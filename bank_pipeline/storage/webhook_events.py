"""The inbox: verified webhooks, stored before they are acknowledged, until a sync covers them."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, Protocol

import sqlalchemy as sa

from bank_pipeline.domain.connection import SYNCABLE, Connection, ConnectionStatus, Provider
from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.storage.bell import ring
from bank_pipeline.storage.tables import connection_events, connections, webhook_events

_TO_BE_MENDED: Final = (
    ConnectionStatus.EXPIRING,
    ConnectionStatus.NEEDS_REAUTH,
    ConnectionStatus.REVOKED,
)
_MENDED: Final = (ConnectionStatus.ACTIVE, ConnectionStatus.PENDING)


class Event(Protocol):
    """What is stored of a verified webhook (`providers.base.ProviderEvent`)."""

    @property
    def provider(self) -> Provider:
        """Who sent it."""

    @property
    def kind(self) -> str:
        """What it is, in our words."""

    @property
    def code(self) -> str:
        """What it is, in the provider's words."""

    @property
    def external_id(self) -> str | None:
        """The provider's id of the connection; None when it is about something else."""

    @property
    def event_key(self) -> str:
        """Equal for repeated deliveries."""


def insert_event(db: sa.Connection, event: Event, *, needs_sync: bool, now: datetime) -> bool:
    """Store an event and return whether it is new; see `insert_events`."""
    waiting, handled = ([event], []) if needs_sync else ([], [event])
    return event.event_key in insert_events(db, waiting=waiting, handled=handled, now=now)


def insert_events(
    db: sa.Connection, *, waiting: Sequence[Event], handled: Sequence[Event], now: datetime
) -> frozenset[str]:
    """
    Store events; return the keys of those that are new. A repeated delivery is stored once.

    Those `handled` are so by being stored. Those `waiting` ask for a sync, and ring the bell. One
    that is repeated may be equal news of the same second: it waits again, behind all that came
    before, because a sync under way covers only those.
    """
    rows = {}
    for events, handled_at in ((handled, now.isoformat()), (waiting, None)):
        for event in events:
            rows[event.provider, event.event_key] = {
                "provider": event.provider,
                "event_key": event.event_key,
                "kind": event.kind,
                "code": event.code,
                "connection_external_id": event.external_id,
                "handled_at": handled_at,
            }
    # In one order, so that two gateways which store at once never wait for each other in a ring.
    ordered = json.dumps([rows[key] for key in sorted(rows)])
    stored = db.execute(_INSERT, {"rows": ordered, "now": now}).all()
    if waiting:
        ring(db)
    return frozenset(row.event_key for row in stored if row.is_new)


def take_up(
    db: sa.Connection, connection: Connection, kinds: Collection[str], *, now: datetime
) -> list[tuple[str, str]]:
    """Mark waiting events of these kinds as handled; return kind and code of each, in order."""
    statement = (
        sa.update(webhook_events)
        .where(*_waiting(connection), webhook_events.c.kind.in_(kinds))
        .values(handled_at=now, team_id=connection.team_id)
        .returning(webhook_events.c.id, webhook_events.c.kind, webhook_events.c.code)
    )
    return [(row.kind, row.code) for row in sorted(db.execute(statement).all())]


def is_told_since(
    db: sa.Connection, connection: Connection, kinds: Collection[str], *, after: int
) -> bool:
    """Say whether an event of these kinds waits that came after the one with this id."""
    waits = (*_waiting(connection), webhook_events.c.kind.in_(kinds), webhook_events.c.id > after)
    return db.scalar(sa.select(sa.exists().where(*waits))) is True


def load_standing_code(
    db: sa.Connection, connection: Connection, kind: str, *, despite: str
) -> str | None:
    """
    Load in whose words the newest event of a kind told of the consent in use, handled or not.

    None if that was mended since, by more than what is told with this reason.
    """
    told = webhook_events.c
    events = connection_events.c
    is_mended = sa.exists().where(
        events.connection_id == connection.id,
        events.at >= told.received_at,
        events.from_status.in_(_TO_BE_MENDED),
        events.to_status.in_(_MENDED),
        events.reason.is_distinct_from(despite),
    )
    query = sa.select(told.code, is_mended).where(
        told.provider == connection.provider,
        told.connection_external_id == connection.external_id,
        told.kind == kind,
    )
    newest = db.execute(query.order_by(told.id.desc()).limit(1)).one_or_none()
    return None if newest is None or newest[1] else str(newest[0])


def delete_old_events(db: sa.Connection, *, before: datetime, limit: int) -> int:
    """
    Delete the oldest events received before a time, at most `limit`; return how many.

    Those that were handled, and those that nobody will ever handle: of connections that are not
    ours, or that ended, or that wait for their customer, whose next sync reads all anyway.
    """
    is_awaited = sa.exists().where(
        connections.c.provider == webhook_events.c.provider,
        connections.c.external_id == webhook_events.c.connection_external_id,
        connections.c.status.in_(SYNCABLE),
    )
    oldest = (
        sa.select(webhook_events.c.id)
        .where(
            webhook_events.c.received_at < before,
            webhook_events.c.handled_at.is_not(None) | ~is_awaited,
        )
        .order_by(webhook_events.c.id)
        .limit(limit)
    )
    return db.execute(sa.delete(webhook_events).where(webhook_events.c.id.in_(oldest))).rowcount


def mark_events_handled(
    db: sa.Connection,
    connection: Connection,
    *,
    up_to: int,
    sync_run_id: SyncRunId,
    now: datetime,
) -> int:
    """Mark a connection's events up to an id as covered by a sync; return how many."""
    statement = sa.update(webhook_events).where(*_waiting(connection), webhook_events.c.id <= up_to)
    whose = {"team_id": connection.team_id}  # it may have come before the connection
    values = {"handled_at": now, "handled_by_sync_run_id": sync_run_id, **whose}
    return db.execute(statement.values(values)).rowcount


def _waiting(connection: Connection) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        webhook_events.c.provider == connection.provider,
        webhook_events.c.connection_external_id == connection.external_id,
        webhook_events.c.handled_at.is_(None),
    )


# A row that this very statement inserted has no deleter (xmax); one that it updated has.
_INSERT: Final = sa.text(
    """
    INSERT INTO bank.webhook_events AS held
        (provider, event_key, kind, code, connection_external_id, received_at, handled_at, team_id)
    SELECT given.provider, given.event_key, given.kind, given.code, given.connection_external_id,
           :now, given.handled_at,
           (SELECT c.team_id FROM bank.connections c
            WHERE c.provider = given.provider AND c.external_id = given.connection_external_id)
    FROM json_to_recordset(CAST(:rows AS json)) AS given(
        provider text, event_key text, kind text, code text, connection_external_id text,
        handled_at timestamptz
    )
    ON CONFLICT (provider, event_key) DO UPDATE
        SET id = DEFAULT, received_at = excluded.received_at, handled_at = NULL,
            team_id = excluded.team_id
        WHERE excluded.handled_at IS NULL
    RETURNING held.event_key, held.xmax = 0 AS is_new
    """
)
