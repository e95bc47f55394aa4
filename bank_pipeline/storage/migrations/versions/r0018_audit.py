"""The audit log and its chain; erasures of teams."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, UUID

revision: Final = "0018"
down_revision: Final[str | None] = "0017"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

ACTORS: Final = "actor_kind IN ('cli', 'api_key', 'link', 'dagster', 'system')"
ACTIONS: Final = (
    "action IN ('linked', 'renewed', 'synced', 'credential_read', 'consent_ended', "
    "'disconnected', 'accounts_chosen', 'account_decided', 'rows_undone', 'rows_replayed', "
    "'rows_decided', 'settings_changed', 'keys_changed', 'team_made', 'api_key_made', "
    "'api_key_revoked', 'target_set', 'target_removed', 'login_made', 'login_removed', "
    "'exported', 'erase_asked', 'erased')"
)
STATES: Final = "state IN ('consents', 'caches', 'traces', 'rows', 'samples', 'done')"
APPEND_ONLY: Final = ("audit_log", "audit_seals")
# Whoever may delete nevertheless (an owner can take a trigger away) is found by the chain.
REFUSE: Final = """
    CREATE FUNCTION bank.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'bank.% is append-only: % is refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'insufficient_privilege';
    END $$
"""


def upgrade() -> None:
    _create_audit_log()
    _create_audit_seals()
    _create_erasures()
    op.execute(REFUSE)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_rows_stay BEFORE UPDATE OR DELETE ON bank.{table} "
            "FOR EACH ROW EXECUTE FUNCTION bank.refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_stays BEFORE TRUNCATE ON bank.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION bank.refuse_change()"
        )


def _create_audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text, nullable=False),
        sa.Column("actor_id", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("team_id", UUID(as_uuid=False)),
        sa.Column("connection_id", UUID(as_uuid=False)),
        sa.Column("details", JSONB, nullable=False, server_default="{}"),
        sa.PrimaryKeyConstraint("id", name="audit_log_pkey"),
        sa.CheckConstraint(ACTORS, name="audit_log_actor_kind_check"),
        sa.CheckConstraint(ACTIONS, name="audit_log_action_check"),
        schema="bank",
        comment="Who did what to whose data. Append-only: nobody may change or delete an entry. "
        "Ids and counts, no names; team and connection may be erased by now.",
    )
    op.create_index(
        "audit_log_connection_id_idx",
        "audit_log",
        ["connection_id"],
        schema="bank",
        postgresql_where=sa.text("connection_id IS NOT NULL"),
    )


def _create_audit_seals() -> None:
    op.create_table(
        "audit_seals",
        sa.Column("number", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.BigInteger, nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("digest", BYTEA, nullable=False),
        sa.Column("hash", BYTEA, nullable=False),
        sa.PrimaryKeyConstraint("number", name="audit_seals_pkey"),
        sa.UniqueConstraint("entry_id", name="audit_seals_entry_id_key"),
        schema="bank",
        comment="The chain over audit_log. digest: of the entry; hash: of the hash before, the "
        "entry's id, the time of the seal and the digest. Append-only.",
    )


def _create_erasures() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", UUID(as_uuid=False), nullable=False),
        sa.Column("team_id", UUID(as_uuid=False), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("waits_for", sa.Text),
        sa.Column(
            "connection_ids", ARRAY(UUID(as_uuid=False)), nullable=False, server_default="{}"
        ),
        sa.Column("counts", JSONB, nullable=False, server_default="{}"),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True)),
        sa.Column("done_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="erasures_pkey"),
        sa.CheckConstraint(STATES, name="erasures_state_check"),
        schema="bank",
        comment="Teams that are being erased, and were: how far it has come, and what was "
        "deleted. Ids and counts, no names.",
    )
    op.create_index(
        "erasures_open_key",
        "erasures",
        ["team_id"],
        unique=True,
        schema="bank",
        postgresql_where=sa.text("done_at IS NULL"),
    )


def downgrade() -> None:
    for table in ("erasures", "audit_seals", "audit_log"):
        op.drop_table(table, schema="bank")
    op.execute("DROP FUNCTION bank.refuse_change()")
