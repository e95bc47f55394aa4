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


DEEP_PATIENCE: Final = timedelta(days=2)
"""How long a deeper pass waits for a turn of the schedule; then any sync makes it."""


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
    connection: Connection,
    asked: Depth,
    *,
    is_scheduled: bool,
    is_recovery: bool,
    limited_count: int,
    has_feed: bool,
    now: datetime,
) -> Reach:
    """
    Return how far back a sync looks that was asked for a depth.

    A backfill that is not done yet goes on with whatever sync comes. A deeper pass that is due
    takes the place of a usual sync and costs no further call: of the schedule's, or what makes up
    for one that was missed, of the first repetition of one that failed, or of any, when somebody's
    clicks took the schedule's turns for days. `limited_count`: so many syncs in a row before this
    one met a limit. Most repetitions look back as usual: a bank that fails on old dates alone, or
    limits how much of them it gives, must not keep the new ones from us.
    """
    if asked is Depth.BACKFILL or has_backfill(connection, now=now):
        return Reach(Depth.BACKFILL, connection.backfill_since)
    due_on = deep_due_on(connection, has_feed=has_feed, now=now)
    is_due = due_on is not None and (
        is_scheduled
        or _takes_turn(
            connection.error_retries,
            limited_count,
            is_recovery=is_recovery,
            is_late=now.date() - due_on >= DEEP_PATIENCE,
            today=now.date(),
        )
    )
    return Reach(Depth.DEEP) if asked is Depth.DEEP or is_due else AS_USUAL


def _takes_turn(
    failures: int, limited_count: int, *, is_recovery: bool, is_late: bool, today: date
) -> bool:
    """
    Say whether a sync that is not the schedule's makes the deeper pass that is due.

    Where each turn meets a limit or an outage, it may be the same repetition that comes through
    day after day. So a late pass is made by every other one, and by the others on the next day. A
    process that was killed is counted nowhere: the pass might kill it again.
    """
    if not is_recovery:
        return is_late and failures == 0
    tries = failures + limited_count
    is_its_day = (tries + today.toordinal()) % 2 == 0
    return failures == tries == 1 or (is_late and tries > 0 and is_its_day)


def has_backfill(connection: Connection, *, now: datetime) -> bool:
    """Say whether a backfill waits to be done."""
    asked_at = connection.backfill_requested_at
    return asked_at is not None and now - asked_at <= BACKFILL_KEPT


def deep_due_on(connection: Connection, *, has_feed: bool, now: datetime) -> date | None:
    """
    Return the day since when the deeper pass is due, None: it is not.

    It is when it was asked for since the last one, or its day of the week came. A change feed
    tells what changed however old it is, so it has no such day.
    """
    asked_at, last_at = connection.deep_requested_at, connection.last_deep_at
    if asked_at is not None and (last_at is None or asked_at >= last_at):
        return asked_at.date()
    own = deep_day(connection.id, now.date())
    looked_at = last_at or connection.created_at
    return own if not has_feed and looked_at.date() < own else None
