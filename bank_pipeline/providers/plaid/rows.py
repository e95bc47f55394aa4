"""
Rows that do not fit in every part: decoration never keeps money from landing. Pure.

What a vital field holds must be readable, or the row is quarantined. Any other value that
cannot be read is unknown, and is handed on as it came, beside the row.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from bank_pipeline.providers.exact_json import dump_json, escape_odd, is_storable, to_storable
from bank_pipeline.providers.plaid.schemas import Row

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

_Schema = TypeVar("_Schema", bound=Row)


class OddTextError(Exception):
    """Text that no database can hold, where the row cannot do without it."""

    def __init__(self) -> None:
        super().__init__("text that no database can hold")


def read_row(
    model: type[_Schema],
    raw: Any,  # noqa: ANN401 - one parsed row, of any shape
    *,
    has_odd_text: bool,
) -> tuple[_Schema, Mapping[str, Any]]:
    """
    Read a row, and return what is unreadable in it apart, by field.

    Text that no database can hold is unreadable too; it is returned as JSON spells it, in
    ASCII. A text for people is mended (U+FFFD) and read besides.

    Raises:
        ValidationError: a vital field is missing or does not fit.
        OddTextError: a vital field holds text that no database can.
    """
    if has_odd_text and not is_storable(raw):
        return _read_odd_text(model, raw)
    try:
        return model.model_validate(raw), _NOTHING
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        unfit = {fault["loc"][0] for fault in faults if fault["loc"]}
        if not unfit or unfit & model.VITAL:
            raise
    fit = {key: value for key, value in raw.items() if key not in unfit}
    return model.model_validate(fit), {key: raw[key] for key in raw if key in unfit}


def _read_odd_text(model: type[_Schema], raw: Any) -> tuple[_Schema, Mapping[str, Any]]:  # noqa: ANN401
    if not isinstance(raw, dict):
        raise OddTextError
    fit, odd = {}, {}
    for key, value in raw.items():
        if is_storable({key: value}):
            fit[key] = value
            continue
        if key in model.VITAL:
            raise OddTextError
        odd[escape_odd(key)] = dump_json(value)
        if key in model.TEXTS and isinstance(value, str):
            fit[key] = to_storable(value)
    row, unreadable = read_row(model, fit, has_odd_text=False)
    return row, {**unreadable, **odd}
