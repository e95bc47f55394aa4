"""Balances against rows, at every provider over HTTP, with the truth of their banks."""

from datetime import timedelta
from decimal import Decimal
from typing import Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import RefusedError
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.sync.balance_checks import BalanceChecks, needs_deep_pass
from bank_pipeline.sync.balance_rules import resolve_difference
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.staging import staged, staged_at

DAY: Final = timedelta(days=1)
KINDS: Final = (AccountKind.CHECKING, AccountKind.CREDIT_CARD)
ALTERED: Final = (
    "UPDATE bank.transactions SET amount = :spoilt WHERE id = (SELECT min(id::text)::uuid "
    "FROM bank.transactions WHERE amount = :right)"
)


stage = staged(CASES)
"""Each provider."""
requisitions = staged_at(Provider.GOCARDLESS)


def alter(stage: Stage, right: int, spoilt: int) -> None:
    """Spoil a row behind the pipeline's back; what the bank said of it is known already."""
    with stage.context.engine.begin() as db:
        db.execute(sa.text(ALTERED), {"right": right, "spoilt": spoilt})


def test_a_row_that_is_not_what_the_bank_booked_is_confirmed_once_and_resolved_when_mended(
    stage: Stage,
) -> None:
    """Current account and card; bookings, pending rows and an overpaid card are no difference."""
    login = stage.new_login()
    accounts = [stage.account(login, kind) for kind in KINDS]
    for account in accounts:
        stage.world.add_booked(account, Decimal(-3), description="Bakery")
    connection = stage.link(login, *KINDS)
    counts: list[int] = []

    def pass_days(number: int) -> None:
        for _ in range(number):
            for account in accounts:
                stage.world.add_booked(account, Decimal("-5.25"), description="Cinema")
            counts.append(stage.sync(connection).balance_differences_count)
            stage.pass_time(DAY)

    pass_days(3)
    pending = stage.world.add_pending(accounts[0], Decimal(-8), description="Fuel")
    stage.world.add_booked(accounts[1], Decimal(9000), description="Payment")  # too much
    pass_days(1)
    stage.world.book(pending.id, amount=Decimal("-8.50"))
    pass_days(1)
    assert stage.query("SELECT count(*) FROM bank.balance_checks") == [(0,)]
    assert stage.query("SELECT count(opening) FROM bank.balance_checkpoints") == [(2,)]
    assert stage.differences(connection) == []
    card = stage.query("SELECT booked_balance FROM analytics.accounts WHERE type = 'credit_card'")
    assert card[0][0] == stage.world.truth(accounts[1], stage.world.clock.now()).booked
    assert card[0][0] > 0

    alter(stage, -3, -2)
    pass_days(4)
    assert counts == [0] * 7 + [1] * 2
    [(state, difference, is_whole)] = stage.query(
        "SELECT state, difference, last_day - first_day = 1 FROM analytics.balance_checks"
    )
    assert (state, difference, is_whole) == ("confirmed", Decimal(-1), True)

    alter(stage, -2, -3)
    pass_days(1)
    assert stage.query("SELECT state, difference FROM bank.balance_checks") == [("resolved", 0)]
    assert counts[-1] == 0


def test_a_confirmed_difference_asks_for_one_deeper_pass() -> None:
    assert needs_deep_pass(BalanceChecks(1, has_confirmed=True))
    assert not needs_deep_pass(BalanceChecks(1, has_confirmed=False))


def test_a_difference_of_which_no_check_is_sure_yet_is_not_ended_by_hand(
    requisitions: Stage,
) -> None:
    """It would be told once more, under another number, as soon as it is sure."""
    stage = requisitions
    login = stage.new_login()
    stage.world.add_booked(stage.account(login), Decimal(-3), description="Bakery")
    connection = stage.link(login)

    def pass_days(number: int) -> list[str]:
        for _ in range(number):
            stage.sync(connection)
            stage.pass_time(DAY)
        return [row[0] for row in stage.query("SELECT state FROM bank.balance_checks")]

    assert pass_days(4) == []
    alter(stage, -3, -2)
    assert pass_days(1) == ["open"]
    [(number,)] = stage.query("SELECT id FROM bank.balance_checks")
    with pytest.raises(RefusedError, match="not sure yet"):
        resolve_difference(stage.context.engine, number, now=stage.context.clock())
    assert pass_days(3) == ["confirmed"]
    resolve_difference(stage.context.engine, number, now=stage.context.clock())
    assert pass_days(3) == ["resolved"]
