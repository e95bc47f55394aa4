"""What was a number stays that number, to the digit."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.providers.exact_json import (
    decode_keeping_all,
    dump_json,
    escape_odd,
    is_storable,
    parse_json,
    to_plain,
    to_storable,
    without_nulls,
)
from bank_pipeline_tests.providers.strategies import any_json, any_text, storable_json


@given(any_json)
def test_written_and_read_again_is_the_same(value: Any) -> None:
    assert parse_json(dump_json(value)) == value


@pytest.mark.parametrize("text", ["\0" + "5" + "\0", "\0\0" + "5" + "\0\0", "\0", "\\u00005"])
def test_no_text_is_taken_for_a_number(text: str) -> None:
    value = [text, Decimal("0.50"), {text: text}]
    assert parse_json(dump_json(value)) == value
    assert "0.50" in dump_json(value)


@given(storable_json)
def test_plain_json_is_for_every_writer_and_still_exact(value: Any) -> None:
    for plain in (without_nulls(value), to_plain(value)):
        assert json.loads(json.dumps(plain)) == plain
        assert is_storable(plain)


def test_only_without_nulls_drops_what_says_nothing() -> None:
    value = {"a": None, "b": [None], "c": {"d": None}, "e": [], "f": "", "g": 0}
    assert without_nulls(value) == {"b": [None], "f": "", "g": 0}
    assert to_plain(value) == value


@given(any_text)
def test_any_text_can_be_made_one_that_a_database_holds(text: str) -> None:
    assert is_storable(to_storable(text))
    assert is_storable(escape_odd(text))
    assert len(to_storable(text)) == len(text)
    if is_storable(text):
        assert to_storable(text) == escape_odd(text) == text


@given(st.binary(max_size=12))
def test_decoding_loses_no_byte(body: bytes) -> None:
    text = decode_keeping_all(body)
    assert text.encode("utf-8", "surrogateescape") == body.removeprefix(b"\xef\xbb\xbf")


def test_a_number_no_float_can_hold_becomes_text() -> None:
    assert without_nulls({"n": Decimal("0.1000000000000000000001"), "m": Decimal("0.1")}) == {
        "n": "0.1000000000000000000001",
        "m": 0.1,
    }


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[Infinity]",
        '{"a": -Infinity}',
        "",
        "{",
        "[" * 100_000,
        "1e99999999999999999999",
        b'"\xed\xa0\x80"',
        b'"\xff"',
        '"text"'.encode("utf-16"),
    ],
)
def test_what_is_not_json_is_refused(text: bytes | str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the documented contract
        parse_json(text)


@pytest.mark.parametrize("value", [["a\0"], {"a\0": 1}, {"a": [chr(0xD800)]}])
def test_text_that_no_database_holds_is_found(value: Any) -> None:
    assert not is_storable(value)
    assert is_storable(["\\u0000", "\U0001f600"])
