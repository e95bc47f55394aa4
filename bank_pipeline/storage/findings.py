"""What an operator has to look at, one statement per question; ids and counts, nothing else."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import SYNCABLE, ConnectionStatus
from bank_pipeline.storage.listing import OVERDUE_AFTER

Cell = str | int | date | datetime | None

_WAITING: Final = [ConnectionStatus.NEEDS_REAUTH.value, ConnectionStatus.REVOKED.value]
_HIDDEN: Final = ("found", "connections")


@dataclass(frozen=True)
class Findings:
    """
    What one question found.

    `found` things at `connections` connections; `rows` are the first of them, one per connection
    or finer, by column.
    """

    found: int
    connections: int
    rows: tuple[dict[str, Cell], ...]


def find_late(db: sa.Connection, *, now: datetime, limit: int) -> Findings:
    """Find connections that are synced every day and were not, the longest late first."""
    late_before = now - OVERDUE_AFTER
    return _find(db, _LATE, limit=limit, statuses=[*SYNCABLE], late_before=late_before)


def find_waiting(db: sa.Connection, *, limit: int) -> Findings:
    """Find connections that nobody but their customer can mend, the longest waiting first."""
    return _find(db, _CUSTOMER, limit=limit, statuses=_WAITING)


def find_gaps(db: sa.Connection, *, now: datetime, limit: int) -> Findings:
    """Find dates that no complete answer covered, of connections that are synced."""
    db.execute(_TODAY, {"today": now.date().isoformat()})  # the view goes by it
    return _find(db, _GAPS, limit=limit, statuses=[*SYNCABLE])


def find_quarantined(db: sa.Connection, *, limit: int) -> Findings:
    """Find rows that could not be read, by connection and by the rule that they break."""
    return _find(db, _QUARANTINED, limit=limit)


def find_doubled(db: sa.Connection, *, limit: int) -> Findings:
    """Find payments that count as pending and as booked at once."""
    return _find(db, _DOUBLED, limit=limit)


def find_suspected(db: sa.Connection, *, limit: int) -> Findings:
    """Find rows that may be one told twice and that nobody decided of."""
    return _find(db, _SUSPECTED, limit=limit)


def find_without_currency(db: sa.Connection, *, limit: int) -> Findings:
    """Find open accounts whose currency neither bank, balances nor rows tell."""
    return _find(db, _WITHOUT_CURRENCY, limit=limit)


def find_questions(db: sa.Connection, *, limit: int) -> Findings:
    """Find accounts that are not read until a person has said which they are."""
    return _find(db, _QUESTIONS, limit=limit)


def find_open_consents(db: sa.Connection, *, now: datetime, limit: int) -> Findings:
    """Find consents that nobody uses and that a provider did not end within a day."""
    return _find(db, _OPEN_CONSENTS, limit=limit, before=now - timedelta(days=1))


def find_missing_keys(db: sa.Connection) -> list[str]:
    """Find the keys that forbid double rows and that the database does not enforce."""
    return [*db.scalars(_MISSING_KEYS, {"names": [*_KEYS], "tables": [*_KEYS.values()]})]


_KEYS: Final = {
    "accounts_connection_id_external_id_key": "accounts",
    "connections_provider_external_id_key": "connections",
    "transactions_account_id_external_id_key": "transactions",
    "webhook_events_provider_event_key_key": "webhook_events",
}


def _find(db: sa.Connection, query: sa.TextClause, **bound: object) -> Findings:
    rows = [dict(row) for row in db.execute(query, bound).mappings()]
    if not rows:
        return Findings(0, 0, ())
    found, connections = int(rows[0]["found"]), int(rows[0]["connections"])
    shown = [{name: row[name] for name in row if name not in _HIDDEN} for row in rows]
    return Findings(found, connections, tuple(shown))


_LATE: Final = sa.text(
    """
    SELECT connection_id::text AS connection, provider, status, last_success_at AS last_success,
           next_attempt_at AS next_attempt, concat_ws('; then: ', status_reason, next_step) AS why,
           count(*) OVER () AS found, count(*) OVER () AS connections
    FROM analytics.connections
    WHERE status = ANY(:statuses) AND coalesce(last_success_at, created_at) < :late_before
    ORDER BY coalesce(last_success_at, created_at), connection_id LIMIT :limit
    """
)
_CUSTOMER: Final = sa.text(
    """
    SELECT id::text AS connection, provider, status, coalesce(status_reason, '') AS reason,
           status_since AS since, last_success_at AS last_success,
           count(*) OVER () AS found, count(*) OVER () AS connections
    FROM bank.connections WHERE status = ANY(:statuses)
    ORDER BY status_since, id LIMIT :limit
    """
)
_TODAY: Final = sa.text("SELECT set_config('bank_pipeline.today', :today, true)")
_GAPS: Final = sa.text(
    """
    WITH gaps AS (
        SELECT connection_id, account_id, kind, first_day, last_day, days, known_since
        FROM analytics.account_gaps
        WHERE kind = 'between' OR connection_status = ANY(:statuses)
    )
    SELECT connection_id::text AS connection, account_id::text AS account, kind, first_day,
           last_day, days, known_since, (SELECT count(*) FROM gaps) AS found,
           (SELECT count(DISTINCT connection_id) FROM gaps) AS connections
    FROM gaps ORDER BY days DESC, connection_id, account_id, first_day LIMIT :limit
    """
)
_QUARANTINED: Final = sa.text(
    """
    SELECT connection_id::text AS connection, operation, reason, count(*) AS rows,
           min(id) AS first_id, min(at) AS since, (sum(count(*)) OVER ())::int AS found,
           (SELECT count(DISTINCT connection_id) FROM bank.quarantine WHERE resolved_at IS NULL)
               AS connections
    FROM bank.quarantine WHERE resolved_at IS NULL
    GROUP BY connection_id, operation, reason
    ORDER BY min(at), connection_id, operation, reason LIMIT :limit
    """
)
_DOUBLED: Final = sa.text(
    """
    WITH doubled AS (
        SELECT p.account_id, p.id AS pending_id, b.id AS booked_id
        FROM bank.transactions p
        JOIN bank.transactions b ON b.account_id = p.account_id
             AND b.pending_external_id = p.external_id
             AND b.id <> p.id AND b.status = 'booked' AND b.removed_at IS NULL
        WHERE p.status = 'pending' AND p.booking_date IS NULL AND p.removed_at IS NULL
    )
    SELECT a.connection_id::text AS connection, d.account_id::text AS account,
           d.pending_id::text AS pending_row, d.booked_id::text AS booked_row,
           count(*) OVER () AS found,
           (SELECT count(DISTINCT o.connection_id) FROM doubled
            JOIN bank.accounts o ON o.id = account_id) AS connections
    FROM doubled d JOIN bank.accounts a ON a.id = d.account_id
    ORDER BY a.connection_id, d.account_id, d.pending_id LIMIT :limit
    """
)
_SUSPECTED: Final = sa.text(
    """
    SELECT a.connection_id::text AS connection, count(*) AS rows, min(t.created_at) AS since,
           (sum(count(*)) OVER ())::int AS found, count(*) OVER () AS connections
    FROM bank.transactions t
    JOIN bank.accounts a ON a.id = t.account_id
    JOIN bank.transactions twin ON twin.id = t.suspected_duplicate_of
    WHERE t.suspected_duplicate_of IS NOT NULL AND t.duplicate_decision IS NULL
      AND t.removed_at IS NULL AND t.status IN ('booked', 'pending') AND twin.removed_at IS NULL
      AND twin.status IN ('booked', 'pending')
    GROUP BY a.connection_id ORDER BY min(t.created_at), a.connection_id LIMIT :limit
    """
)
_WITHOUT_CURRENCY: Final = sa.text(
    """
    WITH unknown AS (
        SELECT a.connection_id, a.id AS account_id, a.type
        FROM bank.accounts a
        WHERE a.currency IS NULL AND a.unofficial_currency IS NULL AND a.closed_at IS NULL
          AND a.excluded_at IS NULL
          AND NOT EXISTS (
              SELECT FROM bank.balance_series s JOIN bank.balances b ON b.id = s.balance_id
              WHERE s.account_id = a.id AND s.is_shown
                AND coalesce(b.currency, b.unofficial_currency) IS NOT NULL)
          AND NOT EXISTS (
              SELECT FROM bank.transactions t
              WHERE t.account_id = a.id AND t.removed_at IS NULL
                AND coalesce(t.currency, t.unofficial_currency) IS NOT NULL)
    )
    SELECT connection_id::text AS connection, account_id::text AS account, type,
           count(*) OVER () AS found,
           (SELECT count(DISTINCT connection_id) FROM unknown) AS connections
    FROM unknown ORDER BY connection_id, account_id LIMIT :limit
    """
)
_QUESTIONS: Final = sa.text(
    """
    SELECT connection_id::text AS connection, count(*) AS questions, min(asked_at) AS since,
           (sum(count(*)) OVER ())::int AS found, count(*) OVER () AS connections
    FROM bank.account_questions WHERE decided_at IS NULL
    GROUP BY connection_id ORDER BY min(asked_at), connection_id LIMIT :limit
    """
)
_OPEN_CONSENTS: Final = sa.text(
    """
    SELECT coalesce(connection_id::text, '') AS connection, provider, reason, attempts,
           coalesce(last_error, '') AS last_error, created_at AS since,
           next_attempt_at AS next_attempt,
           count(*) OVER () AS found,
           (SELECT count(DISTINCT connection_id) FROM bank.consents_to_end
            WHERE ended_at IS NULL AND created_at < :before) AS connections
    FROM bank.consents_to_end WHERE ended_at IS NULL AND created_at < :before
    ORDER BY created_at, id LIMIT :limit
    """
)
_MISSING_KEYS: Final = sa.text(
    """
    SELECT wanted.name
    FROM unnest(CAST(:names AS text[]), CAST(:tables AS text[])) AS wanted (name, table_name)
    WHERE NOT EXISTS (
        SELECT FROM pg_constraint k JOIN pg_index i ON i.indexrelid = k.conindid
        WHERE k.conname = wanted.name AND k.contype = 'u' AND i.indisvalid AND i.indisunique
          AND k.conrelid = to_regclass('bank.' || wanted.table_name))
    ORDER BY wanted.name
    """
)
