"""Of what an answer tells more than once, the newest. Pure."""

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Raw = TypeVar("_Raw")


def newest_of(
    raws: Iterable[_Raw], key: Callable[[_Raw], _Key], age: Callable[[_Raw], Any]
) -> dict[_Key, _Raw]:
    """Return of each key the one of the greatest age, the last of equals; in order of the keys."""
    newest: dict[_Key, _Raw] = {}
    for raw in raws:
        name = key(raw)
        if name not in newest or age(raw) >= age(newest[name]):
            newest[name] = raw
    return newest
