"""Whose data it is, which banks there are, and what connects them."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, UUID

from bank_pipeline.domain.connection import ConnectionStatus, HistoryStage, Provider
from bank_pipeline.storage.columns import (
    day,
    moment,
    one_of,
    own_id,
    part_of,
    ref,
    sealed_by,
    team,
    text,
)
from bank_pipeline.storage.tables.base import metadata

teams = sa.Table(
    "teams",
    metadata,
    own_id(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    moment("created_at", nullable=False),
    comment="Whose data it is. Everything else belongs to one team.",
)

institutions = sa.Table(
    "institutions",
    metadata,
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("external_id", sa.Text, primary_key=True),
    text("name", nullable=False),
    sa.Column("countries", ARRAY(sa.Text), nullable=False),
    text("url"),
    sa.Column("is_oauth", sa.Boolean),
    sa.Column("history_days_max", sa.Integer),
    sa.Column("consent_days_max", sa.Integer),
    moment("fetched_at", nullable=False),
    text("bic"),
    text("logo_url"),
    sa.Column("is_beta", sa.Boolean),
    sa.Column("customer_kinds", ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("history_days_learned", sa.Integer),
    sa.Column("popularity", sa.Integer, nullable=False, server_default="0"),
    moment("removed_at"),
    one_of("provider", Provider),
    comment="Banks, as a provider offers them. history_days_learned: what the bank gave when "
    "it refused more. popularity: how often it was linked here. removed_at: no longer offered.",
)

connections = sa.Table(
    "connections",
    metadata,
    own_id(),
    ref("team_id", "teams", index=True),
    text("provider", nullable=False),
    text("external_id", nullable=False),
    text("institution_external_id"),
    text("institution_name"),
    text("status", nullable=False),
    text("status_reason"),
    moment("status_since", nullable=False),
    text("history_stage", nullable=False),
    text("cursor"),
    moment("consent_expires_at"),
    moment("next_attempt_at"),
    sa.Column("error_retries", sa.Integer, nullable=False, server_default="0"),
    moment("last_attempt_at"),
    moment("last_success_at"),
    moment("last_full_accounts_at"),
    moment("created_at", nullable=False),
    sa.Column("refused_beyond_days", sa.Integer),
    moment("refused_at"),
    sa.Column("given_days", sa.Integer),
    moment("given_at"),
    moment("last_deep_at"),
    moment("deep_requested_at"),
    day("backfill_since"),
    moment("backfill_requested_at"),
    moment("erase_asked_at"),
    moment("erased_at"),
    moment("sync_requested_at"),
    moment("run_requested_at"),
    one_of("provider", Provider),
    one_of("status", ConnectionStatus),
    one_of("history_stage", HistoryStage),
    sa.UniqueConstraint("provider", "external_id"),
    sa.UniqueConstraint("id", "team_id"),
    sa.Index(
        "connections_sync_requested_at_idx",
        "sync_requested_at",
        postgresql_where=sa.text("sync_requested_at IS NOT NULL"),
    ),
    comment="One customer's consent for one institution. The Dagster partition key is the id. "
    "sync_requested_at: when somebody asked for a sync that has not begun. run_requested_at: when "
    "a run was last asked for because of a webhook or of that.",
)

connection_events = sa.Table(
    "connection_events",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    team(),
    *part_of("connection_id", "connections", index=True),
    moment("at", nullable=False),
    text("from_status"),
    text("to_status", nullable=False),
    text("reason"),
    sa.Column("sync_run_id", UUID(as_uuid=False)),
    comment="Every change of a connection's status. Append-only.",
)

credentials = sa.Table(
    "credentials",
    metadata,
    team(),
    *part_of("connection_id", "connections", is_key=True),
    sa.Column("ciphertext", BYTEA, nullable=False),
    sealed_by("key_id", nullable=False),
    moment("updated_at", nullable=False),
    comment="The secret that opens a connection, encrypted and bound to its connection.",
)

link_sessions = sa.Table(
    "link_sessions",
    metadata,
    own_id(),
    ref("team_id", "teams"),
    text("provider", nullable=False),
    sa.Column("state_fingerprint", BYTEA, nullable=False, unique=True),
    sa.Column("state_ciphertext", BYTEA, nullable=False),
    sealed_by("key_id", nullable=False),
    *part_of("renews_connection_id", "connections", nullable=True),
    text("outcome"),
    moment("created_at", nullable=False),
    moment("expires_at", nullable=False),
    moment("finished_at"),
    sa.Column("return_fingerprint", BYTEA, unique=True),
    sa.Column("connection_ids", ARRAY(UUID(as_uuid=False)), nullable=False, server_default="{}"),
    sa.Column("is_other_login", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("browser_fingerprint", BYTEA),
    one_of("provider", Provider),
    comment="Links under way: who started one, until the provider says how it ended. "
    "browser_fingerprint: of the browser that began it and alone may end it.",
)
