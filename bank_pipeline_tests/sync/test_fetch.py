"""What a sync asks the provider: as little as it can, and again from the start where it must."""

from datetime import timedelta
from decimal import Decimal
from typing import Final

import pytest

from bank_pipeline.domain.connection import ConnectionStatus, HistoryStage
from bank_pipeline.errors import ConfigurationError, FeedMovedError, PayloadError, TransientError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sync.reports import Step
from bank_pipeline_tests.sync.ground import (
    ACCOUNTS,
    CARD,
    CHECKING,
    READY,
    SAVINGS,
    SYNC,
    Ground,
)

COFFEE: Final = Decimal("-4.50")
FOREIGN_CURSOR: Final = "Zm9yZWlnbg=="
MOVED: Final = "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION"


def test_an_unchanged_sync_costs_one_call_and_writes_no_row(ground: Ground) -> None:
    """The feed brings every account along, so nobody else is asked."""
    for account in (CHECKING, SAVINGS):
        ground.world.add_booked(account, COFFEE)
    connection = ground.link_ready("login-1", CHECKING, SAVINGS)
    before, balances, raws = ground.rows(), ground.count("balances"), ground.count("raw_payloads")
    calls = (ground.calls(), ground.calls(ACCOUNTS))

    ground.pass_time(timedelta(days=1))
    ground.sync(connection)  # its answer has a new cursor's place; the next has not even that
    report = ground.sync(connection)

    assert (ground.calls(), ground.calls(ACCOUNTS)) == (calls[0] + 2, calls[1])
    assert report.calls_count == 1
    assert ground.rows() == before
    assert ground.count("balances") == balances
    assert ground.count("raw_payloads") <= raws + 1
    assert ground.count("transaction_revisions") == 0


def test_an_account_that_the_feed_leaves_out_costs_a_second_call(ground: Ground) -> None:
    """A mortgage has no transactions: only the list of accounts tells its balance."""
    ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link_ready()

    report = ground.sync(connection)

    assert report.calls_count == 2
    assert ground.differences(connection) == []


def test_balances_alone_ask_for_no_transactions(ground: Ground) -> None:
    connection = ground.link_ready()
    ground.world.add_booked(CHECKING, COFFEE)
    calls, cursor = ground.calls(), ground.connection(connection).cursor

    report = ground.sync(connection, steps=frozenset({Step.BALANCES}))

    assert ground.calls() == calls
    assert report.balances.inserted == 2  # booked and available of the one account
    assert ground.rows() == []
    assert ground.connection(connection).cursor == cursor
    ground.sync(connection)
    assert ground.differences(connection) == []


def test_balances_alone_do_not_call_off_a_planned_sync(ground: Ground) -> None:
    """That the balances came says nothing of the transactions that did not."""
    connection = ground.link_ready()
    ground.fail(SYNC, FaultKind.RATE_LIMITED, retry_after="600")
    with pytest.raises(Exception, match="LIMIT"):
        ground.sync(connection)
    planned = ground.connection(connection).next_attempt_at
    assert planned is not None

    ground.sync(connection, steps=frozenset({Step.BALANCES}))

    assert ground.connection(connection).next_attempt_at == planned


def test_balances_alone_do_not_declare_a_failing_connection_well(ground: Ground) -> None:
    connection = ground.link_ready()
    ground.fail(SYNC, "INSTITUTION_DOWN")
    with pytest.raises(Exception, match="INSTITUTION_DOWN"):
        ground.sync(connection)
    failed = ground.connection(connection)

    ground.sync(connection, steps=frozenset({Step.BALANCES}))

    now = ground.connection(connection)
    assert (now.status, now.status_reason) == (ConnectionStatus.ERROR, "INSTITUTION_DOWN")
    assert now.next_attempt_at == failed.next_attempt_at
    assert now.last_success_at == failed.last_success_at


@pytest.mark.parametrize("times", [1, 5])
def test_a_feed_that_moves_is_read_again_from_its_beginning(ground: Ground, times: int) -> None:
    for number in range(1, 601):
        ground.world.add_booked(CHECKING, Decimal(-number))
    connection = ground.link()
    ground.pass_time(READY)

    ground.fail(SYNC, FaultKind.MUTATION, after=1, times=times)
    report = ground.sync(connection)

    assert len(ground.rows()) == 600
    assert report.pages_count == 2
    assert report.calls_count > 3
    assert ground.differences(connection) == []


def test_a_feed_that_never_rests_is_left_for_later_and_writes_nothing(ground: Ground) -> None:
    ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link()
    ground.pass_time(READY)
    rule = ground.sandbox.faults
    ground.fail(SYNC, FaultKind.MUTATION, times=None)

    with pytest.raises(FeedMovedError):
        ground.sync(connection)

    held = ground.connection(connection)
    assert (held.status, held.status_reason) == (ConnectionStatus.ERROR, MOVED)
    assert held.next_attempt_at is not None
    assert held.cursor is None
    assert ground.rows() == []
    assert ground.calls() == 6
    rule.clear()
    ground.sync(connection)
    assert ground.differences(connection) == []


def test_a_lost_cursor_is_replaced_by_a_replay_that_keeps_every_row(ground: Ground) -> None:
    """What was added, changed and taken back meanwhile is found too."""
    entries = [ground.world.add_booked(CHECKING, Decimal(-number)) for number in range(1, 6)]
    connection = ground.link_ready()
    before = {row.external_id: row.id for row in ground.rows()}
    ground.execute(f"UPDATE bank.connections SET cursor = '{FOREIGN_CURSOR}'")

    ground.world.add_booked(CARD, COFFEE)
    ground.world.change(entries[1].id, amount=Decimal("-2.22"))
    ground.world.remove(entries[2].id)
    ground.sync(connection)

    after = {row.external_id: row.id for row in ground.rows()}
    assert len(ground.rows(removed=True)) == 1
    assert {external_id: after[external_id] for external_id in before.keys() & after.keys()} == {
        external_id: before[external_id] for external_id in before.keys() & after.keys()
    }
    assert len(before.keys() & after.keys()) == 4
    assert ground.differences(connection) == []


def test_a_cursor_lost_while_history_is_prepared_loses_no_removal(ground: Ground) -> None:
    yesterday = ground.world.today(CHECKING) - timedelta(days=1)
    kept = ground.world.add_booked(
        CHECKING, Decimal(-1), booking_date=yesterday, transaction_date=yesterday
    )
    gone = ground.world.add_booked(CHECKING, Decimal(-2))
    connection = ground.link()
    ground.pass_time(timedelta(seconds=15))
    ground.sync(connection)
    assert ground.connection(connection).history_stage is HistoryStage.INITIAL
    assert len(ground.rows()) == 2
    ground.execute(f"UPDATE bank.connections SET cursor = '{FOREIGN_CURSOR}'")

    ground.world.remove(gone.id)
    ground.sync(connection)
    ground.pass_time(READY)
    ground.sync(connection)

    assert [row.amount for row in ground.rows()] == [kept.amount]
    assert ground.differences(connection) == []


def test_a_cursor_rejected_in_the_middle_is_not_lost(ground: Ground) -> None:
    """Only the loop is broken: the cursor that we hold is still good, so nothing is replayed."""
    connection = ground.link_ready()
    for number in range(1, 601):
        ground.world.add_booked(CHECKING, Decimal(-number))

    ground.fail(SYNC, FaultKind.CURSOR_REJECTED, after=1)
    report = ground.sync(connection)

    assert report.pages_count == 2
    assert ground.differences(connection) == []


def test_a_replay_that_is_refused_too_is_a_failure(ground: Ground) -> None:
    ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link_ready()
    ground.execute(f"UPDATE bank.connections SET cursor = '{FOREIGN_CURSOR}'")

    ground.fail(SYNC, FaultKind.CURSOR_REJECTED, times=2)
    with pytest.raises(ConfigurationError):  # without a cursor, it is our request that is wrong
        ground.sync(connection)

    held = ground.connection(connection)
    assert held.cursor == FOREIGN_CURSOR
    assert held.next_attempt_at is not None
    assert len(ground.rows()) == 1


def test_pages_without_end_are_a_failure_that_writes_nothing(ground: Ground) -> None:
    connection = ground.link_ready()
    ground.world.add_booked(CHECKING, COFFEE)
    cursor = ground.connection(connection).cursor

    ground.fail(SYNC, FaultKind.ENDLESS_PAGES)
    with pytest.raises(PayloadError):
        ground.sync(connection)

    assert ground.rows() == []
    assert ground.connection(connection).cursor == cursor


def test_transactions_land_when_the_list_of_accounts_has_no_answer(ground: Ground) -> None:
    """What the feed brought is kept; the sync still ends as a failure with a next try."""
    ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link()
    ground.pass_time(READY)

    ground.fail(ACCOUNTS, "INTERNAL_SERVER_ERROR", times=3)
    with pytest.raises(TransientError, match="INTERNAL_SERVER_ERROR"):
        ground.sync(connection)

    assert [row.amount for row in ground.rows()] == [COFFEE]
    assert ground.runs(connection)[-1].outcome == "failed"
    held = ground.connection(connection)
    assert (held.status, held.status_reason) == (ConnectionStatus.ERROR, "INTERNAL_SERVER_ERROR")
    assert held.next_attempt_at is not None
    ground.sync(connection)
    assert ground.connection(connection).status is ConnectionStatus.ACTIVE
    assert ground.differences(connection) == []


def test_accounts_stay_open_when_the_list_of_accounts_has_no_answer(ground: Ground) -> None:
    """A feed lists only the accounts that it has rows of, which says nothing of the others."""
    ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link()
    ground.pass_time(READY)
    ground.sync(connection)
    ground.execute("UPDATE bank.connections SET last_full_accounts_at = NULL")

    ground.fail(ACCOUNTS, "INTERNAL_SERVER_ERROR", times=3)
    with pytest.raises(TransientError, match="INTERNAL_SERVER_ERROR"):
        ground.sync(connection)

    assert ground.query("SELECT name FROM bank.accounts WHERE closed_at IS NOT NULL") == []
    assert ground.count("accounts") > 1


def test_rows_of_an_account_that_is_listed_late_are_not_lost(ground: Ground) -> None:
    """They wait in quarantine, the cursor moves on, and they land once the account is listed."""
    ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link("login-1", CHECKING)
    ground.pass_time(READY)
    ground.fail(ACCOUNTS, FaultKind.MISSING_ACCOUNT)
    first = ground.sync(connection)

    ground.sync(connection)

    assert first.quarantined_count == 1
    assert [row.amount for row in ground.rows()] == [COFFEE]
    assert ground.differences(connection) == []
