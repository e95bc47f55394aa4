"""What goes wrong with single accounts, and with all of them: seen, classed, and tried again."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Final

import httpx
import pytest

from bank_pipeline.domain.connection import ConnectionStatus, Provider
from bank_pipeline.domain.ids import ConnectionId, LinkSessionId
from bank_pipeline.errors import (
    AccountBlockedError,
    AccountGoneError,
    ProviderError,
    RateLimitedError,
    ReauthRequiredError,
    TransientError,
)
from bank_pipeline.sync.link import complete_link, start_link
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.staging import staged_at

SOON: Final = timedelta(minutes=20)
BALANCES: Final = "enable_banking:balances"
TRANSACTIONS: Final = "enable_banking:transactions"


european = staged_at(Provider.ENABLE_BANKING)
gocardless = staged_at(Provider.GOCARDLESS)
american = staged_at(Provider.TELLER)


def linked(stage: Stage) -> tuple[ConnectionId, list[str]]:
    """Link a login with several accounts, a row on each; return the accounts' external ids."""
    login = stage.new_login()
    for account in stage.world.login_accounts(login):
        stage.world.add_booked(account.id, Decimal("-3.50"))
    connection = stage.link(login)
    accounts = [*stage.truth(connection)["accounts"]]
    assert len(accounts) > 1
    return connection, accounts


def agreed(stage: Stage) -> LinkSessionId:
    """Let a customer agree, who has not come back yet."""
    login = stage.new_login()
    started = start_link(
        stage.context, stage.case.provider, team_name="home", institution="MUERITZ_MRTZDE21XXX"
    )
    assert httpx.post(started.url, data={"outcome": "approve", "login": login}).is_redirect
    return started.session_id


def failed(stage: Stage, connection: ConnectionId, kind: type[ProviderError]) -> ConnectionStatus:
    """Sync, which must fail so; return where the connection stands, a next try being planned."""
    with pytest.raises(kind) as failure:
        stage.sync(connection, SyncReason.SCHEDULE)
    assert type(failure.value) is kind
    held = stage.connection(connection)
    assert held.next_attempt_at is not None
    return held.status


def open_accounts(stage: Stage) -> int:
    [row] = stage.query("SELECT count(*) FROM bank.accounts WHERE closed_at IS NULL")
    return int(row[0])


def test_a_connection_whose_accounts_are_all_gone_is_no_success(european: Stage) -> None:
    connection, _ = linked(european)
    for operation in (BALANCES, TRANSACTIONS):
        european.fail(operation, "ACCOUNT_DOES_NOT_EXIST", times=None)

    assert failed(european, connection, AccountGoneError) is ConnectionStatus.ERROR
    assert open_accounts(european) == 0


def test_the_only_account_of_a_login_closes(american: Stage) -> None:
    """Teller lists it as closed, so that no account is left; an empty list alone denies none."""
    login, connection = american.linked()
    american.world.close_account(american.account(login))
    american.pass_time(timedelta(days=1))

    assert failed(american, connection, AccountGoneError) is ConnectionStatus.ERROR
    assert american.connection(connection).status_reason == "account.closed"
    assert open_accounts(american) == 0


def test_refused_balances_do_not_send_the_customer_to_the_bank(european: Stage) -> None:
    """The rows came: so the consent is good."""
    connection, accounts = linked(european)
    european.fail(BALANCES, "ASPSP_ACCOUNT_NOT_ACCESSIBLE", times=None)

    assert failed(european, connection, AccountBlockedError) is ConnectionStatus.ERROR
    assert len(european.live()) == len(accounts)


def test_a_bank_that_refuses_every_account_refuses_the_customer(european: Stage) -> None:
    connection, _ = linked(european)
    for operation in (BALANCES, TRANSACTIONS):
        european.fail(operation, "ASPSP_ACCOUNT_NOT_ACCESSIBLE", times=None)

    assert failed(european, connection, ReauthRequiredError) is ConnectionStatus.NEEDS_REAUTH


def test_a_long_deferral_of_one_account_does_not_put_off_another(european: Stage) -> None:
    connection, accounts = linked(european)
    european.fail(TRANSACTIONS, "ASPSP_RATE_LIMIT_EXCEEDED", subject=accounts[0], times=None)
    european.fail(TRANSACTIONS, "ASPSP_ERROR", subject=accounts[1], times=None)

    failed(european, connection, TransientError)

    planned = european.connection(connection).next_attempt_at
    assert planned is not None
    assert planned - european.context.clock() <= SOON
    european.heal()
    european.pass_time(SOON)
    before = european.calls()
    failed(european, connection, RateLimitedError)
    assert (european.calls() - before)["transactions", accounts[0]] == 0


def test_an_account_that_cannot_even_be_described_is_a_failure(gocardless: Stage) -> None:
    """It is not in the list, so nobody would miss its rows."""
    connection, accounts = linked(gocardless)
    gocardless.fail("gocardless:account", "service_error", subject=accounts[0], times=None)

    assert failed(gocardless, connection, TransientError) is ConnectionStatus.ERROR
    assert len(gocardless.live()) == len(accounts) - 1

    gocardless.heal()
    gocardless.pass_time(SOON)
    gocardless.sync(connection, SyncReason.RECOVERY)
    assert gocardless.differences(connection) == []


def forbid(stage: Stage, account: str) -> None:
    """Let an account's holder not see it, but for its number."""
    for operation in ("details", "transactions", "balances"):
        stage.fail(f"gocardless:{operation}", "access_forbidden", subject=account, times=None)


def lived(stage: Stage, connection: ConnectionId, time: timedelta) -> None:
    """Sync daily, and whenever a try is planned before, for so long."""
    began = daily = stage.context.clock()
    while stage.context.clock() - began < time:
        is_turn = stage.context.clock() >= daily
        daily += timedelta(days=1) if is_turn else timedelta(0)
        with contextlib.suppress(ProviderError):
            stage.sync(connection, SyncReason.SCHEDULE if is_turn else SyncReason.RECOVERY)
        planned = stage.connection(connection).next_attempt_at or daily
        stage.pass_time(max(min(planned, daily) - stage.context.clock(), timedelta(seconds=1)))


def test_an_account_its_holder_may_not_see_does_not_end_the_consent(gocardless: Stage) -> None:
    """GoCardless counts each such refusal, and suspends the whole consent at the tenth."""
    login = gocardless.new_login()
    gocardless.fail("gocardless:details", "access_forbidden", times=None)
    connection = gocardless.link(login)
    gocardless.heal()
    [refused, *others] = gocardless.truth(connection)["accounts"]
    forbid(gocardless, refused)

    lived(gocardless, connection, timedelta(days=170))

    held = gocardless.connection(connection)
    assert (held.status, held.status_reason) == (ConnectionStatus.ERROR, "AccountAccessForbidden")
    assert held.next_attempt_at is not None
    for account in gocardless.world.login_accounts(login):
        gocardless.world.add_booked(account.id, Decimal("-3.50"))
    lived(gocardless, connection, timedelta(days=1))
    assert len(gocardless.live()) == len(others)


def test_the_erasure_of_others_does_not_have_a_refused_account_asked_again(
    gocardless: Stage,
) -> None:
    """It empties the cache, and each time would bring the consent's end nearer."""
    connection, accounts = linked(gocardless)
    forbid(gocardless, accounts[0])
    lived(gocardless, connection, timedelta(days=1, hours=12))
    tried = gocardless.calls()

    for _ in range(3):
        assert gocardless.context.cache.empty()
        lived(gocardless, connection, timedelta(days=1))

    for operation in ("details", "transactions", "balances"):
        asked = (operation, accounts[0])
        assert gocardless.calls()[asked] == tried[asked]


def test_a_refused_account_is_asked_again_and_then_read_as_ever(gocardless: Stage) -> None:
    connection, accounts = linked(gocardless)
    forbid(gocardless, accounts[0])
    lived(gocardless, connection, timedelta(hours=23))
    tried = gocardless.calls()
    assert tried["balances", accounts[0]] == 1
    assert tried["transactions", accounts[0]] <= len({"today", "tomorrow"})

    gocardless.heal()
    lived(gocardless, connection, timedelta(days=8))

    assert gocardless.differences(connection) == []
    assert gocardless.connection(connection).status is ConnectionStatus.ACTIVE


def test_a_refused_account_is_asked_at_once_under_a_new_consent(gocardless: Stage) -> None:
    login = gocardless.new_login()
    connection = gocardless.link(login)
    forbid(gocardless, next(iter(gocardless.truth(connection)["accounts"])))
    lived(gocardless, connection, timedelta(days=3))
    gocardless.heal()

    gocardless.consent(login, renews=connection)
    gocardless.pass_time(timedelta(minutes=5))
    gocardless.sync(connection)

    assert gocardless.differences(connection) == []


def test_a_customer_who_may_see_no_account_is_sent_to_the_bank(gocardless: Stage) -> None:
    connection, _ = linked(gocardless)
    forbid(gocardless, "*")
    for _ in range(3):
        assert failed(gocardless, connection, ReauthRequiredError) is ConnectionStatus.NEEDS_REAUTH
        gocardless.pass_time(timedelta(hours=6))


def test_a_link_completed_by_two_at_once_is_one_connection(gocardless: Stage) -> None:
    """A command asks every two seconds, and the customer comes back meanwhile."""
    session = agreed(gocardless)

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(complete_link, gocardless.context, session) for _ in range(4)]
        found = {one.result(20).connection_ids for one in asked}

    assert len(found) == 1
    assert gocardless.query("SELECT count(*) FROM bank.connections")[0][0] == 1


def test_a_link_ends_with_its_time(gocardless: Stage) -> None:
    session = agreed(gocardless)
    gocardless.pass_time(timedelta(days=9))
    state = complete_link(gocardless.context, session)
    assert (state.is_finished, state.exit_reason) == (True, "expired")
    assert gocardless.query("SELECT count(*) FROM bank.connections")[0][0] == 0
