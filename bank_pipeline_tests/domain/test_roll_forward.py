"""A balance moves as its rows do: what does not is found, and what does is left in peace."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.roll_forward import (
    Checkpoint,
    Difference,
    DifferenceState,
    Told,
    begun,
    check,
    day_of,
    first_rows_day,
    is_checkable,
    is_move_due,
    moved_up,
)
from bank_pipeline_tests.builders import balance

FIRST = date(2026, 3, 1)
NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
WARM = 3  # days until the opening balance is sure
TAIL = 4  # days until a difference is confirmed


@dataclass
class Row:
    """A booked row at the bank."""

    day: int
    amount: int


@dataclass
class Series:
    """A bank with one account, and the watch on it."""

    is_closing: bool = False
    counts_future: bool = False
    bank: list[Row] = field(default_factory=list)
    hidden: list[Row] = field(default_factory=list)  # never shown to us
    invented: list[Row] = field(default_factory=list)  # ours alone
    point: Checkpoint | None = None
    differences: list[Difference] = field(default_factory=list)

    def check(self, today: int, *, in_between: tuple[Row, ...] = ()) -> None:
        """Read the rows, let the bank book, read the balance, and compare."""
        seen = [one for one in self.bank if one not in self.hidden] + self.invented
        self.bank += in_between
        last = today - 1 if self.is_closing else today
        is_in = self.counts_future and not self.is_closing
        told = Told(
            balance=Decimal(1000 + sum(r.amount for r in self.bank if is_in or r.day <= last)),
            day=FIRST + last * DAY,
            rows_sum=Decimal(sum(one.amount for one in seen if one.day <= last)),
            later_sum=Decimal(sum(one.amount for one in seen if one.day > last)),
            at=NINE + today * DAY,
        )
        if self.point is None:
            self.point = begun(told, rows_from=FIRST - 100 * DAY)
            return
        unresolved = [o for o in self.differences if o.state is not DifferenceState.RESOLVED]
        ended = [o for o in self.differences if o.state is DifferenceState.RESOLVED]
        outcome = check(self.point, told, tuple(unresolved))
        again = check(
            outcome.checkpoint,
            told,
            tuple(o for o in outcome.differences if o.state is not DifferenceState.RESOLVED),
        )
        assert again.checkpoint == outcome.checkpoint, "the same once more changes nothing"
        self.point, self.differences = outcome.checkpoint, [*ended, *outcome.differences]

    @property
    def confirmed(self) -> list[Difference]:
        return [one for one in self.differences if one.confirmed_at is not None]


@st.composite
def days(draw: Any) -> list[tuple[list[Row], tuple[Row, ...], list[int]]]:
    """
    Draw what a bank does: rows of each day, what it books while it is read, and corrections.

    Not at three checks in a row the same between rows and balance: that is no chance.
    """
    found: list[tuple[list[Row], tuple[Row, ...], list[int]]] = []
    amounts = st.integers(-3, 3).filter(bool)
    length = draw(st.integers(WARM, 12))
    for today in range(length):
        shifts = st.sampled_from([0, 0, 0, -1, -2, 1, 4])
        rows = [Row(today + draw(shifts), draw(amounts)) for _ in range(draw(st.integers(0, 3)))]
        is_raced = draw(st.booleans()) and not (found and found[-1][1])
        raced = (Row(today, draw(amounts)),) if is_raced else ()
        corrections = draw(st.lists(st.integers(0, 9), max_size=1))
        found.append((rows, raced, corrections))
    return found


def live(series: Series, plan: list[tuple[list[Row], tuple[Row, ...], list[int]]]) -> int:
    """Let a bank do all that, with a check a day; return the next day."""
    for today, (rows, raced, corrections) in enumerate(plan):
        series.bank += rows
        for number in corrections:
            if number < len(series.bank):
                series.bank[number].amount += 1  # the bank corrects, its balance and the row alike
        series.check(today, in_between=tuple(r for r in raced if not series.is_closing))
    return len(plan)


def quiet(series: Series, today: int, count: int = TAIL) -> int:
    """Let days pass without a booking."""
    for day in range(today, today + count):
        series.check(day)
    return today + count


def banks() -> st.SearchStrategy[Series]:
    return st.sampled_from([(False, False), (True, False), (False, True)]).map(
        lambda flags: Series(*flags)
    )


@given(banks(), days())
def test_a_truthful_bank_is_never_accused(
    series: Series, plan: list[tuple[list[Row], tuple[Row, ...], list[int]]]
) -> None:
    """Late, future and corrected rows, and bookings in between, are no differences that stay."""
    series.bank = [Row(-3, -40)]
    quiet(series, live(series, plan), 8)

    assert series.confirmed == []
    assert all(one.state is DifferenceState.RESOLVED for one in series.differences)


@pytest.mark.parametrize("fault", ["lost", "invented", "altered"])
@given(series=banks(), plan=days(), amount=st.integers(-3, 3).filter(bool))
def test_a_row_that_is_not_what_the_bank_booked_is_found_once(
    fault: str,
    series: Series,
    plan: list[tuple[list[Row], tuple[Row, ...], list[int]]],
    amount: int,
) -> None:
    """Confirmed exactly once, by exactly its amount, in days that hold the day it happened."""
    series = replace(
        series, bank=[Row(-3, -40)], hidden=[], invented=[], differences=[], point=None
    )
    for one, _, _ in plan:
        for row in one:
            row.amount = row.amount or 1
    today = quiet(series, live(series, plan), 8)
    happened = today - 1 if series.is_closing else today
    if fault == "invented":
        series.invented.append(Row(happened, amount))
    else:
        lost = Row(happened, amount if fault == "lost" else amount + 5)
        series.bank.append(lost)
        series.hidden.append(lost)
        if fault == "altered":
            series.invented.append(Row(happened, 5))
    quiet(series, today)

    [found] = series.confirmed
    assert found.difference == (-amount if fault == "invented" else amount)
    assert found.state is DifferenceState.CONFIRMED
    assert found.first_day <= FIRST + happened * DAY <= found.last_day


def settled() -> Series:
    """Return an account whose opening balance is sure, on its fifth day."""
    series = Series(bank=[Row(-3, -40)])
    quiet(series, 0, 5)
    return series


def with_a_lost_row() -> Series:
    """Return an account that lost a row on its fifth day, confirmed by the ninth."""
    series = settled()
    lost = Row(5, -7)
    series.bank.append(lost)
    series.hidden.append(lost)
    quiet(series, 5)
    assert [one.state for one in series.differences] == [DifferenceState.CONFIRMED]
    return series


def test_a_booking_between_rows_and_balance_is_open_until_the_next_check() -> None:
    series = settled()
    series.check(5, in_between=(Row(5, -7),))
    [seen] = series.differences
    assert seen.state is DifferenceState.OPEN
    assert [seen.difference, seen.expected] == [-7, 960]
    series.check(6)
    assert [one.state for one in series.differences] == [DifferenceState.RESOLVED]


def test_a_difference_is_resolved_when_what_was_missing_comes() -> None:
    series = with_a_lost_row()
    series.hidden.clear()
    series.check(9)
    [one] = series.differences
    assert one.state is DifferenceState.RESOLVED
    assert [one.difference, one.first_difference] == [0, -7]
    quiet(series, 10)
    assert len(series.differences) == 1


def test_a_part_of_what_was_missing_makes_a_difference_smaller() -> None:
    series = with_a_lost_row()
    series.hidden = [Row(5, -4)]
    series.bank = [Row(-3, -40), Row(5, -3), series.hidden[0]]
    quiet(series, 9)
    [one] = series.confirmed
    assert one.state is DifferenceState.CONFIRMED
    assert [one.difference, one.first_difference] == [-4, -7]


def test_two_differences_may_be_healed_at_once() -> None:
    series = with_a_lost_row()
    more = Row(9, -2)
    series.bank.append(more)
    series.hidden.append(more)
    quiet(series, 9)
    assert len(series.confirmed) == 2
    series.hidden.clear()
    series.check(13)
    assert {one.state for one in series.differences} == {DifferenceState.RESOLVED}


def test_a_booking_in_between_at_the_first_check_of_all_is_forgiven() -> None:
    series = Series(bank=[Row(-3, -40)])
    series.check(0, in_between=(Row(0, -7),))
    quiet(series, 1, 6)
    assert series.differences == []
    assert series.point is not None
    assert series.point.opening == 1000


def test_quiet_days_leave_the_checkpoint_as_it_is() -> None:
    """Nothing to write on them."""
    series = settled()
    before = series.point
    quiet(series, 5)
    assert series.point == before


def test_rows_are_counted_of_some_months_at_most() -> None:
    point = Checkpoint(FIRST, Decimal(5), Decimal(7), NINE)
    assert not is_move_due(point, today=FIRST + 200 * DAY)
    assert is_move_due(point, today=FIRST + 201 * DAY)
    later = moved_up(point, rows_from=FIRST + DAY, rows_sum=Decimal(-2))
    assert [later.opening, later.seen_opening] == [3, 5]
    assert later.rows_from == FIRST + DAY
    unsure = moved_up(replace(point, opening=None), rows_from=FIRST, rows_sum=Decimal(1))
    assert [unsure.opening, unsure.seen_opening] == [None, 8]


def test_an_account_is_watched_from_where_its_history_begins() -> None:
    assert first_rows_day(FIRST, known_from=None) == FIRST - 100 * DAY
    assert first_rows_day(FIRST, known_from=FIRST - 400 * DAY) == FIRST - 100 * DAY
    assert first_rows_day(FIRST, known_from=FIRST - 20 * DAY) == FIRST - 20 * DAY


@pytest.mark.parametrize(
    ("named", "of", "expected"),
    [
        ({}, AccountType.CHECKING, True),
        ({}, AccountType.CREDIT_CARD, True),
        ({}, AccountType.INVESTMENT, False),
        ({"provider_type": "XPCD"}, AccountType.CHECKING, False),
        ({"provider_type": "interimAvailable as booked"}, AccountType.CHECKING, False),
        ({"provider_type": "ITBD"}, AccountType.CHECKING, True),
        ({"provider_type": "Interimbooked"}, AccountType.CHECKING, True),
        ({"provider_type": "closingBooked"}, AccountType.CHECKING, False),
        ({"provider_type": "CLBD", "as_of_date": FIRST}, AccountType.CHECKING, True),
        ({"kind": BalanceKind.AVAILABLE}, AccountType.CHECKING, False),
    ],
)
def test_only_what_counts_booked_rows_is_checked(
    named: dict[str, Any], of: AccountType, expected: bool
) -> None:
    assert is_checkable(balance("1", **named), of) is expected


def test_a_balance_counts_up_to_its_day_and_never_beyond_today() -> None:
    def day(as_of: date | None) -> date:
        return day_of(balance("1", as_of_date=as_of), today=FIRST)

    assert [*map(day, dates())] == [FIRST, FIRST - DAY, FIRST]


def dates() -> Iterator[date | None]:
    yield from (None, FIRST - DAY, FIRST + DAY)
