"""
The schema `bank` on a few pages: what each table holds and what keeps it true.

Conventions: ids are UUIDv7; times are timestamptz in UTC; dates are the bank's; amounts are
numeric without a scale, signed from the account holder; unknown is NULL. Enumerations are
text with a check, so that a new value is a migration of one line. Migrations build the real
tables; a test compares them with this page.
"""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, UUID

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.connection import ConnectionStatus, HistoryStage, Provider
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
    text,
)

NAMES: Final = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}
metadata = sa.MetaData(schema=SCHEMA, naming_convention=NAMES)


teams = sa.Table(
    "teams",
    metadata,
    own_id(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    moment("created_at", nullable=False),
    comment="Whose data it is. Everything else belongs to one team.",
)

institutions = sa.Table(
    "institutions",
    metadata,
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("external_id", sa.Text, primary_key=True),
    text("name", nullable=False),
    sa.Column("countries", ARRAY(sa.Text), nullable=False),
    text("url"),
    sa.Column("is_oauth", sa.Boolean),
    sa.Column("history_days_max", sa.Integer),
    sa.Column("consent_days_max", sa.Integer),
    moment("fetched_at", nullable=False),
    text("bic"),
    text("logo_url"),
    sa.Column("is_beta", sa.Boolean),
    sa.Column("customer_kinds", ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("history_days_learned", sa.Integer),
    sa.Column("popularity", sa.Integer, nullable=False, server_default="0"),
    moment("removed_at"),
    one_of("provider", Provider),
    comment="Banks, as a provider offers them. history_days_learned: what the bank gave when "
    "it refused more. popularity: how often it was linked here. removed_at: no longer offered.",
)

connections = sa.Table(
    "connections",
    metadata,
    own_id(),
    ref("team_id", "teams", index=True),
    text("provider", nullable=False),
    text("external_id", nullable=False),
    text("institution_external_id"),
    text("institution_name"),
    text("status", nullable=False),
    text("status_reason"),
    moment("status_since", nullable=False),
    text("history_stage", nullable=False),
    text("cursor"),
    moment("consent_expires_at"),
    moment("next_attempt_at"),
    sa.Column("error_retries", sa.Integer, nullable=False, server_default="0"),
    moment("last_attempt_at"),
    moment("last_success_at"),
    moment("last_full_accounts_at"),
    moment("created_at", nullable=False),
    sa.Column("refused_beyond_days", sa.Integer),
    one_of("provider", Provider),
    one_of("status", ConnectionStatus),
    one_of("history_stage", HistoryStage),
    sa.UniqueConstraint("provider", "external_id"),
    comment="One customer's consent for one institution. The Dagster partition key is the id.",
)

connection_events = sa.Table(
    "connection_events",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    ref("connection_id", "connections", index=True),
    moment("at", nullable=False),
    text("from_status"),
    text("to_status", nullable=False),
    text("reason"),
    sa.Column("sync_run_id", UUID(as_uuid=False)),
    comment="Every change of a connection's status. Append-only.",
)

credentials = sa.Table(
    "credentials",
    metadata,
    owner("connection_id", "connections"),
    sa.Column("ciphertext", BYTEA, nullable=False),
    text("key_id", nullable=False),
    moment("updated_at", nullable=False),
    comment="The secret that opens a connection, encrypted and bound to its connection.",
)

link_sessions = sa.Table(
    "link_sessions",
    metadata,
    own_id(),
    ref("team_id", "teams"),
    text("provider", nullable=False),
    sa.Column("state_fingerprint", BYTEA, nullable=False, unique=True),
    sa.Column("state_ciphertext", BYTEA, nullable=False),
    text("key_id", nullable=False),
    ref("renews_connection_id", "connections", nullable=True),
    text("outcome"),
    moment("created_at", nullable=False),
    moment("expires_at", nullable=False),
    moment("finished_at"),
    sa.Column("return_fingerprint", BYTEA, unique=True),
    sa.Column("connection_ids", ARRAY(UUID(as_uuid=False)), nullable=False, server_default="{}"),
    one_of("provider", Provider),
    comment="Links under way: who started one, until the provider says how it ended.",
)

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
    sa.Column("identifiers", JSONB, nullable=False, server_default="{}"),
    text("holder_name"),
    sa.Column("is_business", sa.Boolean),
    sa.Column("content_hash", BYTEA, nullable=False),
    moment("created_at", nullable=False),
    moment("updated_at", nullable=False),
    moment("closed_at"),
    sa.Column("stable_external_ids", ARRAY(sa.Text), nullable=False, server_default="{}"),
    one_of("type", AccountType),
    iso("currency"),
    sa.UniqueConstraint("connection_id", "external_id"),
    comment="Accounts. closed_at: since when a complete answer no longer shows it.",
)

account_coverage = sa.Table(
    "account_coverage",
    metadata,
    owner("account_id", "accounts"),
    sa.Column("first_day", sa.Date, primary_key=True),
    sa.Column("last_day", sa.Date, nullable=False),
    moment("updated_at", nullable=False),
    sa.CheckConstraint("first_day <= last_day", name="in_order"),
    comment="The dates of an account that complete answers have covered, both ends included. "
    "Ranges of one account neither overlap nor touch; what lies between them is a gap.",
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
    one_of("status", TransactionStatus),
    one_of("payment_method", PaymentMethod),
    one_of("counterparty_type", CounterpartyType),
    iso("currency"),
    iso("source_currency"),
    sa.CheckConstraint("status <> 'pending' OR booking_date IS NULL", name="pending_unbooked"),
    sa.UniqueConstraint("account_id", "external_id"),
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
    comment="One row per movement of money. The id outlives booking; removed_at is reversible.",
)

transaction_revisions = sa.Table(
    "transaction_revisions",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    ref("transaction_id", "transactions", index=True),
    sa.Column("sync_run_id", UUID(as_uuid=False), nullable=False),
    moment("at", nullable=False),
    sa.Column("changes", JSONB, nullable=False),
    comment="What each sync changed in a stored row: {column: [from, to]}. Append-only.",
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

sync_runs = sa.Table(
    "sync_runs",
    metadata,
    own_id(),
    ref("connection_id", "connections"),
    text("reason", nullable=False),
    text("dagster_run_id"),
    moment("started_at", nullable=False),
    moment("ended_at"),
    text("outcome"),
    text("error_class"),
    text("error_code"),
    text("request_id"),
    sa.Column("counts", JSONB, nullable=False, server_default="{}"),
    moment("next_attempt_at"),
    sa.Index("sync_runs_connection_id_idx", "connection_id", sa.text("started_at DESC")),
    comment="One row per sync of one connection. No outcome and no end: running, or killed.",
)

provider_calls = sa.Table(
    "provider_calls",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    ref("connection_id", "connections"),
    text("account_external_id", nullable=False),
    text("scope", nullable=False),
    sa.Column("is_scheduled", sa.Boolean, nullable=False),
    moment("called_at", nullable=False),
    text("outcome"),
    sa.Column("calls_left", sa.Integer),
    moment("resets_at"),
    sa.Index(
        "provider_calls_recent_idx",
        "connection_id",
        "account_external_id",
        "scope",
        sa.text("called_at DESC"),
    ),
    sa.Index("provider_calls_called_at_idx", "called_at"),
    comment="Calls that a provider counts, one row each, written before the call. No outcome: "
    "under way, or the process died; it counts. calls_left and resets_at: the provider's word.",
)

raw_payloads = sa.Table(
    "raw_payloads",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    ref("connection_id", "connections"),
    sa.Column("sync_run_id", UUID(as_uuid=False), nullable=False, index=True),
    text("operation", nullable=False),
    text("request_id"),
    moment("received_at", nullable=False),
    sa.Column("digest", BYTEA, nullable=False),
    sa.Column("body", BYTEA, nullable=False),
    sa.UniqueConstraint("connection_id", "operation", "digest"),
    comment="What the provider said, as it said it (zlib), for replay. Each answer once.",
)

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    ref("connection_id", "connections"),
    sa.Column("sync_run_id", UUID(as_uuid=False), nullable=False),
    text("operation", nullable=False),
    text("external_id"),
    text("reason", nullable=False),
    text("raw", nullable=False),
    sa.Column("digest", BYTEA, nullable=False),
    moment("at", nullable=False),
    moment("resolved_at"),
    sa.UniqueConstraint("connection_id", "digest"),
    comment="Rows that do not fit the documented shape, with their text, until resolved.",
)

webhook_events = sa.Table(
    "webhook_events",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    text("provider", nullable=False),
    text("event_key", nullable=False),
    text("kind", nullable=False),
    text("code", nullable=False),
    text("connection_external_id"),
    moment("received_at", nullable=False),
    moment("handled_at"),
    sa.Column("handled_by_sync_run_id", UUID(as_uuid=False)),
    one_of("provider", Provider),
    sa.UniqueConstraint("provider", "event_key"),
    sa.Index(
        "webhook_events_unhandled_idx",
        "provider",
        "connection_external_id",
        postgresql_where=sa.text("handled_at IS NULL"),
    ),
    comment="The inbox: verified webhooks, stored before they are acknowledged.",
)
