"""One alert per fault, however often it shows, and one message when it is over."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.notices import NoticeKind
from bank_pipeline.storage.faults import (
    FaultName,
    FaultSource,
    OpenFault,
    clear_fault,
    load_failing_classes,
    load_open_faults,
    open_fault,
)
from bank_pipeline.storage.notices import Notice, insert_notices, load_teams_wanting
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.failures import kind_named

QUIET: Final = timedelta(hours=1)


def note_fault(
    context: SyncContext, name: FaultName, *, seen_at: datetime, facts: Mapping[str, Any]
) -> bool:
    """Note a failure; alert those who want to know if it is a new fault, and say whether it is."""
    with context.engine.begin() as db:
        fault_id = open_fault(db, name, seen_at=seen_at)
        if fault_id is None:
            return False
        payload = _named(name) | {"opened_at": seen_at.isoformat(), **facts}
        _tell(db, NoticeKind.OPERATOR_ALERT, fault_id, payload, now=context.clock())
        return True


def note_failed_connections(context: SyncContext, run_id: str, reasons: Mapping[str, str]) -> int:
    """
    Note the failures of connections within a run, one fault per class; return how many are new.

    `reasons` name the class of each connection's failure before a colon. What customers mend
    is no fault.
    """
    kinds = [kind_named(reason.split(":")[0].split(" ")[0]) for reason in reasons.values()]
    return sum(
        note_fault(
            context,
            FaultName(FaultSource.CONNECTIONS, "connections", kind.value),
            seen_at=context.clock(),
            facts={"run_id": run_id, "count": kinds.count(kind)},
        )
        for kind in sorted({*kinds})
        if not kind.is_customers  # its team is told of the stop
    )


def clear_faults(context: SyncContext, over: Sequence[OpenFault], *, at: datetime) -> int:
    """
    Note that faults are over, and tell; return how many were open until now.

    One that showed again after `over` was loaded lasts.
    """
    cleared = 0
    with context.engine.begin() as db:
        for fault in over:
            if clear_fault(db, fault, now=at):
                payload = _named(fault.name) | {
                    "opened_at": fault.opened_at.isoformat(),
                    "occurrences": fault.occurrences,
                }
                _tell(db, NoticeKind.OPERATOR_RECOVERED, fault.id, payload, now=context.clock())
                cleared += 1
    return cleared


def load_faults(context: SyncContext) -> list[OpenFault]:
    """Load the faults that last."""
    with context.engine.connect() as db:
        return load_open_faults(db)


def load_over(context: SyncContext, faults: list[OpenFault]) -> list[str]:
    """
    Load which faults of connections are over: no connection fails with their class any more.

    For an hour, that is: among thousands one often fails again right after another recovered.
    """
    since = context.clock() - QUIET
    asked = [
        one
        for one in faults
        if one.name.source is FaultSource.CONNECTIONS and one.last_seen_at <= since
    ]
    if not asked:
        return []
    with context.engine.connect() as db:
        failing = load_failing_classes(db)
    return [one.id for one in asked if one.name.cause not in failing]


def _named(name: FaultName) -> dict[str, Any]:
    return {"source": name.source.value, "subject": name.subject, "cause": name.cause}


def _tell(
    db: sa.Connection, kind: NoticeKind, key: str, payload: Mapping[str, Any], *, now: datetime
) -> None:
    notices = [Notice(team_id, kind, key, payload) for team_id in load_teams_wanting(db, kind)]
    insert_notices(db, notices, now=now)
