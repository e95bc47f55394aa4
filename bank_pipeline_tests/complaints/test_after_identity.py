"""Complaint 5, what a second look by content adds: a payment stays itself while it is hidden."""

from decimal import Decimal

from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline_tests.complaints.scene import DAY, Scene


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
