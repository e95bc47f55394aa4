"""Complaints 1, 5 and 16, what a second look by content adds: a row stays itself in other words."""

from decimal import Decimal

import pytest

from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline_tests.complaints.conftest import PutOn
from bank_pipeline_tests.complaints.scene import DAY, Odd, Scene
from bank_pipeline_tests.complaints.test_rows import NAMELESS


@pytest.mark.parametrize("bank", NAMELESS, ids=str)
@pytest.mark.parametrize("changes", ["words", "day"])
def test_16_a_row_without_an_id_stays_itself_in_other_words_and_on_another_day(
    put_on: PutOn, bank: Odd, changes: str
) -> None:
    """
    The bank rewrote the text of a row, or moved it by a day, and what was said of it was gone.

    brafdlog/caspion#625, actual#8830, firefly#9961.
    """
    scene = put_on(bank.provider).customer(bank.bank_id)
    scene.buy("-60.00", "Rent", days_ago=5)
    entry = scene.buy("-3.20", "Tram 17 City", days_ago=2)
    scene.link(institution=bank.institution).sync()
    ids = scene.ids()
    if changes == "words":
        words = {"description": "Tram City ticket", "original_description": "TRAM CITY TICKET"}
        scene.world.change(entry.id, **words)
    else:
        day = scene.today() - DAY
        scene.world.change(entry.id, booking_date=day, value_date=day)
    scene.next_day()

    assert scene.differences() == []
    assert scene.ids() == ids


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
