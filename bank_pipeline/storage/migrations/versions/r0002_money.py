"""Tables of accounts, balances and transactions."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB

revision: Final = "0002"
down_revision: Final[str | None] = "0001"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

SCHEMA: Final = "bank"


def upgrade() -> None:
    _create_accounts()
    _create_balances()
    _create_transactions()
    _create_transaction_revisions()
    _create_transaction_annotations()


def downgrade() -> None:
    for table in (
        "transaction_annotations",
        "transaction_revisions",
        "transactions",
        "balances",
        "accounts",
    ):
        op.drop_table(table, schema=SCHEMA)


def _create_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("team_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("connection_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("stable_external_id", sa.Text),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("official_name", sa.Text),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("provider_type", sa.Text, nullable=False),
        sa.Column("provider_subtype", sa.Text),
        sa.Column("currency", sa.Text),
        sa.Column("unofficial_currency", sa.Text),
        sa.Column("identifiers", JSONB, server_default="{}", nullable=False),
        sa.Column("holder_name", sa.Text),
        sa.Column("is_business", sa.Boolean),
        sa.Column("content_hash", BYTEA, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name="accounts_currency_check"),
        sa.CheckConstraint(
            "type IN ('checking', 'savings', 'cash_management', 'prepaid', 'credit_card', "
            "'line_of_credit', 'loan', 'mortgage', 'investment', 'pension', 'insurance', "
            "'crypto', 'other')",
            name="accounts_type_check",
        ),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["bank.connections.id"],
            name="accounts_connection_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["team_id"], ["bank.teams.id"], name="accounts_team_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="accounts_pkey"),
        sa.UniqueConstraint(
            "connection_id", "external_id", name="accounts_connection_id_external_id_key"
        ),
        schema=SCHEMA,
        comment="Accounts. closed_at: since when a complete answer no longer shows it.",
    )


def _create_balances() -> None:
    op.create_table(
        "balances",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("team_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("account_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("provider_type", sa.Text, nullable=False),
        sa.Column("amount", sa.Numeric, nullable=False),
        sa.Column("currency", sa.Text),
        sa.Column("unofficial_currency", sa.Text),
        sa.Column("as_of", sa.DateTime(timezone=True)),
        sa.Column("as_of_date", sa.Date),
        sa.Column("is_credit_limit_included", sa.Boolean),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sync_run_id", sa.UUID(as_uuid=False), nullable=False),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name="balances_currency_check"),
        sa.CheckConstraint(
            "kind IN ('booked', 'available', 'credit_limit', 'opening', 'expected', 'information')",
            name="balances_kind_check",
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["bank.accounts.id"],
            name="balances_account_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["team_id"], ["bank.teams.id"], name="balances_team_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="balances_pkey"),
        schema=SCHEMA,
        comment="Snapshots of balances. Append-only; one is added when it differs from the last.",
    )
    op.create_index(
        "balances_latest_idx",
        "balances",
        ["account_id", "provider_type", sa.literal_column("observed_at DESC")],
        schema=SCHEMA,
    )


def _create_transactions() -> None:
    op.create_table(
        "transactions",
        sa.Column("id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("team_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("account_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("pending_external_id", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("amount", sa.Numeric),
        sa.Column("currency", sa.Text),
        sa.Column("unofficial_currency", sa.Text),
        sa.Column("booking_date", sa.Date),
        sa.Column("value_date", sa.Date),
        sa.Column("transaction_date", sa.Date),
        sa.Column("booked_at", sa.DateTime(timezone=True)),
        sa.Column("transacted_at", sa.DateTime(timezone=True)),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("cleaned_description", sa.Text),
        *_descriptive_columns(),
        sa.Column("content_hash", BYTEA, nullable=False),
        sa.Column("first_sync_run_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("last_sync_run_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True)),
        *_transaction_constraints(),
        schema=SCHEMA,
        comment="One row per movement of money. The id outlives booking; removed_at is reversible.",
    )
    op.create_index(
        "transactions_booking_date_idx",
        "transactions",
        ["account_id", "booking_date"],
        schema=SCHEMA,
    )
    op.create_index(
        "transactions_pending_external_id_idx",
        "transactions",
        ["account_id", "pending_external_id"],
        schema=SCHEMA,
        postgresql_where=sa.text("pending_external_id IS NOT NULL"),
    )


def _transaction_constraints() -> list[sa.Constraint]:
    return [
        sa.CheckConstraint(
            "counterparty_type IN ('merchant', 'financial_institution', 'payment_app', "
            "'marketplace', 'payment_terminal', 'income_source', 'person', 'organisation', "
            "'other')",
            name="transactions_counterparty_type_check",
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name="transactions_currency_check"),
        sa.CheckConstraint(
            "payment_method IN ('card', 'transfer', 'direct_debit', 'standing_order', "
            "'bill_payment', 'cash', 'cheque', 'fee', 'interest', 'adjustment', 'refund', "
            "'payment_app', 'other')",
            name="transactions_payment_method_check",
        ),
        sa.CheckConstraint(
            "source_currency ~ '^[A-Z]{3}$'", name="transactions_source_currency_check"
        ),
        sa.CheckConstraint(
            "status <> 'pending' OR booking_date IS NULL",
            name="transactions_pending_unbooked_check",
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'booked', 'vanished', 'scheduled', 'cancelled', "
            "'rejected', 'information')",
            name="transactions_status_check",
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["bank.accounts.id"],
            name="transactions_account_id_fkey",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["team_id"], ["bank.teams.id"], name="transactions_team_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="transactions_pkey"),
        sa.UniqueConstraint(
            "account_id", "external_id", name="transactions_account_id_external_id_key"
        ),
    ]


def _descriptive_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("counterparty_name", sa.Text),
        sa.Column("counterparty_type", sa.Text),
        sa.Column("counterparty_identifiers", JSONB),
        sa.Column("merchant_name", sa.Text),
        sa.Column("merchant_external_id", sa.Text),
        sa.Column("merchant_website", sa.Text),
        sa.Column("merchant_category_code", sa.Text),
        sa.Column("payment_method", sa.Text),
        sa.Column("payment_channel", sa.Text),
        sa.Column("bank_transaction_code", sa.Text),
        sa.Column("reference", sa.Text),
        sa.Column("check_number", sa.Text),
        sa.Column("category", sa.Text),
        sa.Column("provider_category_primary", sa.Text),
        sa.Column("provider_category_detailed", sa.Text),
        sa.Column("provider_category_confidence", sa.Text),
        sa.Column("provider_category_version", sa.Text),
        sa.Column("source_amount", sa.Numeric),
        sa.Column("source_currency", sa.Text),
        sa.Column("exchange_rate", sa.Numeric),
        sa.Column("running_balance", sa.Numeric),
        sa.Column("details", JSONB, server_default="{}", nullable=False),
    ]


def _create_transaction_revisions() -> None:
    op.create_table(
        "transaction_revisions",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("transaction_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("sync_run_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changes", JSONB, nullable=False),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["bank.transactions.id"],
            name="transaction_revisions_transaction_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="transaction_revisions_pkey"),
        schema=SCHEMA,
        comment="What each sync changed in a stored row: {column: [from, to]}. Append-only.",
    )
    op.create_index(
        "transaction_revisions_transaction_id_idx",
        "transaction_revisions",
        ["transaction_id"],
        schema=SCHEMA,
    )


def _create_transaction_annotations() -> None:
    op.create_table(
        "transaction_annotations",
        sa.Column("transaction_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("category", sa.Text),
        sa.Column("note", sa.Text),
        sa.Column("tags", ARRAY(sa.Text), server_default="{}", nullable=False),
        sa.Column("is_hidden", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["bank.transactions.id"],
            name="transaction_annotations_transaction_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("transaction_id", name="transaction_annotations_pkey"),
        schema=SCHEMA,
        comment="What people say of a transaction. A sync never reads or writes it.",
    )
