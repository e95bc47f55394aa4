"""Erasures of teams: how far each has come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.erasure import ErasureState
from bank_pipeline.domain.ids import ConnectionId, TeamId
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.tables import (
    api_keys,
    connections,
    consents_to_end,
    erasures,
    teams,
)


@dataclass(frozen=True)
class Erasure:
    """One erasure of a team. `counts`: rows by table, as there were when it began."""

    id: str
    team_id: TeamId
    state: ErasureState
    waits_for: str | None
    connection_ids: Sequence[ConnectionId]
    counts: Mapping[str, int]
    asked_at: datetime
    next_attempt_at: datetime | None


@dataclass(frozen=True)
class ConnectionToErase:
    """A connection of a team that is being erased."""

    id: ConnectionId
    is_ended: bool
    is_erase_asked: bool
    is_erased: bool
    reason: str | None
    next_attempt_at: datetime | None


def insert_erasure(
    db: sa.Connection, team_id: TeamId, *, counts: Mapping[str, int], now: datetime
) -> bool:
    """Note that a team is to be erased; return whether that is news."""
    is_open = sa.select(erasures.c.id).where(
        erasures.c.team_id == team_id, erasures.c.done_at.is_(None)
    )
    if db.scalar(is_open) is not None:
        return False
    row = {
        "id": new_id(),
        "team_id": team_id,
        "state": ErasureState.CONSENTS,
        "counts": dict(counts),
        "asked_at": now,
        "next_attempt_at": now,
    }
    db.execute(sa.insert(erasures), row)
    return True


def load_open_erasures(db: sa.Connection, *, due_at: datetime | None = None) -> list[Erasure]:
    """Load what is not done yet, the oldest first: all, or what is due then."""
    query = sa.select(erasures).where(erasures.c.done_at.is_(None))
    if due_at is not None:
        query = query.where(erasures.c.next_attempt_at <= due_at)
    return [_to_erasure(row) for row in db.execute(query.order_by(erasures.c.asked_at))]


def load_newest_erasure(db: sa.Connection, team_id: TeamId) -> Erasure | None:
    """Load a team's erasure, done or not; None without one."""
    query = sa.select(erasures).where(erasures.c.team_id == team_id)
    row = db.execute(query.order_by(erasures.c.asked_at.desc()).limit(1)).one_or_none()
    return None if row is None else _to_erasure(row)


def set_waiting(
    db: sa.Connection, erasure_id: str, *, waits_for: str, next_attempt_at: datetime
) -> None:
    """Note why an erasure goes on later."""
    statement = sa.update(erasures).where(erasures.c.id == erasure_id)
    db.execute(statement.values(waits_for=waits_for, next_attempt_at=next_attempt_at))


def set_step(
    db: sa.Connection,
    erasure_id: str,
    *,
    before: ErasureState,
    after: ErasureState,
    now: datetime,
) -> None:
    """Note that a step is done; where somebody else did it, too, the further one stays."""
    done = {"done_at": now, "next_attempt_at": None} if after is ErasureState.DONE else {}
    statement = sa.update(erasures).where(erasures.c.id == erasure_id, erasures.c.state == before)
    db.execute(statement.values(state=after, waits_for=None, **done))


def load_connections_to_erase(db: sa.Connection, erasure: Erasure) -> list[ConnectionToErase]:
    """Load a team's connections, and note their ids: later steps need them when rows are gone."""
    query = sa.select(connections).where(connections.c.team_id == erasure.team_id)
    rows = db.execute(query.order_by(connections.c.created_at, connections.c.id)).all()
    known = {*erasure.connection_ids, *(row.id for row in rows)}
    if known != {*erasure.connection_ids}:
        statement = sa.update(erasures).where(erasures.c.id == erasure.id)
        db.execute(statement.values(connection_ids=sorted(known)))
    return [_to_connection(row) for row in rows]


def lock_team(db: sa.Connection, team_id: TeamId) -> bool:
    """
    Keep everybody from adding rows to a team until the transaction ends; False: it is gone.

    Whoever waits to add one finds no team to refer to then.
    """
    query = sa.select(teams.c.id).where(teams.c.id == team_id).with_for_update()
    return db.scalar(query) is not None


def delete_api_keys_of(db: sa.Connection, team_id: TeamId) -> int:
    """Delete a team's keys, so that nobody asks in its name any more; return how many."""
    return db.execute(sa.delete(api_keys).where(api_keys.c.team_id == team_id)).rowcount


def delete_team(db: sa.Connection, team_id: TeamId) -> None:
    """
    Delete a team, and with it all rows that belong to it.

    Consents of links that nobody finished stay, as nobody's, until their provider has ended them.
    """
    abandoned = consents_to_end.c.connection_id.is_(None) & (consents_to_end.c.team_id == team_id)
    db.execute(sa.update(consents_to_end).where(abandoned).values(team_id=None))
    db.execute(sa.delete(teams).where(teams.c.id == team_id))


def _to_connection(row: sa.Row[Any]) -> ConnectionToErase:
    return ConnectionToErase(
        id=ConnectionId(row.id),
        is_ended=row.status == ConnectionStatus.DISCONNECTED,
        is_erase_asked=row.erase_asked_at is not None,
        is_erased=row.erased_at is not None,
        reason=row.status_reason,
        next_attempt_at=row.next_attempt_at,
    )


def _to_erasure(row: sa.Row[Any]) -> Erasure:
    return Erasure(
        id=row.id,
        team_id=TeamId(row.team_id),
        state=ErasureState(row.state),
        waits_for=row.waits_for,
        connection_ids=tuple(ConnectionId(one) for one in row.connection_ids),
        counts=row.counts,
        asked_at=row.asked_at,
        next_attempt_at=row.next_attempt_at,
    )
