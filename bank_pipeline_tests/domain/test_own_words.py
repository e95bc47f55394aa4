"""Payments of one price go on in the rows of their own words, so that notes stay where they are."""

import cProfile
from datetime import timedelta
from typing import Final

import pytest

from bank_pipeline.domain.identity_rules import DOUBTED, LASTING, IdentityRules
from bank_pipeline.domain.payments import COMPARED_MAX
from bank_pipeline.domain.stored import is_similar, plain_text
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline_tests.domain.held import Held
from bank_pipeline_tests.domain.test_changes import BOOKED, DAY, PENDING, delta, movement
from bank_pipeline_tests.domain.test_moved_ids import MARCH

ANCHOR: Final = movement("anchor", amount="1", day=MARCH.first)
D: Final = timedelta(days=1)


def of_shop(name: str, shop: str, status: TransactionStatus = PENDING) -> Transaction:
    return movement(name, status, amount="-9.99", description=f"PAYPAL *{shop}")


def texts(held: Held) -> dict[str, str]:
    return {row.id: row.description for row in held.live if row.external_id != "anchor"}


@pytest.mark.parametrize("rules", [DOUBTED, LASTING], ids=["doubted", "lasting"])
@pytest.mark.parametrize("status", [BOOKED, PENDING])
def test_payments_of_one_price_go_on_in_their_own_words(
    rules: IdentityRules, status: TransactionStatus
) -> None:
    """One word in two is alike, so that each could be the other."""
    held = Held()
    held.look([ANCHOR, of_shop("p1", "SPOTIFY"), of_shop("p2", "NETFLIX")], MARCH, rules=rules)
    before = texts(held)

    shown = [ANCHOR, of_shop("b1", "NETFLIX", status), of_shop("b2", "SPOTIFY", status)]
    held.look(shown, MARCH, rules=rules)

    assert texts(held) == before


def test_of_several_payments_of_one_price_the_closest_in_words_goes_on() -> None:
    """Banks add words when a payment books, so that none is equal."""
    held = Held()
    held.look([ANCHOR, of_shop("p1", "SPOTIFY"), of_shop("p2", "SHOP")], MARCH)
    names = {row.external_id: row.id for row in held.live}

    booked = (of_shop("a", "SHOP CARD 4321", BOOKED), of_shop("b", "SPOTIFY SE", BOOKED))
    held.look([ANCHOR, *booked], MARCH)

    assert (held.names["a"], held.names["b"]) == (names["p2"], names["p1"])


def test_of_two_payments_of_one_price_the_one_that_booked_goes_on() -> None:
    held = Held()
    held.look([ANCHOR, of_shop("p1", "SPOTIFY"), of_shop("p2", "NETFLIX")], MARCH)
    before = texts(held)

    held.look([ANCHOR, of_shop("b1", "NETFLIX", BOOKED)], MARCH)

    assert before.items() >= texts(held).items()


def test_what_vanished_earlier_goes_on_in_its_own_words() -> None:
    held = Held()
    held.look([ANCHOR, of_shop("p1", "SPOTIFY"), of_shop("p2", "NETFLIX")], MARCH)
    before = texts(held)
    held.look([ANCHOR, of_shop("p2", "NETFLIX")], MARCH)

    held.look([ANCHOR, of_shop("b1", "SPOTIFY", BOOKED)], MARCH)

    assert before.items() >= texts(held).items()


def test_a_booking_goes_on_in_the_equal_payment_of_its_own_day() -> None:
    """Two equal texts, and the bank states when each was paid."""
    held = Held()
    held.look(
        [ANCHOR, movement("p1", PENDING, day=DAY), movement("p2", PENDING, day=DAY + 2 * D)], MARCH
    )
    second = held.names["p2"]

    booked = movement("b", day=DAY + 3 * D).model_copy(
        update={"transaction_date": DAY + 2 * D, "booking_date": DAY + 3 * D}
    )
    held.look([ANCHOR, booked, movement("p1", PENDING, day=DAY)], MARCH)
    assert held.names["b"] == second

    held = Held()
    held.look(
        [ANCHOR, movement("p1", PENDING, day=DAY), movement("p2", PENDING, day=DAY + 2 * D)], MARCH
    )
    held.look([ANCHOR, booked], MARCH)
    assert held.names["b"] == second


def test_a_feed_that_gives_new_ids_leaves_words_where_they_were() -> None:
    """Numbers tell two checks of one amount apart."""
    held = Held()
    checks = [movement("a1", description="CHECK 101"), movement("a2", description="CHECK 102")]
    held.feed(delta(checks))
    before = texts(held)

    again = [movement("b1", description="CHECK 102"), movement("b2", description="CHECK 101")]
    held.feed(delta(again, ["a1", "a2"]))

    assert texts(held) == before


def test_a_booked_row_that_is_told_anew_with_its_link_keeps_our_id() -> None:
    """The link names a pending row that is no more; the booked one between them ended just now."""
    held = Held()
    held.feed(delta([movement("p", PENDING)]))
    held.feed(delta([movement("b", pending="p")], ["p"]))

    held.feed(delta([movement("b2", pending="p")], ["b"]))

    assert held.names == {"b2": "row-0001"}


def test_a_booking_of_the_day_before_the_one_we_hold_is_the_same_payment() -> None:
    """What is dated ahead is held as of the look, and books in the night, as of the day before."""
    held = Held()
    held.look([ANCHOR, movement("p", PENDING, day=DAY + D)], MARCH)

    held.look([ANCHOR, movement("b", day=DAY)], MARCH)

    assert held.names["b"] == "row-0002"


def test_a_booking_of_two_days_before_is_another_payment() -> None:
    held = Held()
    held.look([ANCHOR, movement("p", PENDING, day=DAY + 2 * D)], MARCH)

    held.look([ANCHOR, movement("b", day=DAY)], MARCH)

    assert held.names["b"] == "row-0003"


@pytest.mark.parametrize("words", ["Payment of {}", "Card payment of {}, settled"])
def test_a_thousand_payments_of_one_price_go_on_without_being_compared_each_with_each(
    words: str,
) -> None:
    """A shop's account: every customer pays the same, and all of them book at once."""
    held, customers = Held(), [f"customer{chr(97 + one % 26)}{one}" for one in range(1_000)]
    given = [
        movement(f"p{number}", PENDING, description=f"Payment of {one}")
        for number, one in enumerate(customers)
    ]
    held.feed(delta(given))

    booked = [
        movement(f"b{number}", description=words.format(one))
        for number, one in enumerate(customers)
    ]
    with cProfile.Profile() as profile:
        held.feed(delta(booked, [row.external_id for row in given]))

    readers = {is_similar.__code__, plain_text.__code__}
    compared = sum(one.callcount for one in profile.getstats() if one.code in readers)
    assert compared < 2 * COMPARED_MAX * len(customers)  # each with each were a million
    assert len(held.rows) == len(held.live) == len(customers)


def test_a_corrected_text_is_a_correction_though_the_pending_row_beside_it_had_that_text() -> None:
    """Some banks go on to show for days what has been booked."""
    held = Held()
    anchor = movement("anchor", amount="1", day=MARCH.first)
    hold = movement("p1", status=PENDING, description="Streamly Bill Jul PENDING - Streamly")
    held.look([anchor, hold], MARCH)
    held.look([anchor, hold, movement("b1", description="UNKNOWN Streamly Bill Jul")], MARCH)
    booked = held.names["b1"]

    held.look([anchor, movement("b1", description="Streamly Streamly Bill Jul")], MARCH)

    assert held.names["b1"] == booked
    assert len(held.live) == 2  # and the first of the month


@pytest.mark.parametrize("next_id", ["3", "1000"])
def test_a_hold_books_in_its_row_though_the_shop_holds_the_same_for_the_next_visit(
    next_id: str,
) -> None:
    """Filling stations hold one cent at each visit, and book what was paid."""
    held = Held()
    anchor = movement("anchor", amount="1", day=MARCH.first)
    hold = movement("2", PENDING, amount="-0.01", description="PENDING - FILLUP #40021 PUMP 4")
    held.look([anchor, hold], MARCH)
    first = held.names["2"]

    booked = movement("2", amount="-35.28", description="FILLUP #40021 PUMP 4")
    booked = booked.model_copy(update={"booking_date": DAY + 3 * D})
    again = hold.model_copy(update={"external_id": next_id, "transaction_date": DAY + 3 * D})
    held.look([anchor, booked, again], MARCH)

    assert held.names["2"] == first
    assert held.names[next_id] != first
    assert len(held.live) == 3
