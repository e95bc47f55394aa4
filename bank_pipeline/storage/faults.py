"""Faults: failures of runs, checks and ticks, one row from the first until it clears."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.tables import operator_faults


class FaultSource(StrEnum):
    """What failed: runs as such, connections in them, checks, how webhooks come in, ticks."""

    RUN = "run"
    CONNECTIONS = "connections"
    CHECK = "check"
    WEBHOOKS = "webhooks"
    TICK = "tick"


@dataclass(frozen=True)
class FaultName:
    """By what a fault is known again: what failed, by its name, and the class of the failure."""

    source: FaultSource
    subject: str
    cause: str


@dataclass(frozen=True)
class OpenFault:
    """A fault that lasts. Times of runs, checks and ticks are Dagster's, others our clock's."""

    id: str
    name: FaultName
    occurrences: int
    opened_at: datetime
    last_seen_at: datetime


def open_fault(db: sa.Connection, name: FaultName, *, seen_at: datetime) -> str | None:
    """Note a failure; return the id of its fault if that is new, None while it lasts."""
    columns = operator_faults.c
    fault_id = new_id()
    statement = insert(operator_faults).values(
        id=fault_id,
        source=name.source.value,
        subject=name.subject,
        cause=name.cause,
        opened_at=seen_at,
        last_seen_at=seen_at,
    )
    again = statement.on_conflict_do_update(
        index_elements=["source", "subject", "cause"],
        index_where=columns.cleared_at.is_(None),
        set_={
            "occurrences": columns.occurrences + 1,
            "last_seen_at": sa.func.greatest(columns.last_seen_at, seen_at),
        },
    )
    found = db.scalar(again.returning(columns.id))
    return fault_id if found == fault_id else None


def clear_fault(db: sa.Connection, fault: OpenFault, *, now: datetime) -> bool:
    """Note that a fault is over; return whether it was still open, and has not shown again."""
    columns = operator_faults.c
    statement = (
        operator_faults.update()
        .where(
            columns.id == fault.id,
            columns.cleared_at.is_(None),
            columns.occurrences == fault.occurrences,
        )
        .values(cleared_at=now)
    )
    return db.execute(statement).rowcount > 0


def load_open_faults(db: sa.Connection) -> list[OpenFault]:
    """Load the faults that last, the oldest first."""
    columns = operator_faults.c
    query = (
        sa.select(operator_faults)
        .where(columns.cleared_at.is_(None))
        .order_by(columns.opened_at, columns.id)
    )
    return [
        OpenFault(
            row.id,
            FaultName(FaultSource(row.source), row.subject, row.cause),
            row.occurrences,
            row.opened_at,
            row.last_seen_at,
        )
        for row in db.execute(query)
    ]


def load_failing_classes(db: sa.Connection) -> frozenset[str]:
    """
    Load the classes of failure with which the last syncs of connections ended.

    Those that were put off or killed say nothing of it, nor do connections that no sync reads any
    more: withdrawn in the middle of a failure, they would have it last for ever.
    """
    return frozenset(db.scalars(_FAILING))


_FAILING: Final = sa.text(
    """
    SELECT DISTINCT last.error_class
    FROM bank.connections c
    CROSS JOIN LATERAL (
        SELECT error_class, outcome FROM bank.sync_runs
        WHERE connection_id = c.id AND outcome NOT IN ('deferred', 'killed')
        ORDER BY started_at DESC LIMIT 1
    ) AS last
    WHERE c.error_retries > 0 AND c.status NOT IN ('revoked', 'disconnected')
      AND last.outcome = 'failed' AND last.error_class IS NOT NULL
    """
)
