"""Rates of the providers, kept by all our processes together."""

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa

from bank_pipeline.providers.throttle import RateLimiter, Slot
from bank_pipeline.storage.rate_limits import WantedSlot, take_slots
from bank_pipeline.sync.context import Clock

_MOMENT_S = 0.001


class SharedRateLimiter(RateLimiter):
    """
    Keeps rates in Postgres. Safe to share between threads and processes.

    Without Postgres nothing is granted: a sync that cannot reach it has nowhere to write, and
    a call it made would be lost.
    """

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._clock = clock

    def take(self, slots: Sequence[Slot], *, wait_max_s: float) -> float:
        """Take one call of each bucket; see `RateLimiter`."""
        now = self._clock()
        wanted = [
            WantedSlot(one.bucket, timedelta(seconds=one.rate.interval_s), one.rate.burst)
            for one in slots
        ]
        with self._engine.connect() as db:
            given = take_slots(db, wanted, now=now, wait_max=timedelta(seconds=wait_max_s))
        wait_s = max((one.due_at - now).total_seconds() for one in given)
        is_refused = not all(one.is_taken for one in given)
        return max(wait_s, wait_max_s + _MOMENT_S) if is_refused else wait_s
