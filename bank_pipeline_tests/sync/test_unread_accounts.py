"""What is pending in an account that nobody reads any more ends some day, and may come back."""

from datetime import timedelta
from decimal import Decimal
from typing import Final

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.sync.account_choice import choose_accounts
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.ground import CHECKING, SAVINGS, Ground
from bank_pipeline_tests.sync.staging import staged_at

requisitions = staged_at(Provider.GOCARDLESS)

HOLD: Final = Decimal("-4.50")
PENDING_DAYS: Final = 35


def with_a_hold(ground: Ground) -> ConnectionId:
    ground.world.add_pending(SAVINGS, HOLD)
    ground.world.add_booked(CHECKING, Decimal(-1))
    return ground.link_ready()


def holds(ground: Ground) -> list[str]:
    return [row.status for row in ground.rows() if row.amount == HOLD]


def test_what_is_pending_in_a_closed_account_ends_when_it_is_old(ground: Ground) -> None:
    connection = with_a_hold(ground)
    ground.world.close_account(SAVINGS)

    ground.pass_time(timedelta(days=PENDING_DAYS - 2))
    ground.sync(connection)
    assert holds(ground) == ["pending"]
    ground.pass_time(timedelta(days=4))
    report = ground.sync(connection)

    assert holds(ground) == []
    assert report.transactions.removed == 1
    reasons = ground.query("SELECT reason FROM bank.transaction_revisions WHERE reason IS NOT NULL")
    assert reasons == [("overdue",)]
    assert ground.sync(connection).transactions.removed == 0


def test_what_is_pending_in_an_account_that_is_read_is_not_ended_with_it(ground: Ground) -> None:
    ground.world.add_pending(CHECKING, Decimal("-7.25"))
    connection = with_a_hold(ground)
    ground.world.close_account(SAVINGS)
    ground.pass_time(timedelta(days=PENDING_DAYS + 5))
    ground.sync(connection)

    assert [row.amount for row in ground.rows() if row.status == "pending"] == [Decimal("-7.25")]


def test_an_account_that_was_left_out_and_is_chosen_again_shows_what_is_pending_still(
    requisitions: Stage,
) -> None:
    stage, kinds = requisitions, (AccountKind.CHECKING, AccountKind.SAVINGS)
    login, connection = stage.linked(*kinds)
    stage.world.add_pending(stage.account(login, AccountKind.SAVINGS), HOLD)
    stage.sync(connection)
    both = [AccountId(row[0]) for row in stage.query("SELECT id::text FROM bank.accounts")]
    pending = f"SELECT account_id::text FROM bank.transactions WHERE amount = {HOLD}"
    live = f"{pending} AND removed_at IS NULL"
    [[left_out]] = stage.query(live)

    choose_accounts(stage.context, connection, {*both} - {AccountId(left_out)})
    stage.pass_time(timedelta(days=PENDING_DAYS + 2))
    stage.sync(connection)
    assert (len(stage.query(pending)), stage.query(live)) == (1, [])

    choose_accounts(stage.context, connection, both)
    stage.pass_time(timedelta(days=1))
    stage.sync(connection)
    assert stage.query(live) == stage.query(pending) == [(left_out,)]


def test_how_far_the_data_reaches_is_told_of_the_accounts_that_are_read(
    requisitions: Stage,
) -> None:
    """One that was left out stays where it was, and is no gap."""
    stage = requisitions
    _, connection = stage.linked(AccountKind.CHECKING, AccountKind.SAVINGS)
    stage.sync(connection)
    [_, (read,)] = stage.query("SELECT id::text FROM bank.accounts ORDER BY id")
    choose_accounts(stage.context, connection, [AccountId(read)])
    stage.pass_time(timedelta(days=10))
    report = stage.sync(connection)

    assert report.coverage.until == stage.sandbox.clock.now().date()
    assert report.coverage.gap_days == 0
