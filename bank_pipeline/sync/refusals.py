"""
Webhooks that were refused: counted for good, and told to the operator when they are many.

A counter and never a list: whoever sends forgeries decides how many there are.
"""

import logging
import threading
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.webhooks import Refusal, is_many
from bank_pipeline.storage.faults import FaultName, FaultSource, OpenFault
from bank_pipeline.storage.inbox import load_lag
from bank_pipeline.storage.webhook_refusals import Refused, add_refusals, load_refusals
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.faults import QUIET, note_fault

LATE: Final = timedelta(minutes=15)
"""A webhook waits so long only where the daemon stands still, or has more than it can do."""

REFUSED: Final = "refused"
WAITING: Final = "waiting"

_log: Final = logging.getLogger(__name__)

_Key = tuple[Provider, Refusal, datetime]


@dataclass(frozen=True)
class _Seen:
    name: FaultName
    at: datetime
    count: int


class RefusalCounter:
    """
    Counts refusals into the database. Safe to share between threads.

    One thread writes at a time, and takes along what the others noted meanwhile: a flood costs
    as many writes as the database has time for.
    """

    def __init__(self, context: SyncContext) -> None:
        self._context = context
        self._noted: dict[_Key, Refused] = {}
        self._is_failing = False
        self._list = threading.Lock()
        self._turn = threading.Lock()

    def note(self, provider: Provider, refusal: Refusal) -> None:
        """Count one refusal. What the database does not take is counted with the next one."""
        self.note_for_later(provider, refusal)
        with self._turn:
            with self._list:
                taken, self._noted = [*self._noted.values()], {}
            if taken:
                self._write(taken)

    def note_for_later(self, provider: Provider, refusal: Refusal) -> None:
        """Count one refusal together with the next that is counted: this waits for nothing."""
        now = self._context.clock()
        hour = now.replace(minute=0, second=0, microsecond=0)
        self._add([Refused(provider, refusal, hour, times=1, first_at=now, last_at=now)])

    def _add(self, refused: list[Refused]) -> None:
        with self._list:
            for one in refused:
                key = (one.provider, one.refusal, one.hour)
                known = self._noted.get(key)
                self._noted[key] = one if known is None else _together(known, one)

    def _write(self, taken: list[Refused]) -> None:
        try:
            with self._context.engine.begin() as db:
                add_refusals(db, taken)
        except sa.exc.SQLAlchemyError as error:
            self._add(taken)
            if not self._is_failing:  # once, not for each of a flood
                _log.error("refused webhooks cannot be counted just now: %s", type(error).__name__)
            self._is_failing = True
        else:
            self._is_failing = False


def _together(one: Refused, other: Refused) -> Refused:
    return replace(
        one,
        times=one.times + other.times,
        first_at=min(one.first_at, other.first_at),
        last_at=max(one.last_at, other.last_at),
    )


def note_webhook_faults(context: SyncContext, open_faults: list[OpenFault]) -> list[str]:
    """
    Note that many webhooks were refused, or that some wait too long; return what is over.

    A fault is over when an hour has passed without it.
    """
    now = context.clock()
    known = {one.name: one for one in open_faults if one.name.source is FaultSource.WEBHOOKS}
    for seen in _look(context, now):
        fault = known.get(seen.name)
        if fault is None or seen.at > fault.last_seen_at:
            note_fault(context, seen.name, seen_at=seen.at, facts={"count": seen.count})
            known.pop(seen.name, None)
    return [one.id for one in known.values() if one.last_seen_at <= now - QUIET]


def _look(context: SyncContext, now: datetime) -> list[_Seen]:
    with context.engine.connect() as db:
        refused = load_refusals(db, since=now - QUIET)
        lag = load_lag(db, now=now)
    counts: dict[Provider, dict[Refusal, int]] = defaultdict(lambda: defaultdict(int))
    newest: dict[Provider, datetime] = {}
    for one in refused:
        counts[one.provider][one.refusal] += one.times
        newest[one.provider] = max(newest.get(one.provider, one.last_at), one.last_at)
    many = [
        _Seen(_named(provider, REFUSED), newest[provider], sum(of_provider.values()))
        for provider, of_provider in counts.items()
        if is_many(of_provider)
    ]
    late = [
        _Seen(_named(one.provider, WAITING), now, one.events)
        for one in lag
        if one.oldest_received_at <= now - LATE
    ]
    return many + late


def _named(provider: Provider, cause: str) -> FaultName:
    return FaultName(FaultSource.WEBHOOKS, provider.value, cause)
