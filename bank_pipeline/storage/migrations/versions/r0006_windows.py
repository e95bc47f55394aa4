"""Deeper passes, backfills, and gaps that everybody can see."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0006"
down_revision: Final[str | None] = "0005"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

COVERAGE_BEFORE: Final = (
    "The dates of an account that complete answers have covered, both ends included. "
    "Ranges of one account neither overlap nor touch; what lies between them is a gap."
)
COVERAGE_COMMENT: Final = f"{COVERAGE_BEFORE} begun_at: when the oldest part of a range came."

COVERAGE: Final = """
CREATE OR REPLACE VIEW analytics.account_coverage AS
SELECT a.team_id, a.connection_id, v.account_id, a.name AS account_name, v.first_day, v.last_day,
       v.updated_at{more}
FROM bank.account_coverage v
JOIN bank.accounts a ON a.id = v.account_id
"""

# Whoever lives by another clock than the server, as a simulation does, sets bank_pipeline.today.
# "Behind" is a day that has passed whole, so yesterday may be missing until today's sync.
GAPS: Final = """
CREATE VIEW analytics.account_gaps AS
WITH ranges AS (
    SELECT v.account_id, v.first_day, v.last_day, v.begun_at, v.updated_at,
           lag(v.last_day) OVER by_day AS before, lead(v.first_day) OVER by_day AS after
    FROM bank.account_coverage v
    WINDOW by_day AS (PARTITION BY v.account_id ORDER BY v.first_day)
), clock AS (
    SELECT coalesce(
        nullif(current_setting('bank_pipeline.today', true), '')::date,
        (now() AT TIME ZONE 'UTC')::date
    ) AS today
), gaps AS (
    SELECT account_id, 'between' AS kind, before + 1 AS first_day, first_day - 1 AS last_day,
           begun_at AS known_since
    FROM ranges WHERE before IS NOT NULL
    UNION ALL
    SELECT account_id, 'behind', last_day + 1, clock.today, updated_at
    FROM ranges, clock WHERE after IS NULL AND last_day < clock.today - 1
)
SELECT a.team_id, a.connection_id, c.provider, c.institution_name,
       c.status AS connection_status, g.account_id, a.name AS account_name, g.kind, g.first_day,
       g.last_day, g.last_day - g.first_day + 1 AS days, g.known_since
FROM gaps g
JOIN bank.accounts a ON a.id = g.account_id
JOIN bank.connections c ON c.id = a.connection_id
WHERE a.closed_at IS NULL AND (g.kind = 'between' OR c.status <> 'disconnected')
"""

COMMENTS: Final = {
    "account_coverage": "Dates that complete answers have covered; dates between two ranges of "
    "one account are a gap. begun_at: when the oldest part of a range came.",
    "account_gaps": "Dates of open accounts that no complete answer has covered, both ends "
    "included. between: inside the history, known since the later dates came. behind: after "
    "the last complete answer, which came at known_since. A later sync fills what the bank gives.",
}
COVERAGE_VIEW_BEFORE: Final = (
    "Dates that complete answers have covered; dates between two ranges of "
    "one account are a gap. Accounts of a change feed have none."
)


def upgrade() -> None:
    _add("refused_at", sa.DateTime(timezone=True))
    _add("given_days", sa.Integer())
    _add("given_at", sa.DateTime(timezone=True))
    _add("last_deep_at", sa.DateTime(timezone=True))
    _add("deep_requested_at", sa.DateTime(timezone=True))
    _add("backfill_since", sa.Date())
    _add("backfill_requested_at", sa.DateTime(timezone=True))
    begun_at = sa.Column("begun_at", sa.DateTime(timezone=True))
    op.add_column("account_coverage", begun_at, schema="bank")
    op.execute("UPDATE bank.account_coverage SET begun_at = updated_at")
    op.alter_column("account_coverage", "begun_at", nullable=False, schema="bank")
    op.create_table_comment("account_coverage", COVERAGE_COMMENT, schema="bank")
    op.execute(COVERAGE.format(more=", v.begun_at"))
    op.execute(GAPS)
    for view, comment in COMMENTS.items():
        op.execute(f"COMMENT ON VIEW analytics.{view} IS '{comment}'")


def downgrade() -> None:
    op.execute("DROP VIEW analytics.account_gaps")
    op.execute("DROP VIEW analytics.account_coverage")
    op.execute(COVERAGE.format(more=""))
    op.execute(f"COMMENT ON VIEW analytics.account_coverage IS '{COVERAGE_VIEW_BEFORE}'")
    op.create_table_comment("account_coverage", COVERAGE_BEFORE, schema="bank")
    op.drop_column("account_coverage", "begun_at", schema="bank")
    for name in (
        "backfill_requested_at",
        "backfill_since",
        "deep_requested_at",
        "last_deep_at",
        "given_at",
        "given_days",
        "refused_at",
    ):
        op.drop_column("connections", name, schema="bank")


def _add(name: str, kind: sa.types.TypeEngine[Any]) -> None:
    op.add_column("connections", sa.Column(name, kind), schema="bank")
