"""
Rows that do not fit in every part: decoration never keeps money from landing. Pure.

What a vital field holds must be readable, or the row is quarantined. Any other value that
cannot be read is unknown, and is handed on as it came, beside the row.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from bank_pipeline.providers import tracing
from bank_pipeline.providers.answers import QuarantinedRow
from bank_pipeline.providers.exact_json import dump_json, escape_odd, is_storable, to_storable
from bank_pipeline.providers.fields import Row

DEPTH_MAX: Final = 100
"""Levels within levels. No bank sends ten; what writes a row down gives up after some 250."""

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

_NESTS: Final = (dict, list)
_ODD_TEXT: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")

_Schema = TypeVar("_Schema", bound=Row)
_Row = TypeVar("_Row")


class UnfitValueError(Exception):
    """A value that cannot be kept, where the row cannot do without it."""


class OddTextError(UnfitValueError):
    """Text that no database can hold."""

    def __init__(self) -> None:
        super().__init__("text that no database can hold")


class TooDeepError(UnfitValueError):
    """A value that is nested beyond reason."""

    def __init__(self) -> None:
        super().__init__("nested too deeply")


@dataclass
class Rows:
    """
    Reads rows one by one, so that a bad one is kept aside and its siblings land.

    PostgreSQL refuses text with NUL or with half of a surrogate pair, and one such row would
    fail its whole batch. It can only come from an escape or from bytes that are not UTF-8; a
    look at the bytes spares all other answers the walk through every text.
    """

    operation: str
    has_odd_text: bool
    quarantined: list[QuarantinedRow] = field(default_factory=list)

    @classmethod
    def of(cls, operation: str, bodies: Iterable[bytes]) -> "Rows":
        """Prepare to read the rows of these answers."""
        return cls(operation, any(map(_may_hold_odd_text, bodies)))

    def read(
        self,
        raw: Any,  # noqa: ANN401 - one parsed row, of any shape
        model: type[_Schema],
        transform: Callable[[_Schema, Mapping[str, Any]], _Row],
        *,
        id_key: str,
    ) -> _Row | None:
        """
        Return the row in domain terms; None when it is quarantined.

        `transform` is given what could not be read beside what could.
        """
        try:
            row = transform(*read_row(model, raw, has_odd_text=self.has_odd_text))
        except ValidationError as error:
            self.set_aside(raw, to_reason(error), id_key=id_key)
        except UnfitValueError as error:
            self.set_aside(raw, str(error), id_key=id_key)
        else:
            tracing.note(raw, row)
            return row
        return None

    def set_aside(self, raw: Any, reason: str, *, id_key: str) -> None:  # noqa: ANN401
        """Keep something that is no row, as it came."""
        value = raw.get(id_key) if isinstance(raw, dict) else None
        external_id = escape_odd(value) if isinstance(value, str) else None
        row = QuarantinedRow(self.operation, external_id, _spelt(raw), reason)
        self.quarantined.append(row)


def to_reason(error: ValidationError) -> str:
    """Name fields and rules, never values."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    words = (f"{'.'.join(map(str, fault['loc']))}: {fault['type']}" for fault in faults)
    return escape_odd("; ".join(words))


def read_row(
    model: type[_Schema],
    raw: Any,  # noqa: ANN401 - one parsed row, of any shape
    *,
    has_odd_text: bool,
) -> tuple[_Schema, Mapping[str, Any]]:
    """
    Read a row, and return what is unreadable in it apart, by field.

    Text that no database can hold is unreadable too; it is returned as JSON spells it, in
    ASCII. A text for people is mended (U+FFFD) and read besides. So is what is nested too deeply.

    Raises:
        ValidationError: a vital field is missing or does not fit.
        UnfitValueError: a vital field holds what no database can.
    """
    if _is_deeper(raw, DEPTH_MAX):
        return _read_deep(model, raw, has_odd_text=has_odd_text)
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
        if key in model.TEXTS and isinstance(value, str | list):
            fit[key] = _mended(value)
    row, unreadable = read_row(model, fit, has_odd_text=False)
    return row, {**unreadable, **odd}


def _read_deep(
    model: type[_Schema],
    raw: Any,  # noqa: ANN401
    *,
    has_odd_text: bool,
) -> tuple[_Schema, Mapping[str, Any]]:
    if not isinstance(raw, dict):
        raise TooDeepError
    deep = {key: value for key, value in raw.items() if _is_deeper(value, DEPTH_MAX - 1)}
    if deep.keys() & model.VITAL:
        raise TooDeepError
    fit = {key: value for key, value in raw.items() if key not in deep}
    row, unreadable = read_row(model, fit, has_odd_text=has_odd_text)
    return row, {**unreadable, **{escape_odd(key): _spelt(deep[key]) for key in deep}}


def _is_deeper(value: Any, levels: int) -> bool:  # noqa: ANN401
    """Say whether objects and lists are nested in more levels than so many: level by level."""
    nests = [value] if type(value) in _NESTS else []
    for _ in range(levels):
        if not nests:
            return False
        nests = [
            inner
            for one in nests
            for inner in (one.values() if type(one) is dict else one)
            if type(inner) in _NESTS
        ]
    return bool(nests)


def _spelt(raw: Any) -> str:  # noqa: ANN401
    """Return JSON as text. What is nested too deeply even for that is in the archive alone."""
    try:
        return dump_json(raw)
    except RecursionError:
        return dump_json(str(TooDeepError()))


def _mended(value: Any) -> Any:  # noqa: ANN401 - a text, or lines of text
    """Mend texts, also those in lists; what else is in there says nothing to people."""
    if isinstance(value, list):
        return [_mended(item) for item in value]
    return to_storable(value) if isinstance(value, str) else None


def _may_hold_odd_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return True
    return _ODD_TEXT.search(body) is not None
