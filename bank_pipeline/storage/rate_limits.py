"""
Rates shared by all processes: one row per bucket, one statement per call.

The generic cell rate algorithm: a row holds when the next call would be due if calls came evenly.
A call may come before that by as much as a burst allows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.waits import CLOCKS_APART
from bank_pipeline.storage.tables import rate_limits


@dataclass(frozen=True)
class WantedSlot:
    """One call of a bucket: `interval` apart, but for a `burst` of them at once."""

    bucket: str
    interval: timedelta
    burst: int


@dataclass(frozen=True)
class GivenSlot:
    """When the call may be made; `is_taken` is False when that is too late to wait for."""

    bucket: str
    due_at: datetime
    is_taken: bool


def take_slots(
    db: sa.Connection, wanted: Sequence[WantedSlot], *, now: datetime, wait_max: timedelta
) -> list[GivenSlot]:
    """
    Take a call of each bucket that has one within `wait_max`, and say when each is due.

    Each bucket gives or refuses by itself, whatever happens at the same time. The rows are
    taken in the order of their names, so that two of these never wait for each other. One that is
    further ahead than calls can bring it was taken by a clock that was ahead: it begins anew.
    """
    slots = sorted(wanted, key=lambda one: one.bucket)
    rows = db.execute(
        _TAKE,
        {
            "buckets": [one.bucket for one in slots],
            "intervals": [one.interval for one in slots],
            "tolerances": [one.interval * (one.burst - 1) for one in slots],
            "now": now,
            "wait_max": wait_max,
            "apart": CLOCKS_APART,
        },
    )
    return [GivenSlot(*row) for row in rows]


def delete_rate_limits(db: sa.Connection, *, before: datetime, limit: int) -> int:
    """Delete buckets that nobody has used since then, at most `limit`; return how many."""
    old = sa.select(rate_limits.c.bucket).where(rate_limits.c.theoretical_at < before).limit(limit)
    return db.execute(rate_limits.delete().where(rate_limits.c.bucket.in_(old))).rowcount


# A refused bucket is left as it is; its time is then read as it was when the statement began,
# or, when another made the row meanwhile, taken to be one interval away.
_TAKE: Final = sa.text("""
WITH wanted AS (
    SELECT w.*, CAST(:now AS timestamptz) + CAST(:wait_max AS interval) + w.tolerance AS latest
    FROM unnest(
        CAST(:buckets AS text[]), CAST(:intervals AS interval[]), CAST(:tolerances AS interval[])
    ) AS w (bucket, every, tolerance)
), taken AS (
    INSERT INTO bank.rate_limits AS held (bucket, theoretical_at)
    SELECT bucket, CAST(:now AS timestamptz) + every FROM wanted ORDER BY bucket
    ON CONFLICT (bucket) DO UPDATE
    SET theoretical_at = (
        SELECT every + CASE
            WHEN held.theoretical_at > latest THEN CAST(:now AS timestamptz)
            ELSE greatest(held.theoretical_at, CAST(:now AS timestamptz)) END
        FROM wanted WHERE wanted.bucket = held.bucket)
    WHERE (
        SELECT held.theoretical_at <= latest
            OR held.theoretical_at > latest + every + CAST(:apart AS interval)
        FROM wanted WHERE wanted.bucket = held.bucket)
    RETURNING held.bucket, held.theoretical_at
)
SELECT w.bucket,
       greatest(
           coalesce(t.theoretical_at - w.every, h.theoretical_at, CAST(:now AS timestamptz)
               + w.every + w.tolerance) - w.tolerance,
           CAST(:now AS timestamptz)
       ) AS due_at,
       t.bucket IS NOT NULL AS is_taken
FROM wanted w
LEFT JOIN taken t ON t.bucket = w.bucket
LEFT JOIN bank.rate_limits h ON h.bucket = w.bucket
""")
