"""Which dates of each account complete answers have covered."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.ids import AccountId
from bank_pipeline.domain.window import DateWindow, merged
from bank_pipeline.storage.columns import is_any_id
from bank_pipeline.storage.tables import account_coverage, transactions

Ranges = Mapping[AccountId, Mapping[DateWindow, datetime]]
"""What is covered, oldest first, and when the oldest part of each range came."""


def load_coverage(
    db: sa.Connection, account_ids: Collection[AccountId]
) -> dict[AccountId, tuple[DateWindow, ...]]:
    """Load the covered dates of these accounts, oldest first; accounts without any are absent."""
    return {
        account_id: tuple(ranges) for account_id, ranges in load_ranges(db, account_ids).items()
    }


def load_ranges(db: sa.Connection, account_ids: Collection[AccountId]) -> Ranges:
    """Load the same with the times at which the oldest part of each range came."""
    found: dict[AccountId, dict[DateWindow, datetime]] = defaultdict(dict)
    for row in db.execute(_LOAD, {"ids": [*account_ids]}):
        window = DateWindow(first=row.first_day, last=row.last_day)
        found[AccountId(row.account_id)][window] = row.begun_at
    return dict(found)


def save_coverage(
    db: sa.Connection,
    stored: Ranges,
    covered: Mapping[AccountId, DateWindow],
    *,
    now: datetime,
) -> Ranges:
    """
    Add dates to those that are covered, and return what is covered then.

    `stored` is what is covered of these accounts until now, so the caller holds the connection's
    lock. A range keeps the time at which the oldest part of it came: since then the gap before
    it is known.
    """
    changed: dict[AccountId, dict[DateWindow, datetime]] = {}
    for account_id, window in covered.items():
        before = stored.get(account_id, {})
        after = merged([*before, window])
        if {*after} != {*before}:
            changed[account_id] = {
                one: min((at for old, at in before.items() if old.first in one), default=now)
                for one in after
            }
    if not changed:
        return stored
    joined = [one for one, ranges in changed.items() if _begins_less(stored.get(one, {}), ranges)]
    if joined:
        db.execute(_DELETE, {"ids": joined})
    rows = [
        {
            "account_id": account_id,
            "first_day": window.first.isoformat(),
            "last_day": window.last.isoformat(),
            "begun_at": begun_at.isoformat(),
            "updated_at": now.isoformat(),
        }
        for account_id, ranges in changed.items()
        for window, begun_at in ranges.items()
    ]
    db.execute(INSERT_RANGES, {"rows": json.dumps(rows)})
    return {**stored, **changed}


def _begins_less(before: Collection[DateWindow], after: Collection[DateWindow]) -> bool:
    """Say whether a range that was stored begins nowhere any more, because another took it in."""
    return not {one.first for one in before} <= {one.first for one in after}


_LOAD: Final = (
    sa.select(
        account_coverage.c.account_id,
        account_coverage.c.first_day,
        account_coverage.c.last_day,
        account_coverage.c.begun_at,
    )
    .where(is_any_id(account_coverage.c.account_id))
    .order_by(account_coverage.c.account_id, account_coverage.c.first_day)
)
_DELETE: Final = account_coverage.delete().where(is_any_id(account_coverage.c.account_id))
INSERT_RANGES: Final = sa.text(  # in one statement, whatever the number of rows
    """
    INSERT INTO bank.account_coverage
        (account_id, team_id, first_day, last_day, begun_at, updated_at)
    SELECT given.account_id, a.team_id, given.first_day, given.last_day, given.begun_at,
           given.updated_at
    FROM jsonb_populate_recordset(NULL::bank.account_coverage, CAST(:rows AS jsonb)) AS given
    JOIN bank.accounts a ON a.id = given.account_id
    ON CONFLICT (account_id, first_day) DO UPDATE
    SET last_day = excluded.last_day, begun_at = excluded.begun_at,
        updated_at = excluded.updated_at
    """
)


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
