"""Let something happen between two statements of somebody else. For tests of races."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa


@contextmanager
def just_before(engine: sa.Engine, *statements: str, act: Callable[[], object]) -> Iterator[None]:
    """
    Do `act` once: before the first statement with the last of these texts is sent.

    The others name statements that have to come before, in their order.
    """
    awaited = [*statements]

    def look(_db: object, _cursor: object, sql: str, *_: object) -> None:
        if awaited and awaited[0] in sql:
            awaited.pop(0)
            if not awaited:
                act()

    sa.event.listen(engine, "before_cursor_execute", look)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", look)
    assert not awaited, f"nobody sent {awaited[0]!r}"
