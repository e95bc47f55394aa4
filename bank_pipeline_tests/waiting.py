"""Waits for conditions of other processes, within bounds."""

import threading
import time
from collections.abc import Callable
from typing import Final

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


def answers(url: str) -> bool:
    """Say whether something answers there with JSON."""
    try:
        fetch_json(url)
    except SetupError:
        return False
    return True
