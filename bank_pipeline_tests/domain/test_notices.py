"""Which notices are due, and what counts as large, low and news."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.notices import (
    EXPIRY_STEPS,
    OPERATOR_KINDS,
    USUAL_KINDS,
    Wishes,
    expiry_step,
    is_news,
    one_line,
    to_digits,
)

TODAY = date(2026, 6, 16)


@pytest.mark.parametrize(
    ("left", "step"),
    [
        (15, None),
        (14, 14),
        (13, 14),
        (8, 14),
        (7, 7),
        (4, 7),
        (3, 3),
        (2, 3),
        (1, 1),
        (0, 0),
        (-1, None),
    ],
)
def test_the_newest_step_is_due(left: int, step: int | None) -> None:
    assert expiry_step(TODAY + timedelta(days=left), TODAY) == step


@given(st.sets(st.integers(0, 40)))
def test_whoever_looks_each_day_tells_each_step_once(missed: set[int]) -> None:
    """And who missed days tells of no step twice, nor of those that passed meanwhile."""
    ends_on = TODAY + timedelta(days=40)
    days = [TODAY + timedelta(days=n) for n in range(45) if n not in missed]
    steps = [step for day in days if (step := expiry_step(ends_on, day)) is not None]
    told = [*dict.fromkeys(steps)]

    assert told == sorted(told, reverse=True)
    assert missed or told == [*EXPIRY_STEPS]


def test_a_threshold_is_of_its_currency() -> None:
    wishes = Wishes(large_amounts={"EUR": Decimal(1000)})

    assert wishes.is_large(Decimal(-1000), "EUR")
    assert wishes.is_large(Decimal(1000), "EUR")
    assert not wishes.is_large(Decimal("-999.99"), "EUR")
    assert not wishes.is_large(Decimal(5000), "USD")
    assert not wishes.is_large(Decimal(5000), None)
    assert not wishes.is_large(None, "EUR")


def test_a_balance_is_told_when_it_falls_and_not_while_it_is_low() -> None:
    wishes = Wishes(low_balances={"EUR": Decimal(100)})

    assert wishes.has_fallen(Decimal(100), Decimal("99.99"), "EUR")
    assert not wishes.has_fallen(Decimal(99), Decimal(50), "EUR")
    assert not wishes.has_fallen(None, Decimal(50), "EUR")
    assert not wishes.has_fallen(Decimal(500), Decimal(50), "USD")


def test_rows_of_long_ago_are_no_news(now: datetime) -> None:
    last = now - timedelta(days=5)

    assert is_news(now.date(), last_success_at=last, now=now)
    assert is_news((last - timedelta(days=10)).date(), last_success_at=last, now=now)
    assert not is_news((last - timedelta(days=11)).date(), last_success_at=last, now=now)
    assert is_news(None, last_success_at=last, now=now)


def test_operators_kinds_are_not_among_the_usual_ones() -> None:
    assert not USUAL_KINDS & OPERATOR_KINDS


@pytest.mark.parametrize(
    ("masked", "digits"),
    [("1234", "1234"), ("****1234", "1234"), ("DE89370400440532013000", "3000"), ("12", None)],
)
def test_no_more_than_four_digits_of_a_number_are_told(masked: str, digits: str | None) -> None:
    assert to_digits(masked) == digits
    assert to_digits(None) is None


def test_a_foreign_text_stays_on_one_line() -> None:
    assert one_line("Bank\r\nBcc: eve@example.com\x1b[2J") == "Bank Bcc: eve@example.com [2J"
