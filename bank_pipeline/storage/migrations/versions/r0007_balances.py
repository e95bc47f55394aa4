"""Which balances count and why, people's rules for them, and whether they go with the rows."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0007"
down_revision: Final[str | None] = "0006"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

TABLES: Final = (
    "balance_checks",
    "balance_checkpoints",
    "chosen_balances",
    "balance_rules",
    "balance_series",
)

COLUMNS: Final = """
SELECT a.id AS account_id, a.team_id, a.connection_id, c.provider, c.institution_name,
       c.status AS connection_status, a.external_id, a.name, a.official_name, a.type,
       a.provider_type, a.provider_subtype,
       {currency} AS currency,
       {unofficial} AS unofficial_currency,
       booked.amount AS booked_balance, booked.currency AS booked_balance_currency,
       coalesce(booked.as_of, booked.observed_at) AS booked_balance_as_of,
       available.amount AS available_balance, available.currency AS available_balance_currency,
       coalesce(available.as_of, available.observed_at) AS available_balance_as_of,
       credit.amount AS credit_limit, credit.currency AS credit_limit_currency,
       coalesce(credit.as_of, credit.observed_at) AS credit_limit_as_of,
       a.holder_name, a.is_business, a.created_at, a.updated_at, a.closed_at{more}
FROM bank.accounts a
JOIN bank.connections c ON c.id = a.connection_id
"""
MORE: Final = """,
       CASE WHEN coalesce(a.currency, a.unofficial_currency) IS NOT NULL THEN 'account'
            WHEN told.codes = 1 THEN 'balances'
            WHEN moved.codes = 1 THEN 'transactions' END AS currency_source,
       booked.provider_type AS booked_balance_type, booked.reason AS booked_balance_reason,
       booked.is_derived AS is_booked_balance_derived,
       booked.is_shown AS is_booked_balance_current,
       available.provider_type AS available_balance_type,
       available.is_credit_limit_included AS is_credit_limit_in_available"""
CHOSEN: Final = """
LEFT JOIN LATERAL (
    SELECT x.amount, x.reason, x.is_derived, x.is_credit_limit_included, b.provider_type,
           b.currency, b.unofficial_currency, b.as_of, b.observed_at,
           EXISTS (SELECT FROM bank.balance_series s
                   WHERE s.account_id = a.id AND s.balance_id = b.id AND s.is_shown) AS is_shown
    FROM bank.chosen_balances x JOIN bank.balances b ON b.id = x.balance_id
    WHERE x.account_id = a.id AND x.kind = '{kind}'
) {alias} ON true
"""
# An account whose bank names no currency has that of its balances, if all agree on one; where
# they name none, that of its rows, if all agree. Where they do not agree it stays unknown.
HEALED: Final = """
LEFT JOIN LATERAL (
    SELECT min(b.currency) AS currency, min(b.unofficial_currency) AS unofficial_currency,
           count(DISTINCT coalesce(b.currency, b.unofficial_currency)) AS codes
    FROM bank.balance_series s JOIN bank.balances b ON b.id = s.balance_id
    WHERE s.account_id = a.id AND s.is_shown
      AND coalesce(a.currency, a.unofficial_currency) IS NULL
) told ON true
LEFT JOIN LATERAL (
    SELECT min(t.currency) AS currency, min(t.unofficial_currency) AS unofficial_currency,
           count(DISTINCT coalesce(t.currency, t.unofficial_currency)) AS codes
    FROM bank.transactions t
    WHERE t.account_id = a.id AND t.removed_at IS NULL AND t.status IN ('booked', 'pending')
      AND coalesce(a.currency, a.unofficial_currency) IS NULL AND told.codes = 0
) moved ON true
"""
CURRENCY: Final = """coalesce(a.currency,
           CASE WHEN told.codes = 1 THEN told.currency END,
           CASE WHEN moved.codes = 1 THEN moved.currency END)"""
UNOFFICIAL: Final = """coalesce(a.unofficial_currency,
           CASE WHEN told.codes = 1 THEN told.unofficial_currency END,
           CASE WHEN moved.codes = 1 THEN moved.unofficial_currency END)"""

# As it was before: for the way back.
LATEST: Final = """
LEFT JOIN LATERAL (
    SELECT b.amount, b.currency, b.unofficial_currency, b.as_of, b.observed_at
    FROM bank.balances b
    WHERE b.account_id = a.id AND b.kind = '{kind}'
    ORDER BY (a.currency IS NOT NULL AND b.currency IS DISTINCT FROM a.currency), b.preference,
             b.observed_at DESC, b.id
    LIMIT 1
) {alias} ON true
"""
OLD_CURRENCY: Final = "coalesce(a.currency, booked.currency, available.currency)"
OLD_UNOFFICIAL: Final = "coalesce(a.unofficial_currency, booked.unofficial_currency)"
KINDS: Final = {"booked": "booked", "available": "available", "credit": "credit_limit"}

BALANCES: Final = """
CREATE {replacing} VIEW analytics.balances AS
SELECT b.id AS balance_id, b.team_id, a.connection_id, b.account_id, a.name AS account_name,
       b.kind, b.provider_type, b.amount, b.currency, b.unofficial_currency, b.as_of,
       b.as_of_date, b.is_credit_limit_included, b.observed_at{more}
FROM bank.balances b
JOIN bank.accounts a ON a.id = b.account_id
"""
IS_CURRENT: Final = """,
       EXISTS (SELECT FROM bank.balance_series s
               WHERE s.balance_id = b.id AND s.is_shown) AS is_current"""
CHECKS: Final = """
CREATE VIEW analytics.balance_checks AS
SELECT k.id AS balance_check_id, a.team_id, a.connection_id, c.provider, c.institution_name,
       k.account_id, a.name AS account_name, a.type AS account_type, k.provider_type, k.currency,
       k.unofficial_currency, k.expected, k.told, k.difference, k.first_difference, k.first_day,
       k.last_day, k.state, k.from_at, k.to_at, k.opened_at, k.confirmed_at, k.resolved_at
FROM bank.balance_checks k
JOIN bank.accounts a ON a.id = k.account_id
JOIN bank.connections c ON c.id = a.connection_id
"""
COMMENTS: Final = {
    "accounts": "Accounts with what counts of their balances, and why: see bank.chosen_balances. "
    "currency_source: who named the currency.",
    "balances": "Every balance as it was observed; a new row only where one changed. is_current: "
    "the newest of its type, and still told.",
    "balance_checks": "Balances that did not go with their rows. open: seen; confirmed: it "
    "stayed; resolved: gone. difference: told less expected, what is left of it.",
}
OLD_COMMENTS: Final = {
    "accounts": "Accounts with their newest booked and available balance and credit limit.",
    "balances": "Every balance as it was observed; a new row only where one changed.",
}

# What was chosen so far goes on to be, until the next sync chooses by the rules.
FILL_SERIES: Final = """
INSERT INTO bank.balance_series (account_id, provider_type, currency_code, balance_id, is_shown)
SELECT DISTINCT ON (b.account_id, b.provider_type, c.code)
       b.account_id, b.provider_type, c.code, b.id, true
FROM bank.balances b
CROSS JOIN LATERAL (SELECT coalesce(b.currency, b.unofficial_currency, '') AS code) AS c
ORDER BY b.account_id, b.provider_type, c.code, b.observed_at DESC, b.id DESC
"""
FILL_CHOSEN: Final = """
INSERT INTO bank.chosen_balances
    (account_id, kind, balance_id, amount, is_derived, is_credit_limit_included, reason, chosen_at)
SELECT DISTINCT ON (b.account_id, b.kind)
       b.account_id, b.kind, b.id, b.amount, false, b.is_credit_limit_included,
       'the most reliable of those told', b.observed_at
FROM bank.balance_series s
JOIN bank.balances b ON b.id = s.balance_id
JOIN bank.accounts a ON a.id = b.account_id
WHERE b.kind IN ('booked', 'available', 'credit_limit')
ORDER BY b.account_id, b.kind,
         (a.currency IS NOT NULL AND b.currency IS DISTINCT FROM a.currency), b.preference,
         b.observed_at DESC, b.id
"""


def upgrade() -> None:
    _create_series()
    _create_rules()
    _create_chosen()
    _create_checkpoints()
    _create_checks()
    op.execute(FILL_SERIES)
    op.execute(FILL_CHOSEN)
    op.execute(_accounts_view())
    op.execute(BALANCES.format(replacing="OR REPLACE", more=IS_CURRENT))
    op.execute(CHECKS)
    _comment(COMMENTS)


def downgrade() -> None:
    for view in COMMENTS:
        op.execute(f"DROP VIEW analytics.{view}")
    op.execute(BALANCES.format(replacing="", more=""))
    op.execute(_old_accounts_view())
    _comment(OLD_COMMENTS)
    for table in TABLES:
        op.drop_table(table, schema="bank")


def _accounts_view() -> str:
    columns = COLUMNS.format(currency=CURRENCY, unofficial=UNOFFICIAL, more=MORE)
    joins = [CHOSEN.format(kind=kind, alias=alias) for alias, kind in KINDS.items()]
    return f"CREATE OR REPLACE VIEW analytics.accounts AS {columns} {' '.join(joins)} {HEALED}"


def _old_accounts_view() -> str:
    columns = COLUMNS.format(currency=OLD_CURRENCY, unofficial=OLD_UNOFFICIAL, more="")
    joins = [LATEST.format(kind=kind, alias=alias) for alias, kind in KINDS.items()]
    return f"CREATE VIEW analytics.accounts AS {columns} {' '.join(joins)}"


def _comment(comments: dict[str, str]) -> None:
    for view, comment in comments.items():
        op.execute(f"COMMENT ON VIEW analytics.{view} IS '{comment}'")


def _account_key(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["account_id"], ["bank.accounts.id"], name=f"{table}_account_id_fkey", ondelete="CASCADE"
    )


def _balance_key(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["balance_id"], ["bank.balances.id"], name=f"{table}_balance_id_fkey", ondelete="CASCADE"
    )


def _index_balance(table: str) -> None:
    op.create_index(f"{table}_balance_id_idx", table, ["balance_id"], schema="bank")


def _create_series() -> None:
    op.create_table(
        "balance_series",
        sa.Column("account_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("provider_type", sa.Text, nullable=False),
        sa.Column("currency_code", sa.Text, nullable=False),
        sa.Column("balance_id", sa.BigInteger, nullable=False),
        sa.Column("is_shown", sa.Boolean, nullable=False),
        _account_key("balance_series"),
        _balance_key("balance_series"),
        sa.PrimaryKeyConstraint(
            "account_id", "provider_type", "currency_code", name="balance_series_pkey"
        ),
        schema="bank",
        comment="The newest snapshot of each type of balance in each currency ('': unknown). "
        "is_shown: the last whole answer about the account had it.",
    )
    _index_balance("balance_series")


def _create_rules() -> None:
    op.create_table(
        "balance_rules",
        sa.Column("account_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("booked_type", sa.Text),
        sa.Column("available_type", sa.Text),
        sa.Column("is_sign_flipped", sa.Boolean),
        sa.Column("is_limit_included", sa.Boolean),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        _account_key("balance_rules"),
        sa.PrimaryKeyConstraint("account_id", name="balance_rules_pkey"),
        schema="bank",
        comment="What people decided on an account's balances. A sync reads it and never writes "
        "it.",
    )


def _create_chosen() -> None:
    op.create_table(
        "chosen_balances",
        sa.Column("account_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("balance_id", sa.BigInteger, nullable=False),
        sa.Column("amount", sa.Numeric, nullable=False),
        sa.Column("is_derived", sa.Boolean, nullable=False),
        sa.Column("is_credit_limit_included", sa.Boolean),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("chosen_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('booked', 'available', 'credit_limit', 'opening', 'expected', 'information')",
            name="chosen_balances_kind_check",
        ),
        _account_key("chosen_balances"),
        _balance_key("chosen_balances"),
        sa.PrimaryKeyConstraint("account_id", "kind", name="chosen_balances_pkey"),
        schema="bank",
        comment="What counts as booked, available and credit limit of an account, and why. Made "
        "from balance_series and balance_rules; can be made anew at any time.",
    )
    _index_balance("chosen_balances")


def _create_checkpoints() -> None:
    op.create_table(
        "balance_checkpoints",
        sa.Column("account_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("provider_type", sa.Text, nullable=False),
        sa.Column("currency_code", sa.Text, nullable=False),
        sa.Column("rows_from", sa.Date, nullable=False),
        sa.Column("opening", sa.Numeric),
        sa.Column("seen_opening", sa.Numeric, nullable=False),
        sa.Column("seen_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agreed_told", sa.Numeric),
        sa.Column("agreed_day", sa.Date),
        sa.Column("agreed_at", sa.DateTime(timezone=True)),
        _account_key("balance_checkpoints"),
        sa.PrimaryKeyConstraint(
            "account_id", "provider_type", "currency_code", name="balance_checkpoints_pkey"
        ),
        schema="bank",
        comment="Where the roll-forward of one series stands: the balance before rows_from that "
        "its rows imply (opening; NULL: not known for sure yet), and what the last checks implied.",
    )


def _create_checks() -> None:
    op.create_table(
        "balance_checks",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("account_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("provider_type", sa.Text, nullable=False),
        sa.Column("currency", sa.Text),
        sa.Column("unofficial_currency", sa.Text),
        sa.Column("expected", sa.Numeric, nullable=False),
        sa.Column("told", sa.Numeric, nullable=False),
        sa.Column("difference", sa.Numeric, nullable=False),
        sa.Column("first_difference", sa.Numeric, nullable=False),
        sa.Column("first_day", sa.Date, nullable=False),
        sa.Column("last_day", sa.Date, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("to_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True)),
        sa.Column("resolved_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name="balance_checks_currency_check"),
        sa.CheckConstraint(
            "state IN ('open', 'confirmed', 'resolved')", name="balance_checks_state_check"
        ),
        _account_key("balance_checks"),
        sa.PrimaryKeyConstraint("id", name="balance_checks_pkey"),
        schema="bank",
        comment="Differences between what a bank tells as booked and what its rows come to. "
        "difference: told less expected, what is left of first_difference by now.",
    )
    op.create_index(
        "balance_checks_account_id_idx", "balance_checks", ["account_id"], schema="bank"
    )
