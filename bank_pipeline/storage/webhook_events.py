"""The inbox: verified webhooks, stored before they are acknowledged, until a sync covers them."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bank_pipeline.domain.connection import SYNCABLE, Connection, Provider
from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.storage.bell import ring
from bank_pipeline.storage.tables import connections, webhook_events


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
    """
    Store an event and return whether it is new; a repeated delivery is stored once.

    One that needs no sync is handled by being stored. One that does rings the bell. It may be
    equal news of the same second: it waits again, behind all that came before, because a sync
    under way covers only those.
    """
    statement = insert(webhook_events).values(
        provider=event.provider,
        event_key=event.event_key,
        kind=event.kind,
        code=event.code,
        connection_external_id=event.external_id,
        received_at=now,
        handled_at=None if needs_sync else now,
    )
    inserted = statement.on_conflict_do_nothing().returning(webhook_events.c.id)
    is_new = db.scalar(inserted) is not None
    if not needs_sync:
        return is_new
    if not is_new:
        is_equal = (
            webhook_events.c.provider == event.provider,
            webhook_events.c.event_key == event.event_key,
        )
        again = {"id": sa.text("DEFAULT"), "received_at": now, "handled_at": None}
        db.execute(sa.update(webhook_events).where(*is_equal).values(again))
    ring(db)
    return is_new


def take_up(
    db: sa.Connection, connection: Connection, kinds: Collection[str], *, now: datetime
) -> list[tuple[str, str]]:
    """Mark waiting events of these kinds as handled; return kind and code of each, in order."""
    statement = (
        sa.update(webhook_events)
        .where(*_waiting(connection), webhook_events.c.kind.in_(kinds))
        .values(handled_at=now)
        .returning(webhook_events.c.id, webhook_events.c.kind, webhook_events.c.code)
    )
    return [(row.kind, row.code) for row in sorted(db.execute(statement).all())]


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
    values = {"handled_at": now, "handled_by_sync_run_id": sync_run_id}
    return db.execute(statement.values(values)).rowcount


def _waiting(connection: Connection) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        webhook_events.c.provider == connection.provider,
        webhook_events.c.connection_external_id == connection.external_id,
        webhook_events.c.handled_at.is_(None),
    )
