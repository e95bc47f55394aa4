"""How long to wait after failures in a row, and what a clock says that may be wrong. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

CLOCKS_APART: Final = timedelta(minutes=15)
"""
By how much the clocks of hosts may differ.

What is noted further ahead is of a clock that was wrong, and was set back: when it happened is
not known, and nothing may wait until the time comes that it showed.
"""


def growing_wait(waits: Sequence[timedelta], failures: int) -> timedelta:
    """Return the wait after the first, second, … failure; the last one repeats for ever."""
    return waits[min(max(failures, 1), len(waits)) - 1]


def lies_ahead(at: datetime | None, within: timedelta, *, now: datetime) -> bool:
    """Say whether a moment is still to come; not if it is further ahead than any is planned."""
    return at is not None and now < at <= now + within


def is_since(at: datetime | None, since: datetime | None, *, now: datetime) -> bool:
    """Say whether something has happened since a moment; not if its clock was ahead."""
    return at is not None and since is not None and since <= at <= now + CLOCKS_APART
