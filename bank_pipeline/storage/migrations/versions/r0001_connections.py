"""Tables of who has which connection, and of what syncs do."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB

revision: Final = "0001"
down_revision: Final[str | None] = None
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

SCHEMA: Final = "bank"


def upgrade() -> None:
    _create_teams()
    _create_institutions()
    _create_connections()
    _create_connection_events()
    _create_credentials()
    _create_link_sessions()
    _create_sync_runs()
    _create_raw_payloads()
    _create_quarantine()
    _create_webhook_events()


def downgrade() -> None:
    for table in (
        "webhook_events",
        "quarantine",
        "raw_payloads",
        "sync_runs",
        "link_sessions",
        "credentials",
        "connection_events",
        "connections",
        "institutions",
        "teams",
    ):
        op.drop_table(table, schema=SCHEMA)


def _create_teams() -> None:
    op.create_table(
        "teams",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="teams_pkey"),
        sa.UniqueConstraint("name", name="teams_name_key"),
        schema=SCHEMA,
        comment="Whose data it is. Everything else belongs to one team.",
    )


def _create_institutions() -> None:
    op.create_table(
        "institutions",
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("countries", ARRAY(sa.Text), nullable=False),
        sa.Column("url", sa.Text),
        sa.Column("is_oauth", sa.Boolean),
        sa.Column("history_days_max", sa.Integer),
        sa.Column("consent_days_max", sa.Integer),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "provider IN ('plaid', 'gocardless', 'teller', 'enable_banking')",
            name="institutions_provider_check",
        ),
        sa.PrimaryKeyConstraint("provider", "external_id", name="institutions_pkey"),
        schema=SCHEMA,
        comment="Banks, as a provider offers them.",
    )


def _create_connections() -> None:
    op.create_table(
        "connections",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("team_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("institution_external_id", sa.Text),
        sa.Column("institution_name", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("status_reason", sa.Text),
        sa.Column("status_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("history_stage", sa.Text, nullable=False),
        sa.Column("cursor", sa.Text),
        sa.Column("consent_expires_at", sa.DateTime(timezone=True)),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True)),
        sa.Column("error_retries", sa.Integer, server_default="0", nullable=False),
        sa.Column("last_attempt_at", sa.DateTime(timezone=True)),
        sa.Column("last_success_at", sa.DateTime(timezone=True)),
        sa.Column("last_full_accounts_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "history_stage IN ('awaiting_initial', 'initial', 'complete')",
            name="connections_history_stage_check",
        ),
        sa.CheckConstraint(
            "provider IN ('plaid', 'gocardless', 'teller', 'enable_banking')",
            name="connections_provider_check",
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'active', 'expiring', 'needs_reauth', 'revoked', "
            "'disconnected', 'error')",
            name="connections_status_check",
        ),
        sa.ForeignKeyConstraint(
            ["team_id"], ["bank.teams.id"], name="connections_team_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="connections_pkey"),
        sa.UniqueConstraint("provider", "external_id", name="connections_provider_external_id_key"),
        schema=SCHEMA,
        comment="One customer's consent for one institution. The Dagster partition key is the id.",
    )
    op.create_index("connections_team_id_idx", "connections", ["team_id"], schema=SCHEMA)


def _create_connection_events() -> None:
    op.create_table(
        "connection_events",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("connection_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("from_status", sa.Text),
        sa.Column("to_status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("sync_run_id", sa.UUID(as_uuid=False)),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["bank.connections.id"],
            name="connection_events_connection_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="connection_events_pkey"),
        schema=SCHEMA,
        comment="Every change of a connection's status. Append-only.",
    )
    op.create_index(
        "connection_events_connection_id_idx", "connection_events", ["connection_id"], schema=SCHEMA
    )


def _create_credentials() -> None:
    op.create_table(
        "credentials",
        sa.Column("connection_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("ciphertext", BYTEA, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["bank.connections.id"],
            name="credentials_connection_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("connection_id", name="credentials_pkey"),
        schema=SCHEMA,
        comment="The secret that opens a connection, encrypted and bound to its connection.",
    )


def _create_link_sessions() -> None:
    op.create_table(
        "link_sessions",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("team_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("state_fingerprint", BYTEA, nullable=False),
        sa.Column("state_ciphertext", BYTEA, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("renews_connection_id", sa.UUID(as_uuid=False)),
        sa.Column("outcome", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "provider IN ('plaid', 'gocardless', 'teller', 'enable_banking')",
            name="link_sessions_provider_check",
        ),
        sa.ForeignKeyConstraint(
            ["renews_connection_id"],
            ["bank.connections.id"],
            name="link_sessions_renews_connection_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["team_id"], ["bank.teams.id"], name="link_sessions_team_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="link_sessions_pkey"),
        sa.UniqueConstraint("state_fingerprint", name="link_sessions_state_fingerprint_key"),
        schema=SCHEMA,
        comment="Links under way: who started one, until the provider says how it ended.",
    )


def _create_sync_runs() -> None:
    op.create_table(
        "sync_runs",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("connection_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("dagster_run_id", sa.Text),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("outcome", sa.Text),
        sa.Column("error_class", sa.Text),
        sa.Column("error_code", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("counts", JSONB, server_default="{}", nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["bank.connections.id"],
            name="sync_runs_connection_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="sync_runs_pkey"),
        schema=SCHEMA,
        comment="One row per sync of one connection. No outcome and no end: running, or killed.",
    )
    op.create_index(
        "sync_runs_connection_id_idx",
        "sync_runs",
        ["connection_id", sa.literal_column("started_at DESC")],
        schema=SCHEMA,
    )


def _create_raw_payloads() -> None:
    op.create_table(
        "raw_payloads",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("connection_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("sync_run_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("digest", BYTEA, nullable=False),
        sa.Column("body", BYTEA, nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["bank.connections.id"],
            name="raw_payloads_connection_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="raw_payloads_pkey"),
        sa.UniqueConstraint(
            "connection_id",
            "operation",
            "digest",
            name="raw_payloads_connection_id_operation_digest_key",
        ),
        schema=SCHEMA,
        comment="What the provider said, as it said it (zlib), for replay. Each answer once.",
    )
    op.create_index("raw_payloads_sync_run_id_idx", "raw_payloads", ["sync_run_id"], schema=SCHEMA)


def _create_quarantine() -> None:
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("connection_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("sync_run_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("raw", sa.Text, nullable=False),
        sa.Column("digest", BYTEA, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["bank.connections.id"],
            name="quarantine_connection_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="quarantine_pkey"),
        sa.UniqueConstraint("connection_id", "digest", name="quarantine_connection_id_digest_key"),
        schema=SCHEMA,
        comment="Rows that do not fit the documented shape, with their text, until resolved.",
    )


def _create_webhook_events() -> None:
    op.create_table(
        "webhook_events",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("event_key", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("connection_external_id", sa.Text),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handled_at", sa.DateTime(timezone=True)),
        sa.Column("handled_by_sync_run_id", sa.UUID(as_uuid=False)),
        sa.CheckConstraint(
            "provider IN ('plaid', 'gocardless', 'teller', 'enable_banking')",
            name="webhook_events_provider_check",
        ),
        sa.PrimaryKeyConstraint("id", name="webhook_events_pkey"),
        sa.UniqueConstraint("provider", "event_key", name="webhook_events_provider_event_key_key"),
        schema=SCHEMA,
        comment="The inbox: verified webhooks, stored before they are acknowledged.",
    )
    op.create_index(
        "webhook_events_unhandled_idx",
        "webhook_events",
        ["provider", "connection_external_id"],
        schema=SCHEMA,
        postgresql_where=sa.text("handled_at IS NULL"),
    )
