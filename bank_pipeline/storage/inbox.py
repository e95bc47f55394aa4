"""How the inbox stands: what waits, for what, and how long. Read-only."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import SYNCABLE, Connection, Provider
from bank_pipeline.domain.transitions import PLANNED_WITHIN


class WaitsFor(StrEnum):
    """
    What a webhook event waits for.

    SYNC: one that can begin at once; its wait is the lag. RETRY: the planned try after a
    failure. CUSTOMER: a login or a new link. CONNECTION: no connection of ours has this id, yet
    or any more.
    """

    SYNC = "sync"
    RETRY = "retry"
    CUSTOMER = "customer"
    CONNECTION = "connection"


@dataclass(frozen=True)
class Waiting:
    """Events of one provider that wait for the same."""

    provider: Provider
    waits_for: WaitsFor
    events: int
    connections: int
    oldest_received_at: datetime


@dataclass(frozen=True)
class InboxEvent:
    """One event of the inbox. `connection_id` None: no connection of ours has its id."""

    id: int
    provider: Provider
    code: str
    kind: str
    connection_id: str | None
    received_at: datetime
    handled_at: datetime | None
    sync_run_id: str | None


def load_waiting(db: sa.Connection, *, now: datetime) -> list[Waiting]:
    """Load what waits in the inbox, by provider and by what it waits for."""
    bound = {"now": now, "syncable": [*SYNCABLE]}
    return [
        Waiting(Provider(row.provider), WaitsFor(row.waits_for), row.events, row.items, row.oldest)
        for row in db.execute(_WAITING, bound)
    ]


def load_lag(db: sa.Connection, *, now: datetime) -> list[Waiting]:
    """Load what could be synced at once and was not, the longest waiting first."""
    ready = [one for one in load_waiting(db, now=now) if one.waits_for is WaitsFor.SYNC]
    return sorted(ready, key=lambda one: one.oldest_received_at)


def load_events(
    db: sa.Connection,
    *,
    limit: int,
    connection: Connection | None = None,
    is_waiting: bool = False,
) -> list[InboxEvent]:
    """Load the newest events, of one connection or of all, those that wait or all."""
    bound = {
        "limit": limit,
        "provider": connection.provider.value if connection else None,
        "external_id": connection.external_id if connection else None,
        "is_waiting": is_waiting,
    }
    return [
        InboxEvent(**{**row, "provider": Provider(row.provider)})
        for row in db.execute(_EVENTS, bound).mappings()
    ]


IS_PUT_OFF: Final = f"""(
    c.next_attempt_at > :now
    AND c.next_attempt_at <= CAST(:now AS timestamptz)
        + interval '{PLANNED_WITHIN.total_seconds():.0f} seconds'
    AND ((e.received_at > c.last_attempt_at) IS NOT TRUE
         OR (SELECT r.error_class FROM bank.sync_runs r WHERE r.connection_id = c.id
             ORDER BY r.started_at DESC LIMIT 1) IS NOT DISTINCT FROM 'rate_limited'))
"""  # noqa: S608 - a constant of ours
"""
Whether an event `e` waits for the planned try of its connection `c`, as the sensor asks
(`listing.load_unhandled_events`): what a failed try knew waits for the next one, and so does all
that comes before a first sync that is held, or before a limit ends.
"""

_WAITING: Final = sa.text(
    f"""
    SELECT e.provider,
           CASE WHEN c.id IS NULL OR c.status = 'disconnected' THEN 'connection'
                WHEN c.status <> ALL(:syncable) THEN 'customer'
                WHEN {IS_PUT_OFF} THEN 'retry'
                ELSE 'sync' END AS waits_for,
           count(*) AS events,
           count(DISTINCT e.connection_external_id) AS items,
           min(e.received_at) AS oldest
    FROM bank.webhook_events e
    LEFT JOIN bank.connections c
        ON c.provider = e.provider AND c.external_id = e.connection_external_id
    WHERE e.handled_at IS NULL
    GROUP BY 1, 2
    ORDER BY 1, 2
    """  # noqa: S608 - a constant of ours
)

_EVENTS: Final = sa.text(
    """
    SELECT e.id, e.provider, e.code, e.kind, c.id::text AS connection_id, e.received_at,
           e.handled_at, e.handled_by_sync_run_id::text AS sync_run_id
    FROM bank.webhook_events e
    LEFT JOIN bank.connections c
        ON c.provider = e.provider AND c.external_id = e.connection_external_id
    WHERE (CAST(:external_id AS text) IS NULL
           OR (e.provider = :provider AND e.connection_external_id = :external_id))
      AND (e.handled_at IS NULL OR NOT :is_waiting)
    ORDER BY e.id DESC
    LIMIT :limit
    """
)
