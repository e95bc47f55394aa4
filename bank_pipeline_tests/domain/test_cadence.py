"""The day is shared evenly, and each connection has one turn in it."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from bank_pipeline.domain.cadence import SLOT_MINUTES, SLOTS_PER_DAY, is_due, slot_of
from bank_pipeline.domain.ids import ConnectionId

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)


def test_a_connection_is_due_exactly_once_a_day() -> None:
    ticks = [MIDNIGHT + timedelta(minutes=SLOT_MINUTES * n) for n in range(SLOTS_PER_DAY)]
    assert sum(is_due(ConnectionId("some-connection"), tick) for tick in ticks) == 1


def test_connections_spread_over_all_slots() -> None:
    slots = Counter(slot_of(ConnectionId(f"connection-{n}")) for n in range(9_600))
    assert len(slots) == SLOTS_PER_DAY
    assert max(slots.values()) < 160  # 100 on average
