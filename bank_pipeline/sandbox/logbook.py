"""The growing record of one account: generated day by day as time passes, plus what is scripted."""

import heapq
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain
from typing import Final

from bank_pipeline.sandbox.chance import dice
from bank_pipeline.sandbox.ledger import Entry, LedgerEvent
from bank_pipeline.sandbox.life import (
    Stage,
    Temper,
    draw_fate,
    result_of,
    settles_at,
    stages_of,
)
from bank_pipeline.sandbox.movements import Day, Purse, begin_of, day_spending
from bank_pipeline.sandbox.routines import Habits, StandingTransfer, day_routine

RECENT: Final = timedelta(days=14)  # before the beginning, lives are shown in full
_ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Plan:
    """
    All that decides an account's events. `quiet` accounts see no movements but scripted ones.

    Of lives that were over `RECENT` before `beginning`, only the result is told, as a bank does.
    """

    seed: int
    purse: Purse
    habits: Habits
    transfers: tuple[StandingTransfer, ...]
    temper: Temper
    beginning: datetime
    quiet: bool


class Logbook:
    """
    Hold one account's events up to the latest moment asked for.

    Not thread-safe: the world locks. Time must not go backwards between calls of `grow` and
    `append`.
    """

    def __init__(self, plan: Plan) -> None:
        """Begin on the day after the account was opened, so that nothing precedes it."""
        self._plan = plan
        self.entries: dict[str, Entry] = {}
        self._events: list[LedgerEvent] = []
        self._moments: list[datetime] = []
        self._planned: list[tuple[datetime, str, int, Stage]] = []
        self._next_day = plan.purse.account.opened_on + _ONE_DAY
        self._scripted: set[str] = set()
        self._scripted_count = 0

    def grow(self, until: datetime) -> None:
        """Record every planned event up to and including `until`."""
        self._plan_days((until + self._plan.purse.bank.utc_offset).date())
        while self._planned and self._planned[0][0] <= until:
            stage = heapq.heappop(self._planned)[-1]
            if stage.entry.id not in self._scripted:
                self._record(stage)

    def append(self, entry: Entry, at: datetime, *, noop: bool) -> Entry:
        """Record a scripted event. What was planned for the same entry is dropped."""
        self._scripted.add(entry.id)
        return self._record(Stage(at, entry, noop))

    def new_id(self) -> str:
        """Return an id for a scripted entry."""
        self._scripted_count += 1
        return f"{self._plan.purse.account.id}.hand.{self._scripted_count}"

    def events(self, until: datetime, after_sequence: int) -> Sequence[LedgerEvent]:
        """Return the recorded events up to and including `until`, in order."""
        return tuple(self._events[max(0, after_sequence) : bisect_right(self._moments, until)])

    @property
    def count(self) -> int:
        """How many events there are."""
        return len(self._events)

    def is_all_by(self, until: datetime) -> bool:
        """Say whether every recorded event happened up to and including `until`."""
        return not self._moments or self._moments[-1] <= until

    def _record(self, stage: Stage) -> Entry:
        entry = stage.entry
        sequence = len(self._events) + 1
        before = self.entries.get(entry.id)
        self._events.append(LedgerEvent(sequence, stage.at, entry, before, stage.noop))
        self._moments.append(stage.at)
        self.entries[entry.id] = entry
        return entry

    def _plan_days(self, last: date) -> None:
        if self._plan.quiet:
            return
        while self._next_day <= last:
            for stage in _day_stages(self._plan, self._next_day):
                key = (stage.at, stage.entry.id, stage.entry.version)
                heapq.heappush(self._planned, (*key, stage))
            self._next_day += _ONE_DAY


def _day_stages(plan: Plan, on: date) -> Iterator[Stage]:
    """Yield all that will ever become of the movements born on one day."""
    purse = plan.purse
    rolled = dice(plan.seed, purse.account.id, on)
    day = Day(on, begin_of(on, purse.bank), rolled)
    movements = chain(
        day_routine(purse, plan.habits, plan.transfers, day), day_spending(purse, day)
    )
    number = 0
    for movement in movements:
        fate = draw_fate(movement, purse.bank, plan.temper, rolled)
        is_settled = settles_at(fate) < plan.beginning - RECENT
        for _ in range(movement.copies):
            number += 1
            entry_id = f"{purse.account.id}.{on:%Y%m%d}.{number}"
            if is_settled:
                entry = result_of(movement, fate, purse.account, entry_id)
                yield from () if entry is None else (Stage(fate.booked_at, entry),)
            else:
                yield from stages_of(movement, fate, purse.account, entry_id)
