"""Claims about errors: each documented one reaches its class, and a sync makes the right of it."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import (
    AccessRevokedError,
    AccountBlockedError,
    ConfigurationError,
    CredentialsRefusedError,
    ProviderError,
    RateLimitedError,
    ReauthRequiredError,
    TransientError,
)
from bank_pipeline.providers.answers import RawAnswer, WindowRequest
from bank_pipeline.providers.base import FeedProvider, ProviderClient, Scope, WindowProvider
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.storage.accounts import load_accounts
from bank_pipeline.storage.credentials import Vault
from bank_pipeline_tests.providers.contract.banks import Banks
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.catalogue import (
    FIRST_OF_EACH,
    NO_SUCH_DATA,
    ONE_ACCOUNT,
    Meaning,
    catalogue_of,
)
from bank_pipeline_tests.providers.contract.stage import Stage, stage_of
from bank_pipeline_tests.vaults import VAULT

AFTER: Final = {
    ReauthRequiredError: ConnectionStatus.NEEDS_REAUTH,
    AccessRevokedError: ConnectionStatus.REVOKED,
    RateLimitedError: ConnectionStatus.ACTIVE,
    CredentialsRefusedError: ConnectionStatus.ACTIVE,
    ConfigurationError: ConnectionStatus.ACTIVE,  # it is ours, and nobody's bank's
    TransientError: ConnectionStatus.ERROR,
}
KIND_OF: Final = {
    ReauthRequiredError: "reauth_required",
    AccessRevokedError: "access_revoked",
    RateLimitedError: "rate_limited",
    CredentialsRefusedError: "configuration",
    ConfigurationError: "configuration",
    TransientError: "transient",
}


def read_all(
    provider: ProviderClient, credential: SecretStr, account: Account, today: date
) -> None:
    """Ask as a sync does, and keep nothing."""

    def keep(_: RawAnswer) -> None:
        """Nobody looks."""

    if isinstance(provider, FeedProvider):
        provider.fetch_changes(credential, cursor=None, archive=keep)
    assert isinstance(provider, WindowProvider | FeedProvider)
    if isinstance(provider, WindowProvider):
        provider.fetch_accounts(credential, known=[account], archive=keep)
        window = DateWindow(first=today - timedelta(days=35), last=today)
        request = WindowRequest(window, is_first=False)
        provider.fetch_window(credential, account, request, archive=keep)


def test_every_catalogued_error_reaches_its_class(stage: Stage) -> None:
    catalogue = catalogue_of(stage.case.provider)
    _, connection = stage.linked()
    with stage.context.engine.connect() as db:
        account = load_accounts(db, connection, vault=VAULT)[0]
    credential, today = stage.credential(connection), stage.world.clock.now().date()
    found: dict[str, str] = {}
    said = ""
    for meaning in catalogue:
        stage.fail(meaning.operation or stage.case.transactions, meaning.code, times=None)
        try:
            read_all(stage.provider, credential, account, today)
        except ProviderError as error:
            found[meaning.code] = type(error).__name__
            said += f"{error} {error!r} "
        stage.heal()
        if found.get(meaning.code) == AccountBlockedError.__name__:  # that is remembered for a day
            read_all(stage.provider, credential, account, today + timedelta(days=2))
    assert credential.get_secret_value() not in said
    assert found == {one.code: one.kind.__name__ for one in catalogue}


@pytest.mark.parametrize("meaning", FIRST_OF_EACH, ids=str)
def test_a_sync_makes_of_an_error_what_it_means(
    meaning: Meaning, quiet: Banks, engine: sa.Engine, vault: Vault
) -> None:
    """Status and next try follow from the class; when it is over, nothing was lost."""
    case = next(one for one in CASES if one.provider is meaning.provider)
    with stage_of(case, quiet, engine, vault) as stage:
        login, connection = stage.linked()
        stage.world.add_booked(stage.account(login), Decimal("-12.34"))
        stage.fail(meaning.operation or case.transactions, meaning.code, times=None)
        with pytest.raises(meaning.kind) as raised:
            stage.sync(connection)

        assert raised.type is meaning.kind
        run, after = stage.last_run(connection), stage.connection(connection)
        assert (run.outcome, run.error_class) == ("failed", KIND_OF[meaning.kind])
        assert run.error_code == raised.value.code
        assert after.status is AFTER[meaning.kind]
        assert (after.next_attempt_at is None) is (after.status is ConnectionStatus.REVOKED)
        if after.next_attempt_at is not None:
            assert after.next_attempt_at > stage.world.clock.now()

        stage.heal()
        if after.status is not ConnectionStatus.REVOKED:
            stage.pass_time(timedelta(days=1))
            stage.sync(connection)
            assert stage.connection(connection).status is ConnectionStatus.ACTIVE
            assert stage.differences(connection) == []


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        pytest.param(case, code, id=f"{case}-{code}")
        for case in CASES
        for code in ONE_ACCOUNT[case.provider]
    ],
    indirect=["stage"],
)
def test_one_failing_account_does_not_stop_its_siblings(stage: Stage, code: str) -> None:
    """Their rows land, its failure can be seen with class, code and next try, and it recovers."""
    kind = ONE_ACCOUNT[stage.case.provider][code]
    kinds = (AccountKind.CHECKING, AccountKind.SAVINGS, AccountKind.CREDIT_CARD)
    login, connection = stage.linked(*kinds)
    accounts = [one for one in stage.world.login_accounts(login) if one.kind in kinds]
    for account in accounts:
        stage.world.add_booked(account.id, Decimal("-12.34"))
    failing = stage.account_id(connection, accounts[1].id)
    stage.fail(stage.case.transactions, code, subject=failing, times=None)

    with pytest.raises(kind) as raised:
        stage.sync(connection)

    assert len(stage.live()) == len(accounts) - 1
    run, after = stage.last_run(connection), stage.connection(connection)
    assert (run.outcome, run.error_code) == ("failed", raised.value.code)
    assert run.error_class
    assert after.status.is_syncable
    assert after.next_attempt_at == run.next_attempt_at
    assert after.next_attempt_at is not None
    assert after.next_attempt_at > stage.world.clock.now()

    stage.heal()
    stage.pass_time(timedelta(days=1))
    stage.sync(connection)
    assert len(stage.live()) == len(accounts)
    assert stage.connection(connection).status is ConnectionStatus.ACTIVE
    assert stage.differences(connection) == []


@pytest.mark.parametrize(
    "stage", [case for case in CASES if case.provider in NO_SUCH_DATA], ids=str, indirect=True
)
def test_an_account_without_such_data_is_no_failure(stage: Stage) -> None:
    login, connection = stage.linked()
    stage.world.add_booked(stage.account(login), Decimal("-12.34"))
    code = NO_SUCH_DATA[stage.case.provider]
    stage.fail(stage.case.operations[Scope.BALANCES], code, times=None)
    report = stage.sync(connection)
    assert report.status is ConnectionStatus.ACTIVE
    assert len(stage.live()) == 1
    assert stage.last_run(connection).outcome == "synced"
