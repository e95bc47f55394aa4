"""
Whether a provider refuses us as a whole, and what to do about it. Pure.

One refusal of our own keys says that every other call would fail, too: no more are made, nobody's
connection is touched, and one probe at a time looks whether it was mended.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.waits import CLOCKS_APART, growing_wait, lies_ahead

PROBE_WAITS: Final = (timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
"""Waits after the first, second, … refusal; the last one repeats. One call costs nothing."""

PROBE_WITHIN: Final = PROBE_WAITS[-1] + CLOCKS_APART
"""A probe that is planned further ahead was planned by a clock that was ahead: it is due."""

PROBE_LEASE: Final = timedelta(minutes=2)
"""Whoever claims a probe and dies is replaced after it."""

RELAPSE_WITHIN: Final = timedelta(hours=6)
"""A refusal so soon after all was well again is the same trouble: its waits go on growing."""

SUSPICION_WINDOW: Final = timedelta(minutes=30)
SUSPICION_LEAST: Final = 5
"""So many customers told to act within the window, and most of those tried, look like our fault."""

TRUSTED_FOR: Final = timedelta(days=1)
"""After a probe found our keys in order, customers told to act are believed for so long."""

MASS_REFUSAL: Final = "MASS_REFUSAL"
"""Our word for many customers of one provider being told to act at once."""


class CircuitState(StrEnum):
    """CLOSED: calls are made. OPEN: none are. PROBING: somebody makes one, to find out."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


@dataclass(frozen=True)
class ProviderHealth:
    """
    What is known of our standing with one provider.

    `since` is when its state began; for probing, when the circuit opened. `failures` counts
    refusals in a row. `trusted_until`: until then no number of customers told to act is
    held against our keys.
    """

    provider: Provider
    state: CircuitState
    code: str | None
    since: datetime
    next_probe_at: datetime | None
    failures: int
    trusted_until: datetime | None

    @property
    def is_paused(self) -> bool:
        """Say whether no call but a probe is made."""
        return self.state is not CircuitState.CLOSED

    def is_probe_due(self, now: datetime) -> bool:
        """Say whether somebody may claim a probe: its time came, or a prober died."""
        return self.is_paused and not lies_ahead(self.next_probe_at, PROBE_WITHIN, now=now)


def healthy(provider: Provider, *, now: datetime) -> ProviderHealth:
    """Return what holds of a provider that nothing is known of."""
    return ProviderHealth(
        provider, CircuitState.CLOSED, None, now, None, failures=0, trusted_until=None
    )


def after_refusal(health: ProviderHealth, code: str, *, now: datetime) -> ProviderHealth:
    """Say how things stand when our keys were refused: by anybody's call, or by a probe."""
    if health.state is CircuitState.OPEN:
        return health  # others were under way: they tell the same
    is_relapse = health.is_paused or now - health.since < RELAPSE_WITHIN
    failures = health.failures + 1 if is_relapse else 1
    return ProviderHealth(
        health.provider,
        CircuitState.OPEN,
        code,
        since=health.since if health.is_paused else now,
        next_probe_at=now + growing_wait(PROBE_WAITS, failures),
        failures=failures,
        trusted_until=None,
    )


def after_suspicion(health: ProviderHealth, *, now: datetime) -> ProviderHealth:
    """Say how things stand when too many customers were told to act: probe at once."""
    if health.is_paused:
        return health
    opened = after_refusal(health, MASS_REFUSAL, now=now)
    return replace(opened, next_probe_at=now)


def while_probing(health: ProviderHealth, *, now: datetime) -> ProviderHealth:
    """Say how things stand while one of us looks: the others wait for the outcome."""
    return replace(health, state=CircuitState.PROBING, next_probe_at=now + PROBE_LEASE)


def after_probe(
    health: ProviderHealth, *, refused_with: str | None, now: datetime
) -> ProviderHealth:
    """Say how things stand after a probe; `refused_with` is None when all was well."""
    if refused_with is not None:
        return after_refusal(health, refused_with, now=now)
    return ProviderHealth(
        health.provider,
        CircuitState.CLOSED,
        code=None,
        since=now,
        next_probe_at=None,
        failures=health.failures,
        trusted_until=now + TRUSTED_FOR if health.code == MASS_REFUSAL else None,
    )


def is_suspicious(health: ProviderHealth, *, told_to_act: int, tried: int, now: datetime) -> bool:
    """
    Say whether so many customers told to act are more likely our fault than theirs.

    Both count connections of the provider within SUSPICION_WINDOW, this one among them.
    """
    if lies_ahead(health.trusted_until, TRUSTED_FOR + CLOCKS_APART, now=now):
        return False
    return told_to_act >= SUSPICION_LEAST and 2 * told_to_act > tried
