"""Amounts are exact and have one form; an unknown currency is None."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.money import DIGITS_MAX, normalise_amount, to_currency, to_readable

amounts = st.decimals(
    allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40, places=18
)


@given(amounts)
def test_normalising_changes_no_digit_and_happens_once(amount: Decimal) -> None:
    normalised = normalise_amount(amount)
    assert normalised.compare(amount) == 0 or normalised == amount
    assert str(normalise_amount(normalised)) == str(normalised)
    assert "E+" not in str(normalised)


@given(st.integers(-(10**20), 10**20), st.integers(0, 10))
def test_equal_amounts_have_one_spelling(units: int, zeros: int) -> None:
    longer = Decimal(f"{units}.{'0' * zeros}") if zeros else Decimal(units)
    assert str(normalise_amount(longer)) == str(units)


@pytest.mark.parametrize(
    ("spelt", "expected"),
    [("-0", "0"), ("0.00", "0"), ("72.10", "72.1"), ("1E+2", "100"), ("-5.50", "-5.5")],
)
def test_spellings_of_banks(spelt: str, expected: str) -> None:
    assert str(normalise_amount(Decimal(spelt))) == expected


def test_more_than_28_digits_are_not_rounded() -> None:
    spelt = "12345678901234567890.123456789012345678"
    assert str(normalise_amount(Decimal(spelt))) == spelt


@pytest.mark.parametrize(
    "spelt",
    ["NaN", "Infinity", "-Infinity", "1E+999999999", "1E-999999999", "9" * (DIGITS_MAX + 1)],
)
def test_what_is_no_amount_is_refused(spelt: str) -> None:
    with pytest.raises(ValueError, match="amount of money"):
        normalise_amount(Decimal(spelt))


@pytest.mark.parametrize(
    ("code", "expected"),
    [(None, None), ("", None), ("  ", None), ("XXX", None), ("xxx", None), (" eur ", "EUR")],
)
def test_an_unknown_currency_is_none(code: str | None, expected: str | None) -> None:
    assert to_currency(code) == expected


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("-275181.4", "-275,181.40"),
        ("1234.56", "1,234.56"),
        ("1234", "1,234"),
        ("12.345", "12.345"),
        ("0", "0"),
        ("0.000000000000000001", "0.000000000000000001"),
    ],
)
def test_people_read_no_single_decimal(amount: str, expected: str) -> None:
    assert to_readable(normalise_amount(Decimal(amount))) == expected
