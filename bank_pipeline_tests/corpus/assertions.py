"""
Expectations that a case states as lines of its source: those with a counterpart, as fields.

A line is recognised by its shape; what it states is never copied. All others are about that
client's own records, and are counted as such.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final


@dataclass(frozen=True)
class Stated:
    """One expectation by the name of our field."""

    field: str
    value: Any


def _text(found: re.Match[str]) -> Any:
    return found[1]


def _turned(found: re.Match[str]) -> Any:
    return -Decimal(found[1])  # positive is money out there


def _plain(found: re.Match[str]) -> Any:
    return Decimal(found[1])


def _count(found: re.Match[str]) -> Any:
    return int(found[1])


def _date(found: re.Match[str]) -> Any:
    return date(int(found[1]), int(found[2]), int(found[3]))


def _constant(value: Any) -> Callable[[re.Match[str]], Any]:
    return lambda _found: value


_EXTRA: Final[Mapping[str, str]] = {
    "fx_rate": "rate",
    "fx_unit_currency": "source_currency",
    "fx_instructed_amount": "source_amount",
    "merchant_category_code": "category_code",
}
_SHAPES: Final[tuple[tuple[str, str, Callable[[re.Match[str]], Any]], ...]] = (
    (r"assert_equal ([\d.]+), \w*entry\.amount(?:\.to_f)?", "amount", _turned),
    (r"assert_equal \"(.*)\", entry\.currency", "currency", _text),
    (r"assert_equal \"(.*)\", (?:\w*entry\.name|name|processor\.send\(:name\))", "shown", _text),
    (r"assert_includes entry\.notes, \"(.*)\"", "text_part", _text),
    (r"assert_equal true, .*pending\"?\]", "is_pending", _constant(True)),
    (r"assert_equal (\d+), (?:result|stored)\.(?:count|size)(?:,.*)?", "rows", _count),
    (r"assert_equal \"(.*)\", result\.first\[:entry_reference\]", "first_id", _text),
    (r"assert_equal Date\.new\((\d+), (\d+), (\d+)\), result\.date", "day", _date),
    (r"assert_nil processor\.send\(:merchant\)", "nobody", _constant(None)),
    (r"assert_raises\(ArgumentError\) do", "landed", _constant(0)),
    (r"assert_equal BigDecimal\(\"(.*)\"\), .*current_balance", "booked", _plain),
    (r"assert_nil .*current_balance", "booked", _constant(None)),
    (r"assert_difference .*, 1 do", "rows_added", _constant(1)),
    (r"assert_no_difference .* do", "rows_added_again", _constant(0)),
)
_COMPILED: Final = tuple((re.compile(shape), name, read) for shape, name, read in _SHAPES)
_EXTRA_LINE: Final = re.compile(r"assert_equal \"(.*)\", eb_extra\[\"(\w+)\"\]")


def read_assertions(lines: Sequence[str]) -> tuple[list[Stated], int]:
    """Return what the lines state in our words, and how many are about something else."""
    stated = [found for line in lines if (found := _read(line)) is not None]
    return stated, len(lines) - len(stated)


def _read(line: str) -> Stated | None:
    extra = _EXTRA_LINE.fullmatch(line)
    if extra is not None and extra[2] in _EXTRA:
        return Stated(_EXTRA[extra[2]], extra[1])
    for shape, name, read in _COMPILED:
        found = shape.fullmatch(line)
        if found is not None:
            return Stated(name, read(found))
    return None
