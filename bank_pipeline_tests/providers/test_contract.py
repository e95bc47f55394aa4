"""
One set of claims for all providers, through the real use cases and their simulated banks.

What differs between providers is data: their capabilities, and `contract/cases.py`. The folder
`contract` holds the other half of the suite: errors, payloads, transport, quotas, secrets.
"""

from contextlib import nullcontext
from datetime import timedelta
from decimal import Decimal
from typing import Final

import pytest

from bank_pipeline.domain.connection import ConnectionStatus, HistoryStage
from bank_pipeline.domain.transitions import LOOK_EVERY
from bank_pipeline.errors import AccountBlockedError, ReauthRequiredError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.reports import StepCounts, SyncReason
from bank_pipeline_tests.providers.contract import conftest as fixtures
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.catalogue import reauth_code
from bank_pipeline_tests.providers.contract.stage import READY, Stage

living, lively, quiet, stage = fixtures.living, fixtures.lively, fixtures.quiet, fixtures.stage
THREE: Final = (AccountKind.CHECKING, AccountKind.SAVINGS, AccountKind.CREDIT_CARD)
DAY: Final = timedelta(days=1)
NOTHING_WRITTEN: Final = (0, 0, 0)


def written(counts: StepCounts) -> tuple[int, int, int]:
    return counts.inserted, counts.updated, counts.removed


def test_a_first_sync_holds_the_whole_truth_of_a_living_bank(lively: Stage) -> None:
    """And so does every daily sync while rows come late, restlessly, twice, and go again."""
    login = lively.case.living_login
    connection = lively.link(login)
    report = lively.sync(connection, SyncReason.INITIAL)
    assert lively.differences(connection) == []
    assert report.transactions.inserted == lively.true_count(connection) > 50
    assert (report.stage, report.status) == (HistoryStage.COMPLETE, ConnectionStatus.ACTIVE)
    for _ in range(4):
        lively.pass_time(2 * DAY)
        lively.sync(connection, SyncReason.SCHEDULE)
        assert lively.differences(connection) == []


def test_a_second_sync_writes_nothing(stage: Stage) -> None:
    login = stage.new_login()
    for kind in (AccountKind.CHECKING, AccountKind.CREDIT_CARD):
        stage.world.add_booked(stage.account(login, kind), Decimal("-12.34"))
        stage.world.add_pending(stage.account(login, kind), Decimal("-5.60"))
    connection = stage.link(login, AccountKind.CHECKING, AccountKind.CREDIT_CARD)
    stage.sync(connection)
    assert stage.differences(connection) == []
    before = stage.versions()

    report = stage.sync(connection)

    assert written(report.accounts) == NOTHING_WRITTEN
    assert written(report.balances) == NOTHING_WRITTEN
    assert written(report.transactions) == NOTHING_WRITTEN
    assert stage.versions() == before


def test_money_in_is_positive_and_debt_is_negative(stage: Stage) -> None:
    login = stage.new_login()
    checking, card = stage.account(login), stage.account(login, AccountKind.CREDIT_CARD)
    stage.world.add_booked(checking, Decimal("-12.34"), description="a purchase")
    stage.world.add_booked(
        checking, Decimal("2500.00"), description="a salary", category="INCOME_WAGES"
    )
    stage.world.add_booked(card, Decimal("-845.10"), description="a purchase by card")
    stage.world.add_booked(card, Decimal("100.00"), description="a payment of the card")
    connection = stage.link(login, AccountKind.CHECKING, AccountKind.CREDIT_CARD)
    stage.sync(connection)

    assert {row.amount for row in stage.live()} == {
        Decimal("-845.10"),
        Decimal("-12.34"),
        Decimal("100.00"),
        Decimal("2500.00"),
    }
    booked = stage.query("SELECT booked_balance FROM analytics.accounts WHERE type = 'credit_card'")
    assert booked == [(stage.world.truth(card, stage.world.clock.now()).booked,)]
    assert booked[0][0] < 0
    assert stage.differences(connection) == []


@pytest.mark.parametrize("linked", [True, False], ids=["told", "untold"])
def test_a_pending_row_books_in_its_place(stage: Stage, linked: bool) -> None:
    """Told or untold by the provider: the row keeps our id, even under another id of theirs."""
    login, connection = stage.linked()
    entry = stage.world.add_pending(
        stage.account(login), Decimal("-23.45"), description="Coffee House", linked=linked
    )
    stage.sync(connection)
    [pending] = stage.live()
    assert pending.status == "pending"

    stage.pass_time(DAY)
    stage.world.book(entry.id)
    stage.sync(connection)

    [booked] = stage.live()
    assert (booked.id, booked.status) == (pending.id, "booked")
    assert stage.differences(connection) == []


def test_a_hold_that_ends_vanishes(stage: Stage) -> None:
    login, connection = stage.linked()
    entry = stage.world.add_pending(stage.account(login), Decimal("-50.00"))
    stage.sync(connection)
    assert len(stage.live()) == 1

    stage.pass_time(DAY)
    stage.world.vanish(entry.id)
    stage.sync(connection)

    assert stage.live() == []
    assert stage.differences(connection) == []


def test_a_removed_booking_goes_and_comes_back_as_itself(stage: Stage) -> None:
    login, connection = stage.linked()
    entry = stage.world.add_booked(stage.account(login), Decimal("-9.99"))
    stage.sync(connection)
    [before] = stage.live()

    stage.world.remove(entry.id)
    stage.sync(connection)
    assert stage.live() == []
    assert stage.differences(connection) == []

    stage.pass_time(DAY)
    stage.world.restore(entry.id)
    stage.sync(connection)
    assert [row.id for row in stage.live()] == [before.id]
    assert stage.differences(connection) == []


def test_two_equal_purchases_of_a_day_stay_two_for_ever(stage: Stage) -> None:
    login, connection = stage.linked()
    first = stage.world.add_booked(stage.account(login), Decimal("-3.20"), description="Tram")
    stage.sync(connection)
    [one] = stage.live()
    twin = stage.world.add_twin(first.id)
    stage.sync(connection)
    both = {row.id for row in stage.live()}
    assert len(both) == 2
    assert one.id in both

    for _ in range(2):
        stage.pass_time(DAY)
        report = stage.sync(connection)  # words about a row may change: some are enriched
        assert (report.transactions.inserted, report.transactions.removed) == (0, 0)
        assert {row.id for row in stage.live()} == both
    stage.world.remove(twin.id)
    stage.sync(connection)
    assert len(stage.live()) == 1
    assert stage.differences(connection) == []


def test_equal_pending_purchases_book_one_by_one(stage: Stage) -> None:
    login, connection = stage.linked()
    first = stage.world.add_pending(stage.account(login), Decimal("-3.20"), description="Tram")
    twin = stage.world.add_twin(first.id)
    stage.sync(connection)
    before = {row.id for row in stage.live()}
    assert len(before) == 2

    stage.pass_time(DAY)
    for entry in (first, twin):
        stage.world.book(entry.id)
        stage.sync(connection)
        assert {row.id for row in stage.live()} == before
        assert stage.differences(connection) == []


def test_a_renewal_keeps_every_row(stage: Stage) -> None:
    """Whether the provider keeps its ids or makes new ones: ours stay, and nothing doubles."""
    login = stage.new_login()
    for kind in THREE:
        stage.world.add_booked(stage.account(login, kind), Decimal("-12.34"))
        stage.world.add_pending(stage.account(login, kind), Decimal("-1.20"))
    connection = stage.link(login, *THREE)
    stage.sync(connection)
    before = stage.connection(connection)
    ids = {row.id for row in stage.live()}
    accounts = set(stage.query("SELECT id::text FROM bank.accounts"))
    assert len(ids) == 6

    state = stage.consent(login, *THREE, renews=connection)
    assert state.connection_ids == (connection,)
    stage.pass_time(READY)
    stage.sync(connection)

    is_new = stage.connection(connection).external_id != before.external_id
    assert is_new is stage.provider.capabilities.is_renewed_by_new_connection
    assert {row.id for row in stage.live()} == ids
    assert set(stage.query("SELECT id::text FROM bank.accounts")) == accounts
    assert stage.differences(connection) == []
    assert stage.connection(connection).status is ConnectionStatus.ACTIVE


def test_a_connection_that_needs_its_customer_works_again_after_a_renewal(stage: Stage) -> None:
    login, connection = stage.linked()
    stage.world.add_booked(stage.account(login), Decimal("-12.34"))
    stage.sync(connection)
    ids = {row.id for row in stage.live()}
    stage.pass_time(DAY)  # some banks go on counting the day's calls
    stage.fail(stage.case.transactions, reauth_code(stage.case.provider), times=None)
    with pytest.raises(ReauthRequiredError):
        stage.sync(connection)
    assert stage.connection(connection).status is ConnectionStatus.NEEDS_REAUTH
    due = stage.connection(connection).next_attempt_at
    assert due is not None, "it may be mended elsewhere"
    assert due - stage.context.clock() <= LOOK_EVERY
    stage.heal()

    stage.consent(login, AccountKind.CHECKING, renews=connection)
    stage.pass_time(READY)
    stage.world.add_booked(stage.account(login), Decimal("-5.00"))
    stage.sync(connection)

    assert stage.connection(connection).status is ConnectionStatus.ACTIVE
    assert ids < {row.id for row in stage.live()}
    assert stage.differences(connection) == []


def test_a_closed_account_keeps_its_rows_and_stops_no_sibling(stage: Stage) -> None:
    """It is closed, and no failure, where the provider tells that from a refusal."""
    login, connection = stage.linked(AccountKind.CHECKING, AccountKind.SAVINGS)
    for kind in (AccountKind.CHECKING, AccountKind.SAVINGS):
        stage.world.add_booked(stage.account(login, kind), Decimal("-12.34"))
    stage.sync(connection)
    assert len(stage.live()) == 2
    closed = stage.account(login, AccountKind.SAVINGS)
    stage.world.close_account(closed)
    stage.world.add_booked(stage.account(login), Decimal("-5.00"))
    stage.pass_time(DAY)

    is_told = stage.case.tells_closed
    with nullcontext() if is_told else pytest.raises(AccountBlockedError):
        stage.sync(connection)

    assert len(stage.live()) == 3
    status = ConnectionStatus.ACTIVE if is_told else ConnectionStatus.ERROR
    assert stage.connection(connection).status is status
    closed_count = len(stage.query("SELECT 1 FROM bank.accounts WHERE closed_at IS NOT NULL"))
    assert closed_count == is_told


@pytest.mark.parametrize(
    "stage",
    [case for case in CASES if case.capabilities.is_renewed_by_new_connection],
    ids=str,
    indirect=True,
)
def test_a_consent_for_others_accounts_replaces_nothing(stage: Stage) -> None:
    """Where a renewal is a new link, nobody keeps one from logging in as somebody else."""
    login, connection = stage.linked()
    stage.world.add_booked(stage.account(login), Decimal("-12.34"))
    stage.sync(connection)
    before, rows = stage.connection(connection), stage.live()

    state = stage.consent(stage.new_login(), renews=connection)

    assert (state.connection_ids, state.exit_reason) == ((), "other_accounts")
    after = stage.connection(connection)
    assert (after.external_id, after.status) == (before.external_id, ConnectionStatus.ACTIVE)
    stage.sync(connection)
    assert stage.live() == rows
    assert stage.differences(connection) == []


def test_disconnecting_ends_the_consent_and_may_be_repeated(stage: Stage) -> None:
    login, connection = stage.linked()
    stage.world.add_booked(stage.account(login), Decimal("-12.34"))
    stage.sync(connection)
    stage.fail(stage.case.revocation, FaultKind.HTTP_STATUS, status=503, times=None)
    external_id = stage.connection(connection).external_id
    credential = stage.credential(connection)
    assert not disconnect(stage.context, connection).is_ended
    assert stage.connection(connection).status is ConnectionStatus.DISCONNECTED
    assert stage.connection(connection).next_attempt_at is not None
    assert external_id in stage.external_ids()
    stage.heal()

    assert disconnect(stage.context, connection).is_ended
    assert disconnect(stage.context, connection).is_ended

    assert stage.connection(connection).status is ConnectionStatus.DISCONNECTED
    assert external_id not in stage.external_ids()
    assert stage.query("SELECT 1 FROM bank.credentials") == []
    assert len(stage.live()) == 1
    stage.provider.disconnect(credential)  # gone already: no error
