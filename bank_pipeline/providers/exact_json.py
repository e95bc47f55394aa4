"""
JSON whose numbers stay exactly what they were: fractions are Decimals, never floats. Pure.
"""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def parse_json(text: bytes | str) -> Any:  # noqa: ANN401 - this is where JSON enters
    """
    Parse JSON with exact fractions. Bytes are strictly UTF-8, as JSON demands.

    Raises:
        ValueError: not JSON, not UTF-8, nested beyond reason, an exponent beyond reason, or
            NaN or Infinity in it, which JSON does not have and which are no amounts.
    """
    if isinstance(text, bytes):
        # Left to itself, `json` lets half of a character pass, and fails much later.
        text = text.decode("utf-8-sig")
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ArithmeticError:
        raise ValueError("an exponent beyond reason") from None


def decode_keeping_all(body: bytes) -> str:
    """
    Decode UTF-8 and lose nothing: a byte that does not fit becomes half of a character.

    `is_storable` finds those, so that one bad byte costs no more than the text it is in.
    """
    return body.decode("utf-8-sig", "surrogateescape")


def dump_json(value: Any, *, indent: int | None = None) -> str:  # noqa: ANN401 - any parsed JSON
    """
    Write parsed JSON as text again: plain ASCII, every number as it was spelt.

    With an `indent` it is for people: on many lines, and in their own letters.
    """
    spelt = json.dumps(value, default=str)
    mark = "\0"
    while _escaped(mark) in spelt:
        mark += "\0"  # longer than any in the texts, so that it marks numbers and nothing else
    marked = json.dumps(
        value,
        default=lambda number: f"{mark}{number}{mark}",
        indent=indent,
        ensure_ascii=indent is None,
    )
    edge = re.escape(_escaped(mark))
    return re.sub(f'"{edge}([^"\\\\]*){edge}"', r"\1", marked)


def without_nulls(value: Any) -> Any:  # noqa: ANN401 - any parsed JSON
    """
    Drop the keys that are null, and what is empty once they are gone; keep all else.

    Decimals become floats where that changes no digit, and else text: what comes out is
    JSON for every writer, and still exact.
    """
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    if not isinstance(value, dict):
        return _plain_number(value) if isinstance(value, Decimal) else value
    kept = {}
    for key, item in value.items():
        if isinstance(item, str):  # most are, and need no look
            kept[key] = item
        elif item is not None and (plain := without_nulls(item)) not in ({}, []):
            kept[key] = plain
    return kept


def to_plain(value: Any) -> Any:  # noqa: ANN401 - any parsed JSON
    """Make JSON for every writer, still exact: see `without_nulls`. Nothing is dropped."""
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    return _plain_number(value) if isinstance(value, Decimal) else value


def text_in(part: Mapping[str, Any] | None, key: str) -> str | None:
    """Return the text under a key of an object that may be missing; None when it is blank."""
    value = part.get(key) if part else None
    return value if isinstance(value, str) and value.strip() else None


def object_in(value: object, key: str) -> dict[str, Any] | None:
    """Return the object under a key; None when either is something else."""
    part = value.get(key) if isinstance(value, dict) else None
    return part if isinstance(part, dict) else None


def is_storable(value: Any) -> bool:  # noqa: ANN401 - any parsed JSON
    """
    Say whether a database can hold this text: no NUL, no half of a character.

    JSON may carry both; PostgreSQL takes neither, and one such row would fail its batch.
    """
    try:
        return not any("\0" in text for text in _texts(value) if text.encode())
    except UnicodeEncodeError:
        return False


def to_storable(text: str) -> str:
    """Put U+FFFD, the sign for a character that is not known, where `is_storable` finds fault."""
    return _UNSTORABLE.sub("\ufffd", text)


def escape_odd(text: str) -> str:
    """Return text that a database can hold as it is, and all other as JSON would spell it."""
    return text if is_storable(text) else _escaped(text)


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


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1]


def _plain_number(number: Decimal) -> float | str:
    plain = float(number)
    return plain if Decimal(repr(plain)) == number else str(number)


def _refuse(token: str) -> None:
    raise ValueError(f"{token} is not JSON")
