"""Keys of programs that ask over HTTP, and what they read of syncs."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA, UUID

revision: Final = "0012"
down_revision: Final[str | None] = "0011"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

SYNC_RUNS: Final = """
CREATE VIEW analytics.sync_runs AS
SELECT r.id AS sync_run_id, c.team_id, r.connection_id, c.provider, c.institution_name, r.reason,
       r.started_at, r.ended_at, r.outcome, r.error_class, r.error_code, r.counts,
       r.next_attempt_at, r.undone_at
FROM bank.sync_runs r
JOIN bank.connections c ON c.id = r.connection_id
"""
COMMENT: Final = "Every sync, from its start on. No outcome: it is running, or was killed just now."


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", UUID(as_uuid=False), primary_key=True),
        sa.Column("team_id", UUID(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("digest", BYTEA, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["team_id"], ["bank.teams.id"], name="api_keys_team_id_fkey", ondelete="CASCADE"
        ),
        sa.CheckConstraint("scope IN ('read', 'manage')", name="api_keys_scope_check"),
        schema="bank",
        comment="Keys of programs that ask over HTTP; the secret is kept by its digest alone.",
    )
    op.create_index("api_keys_team_id_idx", "api_keys", ["team_id"], schema="bank")
    op.execute(SYNC_RUNS)
    op.execute(f"COMMENT ON VIEW analytics.sync_runs IS '{COMMENT}'")


def downgrade() -> None:
    op.execute("DROP VIEW analytics.sync_runs")
    op.drop_table("api_keys", schema="bank")
