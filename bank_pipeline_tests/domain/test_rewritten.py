"""Banks without ids: rows in other words, or on another day, stay themselves."""

from datetime import timedelta
from random import Random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_pipeline.domain.identity import identified
from bank_pipeline.domain.rewritten import MOVED_MAX
from bank_pipeline.domain.transaction import Transaction
from bank_pipeline_tests.domain.held import Held
from bank_pipeline_tests.domain.test_changes import DAY, PENDING, movement
from bank_pipeline_tests.domain.test_lives import MARCH

ANCHOR: Final = movement("-", amount="1", description="Anchor")


def told(*rows: Transaction) -> tuple[Transaction, ...]:
    """Return an answer of a bank that names nothing."""
    return identified((None, row) for row in (ANCHOR, *rows))


def tram(days: int = 0, text: str = "Tram 17 City", amount: str = "-3.20") -> Transaction:
    return movement("-", amount=amount, description=text, day=DAY + timedelta(days=days))


def after(before: list[Transaction], now: list[Transaction]) -> tuple[set[str], set[str]]:
    """Return our ids of what counts before and after a second look."""
    held = Held()
    held.look(told(*before), MARCH)
    ids: set[str] = {row.id for row in held.live}
    held.look(told(*now), MARCH)
    assert held.plan(told(*now), MARCH).is_empty
    assert len(held.live) == len(now) + 1
    return ids, {str(row.id) for row in held.live}


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ([tram()], [tram(1)]),
        ([tram(2)], [tram(-3)]),
        ([tram()], [tram(text="Tram City ticket")]),
        ([tram()], [tram(text="Wholly different")]),
        ([tram(), tram()], [tram(), tram(1)]),  # of twins, one moved
        ([tram(), tram()], [tram(1), tram(1)]),
        ([tram(), tram(text="Kiosk")], [tram(text="City tram"), tram(text="Newsstand")]),
        ([tram(), tram(text="Kiosk")], [tram(), tram(text="Newsstand")]),
    ],
)
def test_a_row_stays_itself(before: list[Transaction], now: list[Transaction]) -> None:
    ids, later = after(before, now)
    assert later == ids


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ([tram()], [tram(MOVED_MAX.days + 1)]),
        ([tram()], [tram(amount="-3.30")]),
        ([tram()], [tram(1, text="Wholly different")]),
        ([tram(), tram(text="Kiosk")], [tram(text="Oysters"), tram(text="Newsstand")]),
    ],
)
def test_what_nothing_tells_is_the_same_is_a_new_row(
    before: list[Transaction], now: list[Transaction]
) -> None:
    ids, later = after(before, now)
    assert len(later - ids) == len(before)


def test_the_nearest_day_goes_first() -> None:
    held = Held()
    held.look(told(tram(0), tram(7)), MARCH)
    first, second = (row.id for row in sorted(held.live, key=lambda row: row.day or DAY)[1:])
    held.look(told(tram(3), tram(8)), MARCH)
    days = {row.id: row.booking_date for row in held.live}
    assert days[first] == DAY + timedelta(days=3)
    assert days[second] == DAY + timedelta(days=8)


def test_a_pending_row_books_before_another_row_moves() -> None:
    held = Held()
    waiting = movement("-", PENDING, amount="-3.20", description="Tram 17 City")
    held.look(told(waiting), MARCH)
    [pending] = [row.id for row in held.live if row.status is PENDING]
    held.look(told(waiting, tram(-1)), MARCH)
    held.look(told(tram()), MARCH)
    assert [row.id for row in held.live if row.day == DAY and row.amount != 1] == [pending]


def test_a_row_with_an_id_of_its_own_is_never_another() -> None:
    held = Held()
    held.look((ANCHOR, movement("one", amount="-3.20", description="Tram")), MARCH)
    held.look((ANCHOR, movement("two", amount="-3.20", description="Kiosk")), MARCH)
    assert len(held.rows) == 3


def test_a_look_that_is_not_whole_ends_nothing_and_continues_nothing() -> None:
    held = Held()
    held.look(told(tram()), MARCH)
    held.look(told(tram(1)), None)
    assert len(held.live) == 3


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
    st.lists(st.sampled_from(["Tram", "Kiosk", "Night tram"]), min_size=6, max_size=6),
    st.lists(st.tuples(st.integers(-2, 2), st.booleans()), min_size=6, max_size=6),
    st.randoms(use_true_random=False),
)
def test_whatever_is_rewritten_counts_once_in_any_order(
    days: list[int], texts: list[str], changes: list[tuple[int, bool]], dice: Random
) -> None:
    """Equal purchases are as many as the bank shows, and the order of an answer changes nothing."""
    rows = [tram(day, text) for day, text in zip(days, texts, strict=False)]
    changed = [
        tram(day + by, f"{text} ticket" if is_reworded else text)
        for day, text, (by, is_reworded) in zip(days, texts, changes, strict=False)
    ]
    one, other = Held(), Held()
    one.look(told(*rows), MARCH)
    other.look(told(*rows), MARCH)
    known = {*one.rows}
    one.look(told(*changed), MARCH)
    dice.shuffle(changed)
    other.look(told(*changed), MARCH)
    assert len(one.live) == len(rows) + 1
    assert {id_: one.rows[id_] for id_ in known} == {id_: other.rows[id_] for id_ in known}
    assert one.names.keys() == other.names.keys()
