"""Whose row it is, on every row; references stay within a team; logins of analysts."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

from bank_pipeline.storage.migrations.versions import r0004_windows

revision: Final = "0017"
down_revision: Final[str | None] = "0016"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

PARENTS: Final = ("connections", "accounts", "balances", "transactions")
HAD_A_TEAM: Final = ("accounts", "balances", "transactions")
"""Of these, whose row it is now comes with the reference to their parent."""

PARTS: Final = (
    ("account_coverage", "account_id", "accounts"),
    ("account_questions", "connection_id", "connections"),
    ("accounts", "connection_id", "connections"),
    ("balance_checkpoints", "account_id", "accounts"),
    ("balance_checks", "account_id", "accounts"),
    ("balance_rules", "account_id", "accounts"),
    ("balance_series", "account_id", "accounts"),
    ("balance_series", "balance_id", "balances"),
    ("balances", "account_id", "accounts"),
    ("chosen_balances", "account_id", "accounts"),
    ("chosen_balances", "balance_id", "balances"),
    ("connection_events", "connection_id", "connections"),
    ("consents_to_end", "connection_id", "connections"),
    ("credentials", "connection_id", "connections"),
    ("link_sessions", "renews_connection_id", "connections"),
    ("next_consents", "connection_id", "connections"),
    ("notifications", "connection_id", "connections"),
    ("provider_calls", "connection_id", "connections"),
    ("quarantine", "connection_id", "connections"),
    ("raw_payloads", "connection_id", "connections"),
    ("sync_runs", "connection_id", "connections"),
    ("transaction_annotations", "transaction_id", "transactions"),
    ("transaction_revisions", "transaction_id", "transactions"),
    ("transactions", "account_id", "accounts"),
    ("transactions", "suspected_duplicate_of", "transactions"),
)
"""Table, column and the table that it refers to."""

NEW: Final = {
    table: (column, parent)
    for table, column, parent in reversed(PARTS)
    if table not in {*HAD_A_TEAM, "link_sessions", "notifications"}
}
NULLABLE: Final = ("consents_to_end", "provider_calls")
CHECKS: Final = {
    "consents_to_end": "connection_id IS NULL OR team_id IS NOT NULL",
    "provider_calls": "(connection_id IS NULL) = (team_id IS NULL)",
}
COMMENTS: Final = {
    "consents_to_end": (
        (
            "Consents that nobody uses any more, tried until the provider has ended them; the "
            "secret is forgotten then."
        ),
        " team_id: NULL where that was not written down when it came.",
    ),
    "webhook_events": (
        "The inbox: verified webhooks, stored before they are acknowledged.",
        " team_id: NULL while it is about no connection that is known.",
    ),
}

# The planner's figures hold the most frequent values. Of words about people it needs none, and
# they would outlive the rows, and show in anybody's estimates.
PRIVATE: Final = {
    "accounts": ("name", "official_name", "holder_name", "identifiers"),
    "connections": ("institution_name",),
    "quarantine": ("raw",),
    "transaction_annotations": ("category", "note", "tags"),
    "transaction_revisions": ("changes",),
    "transactions": (
        *("description", "cleaned_description", "counterparty_name", "counterparty_identifiers"),
        *("merchant_name", "merchant_external_id", "merchant_website", "reference"),
        *("check_number", "details"),
    ),
}

# Of the login that began the session, whatever role it took since: that alone nobody can set.
ANALYST_TEAM: Final = """
CREATE FUNCTION bank.analyst_team() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'SELECT a.team_id FROM bank.analysts a WHERE a.login = session_user::text'
"""
READER_TEAM: Final = """
CREATE FUNCTION bank.reader_team() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(
        bank.analyst_team(), nullif(current_setting('bank.team_id', true), '')::uuid
    )
$$
"""
FUNCTIONS: Final = {
    "analyst_team": "The team whose rows this login sees as an analyst; NULL: it is none.",
    "reader_team": "The team whose rows this transaction may read: an analyst's own, else "
    "`bank.team_id`, set for the transaction; NULL: none.",
}

FORGET: Final = """
DO $$ BEGIN
    DELETE FROM pg_statistic s USING pg_attribute a
    WHERE a.attrelid = s.starelid AND a.attnum = s.staattnum AND a.attstattarget = 0
      AND a.attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'bank'::regnamespace);
EXCEPTION WHEN insufficient_privilege THEN NULL;
END $$
"""
"""What was gathered before; only a superuser may."""

TO_END: Final = """
CREATE OR REPLACE VIEW analytics.consents_to_end AS
SELECT e.id AS consent_id, {team}.team_id, e.connection_id, e.provider, c.institution_name,
       e.reason, e.attempts, e.last_error, e.created_at, e.next_attempt_at, e.ended_at
FROM bank.consents_to_end e
LEFT JOIN bank.connections c ON c.id = e.connection_id
"""

# How often a bank was linked here, and what it then gave, tells of other teams.
INSTITUTIONS: Final = """
CREATE OR REPLACE VIEW analytics.institutions AS
SELECT i.provider, i.external_id AS institution_external_id, i.name, i.countries, i.bic, i.url,
       i.logo_url, i.is_beta, i.customer_kinds, i.history_days_max,
       CASE WHEN own.connections > 0 THEN i.history_days_learned END AS history_days_learned,
       i.consent_days_max, coalesce(own.connections, 0)::integer AS popularity, i.fetched_at,
       i.removed_at
FROM bank.institutions i
LEFT JOIN (
    SELECT c.provider, c.institution_external_id, count(*) AS connections
    FROM bank.connections c GROUP BY c.provider, c.institution_external_id
) own ON own.provider = i.provider AND own.institution_external_id = i.external_id
"""
INSTITUTIONS_COMMENT: Final = (
    r0004_windows.COMMENTS["institutions"] + " popularity: connections of yours to it."
)

OPEN: Final = """
DO $$
DECLARE one record;
BEGIN
    FOR one IN SELECT policyname, tablename FROM pg_policies WHERE schemaname = 'bank' LOOP
        EXECUTE format('DROP POLICY %I ON bank.%I', one.policyname, one.tablename);
    END LOOP;
    FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'bank' LOOP
        EXECUTE format('ALTER TABLE bank.%I DISABLE ROW LEVEL SECURITY', one.tablename);
        EXECUTE format('ALTER TABLE bank.%I NO FORCE ROW LEVEL SECURITY', one.tablename);
    END LOOP;
    FOR one IN SELECT viewname FROM pg_views WHERE schemaname = 'analytics' LOOP
        EXECUTE format(
            'ALTER VIEW analytics.%I RESET (security_invoker, security_barrier)', one.viewname
        );
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'analyst') THEN
        REVOKE ALL ON ALL TABLES IN SCHEMA bank, analytics FROM analyst;
    END IF;
END $$
"""


def upgrade() -> None:
    for table, (column, parent) in NEW.items():
        _add_team(table, f"p.id = c.{column}", parent)
    _add_team(
        "webhook_events",
        "p.provider = c.provider AND p.external_id = c.connection_external_id",
        "connections",
    )
    for table in ("consents_to_end", "webhook_events"):
        _refer(table, "team_id", "teams")
    for table, check in CHECKS.items():
        op.create_check_constraint(f"{table}_team_id_check", table, check, schema="bank")
    for table in PARENTS:
        op.create_unique_constraint(
            f"{table}_id_team_id_key", table, ["id", "team_id"], schema="bank"
        )
    for table, column, parent in PARTS:
        _drop_reference(table, column)
        _refer(table, column, parent, is_within_team=True)
    for table in HAD_A_TEAM:
        _drop_reference(table, "team_id")
    _comment(more=True)
    _create_analysts()
    op.execute(TO_END.format(team="e"))
    op.execute(INSTITUTIONS)
    op.execute(f"COMMENT ON VIEW analytics.institutions IS '{INSTITUTIONS_COMMENT}'")
    _keep_figures(0)
    op.execute(FORGET)


def downgrade() -> None:
    op.execute(OPEN)
    _keep_figures(-1)
    before = r0004_windows.INSTITUTIONS.replace("CREATE VIEW", "CREATE OR REPLACE VIEW")
    op.execute(before)
    comment = r0004_windows.COMMENTS["institutions"]
    op.execute(f"COMMENT ON VIEW analytics.institutions IS '{comment}'")
    op.execute(TO_END.format(team="c"))
    for name in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION bank.{name}()")
    op.drop_table("analysts", schema="bank")
    _comment(more=False)
    for table in HAD_A_TEAM:
        _refer(table, "team_id", "teams")
    for table, column, parent in PARTS:
        _drop_reference(table, column)
        _refer(table, column, parent)
    for table in PARENTS:
        op.drop_constraint(f"{table}_id_team_id_key", table, schema="bank")
    for table in CHECKS:
        op.drop_constraint(f"{table}_team_id_check", table, schema="bank")
    for table in (*NEW, "webhook_events"):
        op.drop_column(table, "team_id", schema="bank")


def _add_team(table: str, joined: str, parent: str) -> None:
    op.add_column(table, sa.Column("team_id", UUID(as_uuid=False)), schema="bank")
    op.execute(
        f"UPDATE bank.{table} c SET team_id = p.team_id FROM bank.{parent} p WHERE {joined}"  # noqa: S608 - our own names
    )
    if table not in (*NULLABLE, "webhook_events"):
        op.alter_column(table, "team_id", nullable=False, schema="bank")


def _refer(table: str, column: str, parent: str, *, is_within_team: bool = False) -> None:
    more = ["team_id"] if is_within_team else []
    is_self = column == "suspected_duplicate_of"
    forgotten = f"SET NULL ({column})" if is_within_team else "SET NULL"
    op.create_foreign_key(
        f"{table}_{column}_fkey",
        table,
        parent,
        [column, *more],
        ["id", *more],
        source_schema="bank",
        referent_schema="bank",
        ondelete=forgotten if is_self else "CASCADE",
    )


def _drop_reference(table: str, column: str) -> None:
    op.drop_constraint(f"{table}_{column}_fkey", table, schema="bank", type_="foreignkey")


def _create_analysts() -> None:
    op.create_table(
        "analysts",
        sa.Column("login", sa.Text, primary_key=True),
        sa.Column("team_id", UUID(as_uuid=False), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["team_id"], ["bank.teams.id"], name="analysts_team_id_fkey", ondelete="CASCADE"
        ),
        schema="bank",
        comment="Logins of the server that see the views in `analytics`, and whose rows they see "
        "there. Row-level security reads it.",
    )
    op.create_index("analysts_team_id_idx", "analysts", ["team_id"], schema="bank")
    op.execute(ANALYST_TEAM)
    op.execute(READER_TEAM)
    for name, comment in FUNCTIONS.items():
        op.execute(f"REVOKE ALL ON FUNCTION bank.{name}() FROM PUBLIC")
        op.execute(
            f"COMMENT ON FUNCTION bank.{name}() IS '{comment.replace(chr(39), chr(39) * 2)}'"
        )


def _keep_figures(target: int) -> None:
    """Have the planner keep no values of columns that tell of people; -1: as it does of others."""
    there = sa.inspect(op.get_bind())
    for table, columns in PRIVATE.items():
        names = {column["name"] for column in there.get_columns(table, schema="bank")}
        for column in names.intersection(columns):
            op.execute(f"ALTER TABLE bank.{table} ALTER COLUMN {column} SET STATISTICS {target}")


def _comment(*, more: bool) -> None:
    for table, (before, added) in COMMENTS.items():
        op.create_table_comment(table, before + added if more else before, schema="bank")
