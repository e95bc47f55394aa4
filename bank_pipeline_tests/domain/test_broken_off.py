"""An answer that breaks off doubles no payment: only a whole one tells what goes on as what."""

from datetime import timedelta
from typing import Final

from bank_pipeline_tests.domain.held import Held
from bank_pipeline_tests.domain.test_changes import DAY, PENDING, movement
from bank_pipeline_tests.domain.test_moved_ids import MARCH

ANCHOR: Final = movement("anchor", amount="1", day=MARCH.first)
BOOKED: Final = movement("b", day=DAY + timedelta(days=1))


def test_a_payment_that_books_in_a_broken_off_look_is_one_row_and_keeps_our_id() -> None:
    held = Held()
    held.look([ANCHOR, movement("p", PENDING)], MARCH)

    held.look([BOOKED], None)
    assert [*held.names] == ["anchor", "p"]
    held.look([ANCHOR, BOOKED], MARCH)

    assert held.names == {"anchor": "row-0001", "b": "row-0002"}


def test_a_restless_pending_row_is_one_row_after_broken_off_looks() -> None:
    held = Held()
    held.look([ANCHOR, movement("p1", PENDING)], MARCH)

    for name in ("p2", "p3"):
        held.look([ANCHOR, movement(name, PENDING)], None)

    assert [*held.names] == ["anchor", "p1"]


def test_two_payments_of_which_a_broken_off_look_shows_one_are_two_in_the_end() -> None:
    held = Held()
    held.look([ANCHOR, movement("p", PENDING)], MARCH)

    held.look([BOOKED], None)
    held.look([ANCHOR, BOOKED, movement("p", PENDING)], MARCH)

    assert {*held.names} == {"anchor", "p", "b"}


def test_a_pending_row_that_gets_the_number_of_another_is_one_after_a_broken_off_look() -> None:
    """A bank that numbers the rows of a day: the name is known, and is another's now."""
    held = Held()
    held.look([ANCHOR, movement("1", PENDING, amount="-5"), movement("2", PENDING)], MARCH)
    before = held.amounts

    held.look([movement("1", PENDING)], None)
    assert held.amounts == before
    held.look([ANCHOR, movement("1", PENDING)], MARCH)

    assert held.names == {"anchor": "row-0001", "1": "row-0003"}


def test_a_payment_beside_a_pending_row_that_is_shown_under_another_id_does_not_wait() -> None:
    """After a new consent every id is another; what the row is, is known already."""
    held = Held()
    held.look([ANCHOR, movement("p", PENDING)], MARCH)

    held.look([movement("q", PENDING), BOOKED], None, moved_by=timedelta(days=1))

    assert held.names == {"anchor": "row-0001", "q": "row-0002", "b": "row-0003"}


def test_other_payments_of_a_broken_off_look_are_kept() -> None:
    """Those of another amount, and of words that are like none of ours."""
    held = Held()
    held.look([ANCHOR, movement("p", PENDING)], MARCH)

    dear = movement("dear", amount="-77")
    other = movement("other", description="elsewhere")
    held.look([dear, other, BOOKED], None)

    assert {*held.names} == {"anchor", "p", "dear", "other"}
