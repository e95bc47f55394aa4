"""What a verified webhook does: it changes what no sync could learn, and asks for syncs."""

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest

from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.transitions import LOOK_EVERY
from bank_pipeline.errors import RateLimitedError, ReauthRequiredError, TransientError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.storage.inbox import load_lag
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.reports import Step, SyncReason
from bank_pipeline_tests.sync.between import during_a_sync
from bank_pipeline_tests.sync.ground import CHECKING, READY, SYNC, Ground

COFFEE = Decimal("-4.50")


def test_news_ask_for_a_sync_and_it_answers_them(announced: Ground) -> None:
    connection = announced.link_ready()
    announced.sync(connection)
    assert announced.waiting() == []

    announced.world.add_booked(CHECKING, COFFEE)
    announced.sandbox.settle()
    assert announced.waiting() == [connection]
    report = announced.sync(connection, SyncReason.WEBHOOK)

    assert announced.waiting() == []
    handled = announced.query(
        "SELECT DISTINCT handled_by_sync_run_id::text FROM bank.webhook_events"
        " WHERE kind = 'sync' AND handled_by_sync_run_id IS NOT NULL"
    )
    assert (report.sync_run_id,) in handled
    assert announced.differences(connection) == []


def test_a_burst_asks_for_one_sync(announced: Ground) -> None:
    connection = announced.link_ready()
    announced.sync(connection)

    for number in range(1, 6):
        announced.world.add_booked(CHECKING, Decimal(-number))
        announced.sandbox.settle()
    deliveries = announced.sandbox.plaid.webhooks.log()[-10:]
    assert [one.delivered for one in deliveries] == [True] * 10
    assert announced.waiting() == [connection]
    announced.sync(connection, SyncReason.WEBHOOK)

    assert announced.waiting() == []


def test_an_event_that_arrives_during_a_sync_asks_for_another(announced: Ground) -> None:
    """What it tells of may have come too late for the pages that were read."""
    connection = announced.link_ready()
    announced.sync(connection)
    announced.world.add_booked(CHECKING, COFFEE)
    announced.sandbox.settle()

    def another() -> None:
        announced.world.add_booked(CHECKING, COFFEE)
        announced.sandbox.settle()

    with during_a_sync(announced.engine, another):
        announced.sync(connection, SyncReason.WEBHOOK)

    assert announced.waiting() == [connection]
    announced.sync(connection, SyncReason.WEBHOOK)
    assert announced.waiting() == []
    assert announced.differences(connection) == []


def test_a_failed_sync_leaves_the_event_waiting(announced: Ground) -> None:
    connection = announced.link_ready()
    announced.world.add_booked(CHECKING, COFFEE)
    announced.sandbox.settle()
    announced.fail("/transactions/sync", "INSTITUTION_DOWN")

    with pytest.raises(Exception, match="INSTITUTION_DOWN"):
        announced.sync(connection, SyncReason.WEBHOOK)

    planned = announced.connection(connection).next_attempt_at
    assert planned is not None
    announced.sandbox.clock.advance_to(planned)
    assert announced.waiting() == [connection]


def test_news_in_the_same_words_are_news(announced: Ground) -> None:
    """Plaid says "there are updates" in the same bytes each time: each asks for a sync."""
    connection = announced.link_ready()
    announced.sync(connection)
    asked = []

    for _ in range(3):
        announced.pass_time(timedelta(hours=6))
        announced.fire(connection, "SYNC_UPDATES_AVAILABLE")
        asked.append(announced.waiting())
        announced.sync(connection, SyncReason.WEBHOOK)
        asked.append(announced.waiting())

    assert asked == [[connection], []] * 3


def test_a_login_that_breaks_again_in_the_same_words_is_noticed_again(announced: Ground) -> None:
    connection = announced.link_ready()
    stops = []

    for _ in range(2):
        announced.break_item(connection, tell=True)
        stops.append(announced.waiting())
        with pytest.raises(ReauthRequiredError):
            announced.sync(connection, SyncReason.WEBHOOK)
        announced.repair_item(connection, tell=True)
        announced.sync(connection, SyncReason.WEBHOOK)
        announced.pass_time(timedelta(days=3))

    assert stops == [[connection], [connection]]


def test_a_stop_that_is_delivered_late_once_more_stops_nothing(announced: Ground) -> None:
    """Plaid repeats for a day what it thinks was not heard; the login may be mended by then."""
    connection = announced.link_ready()
    announced.break_item(connection, tell=True)
    [told] = [one for one in announced.sandbox.plaid.webhooks.log() if one.code == "ERROR"]
    announced.repair_item(connection, tell=True)

    announced.pass_time(timedelta(minutes=2))
    announced.switch("webhooks", url=told.url, body=told.body)
    announced.sync(connection, SyncReason.WEBHOOK)

    assert announced.connection(connection).status is ConnectionStatus.ACTIVE
    assert announced.waiting() == []


def test_a_sync_of_balances_answers_no_event(announced: Ground) -> None:
    connection = announced.link_ready()
    announced.world.add_booked(CHECKING, COFFEE)
    announced.sandbox.settle()

    announced.sync(connection, steps=frozenset({Step.BALANCES}))

    assert announced.waiting() == [connection]


def test_a_broken_login_asks_for_the_sync_that_stops_calls_and_a_repair_starts_them(
    announced: Ground,
) -> None:
    connection = announced.link_ready()
    announced.sync(connection)

    announced.break_item(connection, tell=True)
    assert announced.waiting() == [connection]
    with pytest.raises(ReauthRequiredError):
        announced.sync(connection, SyncReason.WEBHOOK)
    stopped = announced.connection(connection)
    assert stopped.status is ConnectionStatus.NEEDS_REAUTH
    assert stopped.next_attempt_at == announced.context.clock() + LOOK_EVERY
    announced.pass_time(timedelta(hours=1))
    announced.repair_item(connection, tell=True)

    now = announced.connection(connection)
    assert (now.status, now.next_attempt_at) == (
        ConnectionStatus.ACTIVE,
        announced.context.clock(),
    )
    announced.sync(connection)
    assert announced.differences(connection) == []


def test_an_outage_told_by_webhook_stops_nothing(announced: Ground) -> None:
    """ITEM/ERROR names a code: only one that a person must mend stops the calls."""
    connection = announced.link_ready()
    announced.sync(connection)

    announced.break_item(connection, "INSTITUTION_DOWN", tell=True)

    assert announced.connection(connection).status is ConnectionStatus.ACTIVE
    assert announced.waiting() == [connection]


def test_a_revoked_permission_stops_calls(announced: Ground) -> None:
    connection = announced.link_ready()

    announced.fire(connection, "USER_PERMISSION_REVOKED")

    held = announced.connection(connection)
    assert (held.status, held.next_attempt_at) == (ConnectionStatus.REVOKED, None)
    assert announced.events(connection)[-1][1] == "revoked"


def test_a_revoked_permission_is_the_last_word_on_a_login_that_waits(announced: Ground) -> None:
    """Whoever would log in again must learn that only a new link helps."""
    connection = announced.link_ready()
    announced.break_item(connection)
    with pytest.raises(ReauthRequiredError):
        announced.sync(connection)

    announced.fire(connection, "USER_PERMISSION_REVOKED")

    assert announced.connection(connection).status is ConnectionStatus.REVOKED


def test_a_login_that_breaks_during_a_sync_stays_broken(announced: Ground) -> None:
    """The sync succeeds with what it got before; that does not lift the stop."""
    announced.world.add_booked(CHECKING, COFFEE)
    connection = announced.link("login-1", CHECKING)
    announced.pass_time(READY)

    with during_a_sync(
        announced.engine, lambda: announced.fire(connection, "USER_PERMISSION_REVOKED")
    ):
        announced.sync(connection)

    held = announced.connection(connection)
    assert (held.status, held.next_attempt_at) == (ConnectionStatus.REVOKED, None)
    assert len(announced.rows()) == 1


def test_a_warning_stands_until_the_consent_is_renewed(announced: Ground) -> None:
    """PENDING_DISCONNECT of an American bank: Plaid's status knows no date for it."""
    announced.world.add_booked(CHECKING, COFFEE)
    connection = announced.link_ready("login-1", CHECKING)

    announced.fire(connection, "PENDING_DISCONNECT")
    announced.sync(connection)
    warned = announced.connection(connection)
    session_id, url = announced.begin_link(renews=connection)
    announced.decide(url)
    announced.complete(session_id)
    announced.sync(connection)

    assert (warned.status, warned.status_reason) == (
        ConnectionStatus.EXPIRING,
        "ITEM/PENDING_DISCONNECT",
    )
    assert announced.connection(connection).status is ConnectionStatus.ACTIVE


def test_a_warning_that_arrives_during_a_sync_stands(announced: Ground) -> None:
    connection = announced.link_ready("login-1", CHECKING)
    announced.world.add_booked(CHECKING, COFFEE)

    with during_a_sync(announced.engine, lambda: announced.fire(connection, "PENDING_DISCONNECT")):
        announced.sync(connection)

    assert announced.connection(connection).status is ConnectionStatus.EXPIRING
    assert announced.connection(connection).next_attempt_at is None


def test_a_consent_that_ends_is_warned_of_and_then_asks_for_a_login(announced: Ground) -> None:
    """A European consent from its first day to its last, with daily syncs in its last weeks."""
    announced.world.add_booked("acc-2-1", COFFEE)
    connection = announced.link_ready("login-2", "acc-2-1")
    announced.pass_time(timedelta(days=160))
    seen = []

    for _ in range(22):
        with suppress(ReauthRequiredError):
            announced.sync(connection)
        seen.append(announced.connection(connection).status.value)
        announced.pass_time(timedelta(days=1))

    assert list(dict.fromkeys(seen)) == ["active", "expiring", "needs_reauth"]


def test_the_dead_stay_dead(announced: Ground) -> None:
    connection = announced.link_ready()
    disconnect(announced.context, connection)
    with announced.sandbox.plaid.lock:
        item = announced.sandbox.plaid.item(announced.connection(connection).external_id)
        announced.sandbox.plaid.announcer.repair(item, announced.context.clock(), tell=True)
        announced.sandbox.plaid.announcer.announce_sync(item, announced.context.clock())
    announced.sandbox.settle()

    assert announced.connection(connection).status is ConnectionStatus.DISCONNECTED
    assert announced.waiting() == []


def test_a_warning_without_a_date_outlives_an_outage(announced: Ground) -> None:
    """Data that does not come denies it as little as data that does."""
    connection = announced.link_ready()
    announced.execute("UPDATE bank.connections SET consent_expires_at = NULL")
    announced.fire(connection, "PENDING_DISCONNECT")
    announced.fail(SYNC, "INTERNAL_SERVER_ERROR", times=None)
    with pytest.raises(TransientError):
        announced.sync(connection, SyncReason.SCHEDULE)
    failed = announced.connection(connection)
    assert (failed.status, failed.error_retries) == (ConnectionStatus.EXPIRING, 1)
    assert failed.next_attempt_at is not None
    announced.sandbox.faults.clear()
    announced.pass_time(timedelta(minutes=6))
    announced.sync(connection, SyncReason.RECOVERY)
    assert announced.connection(connection).status is ConnectionStatus.EXPIRING


def test_news_wait_for_what_the_provider_asked_for(announced: Ground) -> None:
    connection = announced.link_ready()
    announced.fail(SYNC, FaultKind.RATE_LIMITED, times=None, retry_after="43200")
    with pytest.raises(RateLimitedError):
        announced.sync(connection, SyncReason.SCHEDULE)
    announced.pass_time(timedelta(hours=1))
    announced.fire(connection, "SYNC_UPDATES_AVAILABLE")
    assert announced.waiting() == []
    with announced.engine.connect() as db:
        assert load_lag(db, now=announced.context.clock()) == [], "nothing could be synced now"
    announced.pass_time(timedelta(hours=11, minutes=1))
    assert announced.waiting() == [connection]


def test_balances_that_meet_a_limit_put_off_no_turn(ground: Ground) -> None:
    connection = ground.link_ready()
    ground.fail("/accounts/get", FaultKind.RATE_LIMITED, times=None, retry_after="72000")
    with pytest.raises(RateLimitedError):
        ground.sync(connection, SyncReason.REFRESH, steps=frozenset({Step.BALANCES}))
    assert ground.connection(connection).next_attempt_at is None


def test_balances_that_fail_put_off_no_try_of_transactions(ground: Ground) -> None:
    connection = ground.link_ready()
    ground.fail(SYNC, "INTERNAL_SERVER_ERROR", times=None)
    with pytest.raises(TransientError):
        ground.sync(connection, SyncReason.SCHEDULE)
    before = ground.connection(connection)
    ground.sandbox.faults.clear()
    ground.fail("/accounts/get", FaultKind.RATE_LIMITED, times=None, retry_after="72000")
    ground.pass_time(timedelta(minutes=1))
    with pytest.raises(RateLimitedError):
        ground.sync(connection, SyncReason.MANUAL, steps=frozenset({Step.BALANCES}))
    after = ground.connection(connection)
    assert (after.next_attempt_at, after.last_attempt_at) == (
        before.next_attempt_at,
        before.last_attempt_at,
    )
