"""
The points at which a process can die: before every statement, commit, rollback, row of a COPY
and HTTP request.
"""

import os
import signal
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import httpx
import psycopg
import urllib3

_TOLD: Final = ("execute", "urlopen")  # what their arguments say is said too
_REQUEST: Final = "handle_request"


def die_at(last: int, *, tell: Callable[[str], None] = lambda _: None) -> None:
    """Have this process kill itself at one of its points, counted from 1; `tell` hears each."""
    points = _Points(last, tell)
    _wrap(psycopg.Cursor, "execute", points)
    _wrap(psycopg.Cursor, "executemany", points)
    _wrap(psycopg.Connection, "commit", points)
    _wrap(psycopg.Connection, "rollback", points)
    _wrap(psycopg.Copy, "write_row", points)
    _wrap(psycopg.Copy, "finish", points)
    _wrap(urllib3.connectionpool.HTTPConnectionPool, "urlopen", points)
    _wrap(httpx.HTTPTransport, _REQUEST, points)


class _Points:
    """Counts and tells the points, and dies at one of them."""

    def __init__(self, last: int, tell: Callable[[str], None]) -> None:
        self._last = last
        self._tell = tell
        self._count = 0

    def reach(self, name: str) -> None:
        self._count += 1
        self._tell(name)
        if self._count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


def _wrap(owner: type, name: str, points: _Points) -> None:
    method: Callable[..., Any] = getattr(owner, name)

    @wraps(method)
    def watched(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the method takes
        words = " ".join(map(str, args[1:3])).split() if name in _TOLD else []
        if name == _REQUEST:
            words = [args[1].method, args[1].url.path]  # a query may hold what opens a link
        points.reach(" ".join([name, *words])[:80])
        return method(*args, **named)

    setattr(owner, name, watched)
