from datetime import date, datetime, timedelta

import sqlalchemy as sa

from bank_pipeline.domain.ids import AccountId
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.storage.checkpoints import restore
from bank_pipeline.storage.coverage import load_coverage, load_ranges, save_coverage
from bank_pipeline_tests.storage.linked import Linked

DAY = timedelta(days=1)


def window(first: str, last: str) -> DateWindow:
    return DateWindow(first=date.fromisoformat(first), last=date.fromisoformat(last))


def cover(db: sa.Connection, account: AccountId, days: DateWindow, *, now: datetime) -> None:
    """Add dates as a sync does, and see that what it goes on with is what is stored."""
    after = save_coverage(db, load_ranges(db, [account]), {account: days}, now=now)
    assert after == load_ranges(db, [account])


def test_covered_days_are_kept_as_ranges_with_their_gaps(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    account = linked.account_ids["acc-1"]
    for days in (
        window("2026-01-01", "2026-01-10"),
        window("2026-02-01", "2026-02-10"),
        window("2026-01-08", "2026-01-15"),
    ):
        cover(db, account, days, now=now)

    assert load_coverage(db, [account]) == {
        account: (window("2026-01-01", "2026-01-15"), window("2026-02-01", "2026-02-10"))
    }

    cover(db, account, window("2026-01-16", "2026-01-31"), now=now)
    assert load_coverage(db, [account]) == {account: (window("2026-01-01", "2026-02-10"),)}


def test_days_that_are_covered_already_write_nothing(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    account = linked.account_ids["acc-1"]
    cover(db, account, window("2026-01-01", "2026-01-31"), now=now)
    before = db.execute(sa.text("SELECT xmin, updated_at FROM bank.account_coverage")).all()

    cover(db, account, window("2026-01-05", "2026-01-31"), now=now + DAY)

    assert db.execute(sa.text("SELECT xmin, updated_at FROM bank.account_coverage")).all() == before


def gaps(db: sa.Connection, today: str) -> list[tuple[object, ...]]:
    """Return what an analyst sees on a day."""
    db.execute(sa.text("SELECT set_config('bank_pipeline.today', :today, true)"), {"today": today})
    query = "SELECT kind, first_day, last_day, days, known_since FROM analytics.account_gaps"
    return [tuple(row) for row in db.execute(sa.text(f"{query} ORDER BY first_day"))]


def test_gaps_are_seen_with_their_days_and_since_when(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Between two ranges, since the later one came; behind, since the last answer."""
    account = linked.account_ids["acc-1"]
    cover(db, account, window("2026-01-01", "2026-01-10"), now=now)
    cover(db, account, window("2026-02-01", "2026-02-10"), now=now + DAY)
    cover(db, account, window("2026-01-25", "2026-02-12"), now=now + 3 * DAY)

    between = ("between", date(2026, 1, 11), date(2026, 1, 24), 14, now + DAY)
    assert gaps(db, "2026-02-13") == [between]
    behind = ("behind", date(2026, 2, 13), date(2026, 2, 20), 8, now + 3 * DAY)
    assert gaps(db, "2026-02-20") == [between, behind]

    db.execute(sa.text("UPDATE bank.connections SET status = 'disconnected'"))
    assert gaps(db, "2026-02-20") == [between]
    db.execute(sa.text("UPDATE bank.accounts SET closed_at = now()"))
    assert gaps(db, "2026-02-20") == []


def test_without_a_day_set_the_view_goes_by_the_servers_clock(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    today = db.scalar(sa.text("SELECT (now() AT TIME ZONE 'UTC')::date"))
    assert today is not None
    days = DateWindow(first=today - 9 * DAY, last=today - 5 * DAY)
    cover(db, linked.account_ids["acc-1"], days, now=now)
    query = "SELECT kind, first_day FROM analytics.account_gaps"
    assert db.execute(sa.text(query)).all() == [("behind", today - 4 * DAY)]


def test_what_was_written_down_before_rows_said_whose_they_are_is_put_back(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """A sync of an earlier release can be undone: its notes of what was covered name no team."""
    account = linked.account_ids["acc-1"]
    noted = {
        "account_id": account,
        "first_day": "2026-01-01",
        "last_day": "2026-01-10",
        "updated_at": now.isoformat(),
        "begun_at": now.isoformat(),
    }
    cover(db, account, window("2026-01-01", "2026-02-10"), now=now)

    restore(db, linked.connection.id, {"coverage": {account: [noted]}})

    assert load_coverage(db, [account]) == {account: (window("2026-01-01", "2026-01-10"),)}
    teams = db.scalars(sa.text("SELECT CAST(team_id AS text) FROM bank.account_coverage")).all()
    assert teams == [linked.connection.team_id]
