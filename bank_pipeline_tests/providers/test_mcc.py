"""Merchant category codes: the whole of ISO 18245 that says what was bought, once each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.category import Category
from bank_pipeline.providers.mcc import CATEGORY_OF_CODE, SHOPS, expand_codes, to_category

INCOMES = {member for member in Category if member.value.endswith("income")}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("5411", Category.GROCERIES),
        ("5499", Category.GROCERIES),
        ("5812", Category.MEALS),
        ("5813", Category.MEALS),
        ("5814", Category.MEALS),
        ("5541", Category.VEHICLE),
        ("5542", Category.VEHICLE),
        ("5552", Category.VEHICLE),
        ("3000", Category.TRAVEL),
        ("3350", Category.TRAVEL),
        ("3351", Category.TRAVEL),
        ("3500", Category.TRAVEL),
        ("3501", Category.TRAVEL),
        ("3999", Category.TRAVEL),
        ("7011", Category.TRAVEL),
        ("4111", Category.TRANSPORT),
        ("4121", Category.TRANSPORT),
        ("4784", Category.VEHICLE),
        ("4814", Category.TELECOM),
        ("4900", Category.UTILITIES),
        ("5912", Category.HEALTH),
        ("0742", Category.HEALTH),
        ("8021", Category.HEALTH),
        ("6010", Category.CASH_WITHDRAWAL),
        ("6011", Category.CASH_WITHDRAWAL),
        ("6050", Category.TRANSFER),
        ("6051", Category.TRANSFER),
        ("6211", Category.INVESTMENT),
        ("6300", Category.INSURANCE),
        ("6513", Category.RENT),
        ("7311", Category.ADVERTISING),
        ("7372", Category.SOFTWARE),
        ("8931", Category.PROFESSIONAL_SERVICES),
        ("5943", Category.OFFICE),
        ("4215", Category.SHIPPING),
        ("8398", Category.DONATIONS),
        ("9222", Category.GOVERNMENT_FEES),
        ("9311", Category.TAXES),
        ("9399", Category.GOVERNMENT_FEES),
    ],
)
def test_a_shop_is_filed_by_what_it_sells(code: str, expected: Category) -> None:
    assert to_category(code) is expected


@pytest.mark.parametrize(
    "code",
    [
        "",
        " ",
        "0",
        "0000",
        "9999",
        "2999",
        "4000",
        "6012",
        "54111",
        "54a1",
        "-5411",
        "\uff15\uff14\uff11\uff11",
    ],
)
def test_what_is_no_code_or_says_nothing_has_no_category(code: str) -> None:
    assert to_category(code) is None


@pytest.mark.parametrize("code", [None, 5411.0, ["5411"], True, -5411, {}])
def test_what_is_not_even_text_has_no_category(code: object) -> None:
    assert to_category(code) is None


def test_a_lost_leading_zero_makes_no_difference() -> None:
    assert to_category("742") is to_category(742) is to_category(" 0742 ") is Category.HEALTH


def test_no_code_is_listed_twice() -> None:
    listed = [code for codes, _, _ in SHOPS for code in expand_codes(codes)]
    assert sorted(listed) == sorted(set(listed)) == sorted(CATEGORY_OF_CODE)


def test_buying_is_never_income() -> None:
    assert not INCOMES & set(CATEGORY_OF_CODE.values())


@given(st.text() | st.integers())
def test_any_input_has_an_answer(code: str | int) -> None:
    assert to_category(code) in {None, *Category}
