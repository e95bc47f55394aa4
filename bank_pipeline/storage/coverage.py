"""Which dates of each account complete answers have covered."""

from collections import defaultdict
from collections.abc import Collection
from datetime import date, datetime

import sqlalchemy as sa

from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.domain.window import Coverage, DateWindow, merged, to_coverage
from bank_pipeline.storage.tables import account_coverage, accounts, transactions


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
    """
    Add dates to those that are covered. The caller holds the connection's lock.

    A range keeps the time at which the oldest part of it came: since then the gap before it is
    known.
    """
    is_this = account_coverage.c.account_id == account_id
    columns = (
        account_coverage.c.first_day,
        account_coverage.c.last_day,
        account_coverage.c.begun_at,
    )
    stored = {
        DateWindow(first=row.first_day, last=row.last_day): row.begun_at
        for row in db.execute(sa.select(*columns).where(is_this))
    }
    after = merged([*stored, covered])
    if {*after} == {*stored}:
        return
    db.execute(account_coverage.delete().where(is_this))
    rows = [
        {
            "account_id": account_id,
            "first_day": window.first,
            "last_day": window.last,
            "begun_at": min((at for one, at in stored.items() if one.first in window), default=now),
            "updated_at": now,
        }
        for window in after
    ]
    db.execute(account_coverage.insert(), rows)


def load_summary(db: sa.Connection, connection_id: ConnectionId) -> Coverage:
    """Load what is covered of a connection's open accounts, summed up."""
    query = sa.select(accounts.c.id).where(
        accounts.c.connection_id == connection_id, accounts.c.closed_at.is_(None)
    )
    return to_coverage(load_coverage(db, [*db.scalars(query)]).values())


def load_oldest_days(
    db: sa.Connection, account_ids: Collection[AccountId]
) -> dict[AccountId, date]:
    """Load the day of the oldest live row of each account; accounts without any are absent."""
    day = sa.func.coalesce(transactions.c.booking_date, transactions.c.transaction_date)
    query = (
        sa.select(transactions.c.account_id, sa.func.min(day))
        .where(transactions.c.account_id.in_(account_ids), transactions.c.removed_at.is_(None))
        .group_by(transactions.c.account_id)
    )
    return {AccountId(row[0]): row[1] for row in db.execute(query) if row[1] is not None}
