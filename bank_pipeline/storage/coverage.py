"""Which dates of each account complete answers have covered."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa

from bank_pipeline.domain.ids import AccountId
from bank_pipeline.domain.window import DateWindow, merged
from bank_pipeline.storage.tables import account_coverage


def load_coverage(
    db: sa.Connection, account_ids: Collection[AccountId]
) -> dict[AccountId, tuple[DateWindow, ...]]:
    """Load the covered dates of these accounts, oldest first; accounts without any are absent."""
    query = (
        sa.select(
            account_coverage.c.account_id, account_coverage.c.first_day, account_coverage.c.last_day
        )
        .where(account_coverage.c.account_id.in_(account_ids))
        .order_by(account_coverage.c.account_id, account_coverage.c.first_day)
    )
    found: dict[AccountId, list[DateWindow]] = defaultdict(list)
    for row in db.execute(query):
        window = DateWindow(first=row.first_day, last=row.last_day)
        found[AccountId(row.account_id)].append(window)
    return {account_id: tuple(windows) for account_id, windows in found.items()}


def save_coverage(
    db: sa.Connection, account_id: AccountId, covered: DateWindow, *, now: datetime
) -> None:
    """Add dates to those that are covered. The caller holds the connection's lock."""
    before = load_coverage(db, [account_id]).get(account_id, ())
    after = merged([*before, covered])
    if after == before:
        return
    is_this = account_coverage.c.account_id == account_id
    db.execute(account_coverage.delete().where(is_this))
    rows = [
        {
            "account_id": account_id,
            "first_day": window.first,
            "last_day": window.last,
            "updated_at": now,
        }
        for window in after
    ]
    db.execute(account_coverage.insert(), rows)
