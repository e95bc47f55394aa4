"""Which processes execute Dagster's runs just now, and in which of them a sync is under way."""

import re
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Final

import psutil
import sqlalchemy as sa

from chaos.stage import Stage

_DEAD_S: Final = 10.0
_PID: Final = re.compile(r"\(pid: (\d+)\)")
_IN_SYNC: Final = sa.text(
    "SELECT e.event FROM dagster.event_logs e JOIN bank.sync_runs s "
    "ON e.run_id = s.dagster_run_id WHERE s.ended_at IS NULL "
    "AND e.dagster_event_type = 'ENGINE_EVENT' AND e.event LIKE '%(pid: %'"
)
_ENDED: Final = sa.text("SELECT count(*) FROM bank.sync_runs WHERE ended_at IS NOT NULL")
_UNDER_WAY: Final = sa.text(
    "SELECT run_id, status, create_timestamp FROM dagster.runs "
    "WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED') ORDER BY id"
)


def pids_in_sync(stage: Stage) -> list[int]:
    """Return the processes of ours in which a sync has begun and not ended."""
    try:
        with stage.services.sync.engine.connect() as db:
            events = [*db.scalars(_IN_SYNC)]
    except (sa.exc.DBAPIError, sa.exc.TimeoutError):
        return []
    named = {int(found[1]) for event in events for found in _PID.finditer(event)}
    if not named:  # to look at all processes costs more than to ask
        return []
    return sorted(named & {one.pid for one in stage.supervisor.ours()})


def count_syncs(stage: Stage) -> int | None:
    """Return how many syncs have ended; None while nobody can tell."""
    try:
        with stage.services.sync.engine.connect() as db:
            return int(db.scalar(_ENDED) or 0)
    except (sa.exc.DBAPIError, sa.exc.TimeoutError):
        return None


def pids(stage: Stage) -> list[int]:
    """Return the processes of runs, those that only just begin included."""
    if stage.broker is not None:
        with suppress(Exception):  # without a broker nobody tells, which is no matter here
            return stage.broker.runs_in_hand()
        return []
    return [one.pid for one in stage.supervisor.cold_runs()]


def kill_one(found: Sequence[int], rolled: Random) -> bool:
    """Kill one of these processes; say whether one was there to be killed."""
    for pid in rolled.sample([*found], len(found)):
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:  # that one was killed before
                process.kill()
                process.wait(_DEAD_S)
                return True
    return False


def under_way(db: sa.Connection) -> list[str]:
    """Return the runs that have not ended, in words."""
    return [f"run {one.run_id}: {one.status}" for one in db.execute(_UNDER_WAY)]
