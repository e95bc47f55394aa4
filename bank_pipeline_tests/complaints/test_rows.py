"""Complaints 1 to 6: rows that were doubled, overwritten, or counted though no money."""

from decimal import Decimal
from typing import Final

import pytest

from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.storage.transaction_writes import OVERDUE
from bank_pipeline_tests.complaints.conftest import PutOn
from bank_pipeline_tests.complaints.scene import DAY, NAMELESS, Odd, Scene
from bank_pipeline_tests.domain.held import Held
from bank_pipeline_tests.domain.test_moved_ids import MARCH
from bank_pipeline_tests.domain.test_moved_ids import row as balanced

ODD_IDS: Final = (
    Odd("gocardless", "COOPERATIVE_RETAIL_CPBKGB22", "gb-meridian"),  # one id for all rows
    Odd("gocardless", "BELFIUS_GKCCBEBB", "fr-soleil"),  # one id for all rows of a day
    Odd("gocardless", "ING_INGBROBU", "de-mueritz"),  # NOTPROVIDED
    Odd("gocardless", "NATIONWIDE_NAIAGB21", "gb-meridian"),  # made of sign, date and amount
    Odd("gocardless", "LABORALKUTXA_CLPEES2M", "fr-soleil"),  # blanks
    Odd("enable_banking", "LU:Banque Changeante", "fr-soleil"),  # another one at every look
    Odd("enable_banking", "DE:Doppelbank", "de-mueritz"),  # those of another account
    Odd("enable_banking", "AT:Nummernbank", "de-mueritz"),  # the place of a row in its day
)


@pytest.mark.parametrize("bank", NAMELESS, ids=str)
def test_01_equal_purchases_at_a_bank_without_ids_are_as_many_as_it_shows(
    put_on: PutOn, bank: Odd
) -> None:
    """
    Two real purchases, equal in all that the bank tells, became one row.

    sure#3497, actual#8221, firefly#9098, securo#886, Budget#276, Nicolas-Barriere/moulax#103.
    """
    scene = put_on(bank.provider).customer(bank.bank_id)
    first = scene.buy("-3.20", "Tram")
    scene.world.add_twin(first.id)
    scene.buy("-3.20", "Tram", days_ago=1)
    scene.link(institution=bank.institution).sync()
    three = scene.ids()
    assert len(three) == 3

    third = scene.world.add_twin(first.id)
    scene.sync()
    assert len(scene.ids()) == 4
    assert three < scene.ids()
    four = scene.ids()
    report = scene.next_day()
    assert (report.transactions.inserted, report.transactions.removed) == (0, 0)
    assert scene.ids() == four
    scene.world.remove(third.id)
    scene.sync()

    assert len(scene.ids()) == 3
    assert scene.differences() == []


def test_02_a_row_told_twice_is_one_and_two_that_nothing_tells_apart_are_two(
    anywhere: Scene,
) -> None:
    """
    One movement was delivered twice and stored twice; in other software, one of two was dropped.

    sure#954, actual#2519, actual#2539, actual#7799.
    """
    scene = anywhere.customer()
    one = scene.buy("-9.10", "Interest")
    scene.link()
    scene.fail(FaultKind.DUPLICATE_ROWS)
    scene.sync()
    assert len(scene.rows()) == 1

    scene.world.add_twin(one.id)
    scene.next_day()

    assert len(scene.rows()) == 2
    assert scene.differences() == []


def test_02_one_row_under_two_ids_with_the_same_balance_after_it_is_one() -> None:
    """
    One interest payment came twice, its dates swapped or its reference with another ending.

    actual#2519, actual#2539, actual#7799.
    """
    other = balanced("ref-9", "-7", "Cafe", balance="88")
    for names in (("ref-1", "ref-2"), ("ref-2", "ref-1")):
        held = Held()
        held.look([*(balanced(name, "-5", "Fee", balance="95") for name in names), other], MARCH)
        assert held.names.keys() == {"ref-1", "ref-9"}
        held.look([balanced("ref-2", "-5", "Fee", balance="95"), other], MARCH)
        assert held.names["ref-2"] == "row-0001"


def test_02_what_nobody_can_tell_is_kept_and_flagged(enable_banking: Scene) -> None:
    """
    A row that may have been told twice was dropped without a word.

    sure#954, actual#7799.
    """
    scene = enable_banking.customer("de-mueritz")
    entry = scene.buy("-9.10", "Interest")
    scene.link(institution="DE:Namenlose Bank").sync()
    scene.next_day(2)
    [first] = scene.ids()
    flagged = (
        "SELECT transaction_id::text, suspected_duplicate_of::text FROM analytics.transactions"
        " WHERE suspected_duplicate_of IS NOT NULL"
    )
    assert scene.ask(flagged) == []
    scene.world.add_twin(entry.id)
    scene.next_day()

    [second] = scene.ids() - {first}
    assert scene.ask(flagged) == [(second, first)]
    assert scene.value("SELECT sum(amount) FROM analytics.transactions") == Decimal("-18.20")
    assert scene.differences() == []


@pytest.mark.parametrize("bank", ODD_IDS, ids=str)
def test_03_ids_that_are_none_never_overwrite_history(put_on: PutOn, bank: Odd) -> None:
    """
    Ids that were blank, repeated, counted anew or made of the date overwrote older rows.

    actual#8701, actual#7799, actual#2495, securo#911.
    """
    scene = put_on(bank.provider).customer(bank.bank_id)
    for number in range(1, 4):
        scene.buy(f"-{number}.10", f"Shop {number}", days_ago=4 - number)
    scene.buy("-1.10", "Shop 1")
    scene.link(institution=bank.institution).sync()
    seen = {row.id: (row.amount, row.description) for row in scene.rows(status="booked")}
    for row in scene.rows():
        scene.annotate(row, row.description)

    scene.buy("-7.00", "Stall", days_ago=2)  # late, among the others
    scene.next_day()

    now = {row.id: (row.amount, row.description) for row in scene.rows(status="booked")}
    assert len(seen) == 4
    assert len(now) == 5
    assert {key: now[key] for key in seen} == seen
    noted = "SELECT DISTINCT note = description FROM analytics.transactions WHERE note <> ''"
    assert scene.ask(noted) == [(True,)]
    overwritten = "SELECT count(*) FROM bank.transaction_revisions WHERE changes ? 'amount'"
    assert scene.value(overwritten) == 0
    assert scene.differences() == []


def test_04_a_pending_row_becomes_the_booked_one_and_keeps_what_was_said_of_it(
    anywhere: Scene,
) -> None:
    """
    The pending row and the booked one both stayed, under two ids and in other words.

    sure#395, sure#1470, sure#3306, letehaha#643, DAdjadj/bridge-bank#17,
    tim-smart/actualbudget-sync#39, plaid/support#116, actual#8830.
    """
    scene = anywhere.customer()
    scene.buy("-60.00", "Rent", days_ago=1)
    scene.link().sync()
    first = scene.hold("-3.20", "20.05 Tram City", linked=False)
    scene.world.add_twin(first.id)
    scene.sync()
    before = {row.id: row for row in scene.rows(amount=Decimal("-3.20"))}
    assert [row.status for row in before.values()] == ["pending", "pending"]
    for row in before.values():
        scene.annotate(row, f"said of {row.id}")

    scene.stage.pass_time(DAY)
    scene.world.book(first.id, description="Tram City", original_description="TRAM CITY")
    scene.sync()

    after = {row.id: row.status for row in scene.rows(amount=Decimal("-3.20"))}
    assert after.keys() == before.keys()
    assert sorted(after.values()) == ["booked", "pending"]
    noted = scene.ask("SELECT transaction_id::text, note FROM analytics.transactions")
    assert {row[0]: row[1] for row in noted if row[1]} == {key: f"said of {key}" for key in before}
    assert scene.differences() == []


def test_04_a_pending_row_shown_beside_its_booked_one_is_not_a_second_payment(
    enable_banking: Scene,
) -> None:
    """
    For two days the bank shows both.

    sure#1470, letehaha#643.
    """
    scene = enable_banking.customer("de-mueritz")
    entry = scene.hold("-18.00", "Cinema")
    scene.link(institution="DE:Doppelbank").sync()
    [before] = scene.rows(amount=Decimal("-18.00"))

    scene.stage.pass_time(DAY)
    scene.world.book(entry.id)
    for _ in range(3):
        scene.sync()
        [after] = scene.rows(amount=Decimal("-18.00"))
        assert (after.id, after.status) == (before.id, "booked")
        scene.stage.pass_time(DAY)
    assert scene.differences() == []


def test_05_a_pending_row_that_is_shown_no_more_leaves_the_sum_and_may_come_back(
    gocardless: Scene,
) -> None:
    """
    A payment that failed stayed pending for weeks, or was deleted and lost when it came back.

    sure#1667, monetr#1679, monetr#1709.
    """
    scene = gocardless.customer()
    scene.buy("-60.00", "Rent")
    scene.link()
    scene.next_day(8)
    scene.hold("-35.00", "Refused card payment")
    scene.sync()
    [pending] = scene.rows(status="pending")

    scene.fail(FaultKind.STALE_DATA)  # whole, and from before it
    scene.next_day()
    stored = "SELECT status FROM bank.transactions WHERE id = :id"
    shown = "SELECT sum(amount) FROM analytics.transactions"
    assert scene.value(stored, id=pending.id) == "vanished"
    assert scene.value(shown) == Decimal("-60.00")
    scene.next_day()

    assert [row.id for row in scene.rows(status="pending")] == [pending.id]
    assert scene.value(shown) == Decimal("-95.00")
    assert scene.differences() == []


def test_05_a_hold_of_many_weeks_is_watched_until_it_ends(european: Scene) -> None:
    """
    A pending row grew older than what is read every day, and stayed for ever.

    sure#1667, monetr#1679.
    """
    scene = european.customer()
    scene.buy("-60.00", "Rent")
    entry = scene.hold("-35.00", "Hire car")
    scene.link().sync()
    for _ in range(4):
        scene.next_day(14)
        scene.buy("-5.00")
    assert len(scene.rows(status="pending")) == 1

    scene.world.vanish(entry.id)
    scene.next_day()

    assert scene.rows(status="pending") == []
    assert scene.differences() == []


def test_05_a_payment_that_was_hidden_while_it_booked_is_still_itself(gocardless: Scene) -> None:
    """
    It was pending, then not shown for a day, then booked: and what was said of it was gone.

    monetr#1709, sure#1667.
    """
    scene = gocardless.customer()
    scene.buy("-60.00", "Rent")
    scene.link()
    scene.next_day(8)
    entry = scene.hold("-35.00", "Hotel")
    scene.sync()
    ids = scene.ids()
    scene.fail(FaultKind.STALE_DATA)
    scene.next_day()
    scene.stage.pass_time(DAY)
    scene.world.book(entry.id)
    scene.sync()

    assert scene.differences() == []
    assert scene.ids() == ids
    assert scene.rows(amount=Decimal("-35.00"))[0].status == "booked"


def test_05_a_pending_row_that_no_answer_reaches_is_over_and_says_so(
    enable_banking: Scene,
) -> None:
    """
    The bank shows sixty days, and what was pending before them stayed for ever.

    sure#1667, monetr#1679.
    """
    scene = enable_banking.customer("fr-soleil")
    scene.buy("-60.00", "Rent")
    scene.hold("-35.00", "Hire car")
    scene.link(institution="PT:Santander Totta").sync()
    for days in (40, 40):
        scene.stage.pass_time(days * DAY)
        scene.buy("-5.00")
        scene.sync()

    assert scene.rows(status="pending") == []
    assert scene.value("SELECT sum(amount) FROM analytics.transactions") == Decimal("-70.00")
    why = "SELECT reason FROM bank.transaction_revisions ORDER BY id DESC LIMIT 1"
    assert scene.value(why) == OVERDUE


def test_06_holds_are_pending_and_what_was_planned_or_refused_is_no_money(
    enable_banking: Scene,
) -> None:
    """
    A card hold was booked, a declined payment imported, a future one counted.

    sure#2883, actual#1812, firefly#9978.
    """
    scene = enable_banking.customer("de-mueritz")
    scene.buy("-60.00", "Rent")
    scene.hold("-35.00", "Hotel")
    scene.link(institution="DE:Doppelbank").sync()

    stored = scene.ask("SELECT status, count(*) FROM bank.transactions GROUP BY 1")
    statuses = {row[0]: row[1] for row in stored}
    counted = scene.ask("SELECT status, amount FROM analytics.transactions ORDER BY amount")
    assert counted == [("booked", Decimal("-60.00")), ("pending", Decimal("-35.00"))]
    assert statuses.keys() >= {"scheduled", "cancelled", "rejected"}
    assert scene.differences() == []


def test_06_a_row_of_the_future_counts_from_its_day_on(by_dates: Scene) -> None:
    """
    What was to come next week was booked today.

    firefly#9978.
    """
    scene = by_dates.customer()
    scene.buy("-60.00", "Rent")
    scene.buy("-35.00", "To come", days_ago=-5)
    scene.link().sync()
    [to_come] = scene.rows(amount=Decimal("-35.00"))
    assert scene.ask("SELECT amount FROM analytics.transactions") == [(Decimal("-60.00"),)]

    scene.next_day(6)
    assert [row.id for row in scene.rows(amount=Decimal("-35.00"))] == [to_come.id]
    assert scene.value("SELECT sum(amount) FROM analytics.transactions") == Decimal("-95.00")
    assert scene.differences() == []
