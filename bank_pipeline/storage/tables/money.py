"""Accounts, what they hold, and how it moved."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, UUID

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.transaction import CounterpartyType, PaymentMethod, TransactionStatus
from bank_pipeline.storage.columns import (
    SCHEMA,
    amount,
    day,
    iso,
    moment,
    one_of,
    own_id,
    owner,
    ref,
    sealed_by,
    text,
)
from bank_pipeline.storage.tables.base import metadata

accounts = sa.Table(
    "accounts",
    metadata,
    own_id(),
    ref("team_id", "teams"),
    ref("connection_id", "connections"),
    text("external_id", nullable=False),
    text("name", nullable=False),
    text("official_name"),
    text("type", nullable=False),
    text("provider_type", nullable=False),
    text("provider_subtype"),
    text("currency"),
    text("unofficial_currency"),
    text("holder_name"),
    sa.Column("is_business", sa.Boolean),
    sa.Column("content_hash", BYTEA, nullable=False),
    moment("created_at", nullable=False),
    moment("updated_at", nullable=False),
    moment("closed_at"),
    text("moved_from"),
    moment("excluded_at"),
    sa.Column("numbers_ciphertext", BYTEA),
    sealed_by("numbers_key_id", nullable=True),
    sa.Column("number_fingerprints", ARRAY(BYTEA), nullable=False, server_default="{}"),
    text("masked_number"),
    one_of("type", AccountType),
    iso("currency"),
    sa.UniqueConstraint("connection_id", "external_id"),
    comment="Accounts. closed_at: since when a complete answer no longer shows it. moved_from: the "
    "provider under which its rows were named, until they are read under the account's new id. "
    "excluded_at: since when a person does not want it read. numbers_ciphertext: its numbers and "
    "ids that outlive a consent, sealed; number_fingerprints: by which the same are found again.",
)

account_coverage = sa.Table(
    "account_coverage",
    metadata,
    owner("account_id", "accounts"),
    sa.Column("first_day", sa.Date, primary_key=True),
    sa.Column("last_day", sa.Date, nullable=False),
    moment("updated_at", nullable=False),
    moment("begun_at", nullable=False),
    sa.CheckConstraint("first_day <= last_day", name="in_order"),
    comment="The dates of an account that complete answers have covered, both ends included. "
    "Ranges of one account neither overlap nor touch; what lies between them is a gap. "
    "begun_at: when the oldest part of a range came.",
)

balances = sa.Table(
    "balances",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    ref("team_id", "teams"),
    ref("account_id", "accounts"),
    text("kind", nullable=False),
    text("provider_type", nullable=False),
    amount("amount", nullable=False),
    text("currency"),
    text("unofficial_currency"),
    moment("as_of"),
    day("as_of_date"),
    sa.Column("is_credit_limit_included", sa.Boolean),
    moment("observed_at", nullable=False),
    sa.Column("sync_run_id", UUID(as_uuid=False), nullable=False),
    sa.Column("preference", sa.Integer, nullable=False, server_default="0"),
    one_of("kind", BalanceKind),
    iso("currency"),
    sa.Index("balances_latest_idx", "account_id", "provider_type", sa.text("observed_at DESC")),
    comment="Snapshots of balances. Append-only; one is added when it differs from the last.",
)

transactions = sa.Table(
    "transactions",
    metadata,
    own_id(),
    ref("team_id", "teams"),
    ref("account_id", "accounts"),
    text("external_id", nullable=False),
    text("pending_external_id"),
    text("status", nullable=False),
    amount("amount"),
    text("currency"),
    text("unofficial_currency"),
    day("booking_date"),
    day("value_date"),
    day("transaction_date"),
    moment("booked_at"),
    moment("transacted_at"),
    text("description", nullable=False),
    text("cleaned_description"),
    text("counterparty_name"),
    text("counterparty_type"),
    sa.Column("counterparty_identifiers", JSONB),
    text("merchant_name"),
    text("merchant_external_id"),
    text("merchant_website"),
    text("merchant_category_code"),
    text("payment_method"),
    text("payment_channel"),
    text("bank_transaction_code"),
    text("reference"),
    text("check_number"),
    text("category"),
    text("provider_category_primary"),
    text("provider_category_detailed"),
    text("provider_category_confidence"),
    text("provider_category_version"),
    amount("source_amount"),
    text("source_currency"),
    amount("exchange_rate"),
    amount("running_balance"),
    sa.Column("details", JSONB, nullable=False, server_default="{}"),
    sa.Column("content_hash", BYTEA, nullable=False),
    sa.Column("first_sync_run_id", UUID(as_uuid=False), nullable=False),
    sa.Column("last_sync_run_id", UUID(as_uuid=False), nullable=False),
    moment("created_at", nullable=False),
    moment("updated_at", nullable=False),
    moment("removed_at"),
    sa.Column(
        "suspected_duplicate_of",
        UUID(as_uuid=False),
        sa.ForeignKey(f"{SCHEMA}.transactions.id", ondelete="SET NULL"),
    ),
    text("duplicate_decision"),
    moment("duplicate_decided_at"),
    one_of("status", TransactionStatus),
    one_of("payment_method", PaymentMethod),
    one_of("counterparty_type", CounterpartyType),
    iso("currency"),
    iso("source_currency"),
    sa.CheckConstraint("status <> 'pending' OR booking_date IS NULL", name="pending_unbooked"),
    sa.CheckConstraint("duplicate_decision IN ('keep', 'drop')", name="duplicate_decision"),
    sa.UniqueConstraint("account_id", "external_id", deferrable=True),
    sa.Index(
        "transactions_suspected_duplicate_of_idx",
        "suspected_duplicate_of",
        postgresql_where=sa.text("suspected_duplicate_of IS NOT NULL"),
    ),
    sa.Index(
        "transactions_pending_external_id_idx",
        "account_id",
        "pending_external_id",
        postgresql_where=sa.text("pending_external_id IS NOT NULL"),
    ),
    sa.Index("transactions_booking_date_idx", "account_id", "booking_date"),
    sa.Index(
        "transactions_unbooked_idx",
        "account_id",
        "transaction_date",
        postgresql_where=sa.text("booking_date IS NULL AND removed_at IS NULL"),
    ),
    comment="One row per movement of money. The id outlives booking; removed_at is reversible. "
    "suspected_duplicate_of: written by syncs; duplicate_decision: a person's, never by a sync.",
)

transaction_revisions = sa.Table(
    "transaction_revisions",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    ref("transaction_id", "transactions", index=True),
    sa.Column("sync_run_id", UUID(as_uuid=False)),
    moment("at", nullable=False),
    sa.Column("changes", JSONB, nullable=False),
    text("reason"),
    comment="What each sync, or without one a person, changed in a stored row: "
    "{column: [from, to]}. reason: why, where it is not the bank's word alone. Append-only.",
)

transaction_annotations = sa.Table(
    "transaction_annotations",
    metadata,
    owner("transaction_id", "transactions"),
    text("category"),
    text("note"),
    sa.Column("tags", ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("is_hidden", sa.Boolean, nullable=False, server_default=sa.false()),
    moment("updated_at", nullable=False),
    comment="What people say of a transaction. A sync never reads or writes it.",
)
