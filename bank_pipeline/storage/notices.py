"""
Notices: written in the transaction of what they tell of, claimed one by one for delivery.

A notice is there once per team, kind and dedupe key, whoever writes it and how often.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID, insert

from bank_pipeline.domain.connection import SYNCABLE, ConnectionStatus
from bank_pipeline.domain.ids import ConnectionId, TeamId
from bank_pipeline.domain.notices import ENDS_OF, STOPPED, NoticeKind, NoticeState
from bank_pipeline.storage.columns import is_any_id
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.tables import (
    connections,
    next_consents,
    notification_preferences,
    notification_targets,
    notifications,
    teams,
)


@dataclass(frozen=True)
class Notice:
    """One thing to tell a team. `payload` holds what its template needs, safe to be sent."""

    team_id: TeamId
    kind: NoticeKind
    dedupe_key: str
    payload: Mapping[str, Any] = field(repr=False)
    connection_id: ConnectionId | None = None


@dataclass(frozen=True)
class ClaimedNotice:
    """A notice that its claimer alone delivers until its lease ends."""

    id: str
    team_id: TeamId
    connection_id: ConnectionId | None
    kind: NoticeKind
    dedupe_key: str
    payload: Mapping[str, Any] = field(repr=False)
    created_at: datetime
    attempts: int
    delivered_to: frozenset[str]


@dataclass(frozen=True)
class ListedNotice:
    """A notice as people see it in a list."""

    id: str
    team_name: str
    kind: str
    state: str
    connection_id: str | None
    institution_name: str | None
    created_at: datetime
    sent_at: datetime | None
    next_attempt_at: datetime | None
    attempts: int
    last_error: str | None


@dataclass(frozen=True)
class ExpiringConsent:
    """
    A consent that ends soon, whose team wants to know.

    `ends_at` is None where somebody warned of an end at `warned_at` and named no day: that on which
    it would end else may be far away.
    """

    connection_id: ConnectionId
    team_id: TeamId
    provider: str
    institution_name: str | None
    ends_at: datetime | None
    warned_at: datetime


def insert_notices(db: sa.Connection, rows: Sequence[Notice], *, now: datetime) -> int:
    """Write notices, due now; those that are there already stay as they are. Count the new."""
    if not rows:
        return 0
    values = [
        {
            "id": new_id(),
            "team_id": one.team_id,
            "connection_id": one.connection_id,
            "kind": one.kind.value,
            "dedupe_key": one.dedupe_key,
            "state": NoticeState.PENDING.value,
            "payload": dict(one.payload),
            "created_at": now,
            "next_attempt_at": now,
        }
        for one in rows
    ]
    statement = insert(notifications).values(values).on_conflict_do_nothing()
    return len(db.execute(statement.returning(notifications.c.id)).all())


def insert_stop_notice(db: sa.Connection, connection_id: ConnectionId, *, now: datetime) -> None:
    """
    Tell that a connection stopped, if it has, and its team wants to know; once per stop.

    Asks what is stored, and not what somebody wanted to store: whoever spoke last is right.
    """
    query = (
        sa.select(
            connections.c.team_id,
            connections.c.provider,
            connections.c.institution_name,
            connections.c.status,
            connections.c.status_reason,
            connections.c.status_since,
        )
        .join(notification_preferences, notification_preferences.c.team_id == connections.c.team_id)
        .where(
            connections.c.id == connection_id,
            connections.c.status.in_([one.value for one in STOPPED]),
            is_wanted(NoticeKind.DISCONNECTED),
        )
    )
    row = db.execute(query).one_or_none()
    if row is None:
        return
    payload = {
        "institution": row.institution_name,
        "provider": row.provider,
        "status": row.status,
        "reason": row.status_reason,
        "since": row.status_since.isoformat(),
    }
    key = f"{connection_id}:{row.status}:{row.status_since.isoformat()}"
    notice = Notice(row.team_id, NoticeKind.DISCONNECTED, key, payload, connection_id)
    insert_notices(db, [notice], now=now)


def is_wanted(kind: NoticeKind) -> sa.ColumnElement[bool]:
    """Return that the joined team wants this kind and has where to send it."""
    has_target = sa.exists().where(
        notification_targets.c.team_id == notification_preferences.c.team_id
    )
    return (sa.literal(kind.value) == sa.any_(notification_preferences.c.kinds)) & has_target


def load_expiring(db: sa.Connection, *, since: datetime, until: datetime) -> list[ExpiringConsent]:
    """
    Load the consents that end in this time, or some time soon, and whose teams want to know.

    Not those that a new consent replaces already, nor those that stopped: that was told.
    """
    is_renewed = sa.exists().where(next_consents.c.connection_id == connections.c.id)
    ends_at = connections.c.consent_expires_at
    is_soon = ends_at.between(since, until)
    is_warned = (ends_at.is_(None) | (ends_at > until)) & (
        connections.c.status == ConnectionStatus.EXPIRING.value
    )
    query = (
        sa.select(
            connections.c.id,
            connections.c.team_id,
            connections.c.provider,
            connections.c.institution_name,
            sa.case((is_soon, ends_at)),
            connections.c.status_since,
        )
        .join(notification_preferences, notification_preferences.c.team_id == connections.c.team_id)
        .where(
            is_soon | is_warned,
            connections.c.status.in_(SYNCABLE),
            ~is_renewed,
            is_wanted(NoticeKind.EXPIRING),
        )
        .order_by(ends_at, connections.c.id)
    )
    return [ExpiringConsent(ConnectionId(row.id), *row[1:]) for row in db.execute(query)]


def load_known_keys(
    db: sa.Connection, kind: NoticeKind, connection_ids: Sequence[ConnectionId]
) -> frozenset[str]:
    """Load the dedupe keys of what was told of these connections."""
    query = sa.select(notifications.c.dedupe_key).where(
        notifications.c.kind == kind.value,
        is_any_id(notifications.c.connection_id),
    )
    return frozenset(db.scalars(query, {"ids": [*connection_ids]}))


def load_teams_wanting(db: sa.Connection, kind: NoticeKind) -> list[TeamId]:
    """Load the teams that want this kind and have where to send it."""
    query = sa.select(notification_preferences.c.team_id).where(is_wanted(kind))
    return [TeamId(id_) for id_ in db.scalars(query.order_by(notification_preferences.c.team_id))]


def load_oldest_due_notice(db: sa.Connection, *, now: datetime) -> tuple[str, datetime, int] | None:
    """Load id, due time and tries so far of the notice that is due longest; None without one."""
    query = (
        sa.select(notifications.c.id, notifications.c.next_attempt_at, notifications.c.attempts)
        .where(_is_due(now))
        .order_by(notifications.c.next_attempt_at, notifications.c.id)
        .limit(1)
    )
    row = db.execute(query).one_or_none()
    return None if row is None else (str(row.id), row.next_attempt_at, int(row.attempts))


def claim_notice(db: sa.Connection, *, now: datetime, until: datetime) -> ClaimedNotice | None:
    """
    Take the notice that is due longest, for its claimer alone until the lease ends.

    A claimer that died is followed by another after that, with the next number of tries.
    """
    next_id = (
        sa.select(notifications.c.id)
        .where(_is_due(now))
        .order_by(notifications.c.next_attempt_at, notifications.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    statement = (
        notifications.update()
        .where(notifications.c.id == next_id)
        .values(
            state=NoticeState.SENDING.value,
            next_attempt_at=until,
            attempts=notifications.c.attempts + 1,
        )
        .returning(*(notifications.c[name] for name in _CLAIMED))
    )
    row = db.execute(statement).one_or_none()
    if row is None:
        return None
    return ClaimedNotice(
        id=row.id,
        team_id=TeamId(row.team_id),
        connection_id=None if row.connection_id is None else ConnectionId(row.connection_id),
        kind=NoticeKind(row.kind),
        dedupe_key=row.dedupe_key,
        payload=row.payload,
        created_at=row.created_at,
        attempts=row.attempts,
        delivered_to=frozenset(row.delivered_to),
    )


def is_over(db: sa.Connection, notice: ClaimedNotice) -> bool:
    """Say whether the end of what a notice tells of has been written, and perhaps sent."""
    end = ENDS_OF.get(notice.kind)
    if end is None:
        return False
    is_end = sa.exists().where(
        notifications.c.team_id == notice.team_id,
        notifications.c.kind == end.value,
        notifications.c.dedupe_key == notice.dedupe_key,
    )
    return db.scalar(sa.select(is_end)) is True


def set_delivered_to(db: sa.Connection, notice: ClaimedNotice, target_id: str) -> None:
    """Note that one target has the notice, so that no later try sends it there again."""
    after = sa.func.array_append(notifications.c.delivered_to, sa.cast(target_id, UUID))
    db.execute(
        notifications.update().where(notifications.c.id == notice.id).values(delivered_to=after)
    )


def finish_notice(
    db: sa.Connection,
    notice: ClaimedNotice,
    state: NoticeState,
    *,
    now: datetime,
    error: str | None = None,
    next_attempt_at: datetime | None = None,
) -> None:
    """Write how a try ended, unless the lease ended before and somebody else tries by now."""
    db.execute(
        notifications.update()
        .where(notifications.c.id == notice.id, notifications.c.attempts == notice.attempts)
        .values(
            state=state.value,
            next_attempt_at=next_attempt_at,
            sent_at=now if state is NoticeState.SENT else None,
            last_error=error,
        )
    )


def retry_failed(db: sa.Connection, *, now: datetime) -> int:
    """Make due again what was given up; return how many notices."""
    statement = (
        notifications.update()
        .where(notifications.c.state == NoticeState.FAILED.value)
        .values(state=NoticeState.PENDING.value, next_attempt_at=now, attempts=0)
    )
    return db.execute(statement).rowcount


def list_notices(
    db: sa.Connection, *, state: NoticeState | None = None, limit: int
) -> list[ListedNotice]:
    """List notices, the newest first."""
    query = (
        sa.select(
            notifications.c.id,
            teams.c.name.label("team_name"),
            notifications.c.kind,
            notifications.c.state,
            notifications.c.connection_id,
            notifications.c.payload["institution"].astext.label("institution_name"),
            notifications.c.created_at,
            notifications.c.sent_at,
            notifications.c.next_attempt_at,
            notifications.c.attempts,
            notifications.c.last_error,
        )
        .join(teams, teams.c.id == notifications.c.team_id)
        .order_by(notifications.c.created_at.desc(), notifications.c.id.desc())
        .limit(limit)
    )
    if state is not None:
        query = query.where(notifications.c.state == state.value)
    return [ListedNotice(**row) for row in db.execute(query).mappings()]


def delete_notices(db: sa.Connection, *, before: datetime, limit: int) -> int:
    """Delete up to `limit` notices that were sent or suppressed, and written before this time."""
    done = [NoticeState.SENT.value, NoticeState.SUPPRESSED.value]
    old = (
        sa.select(notifications.c.id)
        .where(notifications.c.created_at < before, notifications.c.state.in_(done))
        .limit(limit)
    )
    return db.execute(sa.delete(notifications).where(notifications.c.id.in_(old))).rowcount


_CLAIMED: Final = (
    "id",
    "team_id",
    "connection_id",
    "kind",
    "dedupe_key",
    "payload",
    "created_at",
    "attempts",
    "delivered_to",
)


def _is_due(now: datetime) -> sa.ColumnElement[bool]:
    waiting = [NoticeState.PENDING.value, NoticeState.SENDING.value]
    return notifications.c.state.in_(waiting) & (notifications.c.next_attempt_at <= now)
