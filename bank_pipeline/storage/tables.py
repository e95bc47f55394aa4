"""
The schema `bank` on a few pages: what each table holds and what keeps it true.

Conventions: ids are UUIDv7; times are timestamptz in UTC; dates are the bank's; amounts are
numeric without a scale, signed from the account holder; unknown is NULL. Enumerations are
text with a check, so that a new value is a migration of one line. Migrations build the real
tables; a test compares them with this page.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, UUID

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.connection import ConnectionStatus, HistoryStage, Provider
from bank_pipeline.domain.transaction import CounterpartyType, PaymentMethod, TransactionStatus

SCHEMA: Final = "bank"
NAMES: Final = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}
metadata = sa.MetaData(schema=SCHEMA, naming_convention=NAMES)


def _id() -> sa.Column[Any]:
    return sa.Column("id", UUID(as_uuid=False), primary_key=True)


def _ref(name: str, target: str, *, nullable: bool = False, index: bool = False) -> sa.Column[Any]:
    key = sa.ForeignKey(f"{SCHEMA}.{target}.id", ondelete="CASCADE")
    return sa.Column(name, UUID(as_uuid=False), key, nullable=nullable, index=index)


def _text(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _time(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _date(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Date)


def _amount(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.Numeric, nullable=nullable)


def _one_of(column: str, values: Iterable[StrEnum]) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def _iso(column: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{column} ~ '^[A-Z]{{3}}$'", name=column)


teams = sa.Table(
    "teams",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    _time("created_at", nullable=False),
    comment="Whose data it is. Everything else belongs to one team.",
)

institutions = sa.Table(
    "institutions",
    metadata,
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("external_id", sa.Text, primary_key=True),
    _text("name", nullable=False),
    sa.Column("countries", ARRAY(sa.Text), nullable=False),
    _text("url"),
    sa.Column("is_oauth", sa.Boolean),
    sa.Column("history_days_max", sa.Integer),
    sa.Column("consent_days_max", sa.Integer),
    _time("fetched_at", nullable=False),
    _one_of("provider", Provider),
    comment="Banks, as a provider offers them.",
)

connections = sa.Table(
    "connections",
    metadata,
    _id(),
    _ref("team_id", "teams", index=True),
    _text("provider", nullable=False),
    _text("external_id", nullable=False),
    _text("institution_external_id"),
    _text("institution_name"),
    _text("status", nullable=False),
    _text("status_reason"),
    _time("status_since", nullable=False),
    _text("history_stage", nullable=False),
    _text("cursor"),
    _time("consent_expires_at"),
    _time("next_attempt_at"),
    sa.Column("error_retries", sa.Integer, nullable=False, server_default="0"),
    _time("last_attempt_at"),
    _time("last_success_at"),
    _time("last_full_accounts_at"),
    _time("created_at", nullable=False),
    _one_of("provider", Provider),
    _one_of("status", ConnectionStatus),
    _one_of("history_stage", HistoryStage),
    sa.UniqueConstraint("provider", "external_id"),
    comment="One customer's consent for one institution. The Dagster partition key is the id.",
)

connection_events = sa.Table(
    "connection_events",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    _ref("connection_id", "connections", index=True),
    _time("at", nullable=False),
    _text("from_status"),
    _text("to_status", nullable=False),
    _text("reason"),
    sa.Column("sync_run_id", UUID(as_uuid=False)),
    comment="Every change of a connection's status. Append-only.",
)

credentials = sa.Table(
    "credentials",
    metadata,
    sa.Column(
        "connection_id",
        UUID(as_uuid=False),
        sa.ForeignKey(f"{SCHEMA}.connections.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("ciphertext", BYTEA, nullable=False),
    _text("key_id", nullable=False),
    _time("updated_at", nullable=False),
    comment="The secret that opens a connection, encrypted and bound to its connection.",
)

link_sessions = sa.Table(
    "link_sessions",
    metadata,
    _id(),
    _ref("team_id", "teams"),
    _text("provider", nullable=False),
    sa.Column("state_fingerprint", BYTEA, nullable=False, unique=True),
    sa.Column("state_ciphertext", BYTEA, nullable=False),
    _text("key_id", nullable=False),
    _ref("renews_connection_id", "connections", nullable=True),
    _text("outcome"),
    _time("created_at", nullable=False),
    _time("expires_at", nullable=False),
    _time("finished_at"),
    _one_of("provider", Provider),
    comment="Links under way: who started one, until the provider says how it ended.",
)

accounts = sa.Table(
    "accounts",
    metadata,
    _id(),
    _ref("team_id", "teams"),
    _ref("connection_id", "connections"),
    _text("external_id", nullable=False),
    _text("stable_external_id"),
    _text("name", nullable=False),
    _text("official_name"),
    _text("type", nullable=False),
    _text("provider_type", nullable=False),
    _text("provider_subtype"),
    _text("currency"),
    _text("unofficial_currency"),
    sa.Column("identifiers", JSONB, nullable=False, server_default="{}"),
    _text("holder_name"),
    sa.Column("is_business", sa.Boolean),
    sa.Column("content_hash", BYTEA, nullable=False),
    _time("created_at", nullable=False),
    _time("updated_at", nullable=False),
    _time("closed_at"),
    _one_of("type", AccountType),
    _iso("currency"),
    sa.UniqueConstraint("connection_id", "external_id"),
    comment="Accounts. closed_at: since when a complete answer no longer shows it.",
)

balances = sa.Table(
    "balances",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    _ref("team_id", "teams"),
    _ref("account_id", "accounts"),
    _text("kind", nullable=False),
    _text("provider_type", nullable=False),
    _amount("amount", nullable=False),
    _text("currency"),
    _text("unofficial_currency"),
    _time("as_of"),
    _date("as_of_date"),
    sa.Column("is_credit_limit_included", sa.Boolean),
    _time("observed_at", nullable=False),
    sa.Column("sync_run_id", UUID(as_uuid=False), nullable=False),
    _one_of("kind", BalanceKind),
    _iso("currency"),
    sa.Index("balances_latest_idx", "account_id", "provider_type", sa.text("observed_at DESC")),
    comment="Snapshots of balances. Append-only; one is added when it differs from the last.",
)

transactions = sa.Table(
    "transactions",
    metadata,
    _id(),
    _ref("team_id", "teams"),
    _ref("account_id", "accounts"),
    _text("external_id", nullable=False),
    _text("pending_external_id"),
    _text("status", nullable=False),
    _amount("amount"),
    _text("currency"),
    _text("unofficial_currency"),
    _date("booking_date"),
    _date("value_date"),
    _date("transaction_date"),
    _time("booked_at"),
    _time("transacted_at"),
    _text("description", nullable=False),
    _text("cleaned_description"),
    _text("counterparty_name"),
    _text("counterparty_type"),
    sa.Column("counterparty_identifiers", JSONB),
    _text("merchant_name"),
    _text("merchant_external_id"),
    _text("merchant_website"),
    _text("merchant_category_code"),
    _text("payment_method"),
    _text("payment_channel"),
    _text("bank_transaction_code"),
    _text("reference"),
    _text("check_number"),
    _text("category"),
    _text("provider_category_primary"),
    _text("provider_category_detailed"),
    _text("provider_category_confidence"),
    _text("provider_category_version"),
    _amount("source_amount"),
    _text("source_currency"),
    _amount("exchange_rate"),
    _amount("running_balance"),
    sa.Column("details", JSONB, nullable=False, server_default="{}"),
    sa.Column("content_hash", BYTEA, nullable=False),
    sa.Column("first_sync_run_id", UUID(as_uuid=False), nullable=False),
    sa.Column("last_sync_run_id", UUID(as_uuid=False), nullable=False),
    _time("created_at", nullable=False),
    _time("updated_at", nullable=False),
    _time("removed_at"),
    _one_of("status", TransactionStatus),
    _one_of("payment_method", PaymentMethod),
    _one_of("counterparty_type", CounterpartyType),
    _iso("currency"),
    _iso("source_currency"),
    sa.CheckConstraint("status <> 'pending' OR booking_date IS NULL", name="pending_unbooked"),
    sa.UniqueConstraint("account_id", "external_id"),
    sa.Index(
        "transactions_pending_external_id_idx",
        "account_id",
        "pending_external_id",
        postgresql_where=sa.text("pending_external_id IS NOT NULL"),
    ),
    sa.Index("transactions_booking_date_idx", "account_id", "booking_date"),
    comment="One row per movement of money. The id outlives booking; removed_at is reversible.",
)

transaction_revisions = sa.Table(
    "transaction_revisions",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    _ref("transaction_id", "transactions", index=True),
    sa.Column("sync_run_id", UUID(as_uuid=False), nullable=False),
    _time("at", nullable=False),
    sa.Column("changes", JSONB, nullable=False),
    comment="What each sync changed in a stored row: {column: [from, to]}. Append-only.",
)

transaction_annotations = sa.Table(
    "transaction_annotations",
    metadata,
    sa.Column(
        "transaction_id",
        UUID(as_uuid=False),
        sa.ForeignKey(f"{SCHEMA}.transactions.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    _text("category"),
    _text("note"),
    sa.Column("tags", ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("is_hidden", sa.Boolean, nullable=False, server_default=sa.false()),
    _time("updated_at", nullable=False),
    comment="What people say of a transaction. A sync never reads or writes it.",
)

sync_runs = sa.Table(
    "sync_runs",
    metadata,
    _id(),
    _ref("connection_id", "connections"),
    _text("reason", nullable=False),
    _text("dagster_run_id"),
    _time("started_at", nullable=False),
    _time("ended_at"),
    _text("outcome"),
    _text("error_class"),
    _text("error_code"),
    _text("request_id"),
    sa.Column("counts", JSONB, nullable=False, server_default="{}"),
    _time("next_attempt_at"),
    sa.Index("sync_runs_connection_id_idx", "connection_id", sa.text("started_at DESC")),
    comment="One row per sync of one connection. No outcome and no end: running, or killed.",
)

raw_payloads = sa.Table(
    "raw_payloads",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    _ref("connection_id", "connections"),
    sa.Column("sync_run_id", UUID(as_uuid=False), nullable=False, index=True),
    _text("operation", nullable=False),
    _text("request_id"),
    _time(
        "received_at",
        nullable=False,
    ),
    sa.Column("digest", BYTEA, nullable=False),
    sa.Column("body", BYTEA, nullable=False),
    sa.UniqueConstraint("connection_id", "operation", "digest"),
    comment="What the provider said, as it said it (zlib), for replay. Each answer once.",
)

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    _ref("connection_id", "connections"),
    sa.Column("sync_run_id", UUID(as_uuid=False), nullable=False),
    _text("operation", nullable=False),
    _text("external_id"),
    _text("reason", nullable=False),
    _text("raw", nullable=False),
    sa.Column("digest", BYTEA, nullable=False),
    _time("at", nullable=False),
    _time("resolved_at"),
    sa.UniqueConstraint("connection_id", "digest"),
    comment="Rows that do not fit the documented shape, with their text, until resolved.",
)

webhook_events = sa.Table(
    "webhook_events",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    _text("provider", nullable=False),
    _text("event_key", nullable=False),
    _text("kind", nullable=False),
    _text("code", nullable=False),
    _text("connection_external_id"),
    _time("received_at", nullable=False),
    _time("handled_at"),
    sa.Column("handled_by_sync_run_id", UUID(as_uuid=False)),
    _one_of("provider", Provider),
    sa.UniqueConstraint("provider", "event_key"),
    sa.Index(
        "webhook_events_unhandled_idx",
        "provider",
        "connection_external_id",
        postgresql_where=sa.text("handled_at IS NULL"),
    ),
    comment="The inbox: verified webhooks, stored before they are acknowledged.",
)
