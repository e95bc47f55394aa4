"""What syncs did, called, were told and could not read."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import BYTEA, JSONB, UUID

from bank_pipeline.domain.circuit import CircuitState
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.webhooks import Refusal
from bank_pipeline.storage.columns import (
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

sync_runs = sa.Table(
    "sync_runs",
    metadata,
    own_id(),
    team(),
    *part_of("connection_id", "connections"),
    text("reason", nullable=False),
    text("dagster_run_id"),
    moment("started_at", nullable=False),
    moment("ended_at"),
    text("outcome"),
    text("error_class"),
    text("error_code"),
    text("request_id"),
    sa.Column("counts", JSONB, nullable=False, server_default="{}"),
    moment("next_attempt_at"),
    sa.Column("lineage", JSONB(none_as_null=True)),
    sa.Column("before", JSONB(none_as_null=True)),
    moment("undone_at"),
    sa.Column("undone_by", UUID(as_uuid=False)),
    sa.Index("sync_runs_connection_id_idx", "connection_id", sa.text("started_at DESC")),
    comment="One row per sync of one connection. No outcome and no end: running, or killed. "
    "lineage: the answers it applied, and how each was asked for. before: what it moved, as it "
    "was. Both are kept as long as the answers. undone_by: the run that took it back.",
)

provider_calls = sa.Table(
    "provider_calls",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("team_id", UUID(as_uuid=False)),
    *part_of("connection_id", "connections", nullable=True),
    text("account_external_id"),
    text("scope"),
    sa.Column("is_scheduled", sa.Boolean, nullable=False),
    moment("called_at", nullable=False),
    text("outcome"),
    sa.Column("calls_left", sa.Integer),
    moment("resets_at"),
    text("provider", nullable=False),
    text("operation", nullable=False),
    sa.Column("http_status", sa.Integer),
    text("error_code"),
    text("request_id"),
    sa.Column("duration_ms", sa.Integer),
    sa.Column("sync_run_id", UUID(as_uuid=False)),
    sa.Column("is_counted", sa.Boolean, nullable=False, server_default="true"),
    sa.Column("calls_max", sa.Integer),
    sa.Column("scheduled_max", sa.Integer),
    one_of("provider", Provider),
    sa.CheckConstraint("(connection_id IS NULL) = (team_id IS NULL)", name="team_id"),
    sa.Index(
        "provider_calls_recent_idx",
        "connection_id",
        "account_external_id",
        "scope",
        sa.text("called_at DESC"),
    ),
    sa.Index("provider_calls_called_at_idx", "called_at"),
    comment="Every call to a provider, for a week; no URL, no query, no body. Those that the "
    "provider counts (is_counted) are written before the call: without an outcome they are under "
    "way, or the process died, and count. calls_left and resets_at: the provider's word.",
)

provider_health = sa.Table(
    "provider_health",
    metadata,
    sa.Column("provider", sa.Text, primary_key=True),
    text("state", nullable=False),
    text("code"),
    moment("since", nullable=False),
    moment("next_probe_at"),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    moment("trusted_until"),
    one_of("provider", Provider),
    one_of("state", CircuitState),
    comment="Whether a provider refuses us as a whole. open: our keys were refused, no call is "
    "made until next_probe_at; probing: somebody asks just now. No row: all is well.",
)

rate_limits = sa.Table(
    "rate_limits",
    metadata,
    sa.Column("bucket", sa.Text, primary_key=True),
    moment("theoretical_at", nullable=False),
    prefixes=["UNLOGGED"],
    comment="When the next call of each rate would be due if calls came evenly (GCRA). Unlogged: "
    "a crash of the server empties it, and the rates are those of a minute.",
)

raw_payloads = sa.Table(
    "raw_payloads",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    team(),
    *part_of("connection_id", "connections"),
    sa.Column("sync_run_id", UUID(as_uuid=False), nullable=False, index=True),
    text("operation", nullable=False),
    text("request_id"),
    moment("received_at", nullable=False),
    sa.Column("digest", BYTEA, nullable=False),
    sa.Column("body", BYTEA, nullable=False),
    sealed_by("key_id", nullable=False),
    sa.UniqueConstraint("connection_id", "operation", "digest"),
    comment="What the provider said, as it said it (zlib, sealed), for replay. Each answer once.",
)

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    team(),
    *part_of("connection_id", "connections"),
    sa.Column("sync_run_id", UUID(as_uuid=False), nullable=False),
    text("operation", nullable=False),
    text("external_id"),
    text("reason", nullable=False),
    sa.Column("digest", BYTEA, nullable=False),
    moment("at", nullable=False),
    moment("resolved_at"),
    sa.Column("resolved_by", UUID(as_uuid=False)),
    sa.Column("raw_ciphertext", BYTEA, nullable=False),
    sealed_by("raw_key_id", nullable=False),
    text("account_external_id"),
    sa.UniqueConstraint("connection_id", "digest"),
    comment="Rows that do not fit the documented shape, with their text, sealed, until resolved. "
    "resolved_by: the run that brought the row after all; none when a person dealt with it.",
)

webhook_events = sa.Table(
    "webhook_events",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    text("provider", nullable=False),
    text("event_key", nullable=False),
    text("kind", nullable=False),
    text("code", nullable=False),
    text("connection_external_id"),
    moment("received_at", nullable=False),
    moment("handled_at"),
    sa.Column("handled_by_sync_run_id", UUID(as_uuid=False)),
    ref("team_id", "teams", nullable=True),
    one_of("provider", Provider),
    sa.UniqueConstraint("provider", "event_key"),
    sa.Index(
        "webhook_events_unhandled_idx",
        "provider",
        "connection_external_id",
        postgresql_where=sa.text("handled_at IS NULL"),
    ),
    comment="The inbox: verified webhooks, stored before they are acknowledged. team_id: NULL "
    "while it is about no connection that is known.",
)

webhook_refusals = sa.Table(
    "webhook_refusals",
    metadata,
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("refusal", sa.Text, primary_key=True),
    sa.Column("hour", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("times", sa.BigInteger, nullable=False),
    moment("first_at", nullable=False),
    moment("last_at", nullable=False),
    one_of("provider", Provider),
    one_of("refusal", Refusal),
    comment="Webhooks that were not believed: a row per provider, reason and hour, however "
    "many came. Nothing of what they held is kept.",
)
