"""
What may stand in a log line: everything else is left out by construction. Pure.

Plain values stay, under names that are no secret's; texts lose what looks like one; whatever is
neither is told by its type alone, because its words are somebody else's and may quote anything.
"""

import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, Final
from uuid import UUID

import uuid_utils
from pydantic import Secret, SecretBytes, SecretStr

from bank_pipeline.errors import BankPipelineError
from bank_pipeline.logs.patterns import REDACTED, names_secret, redact_text

TEXT_MAX: Final = 8_192  # no line of ours is near it; a page of HTML is
ITEMS_MAX: Final = 100
DEPTH_MAX: Final = 8
FRAMES_MAX: Final = 30
CAUSES_MAX: Final = 8

_CUT: Final = 256  # what ends where a text is cut may be half of a secret
_PAIR: Final = 2
_PACKAGE: Final = Path(__file__).parents[1]


def redact(value: object, *, depth: int = 0) -> Any:  # noqa: ANN401 - JSON leaves
    """Return what may be written of a value, as JSON values."""
    for kinds, show in _PLAIN:
        if isinstance(value, kinds):
            return show(value)
    if depth >= DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        return _redact_mapping(value, depth)
    if isinstance(value, Sequence | AbstractSet):
        return _redact_items(value, depth)
    return f"<{type(value).__name__}>"


def bounded(text: str) -> str:
    """Return a text without secrets, and not longer than a line may be."""
    if len(text) <= TEXT_MAX:
        return redact_text(text)
    return redact_text(text[:TEXT_MAX])[:-_CUT] + "…"


def describe(error: BaseException) -> str:
    """Say what failed. Only errors of ours have words that are safe to show."""
    kind = type(error)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    if isinstance(error, BankPipelineError) and (words := bounded(str(error))):
        return f"{name}: {words}"
    return name


def to_exceptions(error: BaseException) -> list[dict[str, Any]]:
    """
    Return an error and what led to it, each with where it was raised, innermost place last.

    No values of variables, no lines of source, no words but ours: those of an HTTP client quote
    bodies and headers, those of a database whole rows.
    """
    told: list[dict[str, Any]] = []
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting and len(told) < CAUSES_MAX:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        told.append({"error": describe(one), "frames": _frames(one)})
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
        waiting.append(one.__cause__ or (None if one.__suppress_context__ else one.__context__))
    return told


def _redact_mapping(value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for number, (key, one) in enumerate(value.items()):
        if number >= ITEMS_MAX:
            shown["…"] = len(value) - ITEMS_MAX
            break
        name = _name(key)
        is_secret = names_secret(name)
        shown[_shown(name)] = REDACTED if is_secret else redact(one, depth=depth + 1)
    return shown


def _redact_items(value: Sequence[Any] | AbstractSet[Any], depth: int) -> list[Any]:
    items = [*value][: ITEMS_MAX + 1]
    # A pair may be a name and its value, as headers are.
    is_named = len(items) == _PAIR and isinstance(items[0], str | bytes)
    if is_named and names_secret(_name(items[0])):
        return [_shown(_name(items[0])), REDACTED]
    shown = [redact(one, depth=depth + 1) for one in items[:ITEMS_MAX]]
    return shown if len(items) <= ITEMS_MAX else [*shown, "…"]


@lru_cache(maxsize=1024)
def _shown(name: str) -> str:
    return bounded(name)


def _name(key: object) -> str:
    """Return a key as text; of other objects only the type."""
    if isinstance(key, bytes):
        return key.decode("latin-1")
    if isinstance(key, Enum):
        return _name(key.value)
    return key if isinstance(key, str) else str(redact(key))


def _frames(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES_MAX:]
    return [f"{_place(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]


def _place(filename: str) -> str:
    """Return a file as it is named in our package, or the end of its path elsewhere."""
    path = Path(filename)
    if path.is_relative_to(_PACKAGE):
        return str(path.relative_to(_PACKAGE.parent))
    return "/".join(path.parts[-2:])


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


# In this order: some of them are others', too.
_PLAIN: Final[tuple[tuple[tuple[type, ...], Callable[[Any], Any]], ...]] = (
    ((type(None), bool), lambda value: value),
    ((Secret, SecretStr, SecretBytes), lambda _: REDACTED),
    ((Enum,), lambda value: redact(value.value)),
    ((int, float), _number),
    ((str, PurePath), lambda value: bounded(str(value))),
    ((Decimal, date, datetime, time, timedelta, UUID, uuid_utils.UUID), str),
    ((bytes, bytearray, memoryview), lambda value: f"<{len(value)} bytes>"),
    ((BaseException,), describe),
)
