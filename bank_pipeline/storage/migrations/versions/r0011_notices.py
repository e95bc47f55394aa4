"""Notices: what teams are told, where it goes, and the operator's faults."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, UUID

revision: Final = "0011"
down_revision: Final[str | None] = "0010"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

_KINDS: Final = (
    "kind IN ('new_transactions', 'expiring', 'disconnected', 'sync_failed', 'sync_recovered', "
    "'large_transaction', 'low_balance', 'operator_alert', 'operator_recovered')"
)
_STATES: Final = "state IN ('pending', 'sending', 'sent', 'suppressed', 'failed')"


def upgrade() -> None:
    _create_preferences()
    _create_targets()
    _create_notifications()
    _create_faults()


def downgrade() -> None:
    tables = (
        "operator_faults",
        "notifications",
        "notification_targets",
        "notification_preferences",
    )
    for table in tables:
        op.drop_table(table, schema="bank")


def _create_preferences() -> None:
    op.create_table(
        "notification_preferences",
        _uuid("team_id"),
        sa.Column("kinds", ARRAY(sa.Text), nullable=False),
        sa.Column("large_amounts", JSONB, nullable=False, server_default="{}"),
        sa.Column("low_balances", JSONB, nullable=False, server_default="{}"),
        _moment("updated_at", nullable=False),
        sa.PrimaryKeyConstraint("team_id", name="notification_preferences_pkey"),
        _of("notification_preferences", "team_id", "teams"),
        schema="bank",
        comment="What a team wants to be told of; no row: nothing. large_amounts, low_balances: "
        "thresholds, {currency: amount as text}.",
    )


def _create_targets() -> None:
    op.create_table(
        "notification_targets",
        _uuid("id"),
        _uuid("team_id"),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("ciphertext", BYTEA, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        _moment("created_at", nullable=False),
        sa.PrimaryKeyConstraint("id", name="notification_targets_pkey"),
        _of("notification_targets", "team_id", "teams"),
        sa.UniqueConstraint("team_id", "name", name="notification_targets_team_id_name_key"),
        schema="bank",
        comment="Where a team's notices go. The address is a secret: encrypted and bound to its "
        "row.",
    )


def _create_notifications() -> None:
    op.create_table(
        "notifications",
        _uuid("id"),
        _uuid("team_id"),
        _uuid("connection_id", nullable=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("dedupe_key", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("payload", JSONB, nullable=False),
        _moment("created_at", nullable=False),
        _moment("next_attempt_at"),
        _moment("sent_at"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_error", sa.Text),
        sa.Column("delivered_to", ARRAY(UUID(as_uuid=False)), nullable=False, server_default="{}"),
        sa.PrimaryKeyConstraint("id", name="notifications_pkey"),
        _of("notifications", "team_id", "teams"),
        _of("notifications", "connection_id", "connections"),
        sa.UniqueConstraint(
            "team_id", "kind", "dedupe_key", name="notifications_team_id_kind_dedupe_key_key"
        ),
        sa.CheckConstraint(_KINDS, name="notifications_kind_check"),
        sa.CheckConstraint(_STATES, name="notifications_state_check"),
        schema="bank",
        comment="What a team is told, once per dedupe_key, written with what it tells of. "
        "payload: what the templates need and no more. delivered_to: the targets that have it.",
    )
    op.create_index(
        "notifications_connection_id_idx", "notifications", ["connection_id"], schema="bank"
    )
    op.create_index(
        "notifications_due_idx",
        "notifications",
        ["next_attempt_at"],
        schema="bank",
        postgresql_where=sa.text("state IN ('pending', 'sending')"),
    )


def _create_faults() -> None:
    op.create_table(
        "operator_faults",
        _uuid("id"),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("occurrences", sa.Integer, nullable=False, server_default="1"),
        _moment("opened_at", nullable=False),
        _moment("last_seen_at", nullable=False),
        _moment("cleared_at"),
        sa.PrimaryKeyConstraint("id", name="operator_faults_pkey"),
        sa.CheckConstraint(
            "source IN ('run', 'connections', 'check')", name="operator_faults_source_check"
        ),
        schema="bank",
        comment="Failures of runs and checks, one row from the first until it clears. "
        "subject: the job or check. cause: the class of the failure.",
    )
    op.create_index(
        "operator_faults_open_key",
        "operator_faults",
        ["source", "subject", "cause"],
        unique=True,
        schema="bank",
        postgresql_where=sa.text("cleared_at IS NULL"),
    )


def _uuid(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, UUID(as_uuid=False), nullable=nullable)


def _moment(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _of(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column],
        [f"bank.{target}.id"],
        name=f"{table}_{column}_fkey",
        ondelete="CASCADE",
    )
