"""Complaints 20 to 23: connections that doubled, ran out, gave up, or had no calls left."""

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Final

import httpx
import pytest

from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.errors import (
    ConfigurationError,
    ProviderError,
    RateLimitedError,
    ReauthRequiredError,
)
from bank_pipeline.providers.answers import PresentUser
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.link import start_link
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline_tests.complaints.conftest import PutOn
from bank_pipeline_tests.complaints.scene import CHECKING, DAY, Scene
from bank_pipeline_tests.providers.contract.catalogue import MEANINGS, Meaning

BOTH: Final = (CHECKING, AccountKind.SAVINGS)
HOUR: Final = timedelta(hours=1)
MADE: Final = "SELECT id::text, name, closed_at IS NULL FROM bank.accounts ORDER BY id"
EVENTS: Final = "SELECT to_status FROM bank.connection_events ORDER BY id"


def test_20_a_renewed_consent_finds_its_accounts_again_and_what_was_said_of_their_rows(
    anywhere: Scene,
) -> None:
    """
    After a renewal there was a second set of accounts, and the first one was never synced again.

    securo#445, syllogic-ai/syllogic#139, accounted#1728, invoiceninja/invoiceninja#9725,
    actual-server#476, actual#7198, sure#3657, plaid/support#198, plaid/support#261, maybe#2172.
    """
    scene = anywhere.customer()
    for kind in BOTH:
        scene.buy("-12.00", "Shop", kind)
    scene.link(*BOTH).sync()
    ids, accounts = scene.ids(), scene.ask(MADE)
    for row in scene.rows():
        scene.annotate(row, f"said of {row.id}")

    for _ in range(2):
        state = scene.stage.consent(scene.login, *BOTH, renews=scene.connection)
        assert state.connection_ids == (scene.connection,)
        scene.next_day()

    assert scene.value("SELECT count(*) FROM bank.connections") == 1
    assert scene.ask(MADE) == accounts
    assert scene.ids() == ids
    noted = scene.ask("SELECT transaction_id::text, note FROM analytics.transactions")
    assert {tuple(row) for row in noted} == {(key, f"said of {key}") for key in ids}
    assert scene.differences() == []


def test_20_an_account_that_a_renewal_leaves_out_is_shown_as_closed_and_keeps_its_rows(
    european: Scene,
) -> None:
    """
    What was no longer shared disappeared without a word.

    syllogic-ai/syllogic#140, actual#7198.
    """
    scene = european.customer()
    for kind in BOTH:
        scene.buy("-12.00", "Shop", kind)
    scene.link(*BOTH).sync()
    rows = len(scene.rows())
    [left_out] = [one for one in scene.world.login_accounts(scene.login) if one.kind is BOTH[1]]

    scene.stage.consent(scene.login, CHECKING, renews=scene.connection)
    scene.next_day()

    assert len(scene.rows()) == rows
    assert {row[1]: row[2] for row in scene.ask(MADE)}[left_out.name] is False
    assert scene.value("SELECT count(*) FROM bank.accounts WHERE closed_at IS NULL") == 1


def test_20_a_bank_that_takes_another_name_is_the_same_bank(enable_banking: Scene) -> None:
    """
    The bank was bought and listed under its new owner's name, and nothing came any more.

    actual#7037.
    """
    scene = enable_banking.customer()
    scene.buy("-12.00")
    scene.link(institution="AT:Minusbank").sync()
    ids = scene.ids()
    rename = f"{scene.stage.sandbox.url}/_sim/enable_banking/aspsps/rename"
    names = {"name": "Minusbank", "country": "AT", "new_name": "Plusbank"}
    httpx.post(rename, json=names).raise_for_status()
    scene.buy("-13.00")
    scene.next_day()

    assert ids < scene.ids()
    assert len(scene.rows()) == 2
    assert scene.differences() == []


def test_21_a_consent_that_ends_is_announced_two_weeks_before_and_renewed_in_place(
    european: Scene,
) -> None:
    """
    The consent ended, and the customer saw weeks later that nothing came.

    whisper#929, monetr#1741, actual#3826.
    """
    scene = european.customer()
    scene.buy("-12.00")
    scene.link().sync()
    expires_at = scene.held().consent_expires_at
    assert expires_at is not None
    scene.stage.pass_time(expires_at - scene.world.clock.now() - 16 * DAY)
    seen = []
    for _ in range(18):
        scene.stage.pass_time(DAY)
        with suppress(ReauthRequiredError):
            scene.sync(SyncReason.SCHEDULE)
        held = scene.held()
        is_close = expires_at - scene.world.clock.now() <= 14 * DAY
        assert is_close is (held.status is not ConnectionStatus.ACTIVE)
        assert is_close is (held.status_reason is not None)
        seen.append(held.status)
    scene.buy("-13.00")
    order = ["active", "expiring", "needs_reauth"]
    assert [*dict.fromkeys(one.value for one in seen)] == order
    told = [row[0] for row in scene.ask(EVENTS)]
    assert told[-2:] == order[1:]  # each once

    scene.stage.consent(scene.login, CHECKING, renews=scene.connection)
    scene.next_day()
    renewed = scene.held()
    assert renewed.status is ConnectionStatus.ACTIVE
    assert renewed.consent_expires_at is not None
    assert renewed.consent_expires_at > expires_at + 30 * DAY
    assert len(scene.rows()) == 2


def test_21_a_renewal_that_nobody_finishes_ends_no_consent(european: Scene) -> None:
    """
    The old session was given up when the customer was sent to the bank, and they never came back.

    whisper#929.
    """
    scene = european.customer()
    scene.link().sync()
    page = start_link(
        scene.stage.context,
        scene.stage.case.provider,
        team_name="home",
        renews=scene.connection,
    )
    assert page.url
    scene.buy("-12.00")
    scene.next_day(2)

    assert scene.held().status is ConnectionStatus.ACTIVE
    assert scene.differences() == []


def test_22_a_bank_that_fails_for_weeks_is_asked_until_it_answers(anywhere: Scene) -> None:
    """
    After three failures the connection was dropped in silence.

    whisper#782, whisper#653, whisper#745, Budget#277, accounted#2296.
    """
    scene = anywhere.customer()
    scene.link().sync()
    scene.stage.pass_time(DAY)
    scene.fail(FaultKind.HTTP_STATUS, status=503, times=None)
    waits = []
    for _ in range(14):
        with pytest.raises(ProviderError):
            scene.sync(SyncReason.RECOVERY)
        held = scene.held()
        assert held.status.is_syncable
        assert held.next_attempt_at is not None
        waits.append(held.next_attempt_at - scene.world.clock.now())
        scene.stage.pass_time(waits[-1])
    assert timedelta(0) < waits[0] < HOUR
    assert max(waits) <= DAY + HOUR
    assert sum(waits, timedelta(0)) > 7 * DAY

    scene.buy("-12.00")
    scene.stage.heal()
    scene.next_day()
    held = scene.held()
    assert (held.status, held.status_reason, held.error_retries) == (
        ConnectionStatus.ACTIVE,
        None,
        0,
    )
    assert scene.differences() == []


@pytest.mark.parametrize(
    "meaning", [one for one in MEANINGS if one.kind is ConfigurationError], ids=str
)
def test_22_what_is_wrong_with_our_own_keys_blames_no_customer(
    put_on: PutOn, meaning: Meaning
) -> None:
    """
    Our key had expired, and all customers were told to log in again.

    accounted#2296, Budget#277.
    """
    scene = put_on(meaning.provider).customer()
    scene.link().sync()
    before = scene.held()
    scene.fail(meaning.code, meaning.operation, times=None)
    with pytest.raises(ConfigurationError):
        scene.next_day()

    held = scene.held()
    assert (held.status, held.status_since) == (ConnectionStatus.ACTIVE, before.status_since)
    assert held.next_attempt_at is not None
    run = scene.stage.last_run(scene.connection)
    assert (run.outcome, run.error_class) == ("failed", "configuration")


def asked(scene: Scene) -> Counter[tuple[str, str]]:
    """Count the calls for transactions and balances so far."""
    return Counter(
        {key: n for key, n in scene.stage.calls().items() if key[0] in ("transactions", "balances")}
    )


def test_23_the_schedule_leaves_calls_of_the_day_to_people_and_nobody_makes_one_too_many(
    european: Scene,
) -> None:
    """
    A bank allows four calls a day, and they were gone before anybody looked.

    actual#3120, actual#4039, actual#4854, actual-server#431, TampereHacklab/mulysa#497,
    OCA#809, firefly#9162, whisper#352.
    """
    scene = european.customer()
    scene.buy("-12.00")
    scene.link().sync()
    scene.stage.pass_time(DAY)
    before, done = asked(scene), Counter[SyncReason]()
    for reason in (SyncReason.SCHEDULE,) * 4 + (SyncReason.MANUAL,) * 4:
        with suppress(RateLimitedError):
            scene.sync(reason)
            done[reason] += 1
        held = scene.held()
        assert (held.status, held.error_retries) == (ConnectionStatus.ACTIVE, 0)
        scene.stage.pass_time(HOUR)

    assert 1 <= done[SyncReason.SCHEDULE] <= 2
    assert done[SyncReason.MANUAL] >= 1
    assert max((asked(scene) - before).values()) <= 4
    assert scene.held().next_attempt_at is not None
    scene.buy("-13.00")
    scene.next_day(2)
    assert scene.differences() == []


def test_23_a_limit_of_the_bank_is_waited_for_and_counts_as_no_failure(european: Scene) -> None:
    """
    A refused call was made again at once, and again, and then counted as a broken connection.

    actual#3120, OCA#809, whisper#352.
    """
    scene = european.customer()
    scene.link().sync()
    scene.stage.pass_time(DAY)
    scene.buy("-12.00")
    scene.fail(FaultKind.RATE_LIMITED, times=None, retry_after="7200")
    with pytest.raises(RateLimitedError):
        scene.sync(SyncReason.SCHEDULE)
    held = scene.held()
    assert (held.status, held.error_retries) == (ConnectionStatus.ACTIVE, 0)
    assert held.next_attempt_at is not None
    wait = held.next_attempt_at - scene.world.clock.now()
    assert wait >= 2 * HOUR

    before = scene.stage.calls()
    with pytest.raises(RateLimitedError):
        scene.sync(SyncReason.MANUAL)
    key = ("transactions", scene.stage.account_id(scene.connection, scene.account()))
    assert scene.stage.calls()[key] == before[key]
    scene.stage.heal()
    scene.stage.pass_time(wait)
    scene.sync(SyncReason.RECOVERY)
    assert scene.differences() == []


def test_23_a_customer_who_is_there_may_look_as_often_as_they_like(
    enable_banking: Scene,
) -> None:
    """
    Who stood before the screen was told to come back tomorrow.

    whisper#352, actual#4854.
    """
    scene = enable_banking.customer()
    scene.link().sync()
    user = PresentUser(ip_address="203.0.113.9", user_agent="Browser/1.0")
    request = SyncRequest(scene.connection, SyncReason.MANUAL, present_user=user)
    for number in range(1, 9):
        scene.buy(f"-{number}.00")
        scene.stage.pass_time(HOUR / 12)
        sync_connection(scene.stage.context, request)
        assert len(scene.rows()) == number
    assert {row.amount for row in scene.rows()} >= {Decimal(-8)}
    assert scene.differences() == []
