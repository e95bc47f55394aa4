"""Webhooks that were refused, counted; and faults of webhooks."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0014"
down_revision: Final[str | None] = "0013"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

CHECK: Final = "operator_faults_source_check"
SOURCES_BEFORE: Final = "source IN ('run', 'connections', 'check')"
SOURCES: Final = "source IN ('run', 'connections', 'check', 'webhooks')"
REFUSALS: Final = (
    "refusal IN ('unsigned', 'malformed', 'wrong_algorithm', 'unknown_key', 'too_many_keys', "
    "'key_unavailable', 'too_busy', 'bad_signature', 'altered_body', 'stale', 'from_the_future', "
    "'too_large', 'too_slow', 'broken_off', 'not_set_up')"
)
PROVIDERS: Final = "provider IN ('plaid', 'gocardless', 'teller', 'enable_banking')"


def upgrade() -> None:
    op.create_table(
        "webhook_refusals",
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("refusal", sa.Text, nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("times", sa.BigInteger, nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("provider", "refusal", "hour", name="webhook_refusals_pkey"),
        sa.CheckConstraint(PROVIDERS, name="webhook_refusals_provider_check"),
        sa.CheckConstraint(REFUSALS, name="webhook_refusals_refusal_check"),
        schema="bank",
        comment="Webhooks that were not believed: a row per provider, reason and hour, however "
        "many came. Nothing of what they held is kept.",
    )
    op.drop_constraint(CHECK, "operator_faults", schema="bank")
    op.create_check_constraint(CHECK, "operator_faults", SOURCES, schema="bank")


def downgrade() -> None:
    op.execute("DELETE FROM bank.operator_faults WHERE source = 'webhooks'")
    op.drop_constraint(CHECK, "operator_faults", schema="bank")
    op.create_check_constraint(CHECK, "operator_faults", SOURCES_BEFORE, schema="bank")
    op.drop_table("webhook_refusals", schema="bank")
