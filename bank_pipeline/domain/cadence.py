"""When each connection syncs, spread over the day so that banks never see us all at once. Pure."""

import hashlib
from datetime import date, datetime, timedelta
from typing import Final

from bank_pipeline.domain.ids import ConnectionId

SLOT_MINUTES: Final = 15
SLOTS_PER_DAY: Final = 24 * 60 // SLOT_MINUTES
_WEEK: Final = 7  # days


def slot_of(connection_id: ConnectionId) -> int:
    """Return the connection's fixed slot of the day, in 0 .. SLOTS_PER_DAY - 1."""
    return _number_of(connection_id) % SLOTS_PER_DAY


def last_slot(connection_id: ConnectionId, at: datetime) -> datetime:
    """Return when the connection's slot last began, `at` (UTC) at the latest."""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    today = midnight + timedelta(minutes=slot_of(connection_id) * SLOT_MINUTES)
    return today if today <= at else today - timedelta(days=1)


def deep_day(connection_id: ConnectionId, today: date) -> date:
    """Return the newest of the connection's days of the week, today's date at the latest."""
    weekday = _number_of(connection_id) // SLOTS_PER_DAY % _WEEK
    return today - timedelta(days=(today.weekday() - weekday) % _WEEK)


def spread(connection_id: ConnectionId, within: timedelta) -> timedelta:
    """Return the connection's fixed share of a time, in whole milliseconds below `within`."""
    return timedelta(milliseconds=_number_of(connection_id) % (within // timedelta(milliseconds=1)))


def _number_of(connection_id: ConnectionId) -> int:
    digest = hashlib.sha256(connection_id.encode()).digest()
    return int.from_bytes(digest[:8], "big")
