"""Names that rows may swap, rows that may be one, and what people decided of them."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision: Final = "0005"
down_revision: Final[str | None] = "0004"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

NAMES_KEY: Final = "transactions_account_id_external_id_key"

TRANSACTIONS_COMMENT: Final = (
    "One row per movement of money. The id outlives booking; removed_at is reversible."
)
DUPLICATES_COMMENT: Final = (
    " suspected_duplicate_of: written by syncs; duplicate_decision: a person's, never by a sync."
)
REVISIONS_COMMENT_BEFORE: Final = (
    "What each sync changed in a stored row: {column: [from, to]}. Append-only."
)
REVISIONS_COMMENT: Final = (
    "What each sync, or without one a person, changed in a stored row: {column: [from, to]}. "
    "reason: why, where it is not the bank's word alone. Append-only."
)

# Only what counts as money: vanished, scheduled, cancelled and rejected rows would be summed.
# A doubt is shown while nobody decided, and while the row that it is about is there.
TRANSACTIONS: Final = """
CREATE OR REPLACE VIEW analytics.transactions AS
SELECT t.id AS transaction_id, t.team_id, a.connection_id, c.provider, c.institution_name,
       t.account_id, a.name AS account_name, a.type AS account_type, t.external_id, t.status,
       coalesce(t.booking_date, t.value_date, t.transaction_date) AS date,
       t.amount, t.currency, t.unofficial_currency, t.booking_date, t.value_date,
       t.transaction_date, t.booked_at, t.transacted_at, t.description, t.cleaned_description,
       t.counterparty_name, t.counterparty_type, t.merchant_name, t.merchant_website,
       t.merchant_category_code, t.payment_method, t.payment_channel, t.reference,
       t.check_number, coalesce(n.category, t.category) AS category,
       t.provider_category_primary, t.provider_category_detailed,
       t.provider_category_confidence, t.source_amount, t.source_currency, t.exchange_rate,
       t.running_balance, n.note, coalesce(n.tags, '{{}}') AS tags,
       coalesce(n.is_hidden, false) AS is_hidden, t.created_at, t.updated_at{suspected}
FROM bank.transactions t
JOIN bank.accounts a ON a.id = t.account_id
JOIN bank.connections c ON c.id = a.connection_id
LEFT JOIN bank.transaction_annotations n ON n.transaction_id = t.id
{twin}
WHERE t.removed_at IS NULL AND t.status IN ('booked', 'pending')
"""
SUSPECTED: Final = ", twin.id AS suspected_duplicate_of"
TWIN: Final = """
LEFT JOIN bank.transactions twin ON twin.id = t.suspected_duplicate_of
     AND twin.removed_at IS NULL AND t.duplicate_decision IS NULL
"""
VIEW_COMMENT_BEFORE: Final = (
    "Money that moved or is about to: booked and pending, not removed. "
    "Positive is money in. date: booked, else value, else transaction date."
)
VIEW_COMMENT: Final = (
    " suspected_duplicate_of: the row that this one may be once more, as long as nobody decided."
)


def upgrade() -> None:
    _replace_names_key(deferrable=True)
    for column in (
        sa.Column("suspected_duplicate_of", UUID(as_uuid=False)),
        sa.Column("duplicate_decision", sa.Text),
        sa.Column("duplicate_decided_at", sa.DateTime(timezone=True)),
    ):
        op.add_column("transactions", column, schema="bank")
    op.create_foreign_key(
        "transactions_suspected_duplicate_of_fkey",
        "transactions",
        "transactions",
        ["suspected_duplicate_of"],
        ["id"],
        source_schema="bank",
        referent_schema="bank",
        ondelete="SET NULL",
    )
    op.create_check_constraint(
        "transactions_duplicate_decision_check",
        "transactions",
        "duplicate_decision IN ('keep', 'drop')",
        schema="bank",
    )
    op.create_index(
        "transactions_suspected_duplicate_of_idx",
        "transactions",
        ["suspected_duplicate_of"],
        schema="bank",
        postgresql_where=sa.text("suspected_duplicate_of IS NOT NULL"),
    )
    op.create_table_comment(
        "transactions", TRANSACTIONS_COMMENT + DUPLICATES_COMMENT, schema="bank"
    )
    op.add_column("transaction_revisions", sa.Column("reason", sa.Text), schema="bank")
    op.alter_column("transaction_revisions", "sync_run_id", nullable=True, schema="bank")
    op.create_table_comment("transaction_revisions", REVISIONS_COMMENT, schema="bank")
    op.execute(TRANSACTIONS.format(suspected=SUSPECTED, twin=TWIN))
    _comment_view(VIEW_COMMENT_BEFORE + VIEW_COMMENT)


def downgrade() -> None:
    """What people dropped stays removed; that they did so is forgotten."""
    op.execute("DROP VIEW analytics.transactions")
    op.execute(TRANSACTIONS.format(suspected="", twin=""))
    _comment_view(VIEW_COMMENT_BEFORE)
    op.execute("DELETE FROM bank.transaction_revisions WHERE sync_run_id IS NULL")
    op.alter_column("transaction_revisions", "sync_run_id", nullable=False, schema="bank")
    op.drop_column("transaction_revisions", "reason", schema="bank")
    op.create_table_comment("transaction_revisions", REVISIONS_COMMENT_BEFORE, schema="bank")
    for name in ("duplicate_decided_at", "duplicate_decision", "suspected_duplicate_of"):
        op.drop_column("transactions", name, schema="bank")
    op.create_table_comment("transactions", TRANSACTIONS_COMMENT, schema="bank")
    _replace_names_key(deferrable=False)


def _replace_names_key(*, deferrable: bool) -> None:
    op.drop_constraint(NAMES_KEY, "transactions", schema="bank")
    op.create_unique_constraint(
        NAMES_KEY,
        "transactions",
        ["account_id", "external_id"],
        schema="bank",
        deferrable=deferrable or None,
    )


def _comment_view(comment: str) -> None:
    quoted = comment.replace("'", "''")
    op.execute(f"COMMENT ON VIEW analytics.transactions IS '{quoted}'")
