"""How long to wait after failures in a row. Pure."""

from collections.abc import Sequence
from datetime import timedelta


def growing_wait(waits: Sequence[timedelta], failures: int) -> timedelta:
    """Return the wait after the first, second, … failure; the last one repeats for ever."""
    return waits[min(max(failures, 1), len(waits)) - 1]
