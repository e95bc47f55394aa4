"""Notices arrive: by mail and webhook, each once, whatever fails or dies in between."""

import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import pytest
from pydantic import SecretStr

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.notices import (
    DELIVERIES_MAX,
    DELIVERY_WAITS,
    FAILURES_BEFORE_NOTICE,
    NoticeKind,
)
from bank_pipeline.errors import ProviderError
from bank_pipeline.storage.connections import ensure_team
from bank_pipeline.storage.faults import FaultName, FaultSource
from bank_pipeline.storage.notices import Notice, insert_notices
from bank_pipeline.sync.delivering import LEASE, DeliveryReport, deliver_notices, load_delivery_due
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.expiring import note_expiring
from bank_pipeline.sync.faults import clear_faults, load_faults, note_fault
from bank_pipeline.sync.notice_targets import (
    add_target,
    change_wishes,
    remove_target,
    retry_given_up,
)
from bank_pipeline.sync.page_links import open_page_link
from bank_pipeline_tests.scanning import scan_database
from bank_pipeline_tests.sync.ground import SYNC, Ground
from bank_pipeline_tests.sync.killing import Killer, snapshot
from bank_pipeline_tests.sync.leaks import Canaries, recorded_logs
from bank_pipeline_tests.sync.receivers import (
    MailServer,
    WebhookReceiver,
    mail_server,
    webhook_receiver,
)

TOKEN: Final = "canary-token-of-the-hook"


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as one:
        yield one


@pytest.fixture
def hook() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as one:
        yield one


def tell(ground: Ground, *banks: str) -> None:
    """Write a notice about each bank: its balance is low."""
    facts = {"type": "checking", "digits": "1234", "currency": "EUR", "kind": "booked"}
    amounts = {"amount": "12.50", "threshold": "100", "provider": "plaid"}
    now = ground.context.clock()
    with ground.engine.begin() as db:
        team_id = ensure_team(db, "home", now=now)
        notices = [
            Notice(team_id, NoticeKind.LOW_BALANCE, bank, {**facts, **amounts, "institution": bank})
            for bank in banks
        ]
        assert insert_notices(db, notices, now=now) == len(banks)
        assert insert_notices(db, notices, now=now) == 0, "a key is told once"


def deliver(ground: Ground) -> DeliveryReport:
    return deliver_notices(ground.context, renewal_url=None)


def states(ground: Ground) -> list[tuple[str, int, str | None]]:
    rows = ground.query("SELECT state, attempts, last_error FROM bank.notifications ORDER BY id")
    return [tuple(row) for row in rows]


def test_a_notice_arrives_by_mail_and_by_webhook(
    ground: Ground, mail: MailServer, hook: WebhookReceiver
) -> None:
    add_target(ground.context, "home", "mail", mail.url)
    add_target(ground.context, "home", "hook", hook.url)
    tell(ground, "First Bank")

    assert deliver(ground) == DeliveryReport(sent=1)
    assert deliver(ground) == DeliveryReport()

    assert mail.subjects == ["Balance of 12.50 EUR at First Bank"]
    assert hook.titles == mail.subjects
    assert "below your limit of 100.00 EUR" in mail.html()
    assert "below your limit of 100.00 EUR" in hook.bodies[0]["message"]
    assert "<" not in hook.bodies[0]["message"]
    [notice_id] = [str(row[0]) for row in ground.query("SELECT id FROM bank.notifications")]
    assert mail.mails[0]["X-Notification-Id"] == notice_id
    assert hook.ids == [notice_id]


def test_a_target_whose_address_does_not_open_holds_up_no_other(
    ground: Ground, mail: MailServer, hook: WebhookReceiver
) -> None:
    add_target(ground.context, "home", "mail", mail.url)
    add_target(ground.context, "home", "hook", hook.url)
    ground.execute(
        "UPDATE bank.notification_targets SET ciphertext = 'altered' WHERE name = 'mail'"
    )
    tell(ground, "First Bank")

    assert deliver(ground) == DeliveryReport(pending=1)

    assert states(ground) == [("pending", 1, "SecretError")]
    assert len(hook.bodies) == 1
    remove_target(ground.context, "home", "mail")
    ground.pass_time(DELIVERY_WAITS[0])
    assert deliver(ground) == DeliveryReport(sent=1)
    assert len(hook.bodies) == 1


def test_a_target_that_fails_is_tried_again_and_the_other_hears_once(
    ground: Ground, mail: MailServer, hook: WebhookReceiver
) -> None:
    """With growing waits; what has arrived is not sent again with what has not."""
    add_target(ground.context, "home", "mail", mail.url)
    add_target(ground.context, "home", "hook", hook.url)
    tell(ground, "First Bank")
    hook.refusals = 2

    for wait in DELIVERY_WAITS[:2]:
        assert deliver(ground) == DeliveryReport(pending=1)
        assert states(ground)[0][2] == "HTTP 503"
        assert deliver(ground) == DeliveryReport()
        ground.pass_time(wait)

    assert deliver(ground) == DeliveryReport(sent=1)
    assert (len(mail.mails), len(hook.bodies)) == (1, 1)
    assert states(ground) == [("sent", 3, None)]


def test_a_mail_that_is_refused_is_tried_again(ground: Ground, mail: MailServer) -> None:
    add_target(ground.context, "home", "mail", mail.url)
    tell(ground, "First Bank")
    mail.refusals = 1

    assert deliver(ground) == DeliveryReport(pending=1)
    ground.pass_time(DELIVERY_WAITS[0])
    assert deliver(ground) == DeliveryReport(sent=1)
    assert len(mail.mails) == 1


def test_what_never_arrives_is_given_up_and_can_be_retried(
    ground: Ground, hook: WebhookReceiver
) -> None:
    add_target(ground.context, "home", "hook", hook.url)
    tell(ground, "First Bank")
    hook.refusals = DELIVERIES_MAX
    for _ in range(DELIVERIES_MAX):
        deliver(ground)
        ground.pass_time(DELIVERY_WAITS[-1])

    assert states(ground) == [("failed", DELIVERIES_MAX, "HTTP 503")]
    assert deliver(ground) == DeliveryReport()
    assert retry_given_up(ground.context) == 1
    assert deliver(ground) == DeliveryReport(sent=1)


def test_without_a_target_nobody_is_told(ground: Ground, hook: WebhookReceiver) -> None:
    add_target(ground.context, "home", "hook", hook.url)
    tell(ground, "First Bank")
    remove_target(ground.context, "home", "hook")

    assert deliver(ground) == DeliveryReport(suppressed=1)
    assert states(ground) == [("suppressed", 1, "NoTarget")]


def test_killed_at_any_point_a_notice_arrives_and_one_at_most_twice(
    ground: Ground, hook: WebhookReceiver
) -> None:
    """`kill -9` before every statement, commit and request, then another follows."""
    add_target(ground.context, "home", "hook", hook.url)
    tell(ground, "First Bank", "Second Bank")
    points = repeated = 0
    with Killer() as killer, snapshot(ground.engine) as before:
        for point in range(1, 100):
            hook.ids.clear()
            before.restore()
            death = killer.kill(ground, point, act="deliver")
            if not death.was_killed:
                assert death.status == 0, death.points
                break
            points += 1
            claimed = [state for state, _, _ in states(ground) if state == "sending"]
            ground.pass_time(LEASE)
            deliver(ground)
            assert {state for state, _, _ in states(ground)} == {"sent"}
            assert len({*hook.ids}) == 2, death.points[-1]
            assert len(hook.ids) - 2 <= len(claimed) <= 1, death.points[-1]
            repeated += len(hook.ids) - 2
    assert points > 20
    assert repeated, "some deaths lie between the sending and the mark"


def test_a_notice_that_somebody_sends_right_now_is_nobody_elses(
    ground: Ground, hook: WebhookReceiver
) -> None:
    add_target(ground.context, "home", "hook", hook.url)
    tell(ground, "First Bank")
    ground.execute(
        "UPDATE bank.notifications SET state = 'sending', next_attempt_at = :until",
        until=ground.context.clock() + LEASE,
    )

    assert load_delivery_due(ground.context) is None
    assert deliver(ground) == DeliveryReport()
    ground.pass_time(LEASE)
    assert deliver(ground) == DeliveryReport(sent=1)


def test_an_address_is_nowhere_in_clear(ground: Ground, hook: WebhookReceiver) -> None:
    """Neither in the database nor in a log, though the receiver refuses, or is not there."""
    canaries = Canaries()
    canaries.add("token", TOKEN)
    with recorded_logs("apprise", "urllib3", "requests") as logs:
        add_target(ground.context, "home", "hook", hook.url)
        gone = SecretStr(f"json://127.0.0.1:9/{TOKEN}")
        add_target(ground.context, "home", "gone", gone)
        tell(ground, "First Bank")
        hook.refusals = 1
        deliver(ground)
    spoken = [line for line in logs.lines if not line.startswith("apprise")]

    assert states(ground)[0][2] == "HTTP 503, NotDelivered"
    assert scan_database(ground.engine, canaries) == []
    assert not canaries.found_in("\n".join(spoken).encode())
    assert logging.getLogger("apprise").propagate is False


def test_whoever_is_told_of_an_end_gets_the_page_that_renews_this_connection(
    ground: Ground, mail: MailServer
) -> None:
    """Sealed, of one connection, and the operator's own page goes before it."""
    connection_id = ground.link_ready()
    add_target(ground.context, "home", "mail", mail.url)
    gateway = "https://bank.example.com"
    for renewal_url, begins_with in (
        (None, f"{gateway}/l/"),
        ("https://own.example.com/{connection_id}", f"https://own.example.com/{connection_id}"),
    ):
        now = ground.context.clock()
        facts = {"provider": "plaid", "institution": "First Bank", "days_left": 3, "ends_at": None}
        with ground.engine.begin() as db:
            notice = Notice(
                ensure_team(db, "home", now=now),
                NoticeKind.EXPIRING,
                begins_with,
                facts,
                connection_id=connection_id,
            )
            insert_notices(db, [notice], now=now)
            db.exec_driver_sql("UPDATE bank.connections SET status = 'expiring'")
        report = deliver_notices(ground.context, renewal_url=renewal_url, gateway_url=f"{gateway}/")
        assert report == DeliveryReport(sent=1)
        found = re.search(r"https://[^\s\"<]+", mail.html(-1))
        assert found is not None
        assert found[0].startswith(begins_with)
        if renewal_url is None:
            opened = open_page_link(ground.context, found[0].split("/l/")[1])
            assert (opened.purpose, opened.connection_id) == ("renew", connection_id)


def test_nobody_is_asked_to_renew_what_was_ended_before_it_is_told(
    ground: Ground, hook: WebhookReceiver
) -> None:
    """The service that takes notices was away meanwhile; that it was ended is told."""
    connection_id = ground.link_ready()
    add_target(ground.context, "home", "hook", hook.url)
    ends_at = ground.context.clock() + timedelta(days=3)
    ground.execute(f"UPDATE bank.connections SET consent_expires_at = '{ends_at.isoformat()}'")
    assert note_expiring(ground.context) == 1
    hook.refusals = 1
    assert deliver(ground) == DeliveryReport(pending=1)

    disconnect(ground.context, connection_id)
    ground.pass_time(DELIVERY_WAITS[0])

    assert deliver(ground) == DeliveryReport(sent=1, suppressed=1)
    assert [one.rpartition(" ")[2] for one in hook.titles] == ["ended"]


def with_a_refused_notice_of_failures(ground: Ground, hook: WebhookReceiver) -> ConnectionId:
    """Link a connection that fails, of which nobody could be told yet."""
    connection = ground.link_ready()
    add_target(ground.context, "home", "hook", hook.url)
    ground.fail(SYNC, "INSTITUTION_DOWN", times=None)
    for _ in range(FAILURES_BEFORE_NOTICE):
        with pytest.raises(ProviderError):
            ground.sync(connection)
        ground.pass_time(timedelta(hours=1))
    hook.refusals = 1
    assert deliver(ground) == DeliveryReport(pending=1)
    return connection


def test_nobody_hears_that_it_fails_after_they_heard_that_it_is_over(
    ground: Ground, hook: WebhookReceiver
) -> None:
    """The one was refused and waits; the other, written since, is due before it."""
    connection = with_a_refused_notice_of_failures(ground, hook)
    ground.sandbox.faults.clear()
    ground.sync(connection)

    assert deliver(ground) == DeliveryReport(sent=1)
    ground.pass_time(DELIVERY_WAITS[0])
    assert deliver(ground) == DeliveryReport(suppressed=1)

    assert [one.rpartition(" can ")[2] for one in hook.titles] == ["be read again"]


def test_an_alert_is_not_sent_after_the_word_that_it_is_over(
    ground: Ground, hook: WebhookReceiver
) -> None:
    add_target(ground.context, "home", "hook", hook.url)
    change_wishes(ground.context, "home", kinds="all", large={}, low={})
    name = FaultName(FaultSource.RUN, "prune_job", "OSError")
    now = ground.context.clock()
    assert note_fault(ground.context, name, seen_at=now, facts={"run_id": "r", "count": 1})
    hook.refusals = 1
    assert deliver(ground) == DeliveryReport(pending=1)
    assert clear_faults(ground.context, load_faults(ground.context), at=now) == 1

    ground.pass_time(DELIVERY_WAITS[0])
    assert deliver(ground) == DeliveryReport(sent=1, suppressed=1)

    assert hook.titles == ["Over: prune_job failed (OSError)"]


def test_nobody_is_told_to_wait_for_a_connection_that_was_ended_meanwhile(
    ground: Ground, hook: WebhookReceiver
) -> None:
    """They need not do anything, and the next try is on that day: there is none any more."""
    connection = with_a_refused_notice_of_failures(ground, hook)

    disconnect(ground.context, connection)
    ground.pass_time(DELIVERY_WAITS[0])

    assert deliver(ground) == DeliveryReport(sent=1, suppressed=1)
    assert [one.rpartition(" ")[2] for one in hook.titles] == ["ended"]
