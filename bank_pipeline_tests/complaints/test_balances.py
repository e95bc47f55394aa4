"""Complaints 13 to 15: balances that were wrong, missing, or did not fit their rows."""

from decimal import Decimal
from typing import Final

import pytest

from bank_pipeline.domain.balance_choice import BalanceRule
from bank_pipeline.errors import TransientError
from bank_pipeline.providers.base import Scope
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.sync.balance_rules import reset_balance_rule, set_balance_rule
from bank_pipeline_tests.complaints.conftest import PutOn
from bank_pipeline_tests.complaints.scene import DAY, Odd, Scene, late_by

CARD: Final = AccountKind.CREDIT_CARD
CARDS: Final = (
    Odd("plaid", "", "us-harbor"),  # debt is positive there
    Odd("teller", "", "us-harbor"),
    Odd("gocardless", "MUERITZ_MRTZDE21XXX", "de-mueritz"),  # what is available contains the limit
    Odd("gocardless", "AMERICAN_EXPRESS_AESUDEF1", "de-mueritz"),  # one balance: information
    Odd("gocardless", "SEB_KORT_AB_SE_SKHSFI21", "fr-soleil"),  # debt is positive, in two parts
    Odd("enable_banking", "DE:Sparkasse Müritz-Öchtringen", "de-mueritz"),
    Odd("enable_banking", "PL:mBank", "ca-boreal"),  # only what is left of the limit
)
BALANCES: Final = "SELECT kind, amount, observed_at FROM bank.balances ORDER BY id"


@pytest.mark.parametrize("bank", CARDS, ids=lambda bank: bank.institution or bank.provider)
def test_13_a_cards_debt_is_negative_and_what_is_left_of_its_limit_is_no_debt(
    put_on: PutOn, bank: Odd
) -> None:
    """
    A card's balance had the wrong sign, or the credit that was left was shown as debt.

    sure#2458, sure#2512, sure#2933, sure#3252, securo#800, actual-server#261,
    milanave/LunchSync#9, buckets#574, buckets#678.
    """
    scene = put_on(bank.provider).customer(bank.bank_id)
    scene.buy("-845.10", "Sofa", CARD)
    scene.buy("100.00", "Payment", CARD)
    scene.link(CARD, institution=bank.institution or None).sync()

    truth = scene.world.truth(scene.account(CARD), scene.world.clock.now())
    shown = "SELECT booked_balance, available_balance FROM analytics.accounts"
    [(booked, available)] = scene.ask(shown)
    assert truth.booked is not None
    assert truth.booked < 0
    assert booked in (truth.booked, None)
    assert available in (truth.available, None)
    assert {row.amount for row in scene.rows()} == {Decimal("-845.10"), Decimal("100.00")}
    assert scene.ask("SELECT 1 FROM bank.balances WHERE provider_type = ''") == []
    assert scene.differences() == []


def test_13_a_person_may_say_which_balance_counts_and_how_and_no_sync_forgets_it(
    gocardless: Scene,
) -> None:
    """
    The sign was turned for all, and then turned back for all.

    sure#2459, sure#2512, securo#351, securo#808.
    """
    scene = gocardless.customer()
    scene.buy("-845.10", "Sofa", CARD)
    scene.link(CARD).sync()
    shown = "SELECT booked_balance, booked_balance_reason FROM analytics.accounts"
    [(before, reason)] = scene.ask(shown)
    account = scene.value("SELECT id::text FROM bank.accounts")
    decided = BalanceRule(is_sign_flipped=True)
    engine, now = scene.stage.context.engine, scene.world.clock.now()
    told = scene.ask(BALANCES)
    set_balance_rule(engine, account, decided, now=now)
    assert scene.value("SELECT booked_balance FROM analytics.accounts") == -before
    assert scene.ask(BALANCES) == told  # what the bank said stays as it was said
    scene.next_day()
    assert scene.value("SELECT booked_balance FROM analytics.accounts") == -before

    reset_balance_rule(engine, account, now=now)
    assert scene.ask(shown) == [(before, reason)]
    assert scene.differences() == []


def test_14_a_balance_that_was_not_told_is_the_last_one_with_its_date_and_no_zero(
    by_dates: Scene,
) -> None:
    """
    The balance call failed, and the account was worth nothing.

    securo#698.
    """
    scene = by_dates.customer()
    scene.buy("-60.00", "Rent")
    scene.link().sync()
    before = scene.ask(BALANCES)
    assert before
    dated = "SELECT booked_balance, booked_balance_as_of FROM analytics.accounts"
    known = scene.ask(dated)

    scene.stage.pass_time(DAY)
    scene.buy("-7.00")
    balances = scene.stage.case.operations[Scope.BALANCES]
    scene.fail(FaultKind.HTTP_STATUS, balances, status=503, times=None)
    with pytest.raises(TransientError):
        scene.sync()

    assert scene.ask(BALANCES) == before
    assert scene.ask(dated) == known
    assert len(scene.rows()) == 2  # the rows came, and landed
    scene.stage.heal()
    scene.next_day()
    assert scene.differences() == []


def test_14_a_bank_without_balances_has_none(gocardless: Scene) -> None:
    """
    An account without a balance was shown as empty.

    securo#698.
    """
    scene = gocardless.customer("fr-soleil")
    scene.buy("-60.00", "Rent")
    scene.link(institution="PAYPAL_PPLXLULL").sync()

    assert scene.ask(BALANCES) == []
    assert scene.ask("SELECT booked_balance, available_balance FROM analytics.accounts") == [
        (None, None)
    ]


def test_15_a_balance_that_its_rows_do_not_explain_is_corrected_by_nobody(
    gocardless: Scene,
) -> None:
    """
    Balance and rows drifted apart; other software hid that behind a row that it made up.

    sure#2497, sure#3573, actual#4799, actual#6289, securo#423.
    """
    scene = gocardless.customer()
    late_by(scene, 45)  # earlier than anybody looks
    scene.next_day()

    truth = scene.world.truth(scene.account(), scene.world.clock.now())
    assert scene.value("SELECT booked_balance FROM analytics.accounts") == truth.booked
    assert {row.amount for row in scene.rows()} <= {Decimal("-60.00"), Decimal("-7.00")}


def test_15_a_balance_that_its_rows_do_not_explain_is_named_with_amount_and_days(
    gocardless: Scene,
) -> None:
    """
    Balance and rows drifted apart, and nobody noticed.

    sure#2497, sure#3573, actual#4799, actual#6289, securo#423.
    """
    scene = gocardless.customer()
    scene.buy("-60.00", "Rent")
    scene.link().sync()
    for _ in range(4):
        scene.next_day(20)  # the check is sure of where it begins
    scene.buy("-7.00", "Booked in silence", days_ago=100)  # even a deep look goes less far
    scene.next_day()

    shown = "SELECT difference, first_day, last_day, state FROM analytics.balance_checks"
    [(difference, first_day, last_day, state)] = scene.ask(shown)
    assert difference == Decimal("-7.00")
    assert first_day <= last_day
    assert state in ("open", "confirmed")
    amounts = {row.amount for row in scene.rows()}
    assert amounts <= {Decimal("-60.00"), Decimal("-7.00")}  # nobody made one up
