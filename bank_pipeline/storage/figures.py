"""
How the installation does, in numbers: what a monitoring system asks every few seconds.

Counts, ages and sums by provider; never an id of a team or a connection, never a bank's name.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import SYNCABLE
from bank_pipeline.storage.faults import FaultSource
from bank_pipeline.storage.inbox import IS_PUT_OFF
from bank_pipeline.storage.listing import OVERDUE_AFTER

STATEMENT_S_MAX: Final = 5
"""One statement's share: a busy database must not be kept busy by who looks at it."""

LATELY: Final = timedelta(hours=24)
JUST_NOW: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Figure:
    """One number, the name of what it counts, and the values of its labels in their order."""

    name: str
    labels: tuple[str, ...]
    value: float


def load_figures(engine: sa.Engine, *, now: datetime) -> list[Figure]:
    """
    Load all numbers as of one moment.

    What ended "lately" did so within 24 hours before `now`, "just now" within one hour.
    """
    bound = {
        "now": now,
        "syncable": [*SYNCABLE],
        "sources": [*FaultSource],
        "late_before": now - OVERDUE_AFTER,
        "lately": now - LATELY,
        "just_now": now - JUST_NOW,
    }
    with engine.begin() as db:
        db.execute(_READ_ONLY)
        db.execute(_BOUNDS, {"timeout": f"{STATEMENT_S_MAX}s", "today": now.date().isoformat()})
        return [
            Figure(name, tuple(labels), float(value))
            for query in _QUERIES
            for name, labels, value in db.execute(query, bound)
            if value is not None
        ]


_READ_ONLY: Final = sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
_BOUNDS: Final = sa.text(
    "SELECT set_config('statement_timeout', :timeout, true), "
    "set_config('bank_pipeline.today', :today, true)"  # the view of gaps goes by it
)

_CONNECTIONS: Final = """
    WITH known AS MATERIALIZED (
        SELECT provider, status, status = ANY(:syncable) AS is_synced, last_success_at,
               created_at, consent_expires_at
        FROM bank.connections
    ), ages AS (
        SELECT provider, percentile_disc(ARRAY[0.5, 0.95, 1]) WITHIN GROUP (
            ORDER BY extract(epoch FROM CAST(:now AS timestamptz) - last_success_at)) AS seconds
        FROM known WHERE is_synced AND last_success_at IS NOT NULL GROUP BY provider
    )
    SELECT 'connections', ARRAY[provider, status], count(*)::float8
    FROM known GROUP BY provider, status
    UNION ALL
    SELECT 'connections_overdue', ARRAY[provider], count(*) FILTER (
        WHERE is_synced AND coalesce(last_success_at, created_at) < :late_before)
    FROM known GROUP BY provider
    UNION ALL
    SELECT 'connections_never_synced', ARRAY[provider],
           count(*) FILTER (WHERE is_synced AND last_success_at IS NULL)
    FROM known GROUP BY provider
    UNION ALL
    SELECT 'connection_age_seconds', ARRAY[provider, quantile], seconds[place]
    FROM ages, (VALUES (1, '0.5'), (2, '0.95'), (3, '1')) AS q (place, quantile)
    UNION ALL
    SELECT 'consents_ending', ARRAY[provider, span], count(*) FILTER (
        WHERE is_synced AND consent_expires_at < CAST(:now AS timestamptz) + span::interval)
    FROM known, (VALUES ('1d'), ('7d'), ('14d')) AS s (span) GROUP BY provider, span
"""

# The ids of syncs grow with the machine's time: they find the rows of a day among those of years
# without an index of their own. Virtual clocks only run ahead of it. An hour to spare.
_SYNCS: Final = """
    WITH lately AS MATERIALIZED (
        SELECT c.provider, r.reason, coalesce(r.outcome, 'running') AS outcome, r.error_class,
               r.ended_at, extract(epoch FROM r.ended_at - r.started_at) AS seconds,
               CASE WHEN r.outcome = 'synced' THEN r.counts -> 'transactions' END AS rows
        FROM bank.sync_runs r JOIN bank.connections c ON c.id = r.connection_id
        WHERE r.id >= CAST(lpad(to_hex(floor(extract(
                  epoch FROM now() - interval '25 hours') * 1000)::bigint), 12, '0')
                  || '00000000000000000000' AS uuid)
          AND (r.ended_at > :lately OR r.ended_at IS NULL)
    ), spans AS (
        SELECT provider, percentile_disc(ARRAY[0.5, 0.95, 1])
                   WITHIN GROUP (ORDER BY seconds) AS seconds
        FROM lately WHERE ended_at > :just_now AND outcome IN ('synced', 'failed')
        GROUP BY provider
    )
    SELECT 'syncs', ARRAY[provider, reason, outcome], count(*)::float8
    FROM lately GROUP BY provider, reason, outcome
    UNION ALL
    SELECT 'sync_failures', ARRAY[provider, error_class], count(*)
    FROM lately WHERE outcome = 'failed' AND error_class IS NOT NULL
    GROUP BY provider, error_class
    UNION ALL
    SELECT 'sync_rows', ARRAY[provider, change], sum(CAST(rows ->> change AS bigint))
    FROM lately, (VALUES ('inserted'), ('updated'), ('removed')) AS k (change)
    WHERE rows IS NOT NULL GROUP BY provider, change
    UNION ALL
    SELECT 'sync_duration_seconds', ARRAY[provider, quantile], seconds[place]
    FROM spans, (VALUES (1, '0.5'), (2, '0.95'), (3, '1')) AS q (place, quantile)
"""

# "due" is what `load_unhandled_events` hands to the sensor: nothing but a sync is missing.
_WEBHOOKS: Final = f"""
    WITH unhandled AS MATERIALIZED (
        SELECT e.provider, e.received_at,
               CASE WHEN c.id IS NULL THEN 'unknown'
                    WHEN NOT c.status = ANY(:syncable) THEN 'stopped'
                    WHEN {IS_PUT_OFF} THEN 'deferred'
                    ELSE 'due' END AS state
        FROM bank.webhook_events e
        LEFT JOIN bank.connections c
            ON c.provider = e.provider AND c.external_id = e.connection_external_id
        WHERE e.handled_at IS NULL
    ), providers AS (SELECT DISTINCT provider FROM bank.connections)
    SELECT 'webhooks_unhandled', ARRAY[provider, state], count(*)::float8
    FROM unhandled GROUP BY provider, state
    UNION ALL
    SELECT 'webhook_lag_seconds', ARRAY[p.provider], coalesce((
        SELECT extract(epoch FROM CAST(:now AS timestamptz) - min(u.received_at))
        FROM unhandled u WHERE u.provider = p.provider AND u.state = 'due'), 0)
    FROM providers p
"""  # noqa: S608 - a constant of ours

# As in analytics.quota: by our own count, or the provider's newest word of fewer.
_QUOTA: Final = """
    WITH scopes AS (
        SELECT provider, scope, max(calls_max) AS calls_max,
               count(*) FILTER (WHERE is_counted) AS used,
               (array_agg(CASE WHEN coalesce(resets_at, called_at + interval '24 hours') > :now
                               THEN calls_left END ORDER BY called_at DESC, id DESC)
                   FILTER (WHERE calls_left IS NOT NULL))[1] AS told_left
        FROM bank.provider_calls
        WHERE called_at > :lately AND scope IS NOT NULL AND connection_id IS NOT NULL
        GROUP BY provider, connection_id, account_external_id, scope
        HAVING max(calls_max) IS NOT NULL
    ), judged AS (
        SELECT provider, scope, used,
               greatest(least(calls_max - used, told_left), 0) AS calls_left
        FROM scopes
    ), summed AS (
        SELECT provider, scope, sum(used) AS used, sum(calls_left) AS calls_left,
               count(*) FILTER (WHERE calls_left = 0) AS without
        FROM judged GROUP BY provider, scope
    )
    SELECT figure, ARRAY[provider, scope], value::float8
    FROM summed, LATERAL (VALUES ('quota_used_calls', used), ('quota_left_calls', calls_left),
                                 ('quota_exhausted_accounts', without)) AS v (figure, value)
"""

_CALLS: Final = """
    SELECT 'provider_calls', ARRAY[provider, coalesce(outcome, 'unended')], count(*)::float8
    FROM bank.provider_calls WHERE called_at > :lately
    GROUP BY provider, coalesce(outcome, 'unended')
    UNION ALL
    SELECT 'provider_paused', ARRAY[p.provider],
           max(CASE WHEN h.state IN ('open', 'probing') AND EXISTS (
                   SELECT FROM bank.connections c  -- else nobody's sync waits, nor probes it
                   WHERE c.provider = p.provider AND c.status NOT IN ('revoked', 'disconnected'))
               THEN 1 ELSE 0 END)
    FROM (SELECT provider FROM bank.connections
          UNION SELECT provider FROM bank.provider_health) p
    LEFT JOIN bank.provider_health h ON h.provider = p.provider GROUP BY p.provider
"""

_OPEN: Final = """
    WITH providers AS (SELECT DISTINCT provider FROM bank.connections)
    SELECT 'quarantined_rows', ARRAY[p.provider], (
        SELECT count(*)::float8 FROM bank.quarantine q
        JOIN bank.connections c ON c.id = q.connection_id
        WHERE q.resolved_at IS NULL AND c.provider = p.provider)
    FROM providers p
    UNION ALL
    SELECT 'consents_to_end', ARRAY[p.provider], (
        SELECT count(*) FROM bank.consents_to_end e
        WHERE e.ended_at IS NULL AND e.provider = p.provider)
    FROM providers p
    UNION ALL
    SELECT 'operator_faults', ARRAY[source], (
        SELECT count(*) FROM bank.operator_faults f
        WHERE f.cleared_at IS NULL AND f.source = s.source)
    FROM unnest(CAST(:sources AS text[])) AS s (source)
    UNION ALL
    SELECT 'notices', ARRAY[s.state], count(n.id)
    FROM (VALUES ('pending'), ('sending'), ('failed')) AS s (state)
    LEFT JOIN bank.notifications n
        ON n.state = s.state AND n.state IN ('pending', 'sending', 'failed')
    GROUP BY s.state
    UNION ALL
    SELECT 'notice_lag_seconds', ARRAY[]::text[], coalesce((
        SELECT extract(epoch FROM CAST(:now AS timestamptz) - min(next_attempt_at))
        FROM bank.notifications
        WHERE state IN ('pending', 'sending') AND next_attempt_at <= :now), 0)
"""

_GAPS: Final = """
    SELECT 'coverage_gaps', ARRAY[provider, kind], count(*)::float8
    FROM analytics.account_gaps WHERE kind = 'between' OR connection_status = ANY(:syncable)
    GROUP BY provider, kind
"""

_QUERIES: Final = tuple(
    sa.text(one) for one in (_CONNECTIONS, _SYNCS, _WEBHOOKS, _QUOTA, _CALLS, _OPEN, _GAPS)
)
