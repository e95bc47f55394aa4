"""What a page shows of connections besides their rows: covered dates, events, what changed last."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.ids import AccountId, ConnectionId, TeamId
from bank_pipeline.storage.tables import connection_events

EVENTS_MAX: Final = 20


@dataclass(frozen=True)
class Span:
    """
    The dates that complete answers have covered; None: none yet.

    `gap_days` are days within that no complete answer has covered.
    """

    first: date | None
    last: date | None
    gap_days: int


@dataclass(frozen=True)
class StatusEvent:
    """One change of a connection's status, and why."""

    at: datetime
    from_status: str | None
    to_status: str
    reason: str | None


def load_spans(
    db: sa.Connection, team_id: TeamId, connection_ids: Collection[str]
) -> dict[str, Span]:
    """Load which dates the accounts of some connections cover together, by connection."""
    rows = db.execute(_BY_CONNECTION, {"team_id": team_id, "ids": [*connection_ids]})
    return {row.id: Span(row.first_day, row.last_day, row.gap_days) for row in rows}


def load_account_spans(db: sa.Connection, connection_id: ConnectionId) -> dict[AccountId, Span]:
    """Load which dates each account of a connection covers."""
    rows = db.execute(_BY_ACCOUNT, {"connection_id": connection_id})
    return {AccountId(row.id): Span(row.first_day, row.last_day, row.gap_days) for row in rows}


def list_status_events(db: sa.Connection, connection_id: ConnectionId) -> list[StatusEvent]:
    """List the last changes of a connection's status, the newest first."""
    columns = connection_events.c
    query = (
        sa.select(columns.at, columns.from_status, columns.to_status, columns.reason)
        .where(columns.connection_id == connection_id)
        .order_by(columns.id.desc())
        .limit(EVENTS_MAX)
    )
    return [StatusEvent(**row) for row in db.execute(query).mappings()]


def load_version(
    db: sa.Connection, connection_id: ConnectionId, *, rested_since: datetime
) -> tuple[object, ...]:
    """
    Return what differs as soon as a page about the connection would; cheap to ask for.

    One that was last tried before `rested_since` may be asked for again.
    """
    bound = {"connection_id": connection_id, "rested_since": rested_since}
    return tuple(db.execute(_VERSION, bound).one())


_GAPS: Final = """
    coalesce((SELECT sum(g.days) FROM analytics.account_gaps g
              WHERE g.kind = 'between' AND {condition}), 0)::int AS gap_days
"""
_BY_CONNECTION: Final = sa.text(
    "SELECT v.connection_id::text AS id, min(v.first_day) AS first_day, "
    "max(v.last_day) AS last_day, "
    f"{_GAPS.format(condition='g.connection_id = v.connection_id')}"
    "FROM analytics.account_coverage v "
    "WHERE v.team_id = CAST(:team_id AS uuid) AND v.connection_id = ANY(CAST(:ids AS uuid[])) "
    "GROUP BY v.connection_id"
)
_BY_ACCOUNT: Final = sa.text(
    "SELECT v.account_id::text AS id, min(v.first_day) AS first_day, max(v.last_day) AS last_day, "
    f"{_GAPS.format(condition='g.account_id = v.account_id')}"
    "FROM analytics.account_coverage v WHERE v.connection_id = CAST(:connection_id AS uuid) "
    "GROUP BY v.account_id"
)
_VERSION: Final = sa.text(
    "SELECT c.status, c.status_since, c.status_reason, "
    "c.consent_expires_at, c.history_stage, c.last_success_at, "
    "c.next_attempt_at, c.sync_requested_at, r.id, r.ended_at, r.ended_at <= :rested_since, "
    "(SELECT count(*) FROM bank.account_questions q "
    " WHERE q.connection_id = c.id AND q.decided_at IS NULL) "
    "FROM bank.connections c LEFT JOIN LATERAL "
    "(SELECT id, ended_at FROM bank.sync_runs s WHERE s.connection_id = c.id "
    " ORDER BY s.started_at DESC LIMIT 1) r ON true "
    "WHERE c.id = CAST(:connection_id AS uuid)"
)
