"""Every call recorded, our standing with the providers, and rates shared by all processes."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision: Final = "0008"
down_revision: Final[str | None] = "0007"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

PROVIDERS: Final = "provider IN ('plaid', 'gocardless', 'teller', 'enable_banking')"

CALLS_COMMENT: Final = (
    "Every call to a provider, for a week; no URL, no query, no body. Those that the "
    "provider counts (is_counted) are written before the call: without an outcome they are under "
    "way, or the process died, and count. calls_left and resets_at: the provider's word."
)
CALLS_COMMENT_BEFORE: Final = (
    "Calls that a provider counts, one row each, written before the call. No outcome: "
    "under way, or the process died; it counts. calls_left and resets_at: the provider's word."
)

# What a person reads as the next step; `domain.next_step` says the same, and a test compares.
CONNECTIONS: Final = """
CREATE OR REPLACE VIEW analytics.connections AS
SELECT c.id AS connection_id, c.team_id, t.name AS team_name, c.provider, c.external_id,
       c.institution_external_id, c.institution_name, c.status, c.status_reason,
       c.status_since, c.history_stage, c.consent_expires_at, c.next_attempt_at,
       c.error_retries, c.last_attempt_at, c.last_success_at, c.created_at,
       CASE
           WHEN c.status = 'disconnected' THEN 'none: it was ended'
           WHEN c.status = 'revoked' THEN 'the customer links the bank again'
           WHEN c.status = 'needs_reauth' THEN 'the customer logs in again (renew)'
           WHEN h.state IN ('open', 'probing') THEN 'the operator checks our keys (doctor)'
           WHEN c.next_attempt_at IS NOT NULL THEN 'a planned try'
           ELSE 'the daily sync'
       END AS next_step,
       coalesce(h.state IN ('open', 'probing'), false) AS is_provider_paused
FROM bank.connections c
JOIN bank.teams t ON t.id = c.team_id
LEFT JOIN bank.provider_health h ON h.provider = c.provider
"""

CONNECTIONS_BEFORE: Final = """
CREATE VIEW analytics.connections AS
SELECT c.id AS connection_id, c.team_id, t.name AS team_name, c.provider, c.external_id,
       c.institution_external_id, c.institution_name, c.status, c.status_reason,
       c.status_since, c.history_stage, c.consent_expires_at, c.next_attempt_at,
       c.error_retries, c.last_attempt_at, c.last_success_at, c.created_at
FROM bank.connections c
JOIN bank.teams t ON t.id = c.team_id
"""

HEALTH: Final = """
CREATE VIEW analytics.provider_health AS
SELECT p.provider, coalesce(h.state, 'closed') AS state, h.code, h.since, h.next_probe_at,
       coalesce(h.failures, 0) AS failures, h.trusted_until,
       count(c.id) AS connections,
       count(c.id) FILTER (WHERE c.status IN ('needs_reauth', 'revoked')) AS connections_stopped
FROM (SELECT provider FROM bank.connections UNION SELECT provider FROM bank.provider_health) p
LEFT JOIN bank.provider_health h ON h.provider = p.provider
LEFT JOIN bank.connections c ON c.provider = p.provider AND c.status <> 'disconnected'
GROUP BY p.provider, h.provider, h.state, h.code, h.since, h.next_probe_at, h.failures,
         h.trusted_until
"""

# The n-th newest of n allowed calls frees the next one a day after it was made.
QUOTA: Final = """
CREATE VIEW analytics.quota AS
WITH recent AS (
    SELECT connection_id, account_external_id, scope, max(calls_max) AS calls_max,
           max(scheduled_max) AS scheduled_max,
           array_agg(called_at ORDER BY called_at DESC) FILTER (WHERE is_counted) AS made,
           array_agg(called_at ORDER BY called_at DESC)
               FILTER (WHERE is_counted AND is_scheduled) AS scheduled,
           (array_agg(calls_left ORDER BY called_at DESC, id DESC)
               FILTER (WHERE calls_left IS NOT NULL))[1] AS told_left,
           (array_agg(coalesce(resets_at, called_at + interval '24 hours')
               ORDER BY called_at DESC, id DESC)
               FILTER (WHERE calls_left IS NOT NULL))[1] AS told_resets_at
    FROM bank.provider_calls
    WHERE called_at > now() - interval '24 hours' AND scope IS NOT NULL
    GROUP BY connection_id, account_external_id, scope
    HAVING max(calls_max) IS NOT NULL
), judged AS (
    SELECT r.*, coalesce(cardinality(made), 0) AS used,
           CASE WHEN told_left <= 0 THEN told_resets_at END AS refused_until
    FROM recent r
)
SELECT c.team_id, j.connection_id, c.provider, a.id AS account_id, a.name AS account_name,
       j.account_external_id, j.scope, j.used AS used_in_24_hours, j.calls_max,
       CASE WHEN j.refused_until > now() THEN 0
            ELSE greatest(j.calls_max - j.used, 0) END AS calls_left,
       greatest(j.made[j.calls_max] + interval '24 hours', j.refused_until) AS next_call_at,
       greatest(j.made[j.calls_max] + interval '24 hours', j.refused_until,
                j.scheduled[j.scheduled_max] + interval '24 hours') AS next_scheduled_call_at
FROM judged j
JOIN bank.connections c ON c.id = j.connection_id
LEFT JOIN bank.accounts a
    ON a.connection_id = j.connection_id AND a.external_id = j.account_external_id
"""

COMMENTS: Final = {
    "provider_health": "Our standing with each provider. open: our keys were refused and no "
    "calls are made until next_probe_at.",
    "quota": "Counted calls of the last 24 hours by account and scope. calls_left are for "
    "people; next_call_at and next_scheduled_call_at are NULL, or past, when one may be made now.",
}


def upgrade() -> None:
    op.create_table(
        "provider_health",
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("code", sa.Text),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_probe_at", sa.DateTime(timezone=True)),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("trusted_until", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("provider", name="provider_health_pkey"),
        sa.CheckConstraint(PROVIDERS, name="provider_health_provider_check"),
        sa.CheckConstraint(
            "state IN ('closed', 'open', 'probing')", name="provider_health_state_check"
        ),
        schema="bank",
        comment="Whether a provider refuses us as a whole. open: our keys were refused, no call "
        "is made until next_probe_at; probing: somebody asks just now. No row: all is well.",
    )
    op.create_table(
        "rate_limits",
        sa.Column("bucket", sa.Text, nullable=False),
        sa.Column("theoretical_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("bucket", name="rate_limits_pkey"),
        schema="bank",
        prefixes=["UNLOGGED"],
        comment="When the next call of each rate would be due if calls came evenly (GCRA). "
        "Unlogged: a crash of the server empties it, and the rates are those of a minute.",
    )
    _widen_calls()
    op.execute(CONNECTIONS)
    op.execute(HEALTH)
    op.execute(QUOTA)
    for view, comment in COMMENTS.items():
        op.execute(f"COMMENT ON VIEW analytics.{view} IS '{comment.replace(chr(39), chr(39) * 2)}'")


def downgrade() -> None:
    for view in reversed(COMMENTS):
        op.execute(f"DROP VIEW analytics.{view}")
    op.execute("DROP VIEW analytics.connections")
    op.execute(CONNECTIONS_BEFORE)
    op.execute(
        "COMMENT ON VIEW analytics.connections IS "
        "'Connections with their state. No cursor, no secret.'"
    )
    op.drop_table("rate_limits", schema="bank")
    op.drop_table("provider_health", schema="bank")
    # The ledger of before holds counted calls only, and takes every row of it for one.
    op.execute(
        "DELETE FROM bank.provider_calls WHERE connection_id IS NULL OR scope IS NULL "
        "OR account_external_id IS NULL OR (outcome <> 'failed' AND NOT is_counted)"
    )
    op.drop_constraint("provider_calls_provider_check", "provider_calls", schema="bank")
    for name in ("connection_id", "account_external_id", "scope"):
        op.alter_column("provider_calls", name, nullable=False, schema="bank")
    for name in _ADDED:
        op.drop_column("provider_calls", name, schema="bank")
    op.create_table_comment("provider_calls", CALLS_COMMENT_BEFORE, schema="bank")


_ADDED: Final = (
    "scheduled_max",
    "calls_max",
    "is_counted",
    "sync_run_id",
    "duration_ms",
    "request_id",
    "error_code",
    "http_status",
    "operation",
    "provider",
)


def _widen_calls() -> None:
    for name in ("connection_id", "account_external_id", "scope"):
        op.alter_column("provider_calls", name, nullable=True, schema="bank")
    counted = sa.Column("is_counted", sa.Boolean, nullable=False, server_default="true")
    for column in (
        sa.Column("provider", sa.Text),
        sa.Column("operation", sa.Text),
        sa.Column("http_status", sa.Integer),
        sa.Column("error_code", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("duration_ms", sa.Integer),
        sa.Column("sync_run_id", UUID(as_uuid=False)),
        counted,
        sa.Column("calls_max", sa.Integer),
        sa.Column("scheduled_max", sa.Integer),
    ):
        op.add_column("provider_calls", column, schema="bank")
    op.execute(
        "UPDATE bank.provider_calls p SET operation = 'accounts/' || p.scope, "
        "provider = c.provider, "
        "is_counted = NOT (p.outcome IS NOT DISTINCT FROM 'failed' AND c.provider = 'gocardless') "
        "FROM bank.connections c WHERE c.id = p.connection_id"
    )
    op.alter_column("provider_calls", "provider", nullable=False, schema="bank")
    op.alter_column("provider_calls", "operation", nullable=False, schema="bank")
    op.create_check_constraint(
        "provider_calls_provider_check", "provider_calls", PROVIDERS, schema="bank"
    )
    op.create_table_comment("provider_calls", CALLS_COMMENT, schema="bank")
