"""Renewed, switched and ended consents: what is in use next, what is to be ended, what is asked."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, UUID

revision: Final = "0010"
down_revision: Final[str | None] = "0009"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

_PROVIDERS: Final = "provider IN ('plaid', 'gocardless', 'teller', 'enable_banking')"

ACCOUNTS_COMMENT: Final = (
    "Accounts. closed_at: since when a complete answer no longer shows it. moved_from: the "
    "provider under which its rows were named, until they are read under the account's new id."
)
ACCOUNTS_COMMENT_BEFORE: Final = (
    "Accounts. closed_at: since when a complete answer no longer shows it."
)

QUESTIONS: Final = """
CREATE VIEW analytics.account_questions AS
SELECT q.id AS question_id, c.team_id, q.connection_id, c.provider, c.institution_name,
       q.shown->>'name' AS account_name, q.shown->>'type' AS account_type,
       q.shown->>'currency' AS account_currency, q.candidate_ids,
       ARRAY(SELECT a.name FROM bank.accounts a WHERE a.id = ANY (q.candidate_ids) ORDER BY a.id)
           AS candidate_names,
       q.asked_at, q.decided_at, q.decision, q.decided_account_id
FROM bank.account_questions q
JOIN bank.connections c ON c.id = q.connection_id
"""

TO_END: Final = """
CREATE VIEW analytics.consents_to_end AS
SELECT e.id AS consent_id, c.team_id, e.connection_id, e.provider, c.institution_name, e.reason,
       e.attempts, e.last_error, e.created_at, e.next_attempt_at, e.ended_at
FROM bank.consents_to_end e
LEFT JOIN bank.connections c ON c.id = e.connection_id
"""

COMMENTS: Final = {
    "account_questions": "Accounts that a bank shows and that may be known ones; decided with "
    "`bank-pipeline accounts decide`.",
    "consents_to_end": "Consents that nobody uses any more, until the provider has ended them.",
}


def upgrade() -> None:
    second = sa.Column("is_other_login", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("link_sessions", second, schema="bank")
    op.add_column("accounts", sa.Column("moved_from", sa.Text), schema="bank")
    op.create_table_comment("accounts", ACCOUNTS_COMMENT, schema="bank")
    for name in ("erase_asked_at", "erased_at"):
        op.add_column("connections", sa.Column(name, sa.DateTime(timezone=True)), schema="bank")
    _create_next_consents()
    _create_consents_to_end()
    _create_questions()
    op.execute(QUESTIONS)
    op.execute(TO_END)
    for view, comment in COMMENTS.items():
        op.execute(f"COMMENT ON VIEW analytics.{view} IS '{comment}'")


def downgrade() -> None:
    for view in reversed(COMMENTS):
        op.execute(f"DROP VIEW analytics.{view}")
    for table in ("account_questions", "consents_to_end", "next_consents"):
        op.drop_table(table, schema="bank")
    for name in ("erased_at", "erase_asked_at"):
        op.drop_column("connections", name, schema="bank")
    op.drop_column("accounts", "moved_from", schema="bank")
    op.create_table_comment("accounts", ACCOUNTS_COMMENT_BEFORE, schema="bank")
    op.drop_column("link_sessions", "is_other_login", schema="bank")


def _create_next_consents() -> None:
    op.create_table(
        "next_consents",
        _uuid("connection_id", nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("institution_external_id", sa.Text),
        sa.Column("institution_name", sa.Text),
        sa.Column("consent_expires_at", sa.DateTime(timezone=True)),
        sa.Column("ciphertext", BYTEA, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("told", JSONB),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("connection_id", name="next_consents_pkey"),
        _of_connection("next_consents"),
        sa.CheckConstraint(_PROVIDERS, name="next_consents_provider_check"),
        schema="bank",
        comment="A new consent of a connection, until it has read an account; the old one is in "
        "use meanwhile. told: accounts and balances that came with the link.",
    )


def _create_consents_to_end() -> None:
    op.create_table(
        "consents_to_end",
        _uuid("id", nullable=False),
        _uuid("connection_id", nullable=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("bound_to", sa.Text, nullable=False),
        sa.Column("ciphertext", BYTEA),
        sa.Column("key_id", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="consents_to_end_pkey"),
        _of_connection("consents_to_end"),
        sa.CheckConstraint(_PROVIDERS, name="consents_to_end_provider_check"),
        schema="bank",
        comment="Consents that nobody uses any more, tried until the provider has ended them; the "
        "secret is forgotten then.",
    )
    op.create_index(
        "consents_to_end_connection_id_idx", "consents_to_end", ["connection_id"], schema="bank"
    )
    op.create_index(
        "consents_to_end_due_idx",
        "consents_to_end",
        ["next_attempt_at"],
        schema="bank",
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def _create_questions() -> None:
    op.create_table(
        "account_questions",
        _uuid("id", nullable=False),
        _uuid("connection_id", nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("shown", JSONB, nullable=False),
        sa.Column("candidate_ids", ARRAY(UUID(as_uuid=False)), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.Column("decision", sa.Text),
        _uuid("decided_account_id", nullable=True),
        sa.PrimaryKeyConstraint("id", name="account_questions_pkey"),
        _of_connection("account_questions"),
        sa.CheckConstraint(
            "decision IN ('new', 'same', 'moot')", name="account_questions_decision_check"
        ),
        schema="bank",
        comment="Accounts that a bank shows and that may be known ones: a person tells. shown: "
        "the account as told. candidate_ids: the accounts it could be.",
    )
    op.create_index(
        "account_questions_open_key",
        "account_questions",
        ["connection_id", "external_id"],
        unique=True,
        schema="bank",
        postgresql_where=sa.text("decided_at IS NULL"),
    )


def _uuid(name: str, *, nullable: bool) -> sa.Column[Any]:
    return sa.Column(name, UUID(as_uuid=False), nullable=nullable)


def _of_connection(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["connection_id"],
        ["bank.connections.id"],
        name=f"{table}_connection_id_fkey",
        ondelete="CASCADE",
    )
