"""What people are told: whom, of what, and how far that has come."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, UUID

from bank_pipeline.domain.notices import NoticeKind, NoticeState
from bank_pipeline.storage.columns import (
    SCHEMA,
    moment,
    one_of,
    own_id,
    part_of,
    ref,
    sealed_by,
    text,
)
from bank_pipeline.storage.tables.base import metadata

notification_preferences = sa.Table(
    "notification_preferences",
    metadata,
    sa.Column(
        "team_id",
        UUID(as_uuid=False),
        sa.ForeignKey(f"{SCHEMA}.teams.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("kinds", ARRAY(sa.Text), nullable=False),
    sa.Column("large_amounts", JSONB, nullable=False, server_default="{}"),
    sa.Column("low_balances", JSONB, nullable=False, server_default="{}"),
    moment("updated_at", nullable=False),
    comment="What a team wants to be told of; no row: nothing. large_amounts, low_balances: "
    "thresholds, {currency: amount as text}.",
)

notification_targets = sa.Table(
    "notification_targets",
    metadata,
    own_id(),
    ref("team_id", "teams"),
    text("name", nullable=False),
    text("service", nullable=False),
    sa.Column("ciphertext", BYTEA, nullable=False),
    sealed_by("key_id", nullable=False),
    moment("created_at", nullable=False),
    sa.UniqueConstraint("team_id", "name"),
    comment="Where a team's notices go. The address is a secret: encrypted and bound to its row.",
)

notifications = sa.Table(
    "notifications",
    metadata,
    own_id(),
    ref("team_id", "teams"),
    *part_of("connection_id", "connections", nullable=True, index=True),
    text("kind", nullable=False),
    text("dedupe_key", nullable=False),
    text("state", nullable=False),
    sa.Column("payload", JSONB, nullable=False),
    moment("created_at", nullable=False),
    moment("next_attempt_at"),
    moment("sent_at"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    text("last_error"),
    sa.Column("delivered_to", ARRAY(UUID(as_uuid=False)), nullable=False, server_default="{}"),
    one_of("kind", NoticeKind),
    one_of("state", NoticeState),
    sa.UniqueConstraint("team_id", "kind", "dedupe_key"),
    sa.Index(
        "notifications_due_idx",
        "next_attempt_at",
        postgresql_where=sa.text("state IN ('pending', 'sending')"),
    ),
    comment="What a team is told, once per dedupe_key, written with what it tells of. payload: "
    "what the templates need and no more. delivered_to: the targets that have it.",
)

operator_faults = sa.Table(
    "operator_faults",
    metadata,
    own_id(),
    text("source", nullable=False),
    text("subject", nullable=False),
    text("cause", nullable=False),
    sa.Column("occurrences", sa.Integer, nullable=False, server_default="1"),
    moment("opened_at", nullable=False),
    moment("last_seen_at", nullable=False),
    moment("cleared_at"),
    sa.CheckConstraint(
        "source IN ('run', 'connections', 'check', 'webhooks', 'tick')", name="source"
    ),
    sa.Index(
        "operator_faults_open_key",
        "source",
        "subject",
        "cause",
        unique=True,
        postgresql_where=sa.text("cleared_at IS NULL"),
    ),
    comment="Failures of runs, checks and ticks, one row from the first until it clears. "
    "subject: the job, check, sensor or schedule. cause: the class of the failure.",
)
