"""Syncs that look further back: once a week, asked for by a check, or by a person."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import httpx
import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.depth import BACKFILL_KEPT, Depth
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.transitions import LEASE
from bank_pipeline.errors import (
    BusyError,
    NotFoundError,
    ProviderError,
    RateLimitedError,
    TransientError,
)
from bank_pipeline.providers.base import Scope
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.storage.connections import lease_connection, lock_connection
from bank_pipeline.storage.depth import request_deep_pass
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.reports import SyncReason, SyncReport, SyncRequest
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.staging import staged, staged_at

DAY: Final = timedelta(days=1)
WINDOWED: Final = tuple(case for case in CASES if case.provider != "plaid")


stage = staged(WINDOWED)
"""Each provider that is asked for dates."""
fed = staged_at(Provider.PLAID)
"""The provider with a change feed."""
counted = staged_at(Provider.GOCARDLESS)
"""A provider that counts calls."""


def backfill(stage: Stage, connection: ConnectionId, since: date) -> SyncReport:
    stage.sandbox.clock.advance(timedelta(milliseconds=1))
    request = SyncRequest(connection, SyncReason.BACKFILL, depth=Depth.BACKFILL, since=since)
    return sync_connection(stage.context, request)


def today_of(stage: Stage) -> date:
    return stage.sandbox.clock.now().date()


def ask_for_deep_pass(stage: Stage, connection: ConnectionId) -> bool:
    with stage.context.engine.begin() as db:
        return request_deep_pass(db, connection, now=stage.sandbox.clock.now())


def calls_of(stage: Stage, connection: ConnectionId, account: str) -> int:
    return stage.calls()["transactions", stage.account_id(connection, account)]


@contextmanager
def daily_limit(stage: Stage, calls: int) -> Iterator[None]:
    """Have the banks answer so many calls a day inside."""
    url = f"{stage.sandbox.url}/_sim/{stage.case}/settings"
    usual = httpx.get(url).raise_for_status().json()["daily_limit"]
    httpx.post(url, json={"daily_limit": calls}).raise_for_status()
    try:
        yield
    finally:
        httpx.post(url, json={"daily_limit": usual}).raise_for_status()


def test_the_weekly_deeper_pass_finds_what_came_too_late_for_the_overlap(stage: Stage) -> None:
    """It replaces a usual sync of the week, and costs as many calls."""
    login, connection = stage.linked()
    account = stage.account(login)
    stage.pass_time(70 * DAY)
    stage.world.add_booked(account, Decimal(-7))  # an empty answer is asked for twice
    stage.sync(connection, SyncReason.SCHEDULE)
    stage.world.add_booked(account, Decimal(-8), booking_date=today_of(stage) - 60 * DAY)
    made, depths = [], []
    for _ in range(8):
        stage.pass_time(DAY)
        before = calls_of(stage, connection, account)
        depths.append(stage.sync(connection, SyncReason.SCHEDULE).reach.depth)
        made.append(calls_of(stage, connection, account) - before)

    assert depths.count(Depth.DEEP) in (1, 2)  # 8 days may hold its day of the week twice
    assert len({*made}) == 1
    assert len(stage.live()) == 2
    assert stage.differences(connection) == []


def test_a_deeper_pass_that_a_check_asks_for_is_made_once(stage: Stage) -> None:
    login, connection = stage.linked()
    stage.pass_time(70 * DAY)
    stage.sync(connection, SyncReason.SCHEDULE)
    account = stage.account(login)
    stage.world.add_booked(account, Decimal(-8), booking_date=today_of(stage) - 60 * DAY)
    assert ask_for_deep_pass(stage, connection)
    assert not ask_for_deep_pass(stage, connection)

    stage.fail(stage.case.transactions, FaultKind.HTTP_STATUS, status=503, times=None)
    with pytest.raises(TransientError):
        stage.sync(connection, SyncReason.SCHEDULE)
    stage.heal()
    stage.pass_time(DAY)
    # On one day: the second is not the weekly one.
    depths = [stage.sync(connection, SyncReason.SCHEDULE).reach.depth for _ in range(2)]

    assert depths == [Depth.DEEP, Depth.NORMAL]
    assert stage.differences(connection) == []


def test_the_repetition_of_a_turn_that_failed_makes_its_deeper_pass(stage: Stage) -> None:
    """Else a bank that fails at night never gets one."""
    login, connection = stage.linked()
    account = stage.account(login)
    stage.pass_time(70 * DAY)
    stage.world.add_booked(account, Decimal(-7))
    stage.sync(connection, SyncReason.SCHEDULE)
    stage.world.add_booked(account, Decimal(-8), booking_date=today_of(stage) - 60 * DAY)
    stage.pass_time(DAY)  # calls are counted by the day
    ask_for_deep_pass(stage, connection)
    stage.fail(stage.case.transactions, FaultKind.HTTP_STATUS, status=503, times=None)
    with pytest.raises(TransientError):
        stage.sync(connection, SyncReason.SCHEDULE)
    stage.heal()
    stage.pass_time(DAY)

    assert stage.sync(connection, SyncReason.RECOVERY).reach.depth is Depth.DEEP
    assert len(stage.live()) == 2
    assert stage.differences(connection) == []


def test_turns_that_are_missed_and_made_up_for_bring_the_deeper_pass(stage: Stage) -> None:
    """Where the machine is off at the hour of the turn, day after day, it would never come."""
    _, connection = stage.linked()
    stage.sync(connection)
    depths = []
    for _ in range(8):
        stage.pass_time(DAY + timedelta(hours=1))
        depths.append(stage.sync(connection, SyncReason.RECOVERY).reach.depth)

    assert 1 <= depths.count(Depth.DEEP) <= 2  # its day of the week may come twice


def test_a_turn_that_was_killed_is_repeated_as_usual(stage: Stage) -> None:
    """The deeper pass might have killed it, and would again; the next turn makes it."""
    _, connection = stage.linked()
    stage.sync(connection)
    stage.pass_time(8 * DAY)
    with stage.context.engine.begin() as db:
        known = lock_connection(db, connection)
        lease_connection(db, known, until=stage.context.clock() + LEASE, is_whole=True)
    stage.pass_time(LEASE)

    assert stage.sync(connection, SyncReason.RECOVERY).reach.depth is Depth.NORMAL
    stage.pass_time(DAY)
    assert stage.sync(connection, SyncReason.SCHEDULE).reach.depth is Depth.DEEP


def test_a_bank_whose_limit_outlasts_each_turn_gets_its_deeper_pass_all_the_same(
    counted: Stage,
) -> None:
    """It answers once a day, an hour after the turn, so that each turn only waits for that."""
    stage, hour, depths = counted, timedelta(hours=1), []
    with daily_limit(stage, 1):
        _, connection = stage.linked()
        for _ in range(11):
            stage.pass_time(DAY - hour)
            with pytest.raises(RateLimitedError):
                stage.sync(connection, SyncReason.SCHEDULE)
            stage.pass_time(hour)
            depths.append(stage.sync(connection, SyncReason.RECOVERY).reach.depth)

    assert Depth.DEEP in depths
    assert depths.count(Depth.NORMAL) > depths.count(Depth.DEEP)


def link_with_half_a_sync(stage: Stage, reason: SyncReason) -> ConnectionId:
    """Link, ask for a deeper pass, and have one of several accounts fail in the sync after it."""
    logins = iter(stage.new_login, None)
    login = next(one for one in logins if len(stage.world.login_accounts(one)) > 1)
    connection = stage.link(login)
    stage.sync(connection)
    stage.pass_time(DAY)
    ask_for_deep_pass(stage, connection)
    last = [*stage.truth(connection)["accounts"]][-1]
    stage.fail(stage.case.transactions, FaultKind.HTTP_STATUS, status=503, subject=last, times=None)
    with pytest.raises(TransientError):
        stage.sync(connection, reason)
    stage.heal()
    stage.pass_time(timedelta(minutes=10))
    return connection


def test_a_deeper_pass_is_not_done_while_an_account_was_only_read_as_usual(
    counted: Stage,
) -> None:
    """A repetition spares what a click brought a moment before; the next turn makes the pass."""
    stage = counted
    connection = link_with_half_a_sync(stage, SyncReason.MANUAL)
    assert stage.sync(connection, SyncReason.RECOVERY).reach.depth is Depth.DEEP
    stage.pass_time(DAY)
    report = stage.sync(connection, SyncReason.SCHEDULE)

    assert report.reach.depth is Depth.DEEP
    assert len(report.readings) > 1
    assert stage.sync(connection, SyncReason.SCHEDULE).reach.depth is Depth.NORMAL


def test_a_deeper_pass_is_done_once_each_account_was_read_by_it(counted: Stage) -> None:
    """One account failed with the turn; the repetition reads that one, and spares the others."""
    stage = counted
    connection = link_with_half_a_sync(stage, SyncReason.SCHEDULE)
    report = stage.sync(connection, SyncReason.RECOVERY)

    assert report.reach.depth is Depth.DEEP
    assert stage.sync(connection, SyncReason.SCHEDULE).reach.depth is Depth.NORMAL


def test_a_replay_of_a_feed_that_a_check_asks_for_mends_what_differs(fed: Stage) -> None:
    """What the replay does not show is gone; the cursor goes on where the replay ends."""
    stage = fed
    login = stage.new_login()
    account = stage.account(login)
    entries = [stage.world.add_booked(account, Decimal(-n)) for n in range(1, 5)]
    connection = stage.link(login)
    stage.sync(connection)
    lost, phantom = stage.live(amount=Decimal(-1))[0], stage.live(amount=Decimal(-2))[0]
    with stage.context.engine.begin() as db:
        db.execute(sa.text("DELETE FROM bank.transactions WHERE id = :id"), {"id": lost.id})
        query = "UPDATE bank.transactions SET external_id = 'phantom' WHERE id = :id"
        db.execute(sa.text(query), {"id": phantom.id})
    stage.sync(connection, SyncReason.SCHEDULE)
    assert stage.differences(connection) != []

    ask_for_deep_pass(stage, connection)
    deep = stage.sync(connection, SyncReason.SCHEDULE)
    assert deep.reach.depth is Depth.DEEP
    assert stage.differences(connection) == []
    assert len(stage.live()) == len(entries)
    stage.world.add_booked(account, Decimal(-9))
    later = stage.sync(connection, SyncReason.SCHEDULE)

    assert (later.reach.depth, later.transactions.inserted) == (Depth.NORMAL, 1)
    assert later.transactions.unchanged == 0
    assert stage.differences(connection) == []


def test_a_backfill_reads_from_its_day_on_and_says_so(stage: Stage) -> None:
    login, connection = stage.linked()
    account = stage.account(login)
    stage.pass_time(75 * DAY)
    stage.sync(connection)
    since = today_of(stage) - 70 * DAY
    stage.world.add_booked(account, Decimal(-8), booking_date=since)

    report = backfill(stage, connection, since)

    [reading] = report.readings.values()
    assert reading.asked is not None
    assert reading.covered == reading.asked
    assert (reading.asked.first, reading.refused, reading.trouble) == (since, (), None)
    assert report.transactions.inserted == 1
    assert stage.differences(connection) == []
    assert stage.connection(connection).backfill_since is None
    told = stage.last_run(connection).counts
    assert told["depth"] == "backfill"
    assert [one["asked"][0] for one in told["windows"].values()] == [since.isoformat()]


def test_a_backfill_that_meets_a_busy_connection_is_made_by_the_next_sync(stage: Stage) -> None:
    _, connection = stage.linked()
    since = today_of(stage) - 60 * DAY
    with connection_lock(stage.context.engine, connection), pytest.raises(BusyError):
        backfill(stage, connection, since)
    planned = stage.connection(connection)
    assert planned.next_attempt_at is not None
    assert planned.next_attempt_at <= stage.sandbox.clock.now()

    stage.pass_time(DAY)
    report = stage.sync(connection, SyncReason.RECOVERY)

    assert report.reach.depth is Depth.BACKFILL
    assert [one.asked.first for one in report.readings.values() if one.asked] == [since]
    assert stage.connection(connection).backfill_since is None


def test_a_backfill_that_an_outage_breaks_off_goes_on_although_rows_are_fresh(
    counted: Stage,
) -> None:
    """What an account brought an hour ago was asked for something else."""
    stage = counted
    login, connection = stage.linked()
    account = stage.account(login)
    stage.pass_time(DAY)
    stage.sync(connection, SyncReason.SCHEDULE)
    stage.fail("gocardless:requisition", FaultKind.HTTP_STATUS, status=503, times=None)
    with pytest.raises(ProviderError):
        backfill(stage, connection, today_of(stage) - 60 * DAY)
    stage.heal()
    stage.pass_time(timedelta(minutes=20))
    before = calls_of(stage, connection, account)

    report = stage.sync(connection, SyncReason.RECOVERY)

    assert calls_of(stage, connection, account) == before + 1
    assert report.reach.depth is Depth.BACKFILL


def test_a_backfill_waits_for_its_calls_and_is_given_up_after_days(counted: Stage) -> None:
    """It counts as asked for by a person, and no call is made above the limit."""
    stage = counted
    _, connection = stage.linked()
    since = today_of(stage) - 60 * DAY
    quota = stage.provider.capabilities.quota(Scope.TRANSACTIONS)
    assert quota is not None
    for _ in range(quota.calls_max - 1):
        backfill(stage, connection, since)
    with pytest.raises(RateLimitedError):
        backfill(stage, connection, since)
    waiting = stage.connection(connection)
    assert waiting.backfill_since == since
    assert waiting.next_attempt_at is not None
    assert waiting.next_attempt_at > stage.sandbox.clock.now()

    stage.pass_time(BACKFILL_KEPT + DAY)
    report = stage.sync(connection, SyncReason.RECOVERY)

    assert report.reach.depth is not Depth.BACKFILL
    assert stage.connection(connection).backfill_since is None
    events = [row[0] for row in stage.query("SELECT reason FROM bank.connection_events")]
    assert events.count(f"backfill since {since} given up: it failed for too long") == 1


def test_a_backfill_that_was_given_up_makes_no_later_one_longer(counted: Stage) -> None:
    """Nothing was read meanwhile, and each refusal of old dates costs a call."""
    stage = counted
    _, connection = stage.linked()
    stage.fail("gocardless:requisition", FaultKind.HTTP_STATUS, status=503, times=None)
    with pytest.raises(ProviderError):
        backfill(stage, connection, today_of(stage) - 80 * DAY)
    stage.pass_time(BACKFILL_KEPT + DAY)
    stage.heal()
    since = today_of(stage) - 50 * DAY

    [reading] = backfill(stage, connection, since).readings.values()

    assert reading.asked is not None
    assert reading.asked.first == since


def test_a_replay_that_finds_the_cursor_moved_writes_nothing_and_is_made_again(
    fed: Stage,
) -> None:
    stage = fed
    _, connection = stage.linked()
    stage.fail(stage.case.transactions, FaultKind.HTTP_STATUS, status=503, times=None)
    with pytest.raises(TransientError):
        backfill(stage, connection, today_of(stage) - 60 * DAY)
    stage.heal()
    cursor = stage.connection(connection).cursor
    assert cursor is not None

    report = stage.sync(connection, SyncReason.RECOVERY)

    assert report.reach.depth is Depth.BACKFILL
    assert stage.connection(connection).backfill_since is None
    assert stage.differences(connection) == []


def test_a_backfill_of_nothing_is_an_error(stage: Stage) -> None:
    for unknown in ("typo", "019a0000-0000-7000-8000-000000000000"):
        with pytest.raises(NotFoundError):
            backfill(stage, ConnectionId(unknown), today_of(stage))
