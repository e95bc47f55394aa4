"""Mint our own identifiers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import uuid_utils

_mints: list[Callable[[], UUID | uuid_utils.UUID]] = [uuid_utils.uuid7]


def new_id() -> str:
    """
    Mint a UUIDv7 in canonical text.

    Ordered by time within a process, so that indexes grow at one end. The time in it is the
    machine's own clock, never a virtual one: it orders, it does not date.
    """
    return str(_mints[-1]())


@contextmanager
def minted_by(mint: Callable[[], UUID]) -> Iterator[None]:
    """
    Let `mint` draw the ids of this process while the context lasts.

    For simulations: ids decide when a connection has its turn, so a year that is to be lived
    again needs the same ones.
    """
    _mints.append(mint)
    try:
        yield
    finally:
        _mints.remove(mint)
