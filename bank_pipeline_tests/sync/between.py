"""Let something happen between two statements of somebody else. For tests of races."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import sqlalchemy as sa

LOCK: Final = "FROM bank.connections.*FOR UPDATE"
"""Whoever is about to write to a connection."""


@contextmanager
def just_before(engine: sa.Engine, *statements: str, act: Callable[[], object]) -> Iterator[None]:
    """
    Do `act` once: before the first statement is sent in which the last of these patterns is found.

    The others are found in statements that have to come before, in their order.
    """
    awaited = [*statements]

    def look(_db: object, _cursor: object, sql: str, *_: object) -> None:
        if awaited and re.search(awaited[0], sql, re.DOTALL):
            awaited.pop(0)
            if not awaited:
                act()

    sa.event.listen(engine, "before_cursor_execute", look)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", look)
    assert not awaited, f"nobody sent {awaited[0]!r}"


def during_a_sync(engine: sa.Engine, happen: Callable[[], object]) -> AbstractContextManager[None]:
    """Let something happen once, when a sync has the provider's answers, and writes nothing yet."""
    return just_before(engine, "INSERT INTO bank.sync_runs", LOCK, act=happen)
