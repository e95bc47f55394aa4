"""
JSON whose numbers stay exactly what they were: fractions are Decimals, never floats. Pure.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

_MARK = "\0"  # no text a database can hold has it, so it marks numbers without ambiguity
_MARKED_NUMBER = re.compile(r'"\\u0000([^"\\]*)\\u0000"')


def parse_json(text: bytes | str) -> Any:  # noqa: ANN401 - this is where JSON enters
    """
    Parse JSON with exact fractions.

    Raises:
        ValueError: not JSON, not UTF-8, nested beyond reason, or NaN or Infinity in it,
            which JSON does not have and which are no amounts.
    """
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def dump_json(value: Any) -> str:  # noqa: ANN401 - any parsed JSON
    """Write parsed JSON as text again: plain ASCII, every number as it was spelt."""
    marked = json.dumps(value, default=lambda number: f"{_MARK}{number}{_MARK}")
    return _MARKED_NUMBER.sub(r"\1", marked)


def without_nulls(value: Any) -> Any:  # noqa: ANN401 - any parsed JSON
    """
    Drop the keys that are null, and what is empty once they are gone; keep all else.

    Decimals become floats where that changes no digit, and else text: what comes out is
    JSON for every writer, and still exact.
    """
    if isinstance(value, dict):
        kept = {key: without_nulls(item) for key, item in value.items() if item is not None}
        return {key: item for key, item in kept.items() if item not in ({}, [])}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    if isinstance(value, Decimal):
        return _plain_number(value)
    return value


def is_storable(value: Any) -> bool:  # noqa: ANN401 - any parsed JSON
    """
    Say whether a database can hold this text: no NUL, no half of a character.

    JSON may carry both; PostgreSQL takes neither, and one such row would fail its batch.
    """
    try:
        return not any("\0" in text for text in _texts(value) if text.encode())
    except UnicodeEncodeError:
        return False


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - any parsed JSON
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _plain_number(number: Decimal) -> float | str:
    plain = float(number)
    return plain if Decimal(repr(plain)) == number else str(number)


def _refuse(token: str) -> None:
    raise ValueError(f"{token} is not JSON")
