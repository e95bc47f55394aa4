"""Claims about counted calls: never one too many, and what is put off has a date."""

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import pytest

from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import RateLimitedError
from bank_pipeline.providers.plaid.provider import PlaidProvider
from bank_pipeline.providers.teller.provider import TellerProvider
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.sync.quota import SPENT
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage

DAY: Final = timedelta(hours=24)
COUNTED: Final = tuple(case for case in CASES if case.capabilities.quotas)
KINDS: Final = (AccountKind.CHECKING, AccountKind.SAVINGS)
counted = pytest.mark.parametrize("stage", COUNTED, ids=str, indirect=True)


def test_the_suite_knows_who_counts() -> None:
    assert not PlaidProvider.capabilities.quotas
    assert not TellerProvider.capabilities.quotas
    assert len(COUNTED) == 2


def sync_or_defer(stage: Stage, connection: ConnectionId, reason: SyncReason) -> bool:
    """Sync; of a sync that is put off, check that it can be seen and has a next try."""
    try:
        stage.sync(connection, reason)
    except RateLimitedError:
        run, after = stage.last_run(connection), stage.connection(connection)
        assert (run.error_code, run.error_class) == (SPENT, "rate_limited")
        assert after.status is ConnectionStatus.ACTIVE
        assert after.next_attempt_at is not None
        assert after.next_attempt_at > stage.world.clock.now()
        return False
    return True


@counted
@pytest.mark.parametrize("is_idle", [False, True], ids=["busy", "idle"])
def test_no_call_is_ever_one_too_many(stage: Stage, is_idle: bool) -> None:
    """Two days of scheduled and impatient manual syncs: within any 24 hours the limit holds."""
    login = stage.new_login(is_idle=is_idle)
    connection = stage.link(login, *KINDS)
    accounts = {stage.account_id(connection, stage.account(login, kind)) for kind in KINDS}
    told: list[tuple[datetime, Counter[tuple[str, str]]]] = []
    outcomes: Counter[tuple[SyncReason, bool]] = Counter()
    for number in range(16):
        told.append((stage.world.clock.now(), stage.calls()))
        reason = SyncReason.SCHEDULE if number % 3 else SyncReason.MANUAL
        outcomes[reason, sync_or_defer(stage, connection, reason)] += 1
        stage.pass_time(timedelta(hours=3))
    told.append((stage.world.clock.now(), stage.calls()))

    for quota in stage.provider.capabilities.quotas:
        operation = stage.case.operations[quota.scope].partition(":")[2]
        for account in accounts:
            spent = [(at, calls[operation, account]) for at, calls in told]
            most = max(
                later - before
                for index, (begun, before) in enumerate(spent)
                for at, later in spent[index:]
                if at - begun < DAY
            )
            assert most <= quota.calls_max, (operation, most)
    assert outcomes[SyncReason.MANUAL, True] > 2
    assert outcomes[SyncReason.MANUAL, False] > 0
    refused = stage.query("SELECT 1 FROM bank.provider_calls WHERE http_status = 429")
    assert refused == []

    due = stage.connection(connection).next_attempt_at
    if due is not None:
        stage.pass_time(max(due - stage.world.clock.now(), timedelta(0)))
    stage.pass_time(DAY)
    assert sync_or_defer(stage, connection, SyncReason.SCHEDULE)
    assert stage.differences(connection) == []


@counted
def test_one_accounts_spent_calls_leave_the_others_theirs(stage: Stage) -> None:
    """Somebody else spent one account's calls: it is put off, and not asked again until then."""
    login, connection = stage.linked(*KINDS)
    accounts = [stage.account(login, kind) for kind in KINDS]
    for account in accounts:
        stage.world.add_booked(account, Decimal("-12.34"))
    spent = stage.account_id(connection, accounts[0])
    stage.fail(stage.case.transactions, FaultKind.RATE_LIMITED, subject=spent, times=None)
    with pytest.raises(RateLimitedError):
        stage.sync(connection)
    assert len(stage.live()) == len(accounts) - 1
    after = stage.connection(connection)
    assert after.status is ConnectionStatus.ACTIVE
    assert after.next_attempt_at is not None

    before = stage.calls()
    assert not sync_or_defer(stage, connection, SyncReason.RECOVERY)
    operation = stage.case.transactions.partition(":")[2]
    assert stage.calls()[operation, spent] == before[operation, spent]

    stage.heal()
    stage.pass_time(after.next_attempt_at - stage.world.clock.now())
    stage.sync(connection, SyncReason.RECOVERY)
    assert len(stage.live()) == len(accounts)
    assert stage.differences(connection) == []
