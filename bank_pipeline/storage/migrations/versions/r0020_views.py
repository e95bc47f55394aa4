"""Views that say of when and in which currency a balance is, and what a bank says is left."""

from collections.abc import Sequence
from typing import Final

from alembic import op

from bank_pipeline.storage.migrations.versions import (
    r0005_identity,
    r0006_windows,
    r0007_balances,
    r0008_calls,
)

revision: Final = "0020"
down_revision: Final[str | None] = "0019"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

# Replacing a view forgets how it reads: as whoever asks it, before any function of theirs.
GUARDED: Final = "WITH (security_invoker = true, security_barrier = true)"

AS_TOLD: Final = "b.as_of, b.observed_at"
# A bank may name a day and no time: the balance was so at its end, or when it was seen.
AS_OF_DAY: Final = """coalesce(b.as_of, least(
               b.observed_at, (b.as_of_date + time '23:59:59') AT TIME ZONE 'UTC'
           )) AS as_of, b.observed_at"""
EXCLUDED: Final = ", a.excluded_at"
OF_BALANCES: Final = """,
       booked.unofficial_currency AS booked_balance_unofficial_currency,
       available.unofficial_currency AS available_balance_unofficial_currency,
       credit.unofficial_currency AS credit_limit_unofficial_currency,
       available.is_shown AS is_available_balance_current"""

IS_MONEY: Final = "     AND twin.status IN ('booked', 'pending')\n"

LEFT_BEFORE: Final = """CASE WHEN j.refused_until > now() THEN 0
            ELSE greatest(j.calls_max - j.used, 0) END AS calls_left"""
LEFT: Final = """greatest(
           least(j.calls_max - j.used, CASE WHEN j.told_resets_at > now() THEN j.told_left END), 0
       ) AS calls_left"""

COMMENTS_BEFORE: Final = {
    "accounts": r0007_balances.COMMENTS["accounts"],
    "account_gaps": r0006_windows.COMMENTS["account_gaps"],
    "quota": r0008_calls.COMMENTS["quota"],
}
COMMENTS: Final = {
    "accounts": "Accounts with what counts of their balances, and why: see bank.chosen_balances. "
    "Each balance has its own currency, which may differ from the account's. as_of: the bank's "
    "time; else the end of the day that it names (UTC), or when it was first seen so, whichever "
    "was earlier. is_..._current: still told. currency_source: who named the currency.",
    "account_gaps": "Dates of open accounts that no complete answer has covered, both ends "
    "included. between: inside the history, known since the later dates came. behind: after the "
    "last covered day; known_since: when the covered dates last changed. A later sync fills what "
    "the bank gives.",
    "quota": "Counted calls of the last 24 hours by account and scope. calls_left are for "
    "people, by our own count, or the bank's word of fewer; next_call_at and "
    "next_scheduled_call_at are NULL, or past, when one may be made now.",
}

RIGHTS: Final = """
DO $$
DECLARE one record;
BEGIN
    FOR one IN SELECT rolname FROM pg_roles
               WHERE rolname IN ('bank_owner', 'bank_writer', 'bank_reader', 'analyst') LOOP
        EXECUTE format('GRANT %s ON analytics.accounts TO %I',
                       CASE one.rolname WHEN 'bank_owner' THEN 'ALL' ELSE 'SELECT' END,
                       one.rolname);
    END LOOP;
END $$
"""


def upgrade() -> None:
    _replace(_accounts(AS_OF_DAY, EXCLUDED + OF_BALANCES))
    _replace(_transactions(r0005_identity.TWIN + IS_MONEY))
    _replace(_quota(LEFT))
    _comment(COMMENTS)


def downgrade() -> None:
    op.execute("DROP VIEW analytics.accounts")  # it has columns that an older release has not
    _replace(_accounts(AS_TOLD, EXCLUDED))
    op.execute(RIGHTS)
    _replace(_transactions(r0005_identity.TWIN))
    _replace(_quota(LEFT_BEFORE))
    _comment(COMMENTS_BEFORE)


def _accounts(as_of: str, more: str) -> str:
    columns = r0007_balances.COLUMNS.format(
        currency=r0007_balances.CURRENCY,
        unofficial=r0007_balances.UNOFFICIAL,
        more=r0007_balances.MORE + more,
    )
    chosen = r0007_balances.CHOSEN.replace(AS_TOLD, as_of)
    joins = [chosen.format(kind=kind, alias=one) for one, kind in r0007_balances.KINDS.items()]
    joined = " ".join([*joins, r0007_balances.HEALED])
    return f"CREATE VIEW analytics.accounts AS {columns} {joined}"


def _transactions(twin: str) -> str:
    return r0005_identity.TRANSACTIONS.format(suspected=r0005_identity.SUSPECTED, twin=twin)


def _quota(left: str) -> str:
    return r0008_calls.QUOTA.replace(LEFT_BEFORE, left)


def _replace(view: str) -> None:
    head, query = view.replace("CREATE OR REPLACE", "CREATE").split(" AS", 1)
    op.execute(f"{head.replace('CREATE', 'CREATE OR REPLACE')} {GUARDED} AS{query}")


def _comment(comments: dict[str, str]) -> None:
    for view, comment in comments.items():
        op.execute(f"COMMENT ON VIEW analytics.{view} IS '{comment.replace(chr(39), chr(39) * 2)}'")
