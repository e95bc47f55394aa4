"""Complaints 20 to 22: connections that doubled, ran out, or gave up."""

from contextlib import suppress
from datetime import timedelta
from typing import Final

import httpx
import pytest

from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.ids import AccountId
from bank_pipeline.errors import (
    BankPipelineError,
    ConfigurationError,
    ProviderError,
    ReauthRequiredError,
    SetupError,
)
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sync.link import start_link
from bank_pipeline.sync.questions import decide_question
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline_tests.complaints.conftest import PutOn
from bank_pipeline_tests.complaints.scene import BOTH, CHECKING, DAY, HOUR, Scene
from bank_pipeline_tests.providers.contract.catalogue import MEANINGS, Meaning

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
    with pytest.raises(SetupError, match="--institution"):
        scene.consent("AT:Minusbank", renews=scene.connection)
    renewed = scene.consent("AT:Plusbank", renews=scene.connection)
    assert renewed.connection_ids == (scene.connection,)
    scene.next_day()

    assert len(scene.rows()) == 2
    assert scene.held().institution_name == "Plusbank"
    assert scene.differences() == []


def test_20_a_second_link_of_the_same_login_is_a_renewal(european: Scene) -> None:
    """
    Who linked their bank again had everything twice.

    securo#445, syllogic-ai/syllogic#139, sure#3657, accounted#1728.
    """
    scene = european.customer()
    scene.buy("-12.00")
    scene.link().sync()
    first, ids = scene.connection, scene.ids()
    scene.link()
    assert scene.connection == first
    scene.next_day()

    assert scene.ids() == ids
    assert scene.value("SELECT count(*) FROM bank.accounts WHERE closed_at IS NULL") == 1
    assert scene.differences() == []


def test_20_an_account_that_may_be_a_known_one_waits_for_a_person_and_goes_on(
    european: Scene,
) -> None:
    """
    An account that was not recognised was made anew in silence, or dropped in silence.

    syllogic-ai/syllogic#140, syllogic-ai/syllogic#141, maybe#2172.
    """
    scene = european.customer()
    for kind in BOTH:
        scene.buy("-12.00", "Shop", kind)
    scene.link(*BOTH).sync()
    ids = scene.ids()
    with scene.stage.context.engine.begin() as db:  # nothing is known to recognise it by
        db.exec_driver_sql(
            "UPDATE bank.accounts SET numbers_ciphertext = NULL, numbers_key_id = NULL,"
            " masked_number = NULL,"
            " name = 'Old', content_hash = '' WHERE name = %s",
            (scene.world.accounts[scene.account(BOTH[1])].name,),
        )
    scene.stage.pass_time(DAY)
    scene.stage.consent(scene.login, *BOTH, renews=scene.connection)
    scene.buy("-13.00", "Later", BOTH[1])
    scene.next_day()
    asked = "SELECT id::text, candidate_ids[1]::text FROM bank.account_questions"
    [(question, candidate)] = scene.ask(f"{asked} WHERE decided_at IS NULL")
    assert scene.ids() == ids  # kept meanwhile, and nothing doubled

    decide_question(scene.stage.context, question, same_as=AccountId(candidate))
    scene.next_day()
    assert scene.ask(f"{asked} WHERE decided_at IS NULL") == []
    assert ids < scene.ids()
    assert scene.value("SELECT count(*) FROM bank.accounts WHERE closed_at IS NULL") == 2
    assert scene.differences() == []


def test_21_a_consent_that_ends_is_announced_two_weeks_before_and_renewed_in_place(
    european: Scene,
) -> None:
    """
    The consent ended, and the customer saw weeks later that nothing came.

    The connection says so from two weeks before, with the date, wherever it is shown.

    whisper#929, monetr#1741, actual#3826.
    """
    scene = european.customer()
    scene.buy("-12.00")
    scene.link().sync()
    expires_at = scene.held().consent_expires_at
    assert expires_at is not None
    scene.stage.pass_time(expires_at - scene.world.clock.now() - 16 * DAY)
    seen = []
    for days in (1, 2, 5, 5, 3, 1):
        scene.stage.pass_time(days * DAY)
        with suppress(ReauthRequiredError):
            scene.sync(SyncReason.SCHEDULE)
        held = scene.held()
        is_close = expires_at - scene.world.clock.now() <= 14 * DAY
        assert is_close is (held.status is not ConnectionStatus.ACTIVE)
        reason = held.status_reason
        assert is_close is (reason is not None)
        if held.status is ConnectionStatus.EXPIRING:
            assert reason == f"consent ends {expires_at:%Y-%m-%d}"
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


@pytest.mark.parametrize("provider", ["plaid", "enable_banking"])
def test_22_a_bank_that_fails_for_weeks_is_asked_until_it_answers(
    put_on: PutOn, provider: str
) -> None:
    """
    After three failures the connection was dropped in silence.

    whisper#782, whisper#653, whisper#745, Budget#277, accounted#2296.
    """
    scene = put_on(provider).customer()
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


def test_22_refused_keys_stop_all_calls_and_touch_nobody(put_on: PutOn) -> None:
    """
    With our key gone every customer's sync failed, and every customer was told so.

    accounted#2296.
    """
    scene = put_on("gocardless").customer()
    scene.link().sync()
    other = scene.another().customer()
    other.link().sync()
    scene.stage.pass_time(DAY)
    scene.fail("authentication_failed", "gocardless:*", times=None)
    with pytest.raises(BankPipelineError):
        scene.sync()
    before = sum(scene.stage.calls().values())
    with pytest.raises(BankPipelineError):
        other.sync()

    assert sum(scene.stage.calls().values()) <= before + 1  # at most a probe
    for one in (scene, other):
        held = one.held()
        assert held.status is ConnectionStatus.ACTIVE
        assert held.next_attempt_at is not None
    scene.stage.heal()
    scene.buy("-12.00")
    for one in (scene, other):
        one.next_day()
        assert one.differences() == []
