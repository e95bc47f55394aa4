"""How far back a bank goes: what is known of it, and what one sync learns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.depth import Depth, Reach
from bank_pipeline.domain.window import (
    HISTORY_STEPS,
    DateWindow,
    first_window,
    plan_window,
    shorter_window,
)
from bank_pipeline.providers.answers import WindowAnswer, WindowRequest
from bank_pipeline.providers.base import Capabilities

GIVEN_FOR: Final = timedelta(days=3)
"""How long a bank that answered so far back is believed to go on doing so."""

REFUSED_FOR: Final = timedelta(days=28)
"""
How long a refusal is believed; then whoever needs these days asks once more.

Some banks call a period too long when they have another trouble, and some learn to give more.
"""

CONSENT_IS_FRESH: Final = timedelta(hours=1)
"""
So long after the consent banks give their whole history.

What one refuses later says nothing of what its other customers get right after theirs.
"""


@dataclass
class Horizon:
    """
    How far back one connection's bank goes.

    `bank_days` is the longest history that it is known to give right after a consent, and
    `refused_beyond_days` that beyond which it refused to go under this one, last at `refused_at`,
    None when nobody knows when. `given_days` is how
    far back it answered last, at `given_at`: a refusal within that is not about the dates.
    `learned_bank_days` is what this sync found out for the bank's later customers.
    """

    reach: Reach
    capabilities: Capabilities
    now: datetime
    bank_days: int | None = None
    refused_beyond_days: int | None = None
    refused_at: datetime | None = None
    given_days: int | None = None
    given_at: datetime | None = None
    is_consent_fresh: bool = False
    learned_bank_days: int | None = None
    has_refused: bool = False

    @property
    def today(self) -> date:
        """
        Return the last day to ask for: today, in UTC.

        Where it is tomorrow already, rows of that day come along: no last day is ever sent. No
        answer denies them before our own day is theirs.
        """
        return self.now.date()

    def plan(self, covered: Sequence[DateWindow], oldest_pending: date | None) -> WindowRequest:
        """Return what to ask for of an account, by what is covered of it."""
        if not covered:
            return WindowRequest(first_window(self.today, days=self._days()), is_first=True)
        window = plan_window(
            covered,
            oldest_pending=oldest_pending,
            overlap_days=self.capabilities.overlap_days,
            given_from=self._day(self._refusal()),
            since=self._since(),
            today=self.today,
        )
        return WindowRequest(window, is_first=False)

    def shorter(self, request: WindowRequest, *, earliest: date | None) -> WindowRequest | None:
        """Return what to ask for after a refusal; None when there is nothing shorter."""
        known = None if request.is_first else self._day(self.refused_beyond_days)
        window = shorter_window(request.window, earliest=earliest or known)
        return None if window is None else WindowRequest(window, request.is_first)

    def has_given(self, request: WindowRequest) -> bool:
        """
        Say whether the bank answered for dates as old lately.

        Then a refusal is not about the dates, whatever it says.
        """
        given = None if request.is_first else self._given_lately()
        return given is not None and (self.today - request.window.first).days <= given

    def note_answer(self, request: WindowRequest, answer: WindowAnswer, *, is_cut: bool) -> None:
        """Learn from an answer; `is_cut`: more was asked for, and refused."""
        days = (request.window.last - request.window.first).days
        if is_cut:
            self._limit(days, is_given=True)
            if request.is_first and self.is_consent_fresh:
                self.learned_bank_days = days
        if request.is_first or answer.covered is None:
            return
        given = (self.today - answer.covered.first).days
        if answer.covered.first > request.window.first:  # cut without a word
            self._limit(given, is_given=True)
        elif self._goes_beyond(given):
            self.refused_beyond_days = self.refused_at = None
        if given >= (self._given_lately() or 0):
            self.given_days, self.given_at = given, self.now

    def note_refusal(self, request: WindowRequest) -> None:
        """Learn that the bank gives no more than this, of which it was not asked yet."""
        self._limit((request.window.last - request.window.first).days)

    def _given_lately(self) -> int | None:
        is_lately = self.given_at is not None and self.now - self.given_at <= GIVEN_FOR
        return self.given_days if is_lately else None

    def _limit(self, days: int, *, is_given: bool = False) -> None:
        """Keep the fewest days of this sync; what was given disproves less that was known."""
        known = None if is_given and not self.has_refused else self.refused_beyond_days
        self.refused_beyond_days = days if known is None else min(known, days)
        self.refused_at, self.has_refused = self.now, True

    def _goes_beyond(self, given: int) -> bool:
        known = self.refused_beyond_days
        return not self.has_refused and known is not None and given > known

    def _since(self) -> date | None:
        if self.reach.depth is Depth.BACKFILL:
            longest = self._day(self.capabilities.history_days_max)
            since = self.reach.since or self._day(HISTORY_STEPS[0])
            return max(day for day in (since, longest) if day is not None)
        if self.reach.depth is Depth.DEEP:
            can = self.capabilities
            known = (can.deep_days, self.bank_days, self._refusal(), can.history_days_max)
            return self._day(min(days for days in known if days is not None))
        return None

    def _refusal(self) -> int | None:
        """Return beyond which day not to ask; an old refusal is tried once more, once in a sync."""
        is_old = self.refused_at is None or self.now - self.refused_at >= REFUSED_FOR
        return None if is_old and not self.has_refused else self.refused_beyond_days

    def _days(self) -> int:
        known = (self.bank_days, self.refused_beyond_days, self.capabilities.history_days_max)
        return min((days for days in known if days is not None), default=HISTORY_STEPS[0])

    def _day(self, days: int | None) -> date | None:
        return None if days is None else self.today - timedelta(days=days)


def horizon_of(
    connection: Connection,
    reach: Reach,
    capabilities: Capabilities,
    *,
    bank_days: int | None,
    is_new: bool,
    now: datetime,
) -> Horizon:
    """Return what is known before a sync; `is_new`: nothing of the connection was read yet."""
    return Horizon(
        reach=reach,
        capabilities=capabilities,
        now=now,
        bank_days=bank_days,
        refused_beyond_days=connection.refused_beyond_days,
        refused_at=connection.refused_at,
        given_days=connection.given_days,
        given_at=connection.given_at,
        is_consent_fresh=is_new and now - connection.created_at <= CONSENT_IS_FRESH,
    )
