"""The day is shared evenly, and each connection has one turn in it."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from bank_pipeline.domain.cadence import SLOT_MINUTES, SLOTS_PER_DAY, deep_day, last_slot, slot_of
from bank_pipeline.domain.ids import ConnectionId

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)


def test_a_connection_has_one_turn_a_day_and_keeps_it_until_the_next() -> None:
    one = ConnectionId("some-connection")
    turn = MIDNIGHT + timedelta(minutes=SLOT_MINUTES * slot_of(one))
    ticks = [turn + timedelta(minutes=SLOT_MINUTES * n) for n in range(SLOTS_PER_DAY)]
    assert {last_slot(one, tick) for tick in ticks} == {turn}
    assert last_slot(one, turn + timedelta(days=1)) == turn + timedelta(days=1)
    assert last_slot(one, turn - timedelta(microseconds=1)) == turn - timedelta(days=1)


def test_connections_spread_over_all_slots() -> None:
    slots = Counter(slot_of(ConnectionId(f"connection-{n}")) for n in range(9_600))
    assert len(slots) == SLOTS_PER_DAY
    assert max(slots.values()) < 160  # 100 on average


def test_each_connection_goes_deep_on_one_day_of_the_week_and_not_all_on_one() -> None:
    """The newest of its days, so that a day without a sync is made up for on the next."""
    week = [(MIDNIGHT + timedelta(days=n)).date() for n in range(7)]
    own = {n: [d for d in week if deep_day(ConnectionId(f"c-{n}"), d) == d] for n in range(700)}

    assert all(len(found) == 1 for found in own.values())
    shares = Counter(found[0] for found in own.values())
    assert len(shares) == 7
    assert max(shares.values()) < 140  # 100 on average
    for n, [day] in own.items():
        later = day + timedelta(days=6)
        assert deep_day(ConnectionId(f"c-{n}"), later) == day
