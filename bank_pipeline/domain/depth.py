"""How far back one sync looks: as usual, deeper once a week, or as far as somebody asked. Pure."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from bank_pipeline.domain.cadence import deep_day
from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.window import HISTORY_STEPS

BACKFILL_DAYS: Final = HISTORY_STEPS[0]
"""The days of a backfill that names no first one."""

BACKFILL_KEPT: Final = timedelta(days=3)
"""
How long a backfill that fails is tried again before it is given up.

While it is tried, no sync is a usual one; a bank that fails on old dates alone must not keep
the new ones from us for longer.
"""


class Depth(StrEnum):
    """
    How far back a sync looks.

    NORMAL: to the last complete answer, and by the overlap. DEEP: as far as the bank gives
    without another refusal, up to a number of days that is the provider's. BACKFILL: to a date
    that somebody named. For a change feed the last two are a replay of its whole history.
    """

    NORMAL = "normal"
    DEEP = "deep"
    BACKFILL = "backfill"


@dataclass(frozen=True)
class Reach:
    """How far back one sync looks; `since` is the first day of a BACKFILL, else None."""

    depth: Depth = Depth.NORMAL
    since: date | None = None


AS_USUAL: Final = Reach()


def planned_reach(
    connection: Connection, asked: Depth, *, is_scheduled: bool, has_feed: bool, now: datetime
) -> Reach:
    """
    Return how far back a sync looks that was asked for a depth.

    A backfill that is not done yet goes on with whatever sync comes, and the schedule's syncs
    make the deeper pass when it is due, instead of the usual one: it costs no further call.
    """
    if asked is Depth.BACKFILL or has_backfill(connection, now=now):
        return Reach(Depth.BACKFILL, connection.backfill_since)
    is_due = is_scheduled and is_deep_due(connection, has_feed=has_feed, now=now)
    return Reach(Depth.DEEP) if asked is Depth.DEEP or is_due else AS_USUAL


def has_backfill(connection: Connection, *, now: datetime) -> bool:
    """Say whether a backfill waits to be done."""
    asked_at = connection.backfill_requested_at
    return asked_at is not None and now - asked_at <= BACKFILL_KEPT


def is_deep_due(connection: Connection, *, has_feed: bool, now: datetime) -> bool:
    """
    Say whether the deeper pass is due: asked for since the last one, or its day of the week came.

    A change feed tells what changed however old it is, so it has no such day.
    """
    asked_at, last_at = connection.deep_requested_at, connection.last_deep_at
    if asked_at is not None and (last_at is None or asked_at >= last_at):
        return True
    looked_at = last_at or connection.created_at
    return not has_feed and looked_at.date() < deep_day(connection.id, now.date())
