"""How many counted calls are left, and when the next one is. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

PERIOD: Final = timedelta(hours=24)
"""Providers count calls over any 24 hours."""


@dataclass(frozen=True)
class PastCall:
    """
    One call of the last 24 hours.

    `is_scheduled`: made by ourselves, not for a person. `is_counted`: the provider counts it.
    `calls_left` and `resets_at` are what its answer said, None when it said nothing.
    """

    called_at: datetime
    is_scheduled: bool
    is_counted: bool
    calls_left: int | None
    resets_at: datetime | None


@dataclass(frozen=True)
class Allowance:
    """Calls in any 24 hours: at all, and by ourselves."""

    calls_max: int
    scheduled_max: int


def next_call_at(
    past: Sequence[PastCall],
    allowance: Allowance,
    *,
    is_scheduled: bool,
    now: datetime,
    cost: int = 1,
) -> datetime:
    """
    Return when the next call may be made; not after `now` means at once.

    `cost` is how many calls the provider counts for it; what costs more than there ever is may be
    made when nothing was spent.
    `past` are the calls of the last 24 hours, oldest first. That nothing is left, by the
    provider's newest word, goes before our own count: others may share the quota. Its word
    that much is left does not: it may be about another limit.
    """
    counted = [call for call in past if call.is_counted]
    due = [now, _freed_at(counted, allowance.calls_max, cost, now)]
    if is_scheduled:
        own = [call for call in counted if call.is_scheduled]
        due.append(_freed_at(own, allowance.scheduled_max, cost, now))
    told = next((call for call in reversed(past) if call.calls_left is not None), None)
    if told is not None and told.calls_left is not None and told.calls_left <= 0:
        due.append(told.resets_at or told.called_at + PERIOD)
    return max(due)


def calls_left(past: Sequence[PastCall], calls_max: int, *, now: datetime) -> int:
    """Return how many calls are left now, by our own count or the provider's newest word."""
    counted = calls_max - sum(call.is_counted for call in past)
    told = next((call for call in reversed(past) if call.calls_left is not None), None)
    is_over = told is not None and told.resets_at is not None and told.resets_at <= now
    if told is None or told.calls_left is None or is_over:
        return max(counted, 0)
    return max(min(counted, told.calls_left), 0)


def _freed_at(counted: Sequence[PastCall], calls_max: int, cost: int, now: datetime) -> datetime:
    """Return when `cost` more than those of these calls within a period are not above the most."""
    kept = max(calls_max - cost, 0)  # so many may still lie within it
    if len(counted) <= kept:
        return now
    return counted[-kept - 1].called_at + PERIOD
