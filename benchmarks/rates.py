"""Rates that are never met: what we can do is asked, not what providers allow."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from typing_extensions import override

from bank_pipeline import bootstrap
from bank_pipeline.providers.plaid import client as plaid
from bank_pipeline.providers.throttle import Rate, Slot
from bank_pipeline.sync.rate_limits import SharedRateLimiter

_NEVER_MET: Final = Rate(10**7, 60.0, burst=5 * 10**6)


class WideLimiter(SharedRateLimiter):
    """Asks Postgres before every call as always, and is always granted it."""

    @override
    def take(self, slots: Sequence[Slot], *, wait_max_s: float) -> float:
        return super().take([replace(one, rate=_NEVER_MET) for one in slots], wait_max_s=wait_max_s)


def widen_rates() -> None:
    """Let this process keep no rate of a provider's, nor any limit on the pages of an update."""
    vars(plaid).update(PAGE_PACE_S=0.0, PAGES_MAX=10_000)
    vars(bootstrap).update(SharedRateLimiter=WideLimiter)
