"""What was a number stays that number, to the digit."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.providers.exact_json import dump_json, is_storable, parse_json, without_nulls

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
numbers = st.decimals(allow_nan=False, allow_infinity=False)
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(anything)
def test_written_and_read_again_is_the_same(value: Any) -> None:
    assert parse_json(dump_json(value)) == value


@given(anything)
def test_without_nulls_is_plain_json_and_still_exact(value: Any) -> None:
    plain = without_nulls(value)
    assert json.loads(json.dumps(plain)) == plain
    assert is_storable(plain)


def test_a_number_no_float_can_hold_becomes_text() -> None:
    assert without_nulls({"n": Decimal("0.1000000000000000000001"), "m": Decimal("0.1")}) == {
        "n": "0.1000000000000000000001",
        "m": 0.1,
    }


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "", "{", "[" * 100_000])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the documented contract
        parse_json(text)


@pytest.mark.parametrize("value", [["a\0"], {"a\0": 1}, {"a": [chr(0xD800)]}])
def test_text_that_no_database_holds_is_found(value: Any) -> None:
    assert not is_storable(value)
    assert is_storable(["\\u0000", "\U0001f600"])
