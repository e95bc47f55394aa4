from datetime import date, datetime, timedelta

import sqlalchemy as sa

from bank_pipeline.domain.window import DateWindow
from bank_pipeline.storage.coverage import load_coverage, save_coverage
from bank_pipeline_tests.storage.linked import Linked

DAY = timedelta(days=1)


def window(first: str, last: str) -> DateWindow:
    return DateWindow(first=date.fromisoformat(first), last=date.fromisoformat(last))


def test_covered_days_are_kept_as_ranges_with_their_gaps(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    account = linked.account_ids["acc-1"]
    for days in (
        window("2026-01-01", "2026-01-10"),
        window("2026-02-01", "2026-02-10"),
        window("2026-01-08", "2026-01-15"),
    ):
        save_coverage(db, account, days, now=now)

    assert load_coverage(db, [account]) == {
        account: (window("2026-01-01", "2026-01-15"), window("2026-02-01", "2026-02-10"))
    }

    save_coverage(db, account, window("2026-01-16", "2026-01-31"), now=now)
    assert load_coverage(db, [account]) == {account: (window("2026-01-01", "2026-02-10"),)}


def test_days_that_are_covered_already_write_nothing(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    account = linked.account_ids["acc-1"]
    save_coverage(db, account, window("2026-01-01", "2026-01-31"), now=now)
    before = db.execute(sa.text("SELECT xmin, updated_at FROM bank.account_coverage")).all()

    save_coverage(db, account, window("2026-01-05", "2026-01-31"), now=now + DAY)

    assert db.execute(sa.text("SELECT xmin, updated_at FROM bank.account_coverage")).all() == before
