"""Our standing with each provider: one row, read by every sync before it calls."""

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bank_pipeline.domain.circuit import (
    PROBE_WITHIN,
    SUSPICION_WINDOW,
    CircuitState,
    ProviderHealth,
    healthy,
    while_probing,
)
from bank_pipeline.domain.connection import SYNCABLE, ConnectionStatus, Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.transitions import FailureKind
from bank_pipeline.storage.tables import (
    connection_events,
    connections,
    provider_health,
    sync_runs,
)

_COLUMNS: Final = [provider_health.c[one.name] for one in fields(ProviderHealth)]
_GOES_ON: Final = connections.c.status.in_((*SYNCABLE, ConnectionStatus.NEEDS_REAUTH.value))
"""Whose customer has to act is looked at daily, by a sync, too."""

STOPPED: Final = (ConnectionStatus.NEEDS_REAUTH, ConnectionStatus.REVOKED)
_TOLD_TO_ACT: Final = (FailureKind.REAUTH_REQUIRED, FailureKind.ACCESS_REVOKED)


@dataclass(frozen=True)
class StopCount:
    """Connections of a provider within the window: those told to act, and all that were tried."""

    told_to_act: int
    tried: int


@dataclass(frozen=True)
class StoppedConnection:
    """A connection that a sync stopped, and where it stood before."""

    id: ConnectionId
    before: ConnectionStatus


def load_provider_health(
    db: sa.Connection, provider: Provider, *, now: datetime, for_update: bool = False
) -> ProviderHealth:
    """Load how we stand with a provider; without a row all is well."""
    query = sa.select(*_COLUMNS).where(provider_health.c.provider == provider)
    if for_update:
        first = insert(provider_health).values(asdict(healthy(provider, now=now)))
        db.execute(first.on_conflict_do_nothing())
        query = query.with_for_update()
    row = db.execute(query).mappings().one_or_none()
    return healthy(provider, now=now) if row is None else _to_health(row)


def load_paused(db: sa.Connection) -> list[ProviderHealth]:
    """Load the providers whose syncs wait: one that nobody's go through is never probed again."""
    is_used = sa.exists().where(connections.c.provider == provider_health.c.provider, _GOES_ON)
    is_paused = provider_health.c.state != CircuitState.CLOSED
    query = sa.select(*_COLUMNS).where(is_paused, is_used).order_by(provider_health.c.provider)
    return [_to_health(row) for row in db.execute(query).mappings()]


def count_used(db: sa.Connection) -> dict[Provider, int]:
    """Count the connections that are synced through each provider."""
    columns = connections.c
    counted = sa.select(columns.provider, sa.func.count()).where(_GOES_ON)
    rows = db.execute(counted.group_by(columns.provider))
    return {Provider(provider): count for provider, count in rows}


def save_provider_health(db: sa.Connection, health: ProviderHealth) -> None:
    """Write how we stand with a provider now."""
    values = asdict(health)
    statement = insert(provider_health).values(values)
    db.execute(statement.on_conflict_do_update(index_elements=["provider"], set_=values))


def claim_probe(db: sa.Connection, health: ProviderHealth, *, now: datetime) -> bool:
    """Claim the probe that is due, in one statement; False when somebody else was faster."""
    claimed = while_probing(health, now=now)
    columns = provider_health.c
    statement = (
        provider_health.update()
        .where(
            columns.provider == health.provider,
            columns.state != CircuitState.CLOSED,
            columns.next_probe_at.is_(None)
            | (columns.next_probe_at <= now)
            | (columns.next_probe_at > now + PROBE_WITHIN),
        )
        .values(state=claimed.state, next_probe_at=claimed.next_probe_at)
        .returning(columns.provider)
    )
    return db.execute(statement).one_or_none() is not None


def count_stops(
    db: sa.Connection, provider: Provider, *, besides: ConnectionId, now: datetime
) -> StopCount:
    """Count, of the window before now, the connections that syncs ended for, but for one."""
    told = sync_runs.c.error_class.in_(_TOLD_TO_ACT)
    distinct = sa.func.count(sa.distinct(sync_runs.c.connection_id))
    query = (
        sa.select(distinct.filter(told), distinct)
        .join(connections, connections.c.id == sync_runs.c.connection_id)
        .where(
            connections.c.provider == provider,
            sync_runs.c.connection_id != besides,
            sync_runs.c.ended_at > now - SUSPICION_WINDOW,
            sync_runs.c.outcome != "deferred",
        )
    )
    return StopCount(*db.execute(query).one())


def load_stopped_since(
    db: sa.Connection, provider: Provider, *, since: datetime
) -> list[StoppedConnection]:
    """
    Load the connections that syncs stopped since then, with the status before.

    Not those that were put back meanwhile and that somebody else has stopped again.
    """
    events = connection_events.c
    query = (
        sa.select(connections.c.id, events.from_status)
        .join(connection_events, events.connection_id == connections.c.id)
        .where(
            connections.c.provider == provider,
            connections.c.status.in_(STOPPED),
            events.at >= since,
            events.at == connections.c.status_since,
            events.sync_run_id.is_not(None),
            events.to_status == connections.c.status,
        )
        .order_by(connections.c.id, events.id)
    )
    found: dict[str, StoppedConnection] = {}
    for id_, before in db.execute(query):
        status = ConnectionStatus(before) if before else ConnectionStatus.PENDING
        if status.is_syncable:
            found.setdefault(id_, StoppedConnection(ConnectionId(id_), status))
    return list(found.values())


def _to_health(row: Any) -> ProviderHealth:  # noqa: ANN401 - a row
    return ProviderHealth(
        **{
            **row,
            "provider": Provider(row["provider"]),
            "state": CircuitState(row["state"]),
        }
    )
