"""When a run was asked for, so that two sensors never ask for the same one."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0015"
down_revision: Final[str | None] = "0014"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

BEFORE: Final = (
    "One customer's consent for one institution. The Dagster partition key is the id. "
    "sync_requested_at: when somebody asked for a sync that has not begun."
)
ASKED: Final = " run_requested_at: when a run was last asked for because of a webhook or of that."


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.add_column("connections", sa.Column("run_requested_at", moment), schema="bank")
    op.create_table_comment("connections", BEFORE + ASKED, schema="bank")


def downgrade() -> None:
    op.create_table_comment("connections", BEFORE, schema="bank")
    op.drop_column("connections", "run_requested_at", schema="bank")
