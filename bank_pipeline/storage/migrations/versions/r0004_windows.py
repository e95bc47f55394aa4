"""Providers without a change feed: covered dates, counted calls, banks to choose from."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, UUID

revision: Final = "0004"
down_revision: Final[str | None] = "0003"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

INSTITUTIONS_COMMENT: Final = (
    "Banks, as a provider offers them. history_days_learned: what the bank gave when it refused "
    "more. popularity: how often it was linked here. removed_at: no longer offered."
)

# Of several balances of one kind: the account's own currency, then the provider's rank of its
# types, then the newest.
ACCOUNTS: Final = """
CREATE OR REPLACE VIEW analytics.accounts AS
SELECT a.id AS account_id, a.team_id, a.connection_id, c.provider, c.institution_name,
       c.status AS connection_status, a.external_id, a.name, a.official_name, a.type,
       a.provider_type, a.provider_subtype,
       coalesce(a.currency, booked.currency, available.currency) AS currency,
       coalesce(a.unofficial_currency, booked.unofficial_currency) AS unofficial_currency,
       booked.amount AS booked_balance, booked.currency AS booked_balance_currency,
       coalesce(booked.as_of, booked.observed_at) AS booked_balance_as_of,
       available.amount AS available_balance, available.currency AS available_balance_currency,
       coalesce(available.as_of, available.observed_at) AS available_balance_as_of,
       credit.amount AS credit_limit, credit.currency AS credit_limit_currency,
       coalesce(credit.as_of, credit.observed_at) AS credit_limit_as_of,
       a.holder_name, a.is_business, a.created_at, a.updated_at, a.closed_at
FROM bank.accounts a
JOIN bank.connections c ON c.id = a.connection_id
{booked} {available} {credit}
"""

LATEST: Final = """
LEFT JOIN LATERAL (
    SELECT b.amount, b.currency, b.unofficial_currency, b.as_of, b.observed_at
    FROM bank.balances b
    WHERE b.account_id = a.id AND b.kind = '{kind}'
    ORDER BY {order}
    LIMIT 1
) {alias} ON true
"""
BY_PREFERENCE: Final = (
    "(a.currency IS NOT NULL AND b.currency IS DISTINCT FROM a.currency), b.preference, "
    "b.observed_at DESC, b.id"
)
BY_AGE: Final = "b.observed_at DESC, b.id"

INSTITUTIONS: Final = """
CREATE VIEW analytics.institutions AS
SELECT provider, external_id AS institution_external_id, name, countries, bic, url, logo_url,
       is_beta, customer_kinds, history_days_max, history_days_learned, consent_days_max,
       popularity, fetched_at, removed_at
FROM bank.institutions
"""

COVERAGE: Final = """
CREATE VIEW analytics.account_coverage AS
SELECT a.team_id, a.connection_id, v.account_id, a.name AS account_name, v.first_day, v.last_day,
       v.updated_at
FROM bank.account_coverage v
JOIN bank.accounts a ON a.id = v.account_id
"""

COMMENTS: Final = {
    "institutions": "Banks that the providers offer, those no longer offered with removed_at.",
    "account_coverage": "Dates that complete answers have covered; dates between two ranges of "
    "one account are a gap. Accounts of a change feed have none.",
}


def upgrade() -> None:
    op.add_column("institutions", sa.Column("bic", sa.Text), schema="bank")
    op.add_column("institutions", sa.Column("logo_url", sa.Text), schema="bank")
    op.add_column("institutions", sa.Column("is_beta", sa.Boolean), schema="bank")
    kinds: sa.Column[Any] = sa.Column(
        "customer_kinds", ARRAY(sa.Text), nullable=False, server_default="{}"
    )
    op.add_column("institutions", kinds, schema="bank")
    op.add_column("institutions", sa.Column("history_days_learned", sa.Integer), schema="bank")
    popularity = sa.Column("popularity", sa.Integer, nullable=False, server_default="0")
    op.add_column("institutions", popularity, schema="bank")
    removed_at = sa.Column("removed_at", sa.DateTime(timezone=True))
    op.add_column("institutions", removed_at, schema="bank")
    op.create_table_comment("institutions", INSTITUTIONS_COMMENT, schema="bank")
    stable: sa.Column[Any] = sa.Column(
        "stable_external_ids", ARRAY(sa.Text), nullable=False, server_default="{}"
    )
    op.add_column("accounts", stable, schema="bank")
    op.execute(
        "UPDATE bank.accounts SET stable_external_ids = ARRAY[stable_external_id] "
        "WHERE stable_external_id IS NOT NULL"
    )
    op.drop_column("accounts", "stable_external_id", schema="bank")
    preference = sa.Column("preference", sa.Integer, nullable=False, server_default="0")
    op.add_column("balances", preference, schema="bank")
    refused = sa.Column("refused_beyond_days", sa.Integer)
    op.add_column("connections", refused, schema="bank")
    op.create_index(
        "transactions_unbooked_idx",
        "transactions",
        ["account_id", "transaction_date"],
        schema="bank",
        postgresql_where=sa.text("booking_date IS NULL AND removed_at IS NULL"),
    )
    op.add_column("link_sessions", sa.Column("return_fingerprint", BYTEA), schema="bank")
    op.add_column(
        "link_sessions",
        sa.Column(
            "connection_ids", ARRAY(UUID(as_uuid=False)), nullable=False, server_default="{}"
        ),
        schema="bank",
    )
    op.create_unique_constraint(
        "link_sessions_return_fingerprint_key",
        "link_sessions",
        ["return_fingerprint"],
        schema="bank",
    )
    _create_coverage()
    _create_calls()
    op.execute(_accounts_view(BY_PREFERENCE))
    op.execute(INSTITUTIONS)
    op.execute(COVERAGE)
    for view, comment in COMMENTS.items():
        op.execute(f"COMMENT ON VIEW analytics.{view} IS '{comment}'")


def downgrade() -> None:
    for view in reversed(COMMENTS):
        op.execute(f"DROP VIEW analytics.{view}")
    op.execute(_accounts_view(BY_AGE))
    op.drop_index("transactions_unbooked_idx", table_name="transactions", schema="bank")
    op.drop_column("connections", "refused_beyond_days", schema="bank")
    op.drop_column("link_sessions", "connection_ids", schema="bank")
    op.drop_column("link_sessions", "return_fingerprint", schema="bank")
    op.drop_table("provider_calls", schema="bank")
    op.drop_table("account_coverage", schema="bank")
    op.drop_column("balances", "preference", schema="bank")
    op.add_column("accounts", sa.Column("stable_external_id", sa.Text), schema="bank")
    op.execute("UPDATE bank.accounts SET stable_external_id = stable_external_ids[1]")
    op.drop_column("accounts", "stable_external_ids", schema="bank")
    op.create_table_comment("institutions", "Banks, as a provider offers them.", schema="bank")
    for name in (
        "removed_at",
        "popularity",
        "history_days_learned",
        "customer_kinds",
        "is_beta",
        "logo_url",
        "bic",
    ):
        op.drop_column("institutions", name, schema="bank")


def _create_coverage() -> None:
    op.create_table(
        "account_coverage",
        sa.Column("account_id", UUID(as_uuid=False), nullable=False),
        sa.Column("first_day", sa.Date, nullable=False),
        sa.Column("last_day", sa.Date, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "first_day", name="account_coverage_pkey"),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["bank.accounts.id"],
            name="account_coverage_account_id_fkey",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("first_day <= last_day", name="account_coverage_in_order_check"),
        schema="bank",
        comment="The dates of an account that complete answers have covered, both ends included. "
        "Ranges of one account neither overlap nor touch; what lies between them is a gap.",
    )


def _create_calls() -> None:
    op.create_table(
        "provider_calls",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("connection_id", UUID(as_uuid=False), nullable=False),
        sa.Column("account_external_id", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("is_scheduled", sa.Boolean, nullable=False),
        sa.Column("called_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("calls_left", sa.Integer),
        sa.Column("resets_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="provider_calls_pkey"),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["bank.connections.id"],
            name="provider_calls_connection_id_fkey",
            ondelete="CASCADE",
        ),
        schema="bank",
        comment="Calls that a provider counts, one row each, written before the call. No outcome: "
        "under way, or the process died; it counts. calls_left and resets_at: the provider's word.",
    )
    op.create_index(
        "provider_calls_recent_idx",
        "provider_calls",
        ["connection_id", "account_external_id", "scope", sa.text("called_at DESC")],
        schema="bank",
    )
    op.create_index("provider_calls_called_at_idx", "provider_calls", ["called_at"], schema="bank")


def _accounts_view(order: str) -> str:
    kinds = {"booked": "booked", "available": "available", "credit": "credit_limit"}
    joins = {
        alias: LATEST.format(kind=kind, alias=alias, order=order) for alias, kind in kinds.items()
    }
    return ACCOUNTS.format(**joins)
