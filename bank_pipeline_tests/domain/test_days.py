"""Days before and after others: there is a first and a last one."""

from datetime import date, timedelta

from bank_pipeline.domain.days import day_after, day_before
from bank_pipeline.domain.looks import Look, pending_since
from bank_pipeline.domain.window import DateWindow
from bank_pipeline_tests.builders import transaction

DAY = date(2026, 3, 5)
WEEK = timedelta(days=7)


def test_a_day_is_moved_as_far_as_there_are_days() -> None:
    assert (day_before(DAY, WEEK), day_after(DAY, WEEK)) == (date(2026, 2, 26), date(2026, 3, 12))
    assert (day_before(date.min, WEEK), day_after(date.max, WEEK)) == (date.min, date.max)
    assert day_before(date(1, 1, 8), WEEK) == date.min
    assert day_after(date(9999, 12, 24), WEEK) == date.max


def test_a_row_of_the_first_or_the_last_day_of_all_can_be_looked_at() -> None:
    rows = tuple(transaction(n, booking_date=day) for n, day in enumerate((date.min, date.max)))
    days = Look("acc-1", rows, None, moved_by=WEEK).days
    assert days == DateWindow(first=date.min, last=date.max)
    assert pending_since(days) == date.min
