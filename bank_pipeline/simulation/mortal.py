"""
A process whose children work until they are killed: `python -m bank_pipeline.simulation.mortal`.

Reads orders from standard input, a JSON object per line. For each it forks a child with
everything imported, which syncs one connection and kills itself at the given point. A point
lies before every statement, commit, rollback, row of a COPY and HTTP request.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

import httpx
import psycopg
import urllib3

from bank_pipeline.config import Settings
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import BankPipelineError
from bank_pipeline.simulation.installation import build_context, seeded_mint
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.identifiers import minted_by
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.reports import SyncReason, SyncRequest

NAME = "mortal"
"""What the child's sessions are called on the server."""


def main() -> None:
    """Carry out orders until there are no more."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(_live(json.loads(line)))
        _, status = os.waitpid(child, 0)
        was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        sys.stdout.write(json.dumps({"was_killed": was_killed}) + "\n")
        sys.stdout.flush()


def _live(order: dict[str, Any]) -> int:
    _watch(_Points(order["point"]))
    settings = Settings.model_validate(order["settings"])
    now = datetime.fromisoformat(order["now"])
    engine = build_engine(order["database_url"], application_name=NAME)
    context = build_context(settings, engine, clock=lambda: now, cached={})
    connection_id = ConnectionId(order["connection_id"])
    with minted_by(seeded_mint("mortal", order["now"], connection_id)):
        try:
            sync_connection(context, SyncRequest(connection_id, SyncReason.SCHEDULE))
        except BankPipelineError:
            return 1  # it is written down, like every failure
    return 0


class _Points:
    """Counts the points, and dies at one of them."""

    def __init__(self, last: int) -> None:
        self._last = last
        self._count = 0

    def reach(self) -> None:
        self._count += 1
        if self._count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


def _watch(points: _Points) -> None:
    _wrap(psycopg.Cursor, "execute", points)
    _wrap(psycopg.Cursor, "executemany", points)
    _wrap(psycopg.Connection, "commit", points)
    _wrap(psycopg.Connection, "rollback", points)
    _wrap(psycopg.Copy, "write_row", points)
    _wrap(psycopg.Copy, "finish", points)
    _wrap(urllib3.connectionpool.HTTPConnectionPool, "urlopen", points)
    _wrap(httpx.HTTPTransport, "handle_request", points)


def _wrap(owner: type, name: str, points: _Points) -> None:
    method: Callable[..., Any] = getattr(owner, name)

    @wraps(method)
    def watched(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the method takes
        points.reach()
        return method(*args, **named)

    setattr(owner, name, watched)


if __name__ == "__main__":
    main()
