import itertools
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.window import (
    HISTORY_STEPS,
    DateWindow,
    first_window,
    merged,
    next_window,
    shorter_window,
)

TODAY = date(2026, 3, 2)
DAY = timedelta(days=1)

days = st.dates(date(2025, 1, 1), date(2026, 12, 31))
windows = st.tuples(days, days).map(lambda pair: DateWindow(first=min(pair), last=max(pair)))


def all_days(found: tuple[DateWindow, ...]) -> set[date]:
    return {window.first + n * DAY for window in found for n in range(window.days)}


def test_a_window_cannot_end_before_it_begins() -> None:
    with pytest.raises(ValueError, match="before it begins"):
        DateWindow(first=TODAY, last=TODAY - DAY)


def test_the_next_window_goes_back_to_the_oldest_pending_row_and_by_the_overlap() -> None:
    covered = DateWindow(first=date(2025, 1, 1), last=date(2026, 3, 1))

    usual = next_window(covered, oldest_pending=None, overlap_days=10, today=TODAY)
    waiting = next_window(covered, oldest_pending=date(2026, 2, 1), overlap_days=10, today=TODAY)

    assert usual == DateWindow(first=date(2026, 2, 19), last=TODAY)
    assert waiting == DateWindow(first=date(2026, 1, 22), last=TODAY)


@given(windows, st.none() | days, st.integers(0, 60), days)
def test_the_next_window_leaves_no_day_between_it_and_what_is_covered(
    covered: DateWindow, oldest_pending: date | None, overlap_days: int, today: date
) -> None:
    window = next_window(
        covered, oldest_pending=oldest_pending, overlap_days=overlap_days, today=today
    )
    assert window.last == today
    assert window.first <= covered.last + DAY
    assert oldest_pending is None or window.first <= oldest_pending


def test_a_refused_history_is_shortened_step_by_step() -> None:
    window: DateWindow | None = first_window(TODAY, days=730)
    asked = []
    while window is not None:
        asked.append((window.last - window.first).days)
        window = shorter_window(window, earliest=None)
    assert asked == [*HISTORY_STEPS]


def test_the_day_that_a_bank_names_is_taken_at_its_word() -> None:
    window = first_window(TODAY, days=730)
    assert shorter_window(window, earliest=date(2025, 11, 2)) == DateWindow(
        first=date(2025, 11, 2), last=TODAY
    )


@pytest.mark.parametrize("earliest", [date(2020, 1, 1), TODAY + DAY])
def test_a_day_that_does_not_shorten_the_window_is_no_help(earliest: date) -> None:
    """Else the same window would be refused for ever, or asked for the wrong way round."""
    shorter = shorter_window(first_window(TODAY, days=730), earliest=earliest)
    assert shorter == first_window(TODAY, days=365)


@given(st.lists(windows, max_size=6))
def test_merged_windows_are_the_same_days_and_neither_overlap_nor_touch(
    found: list[DateWindow],
) -> None:
    whole = merged(found)
    assert all_days(whole) == all_days(tuple(found))
    assert all(later.first > earlier.last + DAY for earlier, later in itertools.pairwise(whole))
