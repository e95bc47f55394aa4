"""
JSON as providers write it: numbers printed exactly, UTC moments with a Z. Pure.

Banks state amounts with up to seven decimals, so nothing here
passes through a float.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

# `json` cannot print a Decimal as a number. Marked strings are printed instead and the marks,
# with their quotes, cut out of the text; no bank's text holds these control characters.
_OPEN, _CLOSE = "\x02", "\x03"
_OPEN_PRINTED: Final = '"\\u0002'
_CLOSE_PRINTED: Final = '\\u0003"'


def dumps(body: Any, *, indent: int | None = None) -> str:  # noqa: ANN401 - any JSON value
    """Return the JSON text of `body`, in which each Decimal is a number without trailing zeros."""
    printed = json.dumps(body, indent=indent, default=_mark, ensure_ascii=False)
    return printed.replace(_OPEN_PRINTED, "").replace(_CLOSE_PRINTED, "")


def loads(text: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Read JSON; fractions become Decimals. Not JSON is a ValueError."""
    return json.loads(text, parse_float=Decimal)


def number_text(value: Decimal) -> str:
    """Return `value` in full, without exponent, trailing zeros or a negative zero."""
    if not value:
        return "0"
    printed = format(value, "f")
    return printed.rstrip("0").rstrip(".") if "." in printed else printed


def optional_number_text(value: Decimal | None) -> str | None:
    """Return `number_text`, or None for None."""
    return None if value is None else number_text(value)


def moment_text(moment: datetime) -> str:
    """Return an aware moment as `2026-01-02T03:04:05Z`, with milliseconds where there are any."""
    if not moment.microsecond:
        return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def optional_moment_text(moment: datetime | None) -> str | None:
    """Return `moment_text`, or None for None."""
    return None if moment is None else moment_text(moment)


def _mark(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{_OPEN}{number_text(value)}{_CLOSE}"
    raise TypeError(f"{type(value).__name__} has no place in an answer")
