"""Pages for people: links bound to a browser, accounts left out, syncs asked for."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA

from bank_pipeline.storage.migrations.versions import r0006_windows, r0007_balances, r0010_reconnect

revision: Final = "0013"
down_revision: Final[str | None] = "0012"
branch_labels: Final[Sequence[str] | None] = None
depends_on: Final[Sequence[str] | None] = None

LEFT_OUT: Final = " excluded_at: since when a person does not want it read."
LINKS: Final = "Links under way: who started one, until the provider says how it ended."
BOUND: Final = " browser_fingerprint: of the browser that began it and alone may end it."
GAPS_OF: Final = "WHERE a.closed_at IS NULL AND"

CONNECTIONS: Final = (
    "One customer's consent for one institution. The Dagster partition key is the id."
)
ASKED: Final = " sync_requested_at: when somebody asked for a sync that has not begun."


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.add_column("accounts", sa.Column("excluded_at", moment), schema="bank")
    op.add_column("connections", sa.Column("sync_requested_at", moment), schema="bank")
    op.add_column("link_sessions", sa.Column("browser_fingerprint", BYTEA), schema="bank")
    op.create_index(
        "connections_sync_requested_at_idx",
        "connections",
        ["sync_requested_at"],
        schema="bank",
        postgresql_where=sa.text("sync_requested_at IS NOT NULL"),
    )
    _comment(more=True)
    op.execute(_accounts_view(more=", a.excluded_at"))
    gaps = r0006_windows.GAPS.replace(GAPS_OF, f"{GAPS_OF} a.excluded_at IS NULL AND")
    op.execute(gaps.replace("CREATE VIEW", "CREATE OR REPLACE VIEW"))


def downgrade() -> None:
    op.execute(r0006_windows.GAPS.replace("CREATE VIEW", "CREATE OR REPLACE VIEW"))
    op.execute("DROP VIEW analytics.accounts")
    op.execute(_accounts_view(more=""))
    op.execute(f"COMMENT ON VIEW analytics.accounts IS '{r0007_balances.COMMENTS['accounts']}'")
    _comment(more=False)
    op.drop_index("connections_sync_requested_at_idx", "connections", schema="bank")
    op.drop_column("link_sessions", "browser_fingerprint", schema="bank")
    op.drop_column("connections", "sync_requested_at", schema="bank")
    op.drop_column("accounts", "excluded_at", schema="bank")


def _accounts_view(*, more: str) -> str:
    columns = r0007_balances.COLUMNS.format(
        currency=r0007_balances.CURRENCY,
        unofficial=r0007_balances.UNOFFICIAL,
        more=r0007_balances.MORE + more,
    )
    joins = [
        r0007_balances.CHOSEN.format(kind=kind, alias=alias)
        for alias, kind in r0007_balances.KINDS.items()
    ]
    joined = " ".join([*joins, r0007_balances.HEALED])
    return f"CREATE OR REPLACE VIEW analytics.accounts AS {columns} {joined}"


def _comment(*, more: bool) -> None:
    comments = {
        "accounts": (r0010_reconnect.ACCOUNTS_COMMENT, LEFT_OUT),
        "connections": (CONNECTIONS, ASKED),
        "link_sessions": (LINKS, BOUND),
    }
    for table, (before, added) in comments.items():
        text = before + added if more else before
        op.create_table_comment(table, text, existing_comment=before, schema="bank")
