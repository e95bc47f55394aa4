"""What people and schedules look at: read-only questions across connections."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import SYNCABLE, ConnectionStatus, Provider
from bank_pipeline.domain.ids import ConnectionId, SyncRunId
from bank_pipeline.domain.transitions import PLANNED_WITHIN, FailureKind
from bank_pipeline.domain.waits import CLOCKS_APART
from bank_pipeline.storage.tables import connections, sync_runs, webhook_events

OVERDUE_AFTER: Final = timedelta(hours=26)  # a day, and the two hours that a late tick may take


@dataclass(frozen=True)
class ScheduledConnection:
    """A connection that has its turn every day, and when it was last tried, or else linked."""

    connection_id: ConnectionId
    provider: Provider
    last_tried_at: datetime


@dataclass(frozen=True)
class DueAttempt:
    """A connection whose planned try is due. `is_first`: it never had a successful sync."""

    connection_id: ConnectionId
    provider: Provider
    due_at: datetime
    is_first: bool


@dataclass(frozen=True)
class PendingEvents:
    """Webhook events of one connection that no sync has covered yet."""

    connection_id: ConnectionId
    provider: Provider
    newest_event_id: int
    received_at: datetime


@dataclass(frozen=True)
class ListedConnection:
    """One connection as an operator sees it. Times are UTC."""

    id: str
    team_name: str
    provider: str
    external_id: str
    institution_name: str | None
    status: str
    status_reason: str | None
    status_since: datetime
    history_stage: str
    account_count: int
    consent_expires_at: datetime | None
    last_success_at: datetime | None
    next_attempt_at: datetime | None
    error_retries: int
    next_step: str


@dataclass(frozen=True)
class ListedAccount:
    """
    One account with its newest balances, signed from the holder; None is unknown.

    `currency` is that of the first amount that is known, which may be another than the account's;
    `available_currency` and `credit_limit_currency` are those of amounts in yet another one.
    `excluded_at` is since when a person does not want it read.
    """

    id: str
    connection_id: str
    institution_name: str | None
    name: str
    masked_number: str | None
    type: str
    booked: Decimal | None
    available: Decimal | None
    credit_limit: Decimal | None
    currency: str | None
    available_currency: str | None
    credit_limit_currency: str | None
    balance_as_of: datetime | None
    transaction_count: int
    closed_at: datetime | None
    excluded_at: datetime | None


@dataclass(frozen=True)
class ListedTransaction:
    """One live transaction; positive is money in."""

    id: str
    account_id: str
    account_name: str
    status: str
    date: date | None
    amount: Decimal | None
    currency: str | None
    description: str
    counterparty_name: str | None
    category: str | None


@dataclass(frozen=True)
class RowCounts:
    """Transactions of one account that a sync inserted, changed, and found to be gone."""

    inserted: int = 0
    updated: int = 0
    removed: int = 0


def load_connection_ids(db: sa.Connection) -> list[ConnectionId]:
    """Load the ids of all connections that were not ended."""
    ended = connections.c.status == ConnectionStatus.DISCONNECTED
    return [
        ConnectionId(id_) for id_ in db.execute(sa.select(connections.c.id).where(~ended)).scalars()
    ]


def load_syncable_ids(db: sa.Connection) -> list[ConnectionId]:
    """Load the ids of the connections that scheduled calls go on for."""
    query = sa.select(connections.c.id).where(connections.c.status.in_(SYNCABLE))
    return [ConnectionId(id_) for id_ in db.execute(query.order_by(connections.c.id)).scalars()]


def load_scheduled_ids(db: sa.Connection, *, now: datetime) -> list[ConnectionId]:
    """Load the ids of the connections that have their turn every day."""
    return [one.connection_id for one in load_scheduled(db, now=now)]


def load_scheduled(
    db: sa.Connection, *, now: datetime, with_looks: bool = True
) -> list[ScheduledConnection]:
    """
    Load the connections that have their turn every day, by id.

    Those that wait for their customer among them, `with_looks`: a free look whether it was mended
    elsewhere, since the provider's word of it may have been lost. A first sync that waits, as for
    the choice of accounts, is waited for, and so is a try that a limit has put off.
    """
    scheduled = [*SYNCABLE, *([ConnectionStatus.NEEDS_REAUTH.value] if with_looks else [])]
    is_held = connections.c.last_attempt_at.is_(None) & (_planned_at(now) > now)
    query = sa.select(connections.c.id, connections.c.provider, _last_tried_at(now)).where(
        connections.c.status.in_(scheduled), is_held.is_not(True), ~_is_put_off(now)
    )
    return [
        ScheduledConnection(ConnectionId(id_), Provider(provider), tried_at)
        for id_, provider, tried_at in db.execute(query.order_by(connections.c.id))
    ]


def load_due_attempts(db: sa.Connection, *, now: datetime, limit: int) -> list[DueAttempt]:
    """
    Load the connections whose next try has come: first syncs first, then the longest due.

    Due are those whose planned try has come, and those that no schedule has reached for
    longer than a day: a missed tick is made up for. So is the daily look at who waits for
    their customer: it may have been mended elsewhere.
    """
    is_look = connections.c.status == ConnectionStatus.NEEDS_REAUTH
    due_at = sa.func.coalesce(_planned_at(now), _last_tried_at(now) + OVERDUE_AFTER)
    columns = (connections.c.id, connections.c.provider, connections.c.last_success_at)
    query = (
        sa.select(*columns, due_at.label("due_at"))
        .where(connections.c.status.in_(SYNCABLE) | is_look, due_at <= now)
        .order_by(connections.c.last_success_at.is_not(None), due_at, connections.c.id)
        .limit(limit)
    )
    return [
        DueAttempt(
            ConnectionId(row.id), Provider(row.provider), row.due_at, row.last_success_at is None
        )
        for row in db.execute(query)
    ]


def load_requested_syncs(db: sa.Connection, *, limit: int) -> list[DueAttempt]:
    """Load the syncable connections that somebody asks to be synced, the longest waiting first."""
    asked_at = connections.c.sync_requested_at
    query = (
        sa.select(connections.c.id, connections.c.provider, asked_at, connections.c.last_success_at)
        .where(asked_at.is_not(None), connections.c.status.in_(SYNCABLE))
        .order_by(asked_at)
        .limit(limit)
    )
    return [
        DueAttempt(ConnectionId(id_), Provider(provider), at, succeeded_at is None)
        for id_, provider, at, succeeded_at in db.execute(query)
    ]


def load_unhandled_events(db: sa.Connection, *, now: datetime, limit: int) -> list[PendingEvents]:
    """
    Load, per syncable connection, the events that no sync has covered, oldest first.

    While a later try is planned, as after a failure, the events that the last attempt knew
    wait for it: they must not turn a back-off into a drumfire. A first sync that waits, as for
    the choice of accounts, is waited for, and so is a try that a limit has put off.
    """
    is_unplanned = sa.func.coalesce(_planned_at(now) <= now, sa.true())
    is_news = webhook_events.c.received_at > connections.c.last_attempt_at
    query = (
        sa.select(
            connections.c.id,
            connections.c.provider,
            sa.func.max(webhook_events.c.id),
            sa.func.min(webhook_events.c.received_at),
        )
        .join(
            webhook_events,
            (webhook_events.c.provider == connections.c.provider)
            & (webhook_events.c.connection_external_id == connections.c.external_id),
        )
        .where(
            webhook_events.c.handled_at.is_(None),
            connections.c.status.in_(SYNCABLE),
            is_unplanned | (is_news & ~_is_put_off(now)),
        )
        .group_by(connections.c.id)
        .order_by(sa.func.min(webhook_events.c.received_at))
        .limit(limit)
    )
    return [
        PendingEvents(ConnectionId(id_), Provider(provider), newest, since)
        for id_, provider, newest, since in db.execute(query)
    ]


def _last_tried_at(now: datetime) -> sa.ColumnElement[datetime]:
    """Return when a connection was last tried, or else linked; by a clock ahead: too long ago."""
    tried_at = sa.func.coalesce(connections.c.last_attempt_at, connections.c.created_at)
    return sa.case((tried_at > now + CLOCKS_APART, now - OVERDUE_AFTER), else_=tried_at)


def _planned_at(now: datetime) -> sa.ColumnElement[datetime]:
    """Return when the next try is planned; NULL where none is, or by a clock ahead."""
    planned_at = connections.c.next_attempt_at
    return sa.case((planned_at <= now + PLANNED_WITHIN, planned_at))


def _is_put_off(now: datetime) -> sa.ColumnElement[bool]:
    """Say whether the last sync met a limit, and is to be tried again no earlier than planned."""
    newest = (
        sa.select(sync_runs.c.error_class)
        .where(sync_runs.c.connection_id == connections.c.id)
        .order_by(sync_runs.c.started_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    is_limited = newest.is_not_distinct_from(FailureKind.RATE_LIMITED)
    return sa.func.coalesce(_planned_at(now) > now, sa.false()) & is_limited


def list_connections(db: sa.Connection) -> list[ListedConnection]:
    """List all connections, the newest first."""
    query = sa.text(
        "SELECT c.connection_id::text AS id, c.team_name, c.provider, c.external_id, "
        "c.institution_name, c.status, c.status_reason, c.status_since, c.history_stage, "
        "(SELECT count(*) FROM analytics.accounts a WHERE a.connection_id = c.connection_id "
        " AND a.closed_at IS NULL) AS account_count, "
        "c.consent_expires_at, c.last_success_at, c.next_attempt_at, c.error_retries, c.next_step "
        "FROM analytics.connections c ORDER BY c.created_at DESC, c.connection_id DESC"
    )
    return [ListedConnection(**row) for row in db.execute(query).mappings()]


def load_row_counts(
    db: sa.Connection, connection_id: ConnectionId, sync_run_id: SyncRunId
) -> dict[str, RowCounts]:
    """Count per account what a sync wrote, as the rows tell it; accounts without are absent."""
    query = sa.text(
        "SELECT t.account_id::text, count(*) FILTER (WHERE t.first_sync_run_id = :run), "
        "count(*) FILTER (WHERE t.first_sync_run_id <> :run AND NOT g.is_gone), "
        "count(*) FILTER (WHERE t.first_sync_run_id <> :run AND g.is_gone) "
        "FROM bank.accounts a JOIN bank.transactions t ON t.account_id = a.id "
        "CROSS JOIN LATERAL "
        "(SELECT t.removed_at IS NOT NULL OR t.status = 'vanished') AS g(is_gone) "
        "WHERE a.connection_id = :connection AND t.last_sync_run_id = :run GROUP BY 1"
    )
    rows = db.execute(query, {"connection": connection_id, "run": sync_run_id})
    return {row[0]: RowCounts(*row[1:]) for row in rows}


def list_accounts(
    db: sa.Connection, *, connection_id: ConnectionId | None = None
) -> list[ListedAccount]:
    """List accounts with their newest balances, of one connection or of all."""
    query = sa.text(
        "SELECT a.account_id::text AS id, a.connection_id::text, a.institution_name, a.name, "
        "b.masked_number, a.type, a.booked_balance AS booked, "
        "a.available_balance AS available, a.credit_limit, "
        "first.currency, nullif(c.available, first.currency) AS available_currency, "
        "nullif(c.credit, first.currency) AS credit_limit_currency, "
        "a.booked_balance_as_of AS balance_as_of, "
        "(SELECT count(*) FROM analytics.transactions t WHERE t.account_id = a.account_id) "
        "AS transaction_count, a.closed_at, a.excluded_at "
        "FROM analytics.accounts a JOIN bank.accounts b ON b.id = a.account_id "
        "CROSS JOIN LATERAL (SELECT "
        "coalesce(a.booked_balance_currency, a.booked_balance_unofficial_currency) AS booked, "
        "coalesce(a.available_balance_currency, a.available_balance_unofficial_currency) "
        "AS available, "
        "coalesce(a.credit_limit_currency, a.credit_limit_unofficial_currency) AS credit) c "
        "CROSS JOIN LATERAL (SELECT CASE WHEN a.booked_balance IS NOT NULL THEN c.booked "
        "WHEN a.available_balance IS NOT NULL THEN c.available "
        "ELSE coalesce(a.currency, a.unofficial_currency) END AS currency) first "
        "WHERE (CAST(:connection_id AS text) IS NULL OR a.connection_id::text = :connection_id) "
        "ORDER BY a.institution_name, a.name, a.account_id"
    )
    rows = db.execute(query, {"connection_id": connection_id}).mappings()
    return [ListedAccount(**row) for row in rows]


def list_transactions(
    db: sa.Connection,
    *,
    limit: int,
    connection_id: ConnectionId | None = None,
    account_id: str | None = None,
    first: date | None = None,
    last: date | None = None,
    search: str | None = None,
) -> list[ListedTransaction]:
    """List live transactions, newest first; `first` and `last` are inclusive."""
    conditions = {
        "connection_id::text = :connection_id": connection_id,
        "account_id::text = :account_id": account_id,
        "date >= :first": first,
        "date <= :last": last,
        "(description ILIKE :search OR counterparty_name ILIKE :search)": (
            None if search is None else f"%{_escape(search)}%"
        ),
    }
    used = {sql: value for sql, value in conditions.items() if value is not None}
    where = " AND ".join(used) or "true"
    bound: dict[str, Any] = {
        "connection_id": connection_id,
        "account_id": account_id,
        "first": first,
        "last": last,
        "search": conditions["(description ILIKE :search OR counterparty_name ILIKE :search)"],
        "limit": limit,
    }
    query = sa.text(_TRANSACTIONS + where + _NEWEST_FIRST)  # conditions are constants of ours
    return [ListedTransaction(**row) for row in db.execute(query, bound).mappings()]


_TRANSACTIONS = (
    "SELECT transaction_id::text AS id, account_id::text, account_name, status, date, amount, "
    "coalesce(currency, unofficial_currency) AS currency, description, counterparty_name, "
    "category FROM analytics.transactions WHERE "
)
_NEWEST_FIRST = " ORDER BY date DESC NULLS FIRST, transaction_id DESC LIMIT :limit"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
