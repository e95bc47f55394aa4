"""Where rows came from, and what a sync moved, so that it can be told, replayed and taken back."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

revision: Final = "0009"
down_revision: Final[str | None] = "0008"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

RUNS_BEFORE: Final = (
    "One row per sync of one connection. No outcome and no end: running, or killed."
)
RUNS: Final = (
    f"{RUNS_BEFORE} lineage: the answers it applied, and how each was asked for. before: what it "
    "moved, as it was. Both are kept as long as the answers. undone_by: the run that took it back."
)
QUARANTINE_BEFORE: Final = (
    "Rows that do not fit the documented shape, with their text, until resolved."
)
QUARANTINE: Final = (
    f"{QUARANTINE_BEFORE} resolved_by: the run that brought the row after all; none when a person "
    "dealt with it."
)


def upgrade() -> None:
    """Add what lineage, replay and undo need."""
    op.add_column("sync_runs", sa.Column("lineage", JSONB), schema="bank")
    op.add_column("sync_runs", sa.Column("before", JSONB), schema="bank")
    op.add_column("sync_runs", sa.Column("undone_at", sa.DateTime(timezone=True)), schema="bank")
    op.add_column("sync_runs", sa.Column("undone_by", UUID(as_uuid=False)), schema="bank")
    op.add_column("quarantine", sa.Column("resolved_by", UUID(as_uuid=False)), schema="bank")
    op.create_table_comment("sync_runs", RUNS, schema="bank")
    op.create_table_comment("quarantine", QUARANTINE, schema="bank")


def downgrade() -> None:
    """Forget where rows came from; the rows and their revisions stay."""
    op.create_table_comment("quarantine", QUARANTINE_BEFORE, schema="bank")
    op.create_table_comment("sync_runs", RUNS_BEFORE, schema="bank")
    op.drop_column("quarantine", "resolved_by", schema="bank")
    for name in ("undone_by", "undone_at", "before", "lineage"):
        op.drop_column("sync_runs", name, schema="bank")
