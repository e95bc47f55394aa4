"""
Rates that a provider allows us as a whole, kept before they are met.

All processes share them through a `RateLimiter`, which is somebody else's (Postgres): nothing of
a rate is in this process. A short wait is waited out inside the call; a longer one is a
`RateLimitedError`, so that the sync is put off instead of a thread that sleeps.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import RateLimitedError
from bank_pipeline.providers.retry import WAIT_MAX_S

THROTTLED: Final = "RATE_KEPT"
"""Our word for a call that would have been one too many: the provider was not asked."""

_SLEEP: Final = time.sleep  # noqa: TID251 - bounded by WAIT_MAX_S, as in retry.py


@dataclass(frozen=True)
class Rate:
    """
    How many calls in any `period_s` seconds, of which `burst` may come at once.

    Whatever comes after a burst is spread so that no window of a period ever holds more than
    `calls_max`: a provider's own windows begin when it likes.
    """

    calls_max: int
    period_s: float
    burst: int

    def __post_init__(self) -> None:
        assert 1 <= self.burst <= self.calls_max, "a burst is part of what is allowed"

    @property
    def interval_s(self) -> float:
        """The seconds from one call to the next once the burst is used up."""
        return self.period_s / (self.calls_max - self.burst + 1)


@dataclass(frozen=True)
class Slot:
    """One call wanted of one bucket."""

    bucket: str
    rate: Rate


class RateLimiter(Protocol):
    """Shares rates between processes."""

    def take(self, slots: Sequence[Slot], *, wait_max_s: float) -> float:
        """
        Take one call of each bucket, and return the seconds to wait before it is made.

        More than `wait_max_s`: too long to wait, and not every bucket gave one.
        """


class Unlimited:
    """Grants everything: for clients that nobody shares, and clocks that stand still."""

    def take(self, slots: Sequence[Slot], *, wait_max_s: float) -> float:  # noqa: ARG002
        """Grant it at once."""
        return 0.0


UNLIMITED: Final[RateLimiter] = Unlimited()


class Throttle:
    """
    Keeps the rates of one provider's client. Safe to share between threads.

    `rates_of` names the buckets of an operation with their rates; `key` tells this client from
    others of the same provider, as the rates are each client's own.
    """

    def __init__(
        self,
        provider: Provider,
        limiter: RateLimiter,
        rates_of: Callable[[str, str], Mapping[str, Rate]],
        *,
        key: str = "",
        sleep: Callable[[float], None] = _SLEEP,
    ) -> None:
        self._provider = provider
        self._limiter = limiter
        self._rates_of = rates_of
        self._key = key
        self._sleep = sleep

    def pass_by(self, operation: str, method: str, *, subject: str | None = None) -> None:
        """
        Wait until one more call is within the rates; `subject` has rates of its own.

        Raises:
            RateLimitedError: that would take too long; `retry_after_s` says how long.
        """
        slots = [*self._slots(operation, method, subject)]
        if not slots:
            return
        wait_s = self._limiter.take(slots, wait_max_s=WAIT_MAX_S)
        if wait_s > WAIT_MAX_S:
            raise RateLimitedError(self._provider, operation, code=THROTTLED, retry_after_s=wait_s)
        if wait_s > 0:
            self._sleep(wait_s)

    def _slots(self, operation: str, method: str, subject: str | None) -> Iterator[Slot]:
        for name, rate in self._rates_of(operation, method).items():
            whose = subject if name.endswith(PER_SUBJECT) else self._key
            if whose is not None:
                yield Slot(f"{self._provider} {name} {whose}".rstrip(), rate)


PER_SUBJECT: Final = "(each)"
"""Buckets whose name ends so are counted for each connection by itself."""

NO_THROTTLE: Final = Throttle(Provider.PLAID, UNLIMITED, lambda _operation, _method: {})
"""Keeps no rate."""
