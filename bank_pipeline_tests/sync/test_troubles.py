"""What goes wrong with single accounts, and with all of them: seen, classed, and tried again."""

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
    gocardless.pass_time(timedelta(hours=25))
    state = complete_link(gocardless.context, session)
    assert (state.is_finished, state.exit_reason) == (True, "expired")
    assert gocardless.query("SELECT count(*) FROM bank.connections")[0][0] == 0
