"""Waits for conditions of other processes, within bounds."""

import threading
import time
from collections.abc import Callable
from typing import Final

_PAUSE_S: Final = 0.1


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str = "condition") -> None:
    """Return as soon as the condition holds; fail when it does not within the time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        pause.wait(_PAUSE_S)
