import itertools
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.window import (
    FULL_ROWS_MIN,
    HISTORY_STEPS,
    DateWindow,
    believed_window,
    first_window,
    gaps_in,
    merged,
    next_window,
    plan_window,
    shorter_window,
    to_coverage,
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


def ranges(*days: str) -> tuple[DateWindow, ...]:
    ends = [date.fromisoformat(day) for day in days]
    pairs = zip(ends[::2], ends[1::2], strict=True)
    return tuple(DateWindow(first=first, last=last) for first, last in pairs)


def planned(
    covered: tuple[DateWindow, ...],
    *,
    given_from: date | None = None,
    since: date | None = None,
    oldest_pending: date | None = None,
) -> date:
    window = plan_window(
        covered,
        oldest_pending=oldest_pending,
        overlap_days=10,
        given_from=given_from,
        since=since,
        today=TODAY,
    )
    assert window.last == TODAY
    return window.first


GAPPED = ranges("2025-10-01", "2025-10-20", "2025-11-10", "2025-12-20", "2026-01-05", "2026-03-01")


def test_days_between_covered_ranges_are_gaps() -> None:
    assert gaps_in(GAPPED) == ranges("2025-10-21", "2025-11-09", "2025-12-21", "2026-01-04")
    assert gaps_in(GAPPED[:1]) == gaps_in(()) == ()


def test_a_gap_is_asked_for_with_days_before_it_that_are_covered() -> None:
    """Rows of those days show that the bank goes back so far."""
    assert planned(GAPPED) == date(2025, 10, 10)


def test_a_gap_that_the_bank_gives_in_part_is_asked_for_as_far_as_it_gives() -> None:
    assert planned(GAPPED, given_from=date(2025, 11, 1)) == date(2025, 11, 1)


def test_a_gap_that_the_bank_does_not_give_any_more_is_not_asked_for_daily() -> None:
    """The next younger one is, and without any the window is the usual one."""
    assert planned(GAPPED, given_from=date(2025, 11, 10)) == date(2025, 12, 10)
    assert planned(GAPPED, given_from=date(2026, 1, 5)) == date(2026, 2, 19)


def test_a_backfill_asks_beyond_what_was_refused_once() -> None:
    """A person asked; whether the bank still refuses is worth a call."""
    since, given_from = date(2025, 1, 1), date(2025, 12, 2)
    assert planned(GAPPED[-1:], given_from=given_from, since=since) == since
    assert planned(GAPPED[-1:], since=TODAY) == date(2026, 2, 19)


@given(
    st.lists(windows, min_size=1, max_size=5).map(merged),
    st.none() | days,
    st.none() | days,
    st.none() | days,
    days,
)
def test_what_is_planned_leaves_no_gap_that_can_be_filled(
    covered: tuple[DateWindow, ...],
    oldest_pending: date | None,
    given_from: date | None,
    since: date | None,
    today: date,
) -> None:
    """After an answer of the window only days that the bank does not give are not covered."""
    window = plan_window(
        covered,
        oldest_pending=oldest_pending,
        overlap_days=35,
        given_from=given_from,
        since=since,
        today=today,
    )
    assert window.last == today
    assert since is None or window.first <= since
    for gap in gaps_in(merged([*covered, window])):
        assert gap.first > today or (given_from is not None and gap.first < given_from)


def test_what_is_covered_of_several_accounts_is_what_is_covered_of_each() -> None:
    other = ranges("2025-10-01", "2026-02-27")
    found = to_coverage([GAPPED, other, ()])
    assert (found.until, found.gap_days) == (date(2026, 2, 27), 20 + 15)
    assert to_coverage([]).until is None


def believed(*shown: date, missed: tuple[date, ...] = (), known_from: date | None = None) -> date:
    """Return since when an answer is believed that was asked for the whole of GAPPED."""
    asked = DateWindow(first=GAPPED[0].first, last=TODAY)
    window = believed_window(
        asked, sure_from=date(2026, 2, 1), shown=shown, missed=missed, known_from=known_from
    )
    assert window is not None
    assert window.last == TODAY
    return window.first


def test_rows_that_an_answer_leaves_out_with_all_older_ones_are_not_denied() -> None:
    """A bank that quietly gives sixty days must not take away all that it gave before."""
    first, oldest = GAPPED[0].first, date(2026, 1, 10)
    old = (date(2025, 10, 5), date(2025, 12, 1))

    assert believed(oldest, missed=old, known_from=first) == oldest
    assert believed(missed=old, known_from=first) == date(2026, 2, 1)
    assert believed(oldest, date(2025, 10, 1), missed=old, known_from=first) == first


def test_a_bank_that_cuts_in_the_middle_of_a_day_denies_no_row_of_that_day() -> None:
    """It gives so many rows, not days; older rows that it leaves out show that it cuts."""
    first, old, oldest = GAPPED[0].first, date(2025, 12, 1), date(2026, 1, 10)

    assert believed(oldest, missed=(old, oldest), known_from=first) == oldest + DAY
    assert believed(oldest, missed=(oldest,), known_from=first) == first
    assert believed(oldest, missed=(old, oldest + DAY), known_from=first) == oldest
    sure = date(2026, 2, 1)
    assert believed(sure, missed=(old, sure), known_from=first) == sure


def test_an_answer_of_very_many_rows_denies_nothing_older_than_them() -> None:
    """A bank that gives the newest so many has not taken back those of last month."""
    first, old, sure = GAPPED[0].first, date(2025, 12, 1), date(2026, 2, 1)
    oldest = sure + 10 * DAY
    full, few = [oldest] * FULL_ROWS_MIN, [oldest] * (FULL_ROWS_MIN - 1)

    assert believed(*full, missed=(old, sure), known_from=first) == oldest
    assert believed(*full, missed=(sure, oldest), known_from=first) == oldest + DAY
    assert believed(*full, missed=(oldest,), known_from=first) == oldest + DAY
    assert believed(*full, known_from=first) == first
    assert believed(*few, missed=(old, sure), known_from=first) == sure


def test_an_answer_of_very_many_rows_denies_none_of_its_oldest_day_wherever_that_is() -> None:
    """It may be the first day that was asked for, or the last."""
    week = DateWindow(first=TODAY - 6 * DAY, last=TODAY)

    def told(oldest: date, missed: tuple[date, ...]) -> DateWindow | None:
        return believed_window(
            week,
            sure_from=week.first,
            shown=[oldest] * FULL_ROWS_MIN,
            missed=missed,
            known_from=week.first,
        )

    assert told(week.first, ()) == week
    assert told(week.first, (week.first,)) == DateWindow(first=week.first + DAY, last=TODAY)
    assert told(TODAY, (TODAY,)) is None
    assert told(week.first - DAY, (week.first,)) == week


def test_a_quiet_account_keeps_its_coverage_and_gets_none_from_before_it_was_known() -> None:
    assert believed(known_from=date(2025, 11, 15)) == date(2025, 11, 15)
    assert believed(known_from=date(2026, 2, 20)) == date(2026, 2, 1)
    assert believed(date(2025, 11, 1), known_from=date(2025, 11, 15)) == date(2025, 11, 1)
