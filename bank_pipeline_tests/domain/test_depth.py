"""Which syncs look deeper: planned by the week, asked for, or a backfill that is not done."""

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import pytest

from bank_pipeline.domain.cadence import deep_day
from bank_pipeline.domain.connection import Connection, ConnectionStatus, HistoryStage, Provider
from bank_pipeline.domain.depth import (
    BACKFILL_KEPT,
    DEEP_PATIENCE,
    Depth,
    Reach,
    planned_reach,
)
from bank_pipeline.domain.ids import ConnectionId, TeamId

NOW: Final = datetime(2026, 6, 16, 14, 30, tzinfo=UTC)
DAY: Final = timedelta(days=1)
SINCE: Final = date(2025, 1, 1)


def connection(**known: Any) -> Connection:
    return Connection(
        id=ConnectionId("019a0000-0000-7000-8000-000000000001"),
        team_id=TeamId("019a0000-0000-7000-8000-000000000002"),
        provider=Provider.GOCARDLESS,
        external_id="requisition-1",
        institution_external_id=None,
        institution_name=None,
        status=ConnectionStatus.ACTIVE,
        status_reason=None,
        status_since=NOW,
        history_stage=HistoryStage.COMPLETE,
        cursor=None,
        consent_expires_at=None,
        next_attempt_at=None,
        error_retries=0,
        last_success_at=NOW,
        last_full_accounts_at=NOW,
        created_at=NOW - 400 * DAY,
    ).model_copy(update=known)


def reach_of(
    known: Connection,
    asked: Depth = Depth.NORMAL,
    *,
    now: datetime = NOW,
    is_scheduled: bool = True,
    is_recovery: bool = False,
    has_feed: bool = False,
    limited_count: int = 0,
) -> Reach:
    return planned_reach(
        known,
        asked,
        is_scheduled=is_scheduled,
        is_recovery=is_recovery,
        has_feed=has_feed,
        limited_count=limited_count,
        now=now,
    )


def test_one_scheduled_sync_a_week_goes_deep() -> None:
    last, deep = NOW - 8 * DAY, []
    for number in range(28):
        now = NOW + number * DAY
        if reach_of(connection(last_deep_at=last), now=now).depth is Depth.DEEP:
            deep.append(now)
            last = now
    gaps = [(later - earlier).days for earlier, later in itertools.pairwise(deep[1:])]
    assert set(gaps) == {7}
    assert {one.weekday() for one in deep[1:]} == {deep_day(connection().id, NOW.date()).weekday()}


def test_a_deep_pass_that_no_sync_made_on_its_day_is_made_by_the_next() -> None:
    own = deep_day(connection().id, NOW.date())
    last = datetime(own.year, own.month, own.day, 12, tzinfo=UTC) - 3 * DAY
    for late in range(6):
        now = datetime(own.year, own.month, own.day, 12, tzinfo=UTC) + late * DAY
        assert reach_of(connection(last_deep_at=last), now=now).depth is Depth.DEEP


def test_a_new_connection_waits_for_its_day() -> None:
    """Its first sync has read all there is."""
    fresh = connection(created_at=NOW - timedelta(minutes=1), last_deep_at=NOW)
    assert reach_of(fresh, now=NOW + timedelta(minutes=5)).depth is Depth.NORMAL


@pytest.mark.parametrize("has_feed", [True, False])
def test_a_deep_pass_is_asked_for_once(has_feed: bool) -> None:
    asked = connection(last_deep_at=NOW - timedelta(hours=1), deep_requested_at=NOW)
    made = asked.model_copy(update={"last_deep_at": NOW + timedelta(minutes=1)})

    assert reach_of(asked, has_feed=has_feed).depth is Depth.DEEP
    assert reach_of(made, has_feed=has_feed, now=NOW + timedelta(hours=1)).depth is Depth.NORMAL
    assert reach_of(asked, has_feed=has_feed, is_scheduled=False).depth is Depth.NORMAL


@pytest.mark.parametrize(
    ("error_retries", "depth"), [(0, Depth.NORMAL), (1, Depth.DEEP), (2, Depth.NORMAL)]
)
def test_the_first_repetition_of_a_turn_that_failed_goes_deep_and_later_ones_do_not(
    error_retries: int, depth: Depth
) -> None:
    """
    A bank that fails at every turn gets its deeper pass; one that fails on old dates is read.

    So is one that meets a limit on them, and one whose sync dies of them: neither counts as failed.
    """
    due = connection(last_deep_at=NOW - 80 * DAY, error_retries=error_retries)
    assert reach_of(due, is_scheduled=False, is_recovery=True).depth is depth
    assert reach_of(due, is_scheduled=True).depth is Depth.DEEP


def test_a_deep_pass_whose_turns_others_took_is_made_by_any_sync() -> None:
    """Whoever clicks each day before the schedule's turn does not put it off for ever."""
    known = connection(last_deep_at=NOW - 8 * DAY)
    own = deep_day(known.id, NOW.date())
    due_at = datetime(own.year, own.month, own.day, 12, tzinfo=UTC)
    in_time, too_late = due_at + DEEP_PATIENCE - DAY, due_at + DEEP_PATIENCE

    assert reach_of(known, now=in_time, is_scheduled=False).depth is Depth.NORMAL
    assert reach_of(known, now=too_late, is_scheduled=False).depth is Depth.DEEP
    failing = known.model_copy(update={"error_retries": 2})
    assert reach_of(failing, now=too_late, is_scheduled=False).depth is Depth.NORMAL


@pytest.mark.parametrize(("failures", "limits"), [(0, 1), (0, 6), (1, 1), (2, 0), (9, 3)])
def test_a_late_deep_pass_is_made_by_repetitions_of_every_other_day(
    failures: int, limits: int
) -> None:
    """
    Whatever each turn meets, a limit or an outage, the repetition that comes through makes it.

    On one day every other try looks back as usual: a bank that fails on old dates alone is read.
    """
    known = connection(last_deep_at=NOW - 8 * DAY)
    own = deep_day(known.id, NOW.date())
    due_at = datetime(own.year, own.month, own.day, 12, tzinfo=UTC)

    def depth_of(late: int, more: int = 0) -> Depth:
        failing = known.model_copy(update={"error_retries": failures + more})
        now = due_at + late * DAY
        return reach_of(
            failing, now=now, is_scheduled=False, is_recovery=True, limited_count=limits
        ).depth

    in_time = range(DEEP_PATIENCE.days)
    assert {depth_of(late) for late in in_time} == {Depth.NORMAL}
    late_days = [depth_of(late) for late in range(DEEP_PATIENCE.days, 7)]
    assert all(one is not other for one, other in itertools.pairwise(late_days))
    tries = [depth_of(DEEP_PATIENCE.days, more) for more in range(3)]
    assert tries[0] is not tries[1] is not tries[2]


def test_a_sync_that_dies_of_a_late_deep_pass_is_repeated_as_usual() -> None:
    """That it was killed is counted nowhere: it would be killed again."""
    late = connection(last_deep_at=NOW - 80 * DAY)
    for day in range(7):
        now = NOW + day * DAY
        dying = reach_of(late, now=now, is_scheduled=False, is_recovery=True)
        assert dying.depth is Depth.NORMAL


def test_a_change_feed_has_no_weekly_replay() -> None:
    assert reach_of(connection(last_deep_at=NOW - 90 * DAY), has_feed=True).depth is Depth.NORMAL


def test_a_backfill_that_is_not_done_goes_on_with_whatever_sync_comes() -> None:
    waiting = connection(
        last_deep_at=NOW, backfill_since=SINCE, backfill_requested_at=NOW - timedelta(hours=1)
    )
    for is_scheduled in (True, False):
        assert reach_of(waiting, is_scheduled=is_scheduled) == Reach(Depth.BACKFILL, SINCE)


def test_a_backfill_that_fails_for_days_is_given_up() -> None:
    """A bank that fails on old dates alone must not keep the new ones from us."""
    asked_at = NOW - BACKFILL_KEPT - timedelta(minutes=1)
    waiting = connection(last_deep_at=NOW, backfill_since=SINCE, backfill_requested_at=asked_at)
    assert reach_of(waiting).depth is Depth.NORMAL
