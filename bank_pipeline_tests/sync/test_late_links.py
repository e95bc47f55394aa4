"""What customers bring back to a link that is over is kept or ended, and never left open."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId, LinkSessionId
from bank_pipeline.errors import NotFoundError, SecretError, TransientError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.storage.consents import store_next_consent
from bank_pipeline.storage.link_sessions import finish_link_session
from bank_pipeline.storage.tables import link_sessions
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.ending import end_consents
from bank_pipeline.sync.erasing import erase_team
from bank_pipeline.sync.link import accept_return, complete_link, expire_links, link_with_token
from bank_pipeline.sync.linked import GRACE, LinkState
from bank_pipeline_tests.providers.contract.stage import READY, Stage
from bank_pipeline_tests.sync.between import LOCK, just_before
from bank_pipeline_tests.sync.ground import Ground
from bank_pipeline_tests.sync.staging import staged_at

DAY: Final = timedelta(days=1)
OUTCOMES: Final = "SELECT outcome FROM bank.link_sessions"
TO_END: Final = "SELECT provider, team_id IS NULL FROM bank.consents_to_end WHERE ended_at IS NULL"
COMPARES: Final = "bank.connections.external_id ="  # what came with those that there are
LOADS: Final = "FROM bank.link_sessions.*WHERE bank.link_sessions.id ="


crowd = staged_at(Provider.TELLER)
"""Only at Teller is what comes back the consent itself, which nobody else has."""
sessions = staged_at(Provider.ENABLE_BANKING)
requisitions = staged_at(Provider.GOCARDLESS)
"""Only GoCardless can be asked for days how a link ended, whoever came back."""


def newest_link(stage: Stage) -> LinkSessionId:
    query = "SELECT id::text FROM bank.link_sessions ORDER BY created_at DESC, id DESC LIMIT 1"
    [[session_id]] = stage.query(query)
    return LinkSessionId(session_id)


def close_widget(stage: Stage) -> None:
    """End the newest link, as its widget does when it is closed."""
    complete_link(stage.context, newest_link(stage), returned={"exit": "1"})


def test_who_agreed_is_not_too_late_where_nobody_else_can_tell(crowd: Stage) -> None:
    end = crowd.agreed(crowd.new_login(), AccountKind.CHECKING)
    crowd.pass_time(timedelta(hours=1) + 2 * GRACE)

    [connection] = end().connection_ids

    end_consents(crowd.context)
    crowd.sync(connection)
    assert crowd.differences(connection) == []


def test_who_brings_nothing_in_time_is_too_late(crowd: Stage) -> None:
    crowd.agreed(crowd.new_login(), AccountKind.CHECKING)
    crowd.pass_time(timedelta(hours=1) + 2 * GRACE)

    close_widget(crowd)
    close_widget(crowd)

    assert crowd.query(OUTCOMES) == [("expired",)]
    assert crowd.query(TO_END) == []


@pytest.mark.parametrize("way", ["closed", "closed in the same moment", "expired"])
def test_an_enrollment_whose_link_is_over_is_not_left_at_teller(crowd: Stage, way: str) -> None:
    """What ends it came with the customer alone."""
    before = {*crowd.external_ids()}
    end = crowd.agreed(crowd.new_login(), AccountKind.CHECKING)

    def close() -> None:
        with crowd.context.engine.begin() as db:
            now = crowd.context.clock()
            assert finish_link_session(db, newest_link(crowd), outcome="EXITED", now=now)

    if way == "closed in the same moment":
        with just_before(crowd.context.engine, LOADS, LOADS, act=close):
            state = end()
    else:
        if way == "closed":
            close_widget(crowd)
        else:
            crowd.pass_time(DAY)
            assert expire_links(crowd.context) == 1
        state = end()

    assert state.exit_reason is not None
    end_consents(crowd.context)
    assert {*crowd.external_ids()} == before
    assert end() == state, "a page that is loaded again tells the same"
    assert crowd.query(TO_END) == []
    assert crowd.query("SELECT 1 FROM bank.connections") == []


def test_a_second_enrollment_of_one_link_is_not_left_at_teller(crowd: Stage) -> None:
    """Its page was open twice, and the customer agreed in both: the first is kept."""
    before = {*crowd.external_ids()}
    login = crowd.new_login()
    first = crowd.agreed(login, AccountKind.CHECKING)
    second = agreed_beside(crowd, login)
    state = first()
    [connection] = state.connection_ids

    assert second() == state

    end_consents(crowd.context)
    assert {*crowd.external_ids()} == before | {crowd.connection(connection).external_id}
    assert second() == state
    crowd.pass_time(READY)
    crowd.sync(connection)
    assert crowd.differences(connection) == []


def agreed_beside(stage: Stage, login: str) -> Callable[[], LinkState]:
    """Agree once more in the page of the newest link, to an enrollment of its own."""
    asked = {"login": login, "account": None, "nonce": stage.passed["state"]}
    answer = httpx.post(f"{stage.sandbox.url}/_sim/teller/connect", json=asked)
    done = answer.raise_for_status().json()
    returned = {
        "state": stage.passed["state"],
        "access_token": done["accessToken"],
        "enrollment_id": done["enrollment"]["id"],
        "user_id": done["user"]["id"],
        "signatures": ",".join(done["signatures"]),
    }
    return partial(accept_return, stage.context, stage.case.provider, returned)


def test_an_enrollment_that_is_told_twice_is_not_asked_for_again(crowd: Stage) -> None:
    """Its page may be loaded again while Teller does not answer."""
    end = crowd.agreed(crowd.new_login(), AccountKind.CHECKING)
    state = end()
    crowd.fail("teller:*", FaultKind.HTTP_STATUS, status=503, times=None)

    assert end() == state


def test_an_enrollment_that_cannot_be_proven_just_now_may_be_brought_again(crowd: Stage) -> None:
    """What a browser says of it is not enough to end anything."""
    before = {*crowd.external_ids()}
    end = crowd.agreed(crowd.new_login(), AccountKind.CHECKING)
    close_widget(crowd)
    crowd.fail("teller:*", FaultKind.HTTP_STATUS, status=503, times=None)

    with pytest.raises(TransientError):
        end()

    crowd.heal()
    assert end().exit_reason == "EXITED"
    end_consents(crowd.context)
    assert {*crowd.external_ids()} == before


@pytest.mark.parametrize("way", ["loaded again", "repaired", "not in use yet"])
def test_an_enrollment_that_we_have_is_not_ended_by_a_link_that_is_over(
    crowd: Stage, way: str
) -> None:
    """A repair keeps its enrollment, and a browser may post the same one again."""
    login = crowd.new_login()
    end = crowd.agreed(login, AccountKind.CHECKING)
    [connection] = end().connection_ids
    crowd.sync(connection)
    if way == "repaired":
        end = crowd.agreed(login, AccountKind.CHECKING, renews=connection)
        close_widget(crowd)
    elif way == "not in use yet":
        end = crowd.agreed(login, AccountKind.CHECKING)
        close_widget(crowd)
        keep_as_next(crowd, connection)
    held = {*crowd.external_ids()}

    end()

    end_consents(crowd.context)
    assert crowd.query("SELECT 1 FROM bank.consents_to_end") == []
    assert {*crowd.external_ids()} == held


def keep_as_next(stage: Stage, connection: ConnectionId) -> None:
    """Have the newest enrollment wait beside the one in use."""
    with stage.context.engine.begin() as db:
        store_next_consent(
            db,
            connection,
            stage.case.provider,
            external_id=stage.passed["enrollment_id"],
            credential=SecretStr(stage.passed["access_token"]),
            institution=(None, None),
            consent_expires_at=None,
            told=None,
            vault=stage.context.vault,
            now=stage.context.clock(),
        )


@pytest.mark.parametrize("way", ["by housekeeping", "by whoever began it"])
def test_who_agreed_and_never_came_back_is_connected(requisitions: Stage, way: str) -> None:
    requisitions.agreed(requisitions.new_login(), AccountKind.CHECKING)
    requisitions.pass_time(2 * DAY)

    if way == "by housekeeping":
        assert expire_links(requisitions.context) == 0
    else:
        complete_link(requisitions.context, newest_link(requisitions))

    assert requisitions.query(OUTCOMES) == [("linked",)]
    [[connection]] = requisitions.query("SELECT id::text FROM bank.connections")
    requisitions.sync(connection)
    assert requisitions.differences(connection) == []
    assert expire_links(requisitions.context) == 0


def test_who_agreed_in_another_browser_than_it_was_begun_in_is_not_connected(
    requisitions: Stage,
) -> None:
    """Whoever began it may have sent them there, to see what they have."""
    before = {*requisitions.external_ids()}
    requisitions.agreed(requisitions.new_login(), AccountKind.CHECKING)
    with requisitions.context.engine.begin() as db:
        db.execute(sa.text("UPDATE bank.link_sessions SET browser_fingerprint = 'another'"))
    requisitions.pass_time(2 * DAY)

    assert expire_links(requisitions.context) == 1

    assert requisitions.query(OUTCOMES) == [("expired",)]
    end_consents(requisitions.context)
    assert {*requisitions.external_ids()} == before


def test_who_agreed_is_asked_for_again_while_the_provider_does_not_answer(
    requisitions: Stage,
) -> None:
    requisitions.agreed(requisitions.new_login(), AccountKind.CHECKING)
    requisitions.pass_time(2 * DAY)
    requisitions.fail("gocardless:*", FaultKind.HTTP_STATUS, status=503, times=None)
    assert expire_links(requisitions.context) == 0
    assert requisitions.query(OUTCOMES) == [(None,)]

    requisitions.heal()
    expire_links(requisitions.context)

    assert requisitions.query(OUTCOMES) == [("linked",)]


def test_who_agreed_is_not_asked_for_without_end(requisitions: Stage) -> None:
    requisitions.agreed(requisitions.new_login(), AccountKind.CHECKING)
    requisitions.pass_time(9 * DAY)

    assert expire_links(requisitions.context) == 1

    assert requisitions.query(OUTCOMES) == [("expired",)]


def test_a_team_is_erased_though_a_link_that_it_began_does_not_open(ground: Ground) -> None:
    """Nothing can be ended by it, and it must hold up no erasure."""
    ground.begin_link(team="going")
    ground.execute("UPDATE bank.link_sessions SET state_ciphertext = 'altered'")

    [report] = erase_team(ground.context, "going", forget=lambda _: True)

    assert report.is_done
    assert ground.query(OUTCOMES) == []


def test_a_late_link_of_a_provider_that_is_off_now_is_closed(ground: Ground) -> None:
    ground.begin_link()
    ground.pass_time(DAY)

    assert expire_links(replace(ground.context, providers={})) == 1

    assert ground.query(OUTCOMES) == [("expired",)]


def test_a_late_link_at_plaid_is_closed_though_its_token_is_good_no_more(ground: Ground) -> None:
    session_id, url = ground.begin_link()
    ground.decide(url)
    ground.pass_time(DAY)

    assert expire_links(ground.context) == 1

    assert ground.query(OUTCOMES) == [("expired",)]
    assert ground.complete(session_id).exit_reason == "expired"


@contextmanager
def erased_before(context: SyncContext, team: str, statement: str) -> Iterator[None]:
    """Have a team erased, all of it, before this statement; whoever sends it finds no team."""

    def erase() -> None:
        [report] = erase_team(context, team, forget=lambda _: True)
        assert report.is_done

    with just_before(context.engine, statement, act=erase), pytest.raises(NotFoundError):
        yield


def test_what_was_linked_for_a_team_that_went_meanwhile_is_ended(ground: Ground) -> None:
    """The provider has given it out by then, once."""
    session_id, url = ground.begin_link(team="going")
    ground.decide(url)

    with erased_before(ground.context, "going", COMPARES):
        ground.complete(session_id)

    assert ground.query(TO_END) == [("plaid", True)]
    end_consents(ground.context)
    [item] = ground.sandbox.plaid.items
    assert item.removed


def test_what_cannot_be_compared_with_what_is_stored_is_ended(requisitions: Stage) -> None:
    """Its consent was given out by then, and nothing else knows it."""
    login, connection = requisitions.linked()
    before = {*requisitions.external_ids()}
    end = requisitions.agreed(login, AccountKind.CHECKING)
    with requisitions.context.engine.begin() as db:
        db.execute(sa.text("UPDATE bank.accounts SET numbers_ciphertext = 'altered'"))

    with pytest.raises(SecretError):
        end()

    end_consents(requisitions.context)
    assert {*requisitions.external_ids()} == before
    assert requisitions.connection(connection).external_id in before


@pytest.mark.parametrize("is_linked", [False, True], ids=["nobody's", "another team's"])
def test_a_token_of_a_team_that_went_meanwhile_ends_only_what_nobody_has(
    ground: Ground, *, is_linked: bool
) -> None:
    session_id, url = ground.begin_link(team="staying")
    ground.decide(url)
    if is_linked:
        ground.complete(session_id)
    plaid = ground.sandbox.plaid
    with plaid.lock:
        [item] = plaid.items
        token = SecretStr(plaid.items.new_public_token(item, ground.sandbox.clock.now()))

    with erased_before(ground.context, "going", COMPARES):
        link_with_token(ground.context, Provider.PLAID, token, team_name="going")

    end_consents(ground.context)
    assert item.removed is not is_linked


def test_a_renewal_for_a_team_that_went_meanwhile_is_ended(sessions: Stage) -> None:
    before = {*sessions.external_ids()}
    login, connection = sessions.linked()
    end = sessions.agreed(login, AccountKind.CHECKING, renews=connection)

    with erased_before(sessions.context, "home", LOCK):
        end()

    assert sessions.query(TO_END) == [("enable_banking", True)]
    end_consents(sessions.context)
    assert {*sessions.external_ids()} == before


def test_a_late_link_that_does_not_open_holds_up_no_other(requisitions: Stage) -> None:
    """Its key may come back: until then nobody can tell what it yielded."""
    requisitions.agreed(requisitions.new_login(), AccountKind.CHECKING)
    with requisitions.context.engine.begin() as db:
        db.execute(sa.update(link_sessions).values(state_ciphertext=b"altered"))
    requisitions.agreed(requisitions.new_login(), AccountKind.CHECKING)
    requisitions.pass_time(2 * DAY)

    expire_links(requisitions.context)

    assert {*requisitions.query(OUTCOMES)} == {(None,), ("linked",)}  # both began at once
