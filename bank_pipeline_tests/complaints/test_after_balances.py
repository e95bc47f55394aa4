"""Complaints 13 and 15, what choosing and checking balances adds."""

from decimal import Decimal

from bank_pipeline_tests.complaints.scene import DAY, Scene


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
    silent = scene.today() - 45 * DAY
    scene.buy("-7.00", "Booked in silence", days_ago=45)
    scene.next_day()

    shown = "SELECT difference, first_day, last_day, state FROM analytics.balance_checks"
    [(difference, first_day, last_day, state)] = scene.ask(shown)
    assert difference == Decimal("-7.00")
    assert first_day <= last_day
    assert state in ("open", "confirmed")
    assert silent < scene.today()
    amounts = {row.amount for row in scene.rows()}
    assert amounts <= {Decimal("-60.00"), Decimal("-7.00")}  # nobody made one up
