"""Faults of ticks: a sensor or schedule that fails starts nothing, and nobody hears of a run."""

from collections.abc import Sequence
from typing import Final

from alembic import op

from bank_pipeline.storage.migrations.versions import r0014_webhook_refusals as r0014

revision: Final = "0021"
down_revision: Final[str | None] = "0020"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

SOURCES: Final = "source IN ('run', 'connections', 'check', 'webhooks', 'tick')"
COMMENT_BEFORE: Final = (
    "Failures of runs and checks, one row from the first until it clears. "
    "subject: the job or check. cause: the class of the failure."
)
COMMENT: Final = (
    "Failures of runs, checks and ticks, one row from the first until it clears. "
    "subject: the job, check, sensor or schedule. cause: the class of the failure."
)


def upgrade() -> None:
    _set(SOURCES, COMMENT)


def downgrade() -> None:
    op.execute("DELETE FROM bank.operator_faults WHERE source = 'tick'")
    _set(r0014.SOURCES, COMMENT_BEFORE)


def _set(sources: str, comment: str) -> None:
    op.drop_constraint(r0014.CHECK, "operator_faults", schema="bank")
    op.create_check_constraint(r0014.CHECK, "operator_faults", sources, schema="bank")
    op.create_table_comment("operator_faults", comment, schema="bank")
