"""What somebody does in the middle of something else: both are kept, in one order or the other."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Final

import pytest

from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.errors import CredentialsRefusedError, ReauthRequiredError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.storage.faults import FaultName, FaultSource
from bank_pipeline.sync import link, renewal
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.ending import end_consents
from bank_pipeline.sync.faults import clear_faults, load_faults, note_fault
from bank_pipeline.sync.link import expire_links
from bank_pipeline.sync.linked import GRACE
from bank_pipeline.sync.questions import decide_question
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.between import LOCK, during_a_sync, just_before
from bank_pipeline_tests.sync.ground import SYNC, Ground
from bank_pipeline_tests.sync.staging import staged
from bank_pipeline_tests.sync.test_reconnect import GOCARDLESS, RENAMING, forget_keys

DAY: Final = timedelta(days=1)
AT_ONCE: Final = 4


stage = staged(RENAMING)
"""Each provider at which a renewal is another consent."""


def consents(stage: Stage) -> set[str]:
    """Return what the provider holds open of everybody."""
    return {*stage.external_ids()}


def end_at_once(stage: Stage, login: str, *, renews: ConnectionId | None) -> set[ConnectionId]:
    """End a link as often at once as a customer, a page and an app may; return what all hear of."""
    end = stage.agreed(login, AccountKind.CHECKING, renews=renews)
    with pytest.MonkeyPatch.context() as patched, ThreadPoolExecutor(AT_ONCE) as pool:
        patched.setattr(link, "_LINK_WAIT_S", 60)
        states = [*pool.map(lambda _: end(), range(AT_ONCE))]
    assert {len(state.connection_ids) for state in states} == {1}
    return {state.connection_ids[0] for state in states}


def test_a_renewal_that_is_ended_many_times_at_once_stays(stage: Stage) -> None:
    """None of them takes the consent of another for one that nobody needs."""
    before = consents(stage)
    login, connection = stage.linked()
    stage.pass_time(DAY)

    assert end_at_once(stage, login, renews=connection) == {connection}

    new = stage.next_consent()
    for _ in range(2):
        stage.sync(connection)
        end_consents(stage.context)
        assert consents(stage) - before == {new}
        stage.pass_time(DAY)
    assert stage.connection(connection).status is ConnectionStatus.ACTIVE
    assert stage.differences(connection) == []


def test_a_known_login_that_is_linked_anew_many_times_at_once_stays(stage: Stage) -> None:
    before = consents(stage)
    login, connection = stage.linked()
    stage.pass_time(DAY)

    assert end_at_once(stage, login, renews=None) == {connection}

    new = stage.next_consent()
    stage.sync(connection)
    end_consents(stage.context)
    assert consents(stage) - before == {new}
    assert stage.differences(connection) == []


def test_a_login_whose_connection_is_ended_while_it_is_linked_anew_gets_another(
    stage: Stage,
) -> None:
    """Nothing would ever be read by a consent of a connection that has ended."""
    before = consents(stage)
    login, ended = stage.linked()
    end = stage.agreed(login, AccountKind.CHECKING)

    with just_before(stage.context.engine, LOCK, act=partial(disconnect, stage.context, ended)):
        [connection] = end().connection_ids

    assert connection != ended
    stage.pass_time(DAY)
    stage.sync(connection)
    assert stage.differences(connection) == []
    assert consents(stage) - before == {stage.connection(connection).external_id}


@pytest.mark.parametrize("stage", GOCARDLESS, ids=str, indirect=True)
def test_a_consent_that_is_told_twice_is_not_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing keeps two apart, as when the session that does is lost."""
    login, connection = stage.linked()
    end = stage.agreed(login, AccountKind.CHECKING, renews=connection)
    monkeypatch.setattr(link, "to_ended", lambda _: pytest.fail("it ended"))
    monkeypatch.setattr(renewal, "finish_link_session", lambda *_, **__: False)

    assert [end().connection_ids for _ in range(2)] == [(connection,)] * 2

    assert stage.query("SELECT 1 FROM bank.consents_to_end") == []


@pytest.mark.parametrize("stage", GOCARDLESS, ids=str, indirect=True)
def test_a_renewal_that_was_begun_before_its_connection_is_erased_ends_with_it(
    stage: Stage,
) -> None:
    """Its customer may still agree, and then nobody could name the consent any more."""
    login, connection = stage.linked()
    before = consents(stage)
    stage.agreed(login, AccountKind.CHECKING, renews=connection)
    assert len(consents(stage)) == len(before) + 1

    assert disconnect(stage.context, connection, erase=True).is_erased
    end_consents(stage.context)

    assert consents(stage) < before
    assert (
        stage.query("SELECT 1 FROM bank.link_sessions WHERE renews_connection_id IS NOT NULL") == []
    )


@pytest.mark.parametrize("stage", GOCARDLESS, ids=str, indirect=True)
def test_a_link_does_not_expire_while_its_customer_comes_back(stage: Stage) -> None:
    """Housekeeping must not end the consent that is being kept."""
    login = stage.new_login()
    end = stage.agreed(login, AccountKind.CHECKING)
    [[expires_at]] = stage.query("SELECT expires_at FROM bank.link_sessions")
    stage.pass_time(expires_at - stage.sandbox.clock.now() + GRACE - timedelta(seconds=1))
    assert expire_links(stage.context) == 0, "customers are waited for a little longer"

    def keep_house() -> None:
        stage.pass_time(timedelta(minutes=1))
        assert expire_links(stage.context) == 0

    with just_before(stage.context.engine, "INSERT INTO bank.connections", act=keep_house):
        [connection] = end().connection_ids

    stage.pass_time(DAY)
    stage.sync(connection)
    assert end_consents(stage.context).ended_count == 0
    assert stage.differences(connection) == []


def test_a_renewal_that_comes_back_while_its_connection_is_erased_is_ended(stage: Stage) -> None:
    """A consent lives at its bank for months, and its secret is all that can end it."""
    before = consents(stage)
    login, connection = stage.linked()
    end = stage.agreed(login, AccountKind.CHECKING, renews=connection)

    def come_back() -> None:
        stage.fail(stage.case.revocation, FaultKind.HTTP_STATUS, status=503, times=None)
        assert end().exit_reason == "disconnected"

    with just_before(stage.context.engine, "pg_try_advisory_lock", act=come_back):
        report = disconnect(stage.context, connection, erase=True)

    assert not report.is_erased
    assert len(consents(stage) - before) == 1
    stage.heal()
    stage.pass_time(DAY)
    assert end_consents(stage.context).erased_count == 1
    assert consents(stage) == before


def test_a_consent_that_fails_does_not_put_off_the_one_that_replaced_it(stage: Stage) -> None:
    login, connection = stage.linked()
    stage.pass_time(DAY)
    renew = partial(stage.consent, login, AccountKind.CHECKING, renews=connection)
    renew()
    stage.fail(f"{stage.case.provider}:*", FaultKind.HTTP_STATUS, status=503, times=None)

    def renew_again() -> None:
        stage.heal()
        renew()

    with during_a_sync(stage.context.engine, renew_again):
        stage.sync(connection)

    due = stage.connection(connection).next_attempt_at
    assert due is not None
    assert due <= stage.context.clock()


@pytest.mark.parametrize("is_new", [False, True], ids=["known", "new"])
def test_a_question_that_is_decided_while_its_connection_syncs_stays_decided(
    stage: Stage, *, is_new: bool
) -> None:
    login = stage.new_login()
    stage.world.add_booked(stage.account(login, AccountKind.SAVINGS), Decimal("-4.50"))
    connection = stage.link(login, AccountKind.CHECKING, AccountKind.SAVINGS)
    stage.sync(connection)
    forget_keys(stage, "Tagesgeld")
    stage.pass_time(DAY)
    stage.consent(login, AccountKind.CHECKING, AccountKind.SAVINGS, renews=connection)
    stage.sync(connection)
    [question] = stage.questions()
    stage.pass_time(DAY)
    known = None if is_new else AccountId(question.candidate_ids[0])
    decide = partial(decide_question, stage.context, question.id, same_as=known)

    with just_before(stage.context.engine, "INSERT INTO bank.raw_payloads", act=decide):
        stage.sync(connection)

    assert stage.questions() == []
    due = stage.connection(connection).next_attempt_at
    assert due is not None
    assert due <= stage.context.clock(), "what was not read of it is read next"
    stage.pass_time(DAY)
    stage.sync(connection)
    open_names = stage.query("SELECT name FROM bank.accounts WHERE closed_at IS NULL ORDER BY 1")
    assert [row[0] for row in open_names] == ["Girokonto", "Tagesgeld"]
    assert stage.questions() == []
    if not is_new:
        assert stage.differences(connection) == []


def test_a_connection_that_is_ended_while_others_are_put_back_stays_ended(ground: Ground) -> None:
    """It was stopped as they were, by our own fault; but then its customer ended it."""
    stopped = sorted(ground.link_ready(f"login-{number}") for number in (1, 2))
    last = ground.link_ready("login-3")
    ground.fail(SYNC, "ITEM_LOGIN_REQUIRED", times=2)
    for one in stopped:
        with pytest.raises(ReauthRequiredError):
            ground.sync(one)
    ground.fail(SYNC, "INVALID_API_KEYS")
    end: Callable[[], object] = partial(disconnect, ground.context, stopped[1])

    found, loads = "JOIN bank.connection_events", "WHERE bank.connections.id ="

    with (
        just_before(ground.engine, "INSERT INTO bank.provider_health", found, loads, act=end),
        pytest.raises(CredentialsRefusedError),
    ):
        ground.sync(last)

    statuses = [ground.connection(one).status for one in stopped]
    assert statuses == [ConnectionStatus.ACTIVE, ConnectionStatus.DISCONNECTED]
    assert ground.connection(stopped[1]).next_attempt_at is None


def test_a_fault_that_shows_again_while_it_is_called_over_lasts(ground: Ground) -> None:
    name, now = FaultName(FaultSource.RUN, "sync", "canary"), ground.context.clock()
    note_fault(ground.context, name, seen_at=now, facts={})
    seen = load_faults(ground.context)
    note_fault(ground.context, name, seen_at=now, facts={})

    assert clear_faults(ground.context, seen, at=now) == 0

    [fault] = load_faults(ground.context)
    assert fault.occurrences == 2
    assert clear_faults(ground.context, [fault], at=now) == 1
    assert load_faults(ground.context) == []
