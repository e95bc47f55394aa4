"""
What providers' JSON is made of, read strictly where a wrong guess would cost money. Pure.

An amount is a JSON number or the text of one, as each provider documents; a date is a calendar
date. Everything else is tolerant: a row says which of its fields are vital, and `rows.py`
reads it without the others when they do not fit. Validation errors never show values.
"""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StrictStr,
    ValidationError,
    WrapValidator,
)

from bank_pipeline.domain.money import normalise_amount, to_currency
from bank_pipeline.providers.exact_json import is_storable

_CURRENCY: Final = re.compile("[A-Z]{3}")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,60}(\.[0-9]{1,60})?")
_ISO_DATE_LENGTH = len("2026-01-31")

FIRST_YEAR: Final = 1900
"""What is dated earlier is not dated: 0001-01-01 is what some banks' systems write for no date."""

ID_LENGTH_MAX: Final = 512
"""Longer than any id that was seen, and short enough for an index of PostgreSQL in any script."""


def _number(value: object) -> Decimal:
    if type(value) is Decimal:
        return value
    if type(value) is int:
        return Decimal(value)
    raise ValueError("a JSON number")


def _number_text(value: object) -> Decimal:
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        return Decimal(value.strip())
    return _number(value)


def _date(value: object) -> date:
    if isinstance(value, str) and len(value) == _ISO_DATE_LENGTH:
        day = date.fromisoformat(value)
        if day.year >= FIRST_YEAR:
            return day
    raise ValueError("a calendar date, YYYY-MM-DD")


def _stated(value: object) -> Decimal:
    return normalise_amount(_number(value))


def read_currency(code: str) -> str:
    """Return a code that is ISO 4217 or unknown as it came; any other does not fit."""
    cleaned = to_currency(code)
    if cleaned is None or _CURRENCY.fullmatch(cleaned):
        return code
    raise ValueError("an ISO 4217 code")


def read_storable(text: str) -> str:
    """Return text that a database can hold; any other does not fit."""
    if is_storable(text):
        return text
    raise ValueError("text that a database can hold")


def _or_none(value: object, read: Callable[[object], Any]) -> Any:  # noqa: ANN401 - what it reads
    try:
        return read(value)
    except ValidationError:
        return None


Number = Annotated[Decimal, PlainValidator(_number)]
NumberText = Annotated[Decimal, PlainValidator(_number_text)]
"""An amount as text, such as "-7.0000"; a JSON number is as good."""
Stated = Annotated[Decimal, PlainValidator(_stated)]
"""An amount beside the one that matters: what is no amount fails here, where it may."""
CalendarDate = Annotated[date, PlainValidator(_date)]
Filled = Annotated[StrictStr, Field(min_length=1)]
Identifier = Annotated[Filled, Field(max_length=ID_LENGTH_MAX)]
OR_NONE: Final = WrapValidator(_or_none)
"""What cannot be read is unknown, and nothing else is lost for it."""
Label = Annotated[Annotated[str, AfterValidator(read_storable)] | None, OR_NONE]


class Schema(BaseModel):
    """A part of an answer: unknown keys are left to the raw copy."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class Row(Schema):
    """
    A row that lands as long as its vital fields can be read.

    Only vital fields are required. `TEXTS` are for people: with a damaged character they
    still say something.
    """

    VITAL: ClassVar[frozenset[str]]
    TEXTS: ClassVar[frozenset[str]] = frozenset()
