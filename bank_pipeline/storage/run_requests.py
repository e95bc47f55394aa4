"""Who asks Dagster for a run: sensors that wake at the same bell agree here, row by row."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.ids import ConnectionId

_UNTIL_IT_EXISTS: Final = timedelta(seconds=10)
"""A tick is evaluated first, and its runs are made then; a daemon that dies makes none."""


def claim_runs(
    db: sa.Connection, connection_ids: Collection[ConnectionId], *, now: datetime
) -> set[ConnectionId]:
    """
    Note that a run is asked for now; returns the connections for which that is ours to do.

    Left out is what was asked for a moment ago and has not begun: its run may not exist yet, so
    that Dagster does not know of it. Once a sync has begun, it is free again; so is what was noted
    by a clock that went ahead, and was set back.
    """
    lapsed, ahead = now - _UNTIL_IT_EXISTS, now + _UNTIL_IT_EXISTS
    bound = {"ids": sorted(connection_ids), "now": now, "lapsed": lapsed, "ahead": ahead}
    return {ConnectionId(one) for one in db.scalars(_CLAIM, bound)}


# In order, so that two who claim the same ones do not wait for each other.
_CLAIM: Final = sa.text(
    """
    WITH free AS (
        SELECT id FROM bank.connections
        WHERE id = ANY(CAST(:ids AS uuid[]))
          AND (run_requested_at IS NULL OR run_requested_at <= :lapsed
               OR run_requested_at > :ahead OR last_attempt_at >= run_requested_at)
        ORDER BY id
        FOR NO KEY UPDATE
    )
    UPDATE bank.connections c SET run_requested_at = :now
    FROM free WHERE c.id = free.id
    RETURNING c.id::text
    """
)
