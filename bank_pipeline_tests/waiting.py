"""Waits for conditions of other processes, within bounds."""

import threading
import time
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from bank_pipeline.errors import SetupError
from bank_pipeline.providers.http import fetch_json

_PAUSE_S: Final = 0.1


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str = "condition") -> None:
    """Return as soon as the condition holds; fail when it does not within the time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        pause.wait(_PAUSE_S)


def wait_for_lock(engine: sa.Engine, key: int) -> None:
    """Return as soon as nobody holds the advisory lock; fail when somebody still does after 10 s.

    The server frees the locks of a session only when it hears that the session is closed.
    """
    with engine.begin() as db:
        db.execute(sa.text("SET LOCAL lock_timeout = '10s'"))
        db.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def answers(url: str) -> bool:
    """Say whether something answers there with JSON."""
    try:
        fetch_json(url)
    except SetupError:
        return False
    return True
