"""Date windows, inclusive at both ends: which to ask for, and what they cover. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

from pydantic import BaseModel, ConfigDict, model_validator


class DateWindow(BaseModel):
    """The dates asked for or covered: both ends belong to it."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    first: date
    last: date

    @model_validator(mode="after")
    def _ordered(self) -> "DateWindow":
        if self.first > self.last:
            raise ValueError(f"a window cannot end ({self.last}) before it begins ({self.first})")
        return self

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    @property
    def days(self) -> int:
        """Count the days, both ends included."""
        return (self.last - self.first).days + 1


HISTORY_STEPS: Final = (730, 365, 180, 89, 60, 30)
"""Days of history to ask for when a bank refuses more; at 90 some banks are off by one."""

FULL_ROWS_MIN: Final = 50
"""The fewest rows that a bank may have as its most: what is older may be there all the same."""

_DAY: Final = timedelta(days=1)


def first_window(today: date, *, days: int) -> DateWindow:
    """Return the window that asks for the whole history of so many days."""
    return DateWindow(first=today - timedelta(days=days), last=today)


def next_window(
    covered: DateWindow, *, oldest_pending: date | None, overlap_days: int, today: date
) -> DateWindow:
    """
    Return what to ask for after `covered`, the dates of the last complete answers.

    It goes back to the oldest row that is still pending, so that its end is seen, and by the
    overlap, because banks book late.
    """
    from_day = covered.last if oldest_pending is None else min(covered.last, oldest_pending)
    return DateWindow(first=min(from_day, today) - timedelta(days=overlap_days), last=today)


def gaps_in(covered: Sequence[DateWindow]) -> tuple[DateWindow, ...]:
    """Return the days between ranges that neither overlap nor touch, oldest first."""
    return tuple(
        DateWindow(first=before.last + _DAY, last=after.first - _DAY)
        for before, after in pairwise(covered)
    )


@dataclass(frozen=True)
class Coverage:
    """
    What is covered of a connection's accounts that are read: neither closed nor left out.

    `until` is the last day that is covered of every account of which any is, None when none is.
    `gap_days` are the days between covered ranges, of all accounts together.
    """

    until: date | None
    gap_days: int


def to_coverage(covered: Iterable[Sequence[DateWindow]]) -> Coverage:
    """Sum up the covered ranges of several accounts."""
    known = [windows for windows in covered if windows]
    return Coverage(
        until=min((windows[-1].last for windows in known), default=None),
        gap_days=sum(gap.days for windows in known for gap in gaps_in(windows)),
    )


def plan_window(
    covered: Sequence[DateWindow],
    *,
    oldest_pending: date | None,
    overlap_days: int,
    given_from: date | None,
    since: date | None,
    today: date,
) -> DateWindow:
    """
    Return what to ask for of an account of which some dates are covered.

    That is `next_window` after the newest of them, or after those before the oldest gap that can
    be filled, and from `since`, whichever is the earliest. `given_from` is the first
    day that the bank is known to give, None when it refused none: what lies before it is not
    asked for again, unless `since` does.
    """
    usual = next_window(
        covered[-1], oldest_pending=oldest_pending, overlap_days=overlap_days, today=today
    )
    fillable = (gap for gap in gaps_in(covered) if given_from is None or gap.last >= given_from)
    gap = next(fillable, None)
    first = usual.first
    if gap is not None:  # rows from before it show that the bank goes back so far
        first = min(first, gap.first - _DAY - timedelta(days=overlap_days))
    if given_from is not None:  # to be refused again would cost a call every day
        first = max(first, given_from)
    if since is not None:
        first = min(first, since)
    return DateWindow(first=min(first, today), last=today)


def believed_window(
    covered: DateWindow,
    *,
    sure_from: date,
    shown: Collection[date],
    missed: Collection[date],
    known_from: date | None,
) -> DateWindow | None:
    """
    Return what an answer covers of a bank that may cut what is too old, without a word.

    From `sure_from` on it is believed, and from the oldest row that it shows; of an answer of
    very many rows only from that row, because some banks give so many rows, not days. Older days
    are not denied when rows that we hold are not among the `shown` ones: so many are hardly taken
    back at once. Nor is the day of the oldest row where rows of it are missed, too: such a bank
    cuts in the middle of a day; where that is the last day, None is left. And days from before
    all that we know, since `known_from`, are not covered for being asked for. All are booking
    dates.
    """
    may_be_full = len(shown) >= FULL_ROWS_MIN
    floor = min(shown) if may_be_full else min([sure_from, *shown])
    if covered.first > floor or (covered.first == floor and not may_be_full):
        return covered
    is_cut = any(covered.first <= day < floor for day in missed)
    if floor in missed and (may_be_full or (is_cut and floor < sure_from)):
        is_cut, floor = True, floor + _DAY
    if is_cut and floor > covered.last:
        return None
    first = floor if is_cut or known_from is None else min(floor, max(covered.first, known_from))
    return DateWindow(first=min(first, covered.last), last=covered.last)


def shorter_window(window: DateWindow, *, earliest: date | None) -> DateWindow | None:
    """
    Return the next window to try after a bank refused `window`; None when there is none.

    `earliest` is the first day that the bank says it gives.
    """
    if earliest is not None and window.first < earliest <= window.last:
        return DateWindow(first=earliest, last=window.last)
    asked = (window.last - window.first).days
    days = next((step for step in HISTORY_STEPS if step < asked), None)
    return None if days is None else first_window(window.last, days=days)


def merged(windows: Iterable[DateWindow]) -> tuple[DateWindow, ...]:
    """Return the same days as windows that neither overlap nor touch, oldest first."""
    whole: list[DateWindow] = []
    for window in sorted(windows, key=lambda window: window.first):
        if whole and window.first <= whole[-1].last + _DAY:
            last = max(whole[-1].last, window.last)
            whole[-1] = DateWindow(first=whole[-1].first, last=last)
        else:
            whole.append(window)
    return tuple(whole)
