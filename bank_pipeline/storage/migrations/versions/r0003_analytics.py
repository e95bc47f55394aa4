"""Views for analysts: stable names, live rows, no secrets, no cursors."""

from collections.abc import Sequence
from typing import Final

from alembic import op

revision: Final = "0003"
down_revision: Final[str | None] = "0002"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

CONNECTIONS: Final = """
CREATE VIEW analytics.connections AS
SELECT c.id AS connection_id, c.team_id, t.name AS team_name, c.provider, c.external_id,
       c.institution_external_id, c.institution_name, c.status, c.status_reason,
       c.status_since, c.history_stage, c.consent_expires_at, c.next_attempt_at,
       c.error_retries, c.last_attempt_at, c.last_success_at, c.created_at
FROM bank.connections c
JOIN bank.teams t ON t.id = c.team_id
"""

BALANCES: Final = """
CREATE VIEW analytics.balances AS
SELECT b.id AS balance_id, b.team_id, a.connection_id, b.account_id, a.name AS account_name,
       b.kind, b.provider_type, b.amount, b.currency, b.unofficial_currency, b.as_of,
       b.as_of_date, b.is_credit_limit_included, b.observed_at
FROM bank.balances b
JOIN bank.accounts a ON a.id = b.account_id
"""

# Of several balances of one kind the newest counts, then the one the bank listed first.
ACCOUNTS: Final = """
CREATE VIEW analytics.accounts AS
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
    ORDER BY b.observed_at DESC, b.id
    LIMIT 1
) {alias} ON true
"""

# Only what counts as money: vanished, scheduled, cancelled and rejected rows would be summed.
TRANSACTIONS: Final = """
CREATE VIEW analytics.transactions AS
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
       t.running_balance, n.note, coalesce(n.tags, '{}') AS tags,
       coalesce(n.is_hidden, false) AS is_hidden, t.created_at, t.updated_at
FROM bank.transactions t
JOIN bank.accounts a ON a.id = t.account_id
JOIN bank.connections c ON c.id = a.connection_id
LEFT JOIN bank.transaction_annotations n ON n.transaction_id = t.id
WHERE t.removed_at IS NULL AND t.status IN ('booked', 'pending')
"""

COMMENTS: Final = {
    "connections": "Connections with their state. No cursor, no secret.",
    "accounts": "Accounts with their newest booked and available balance and credit limit.",
    "balances": "Every balance as it was observed; a new row only where one changed.",
    "transactions": "Money that moved or is about to: booked and pending, not removed. "
    "Positive is money in. date: booked, else value, else transaction date.",
}


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS analytics")
    op.execute(CONNECTIONS)
    op.execute(BALANCES)
    kinds = {"booked": "booked", "available": "available", "credit": "credit_limit"}
    joins = {alias: LATEST.format(kind=kind, alias=alias) for alias, kind in kinds.items()}
    op.execute(ACCOUNTS.format(**joins))
    op.execute(TRANSACTIONS)
    for view, comment in COMMENTS.items():
        op.execute(f"COMMENT ON VIEW analytics.{view} IS '{comment}'")


def downgrade() -> None:
    for view in reversed(COMMENTS):
        op.execute(f"DROP VIEW analytics.{view}")
    op.execute("DROP SCHEMA analytics")
