"""What became of the last ticks of sensors and schedules, by Dagster's own record of them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, TickStatus
from dagster_shared.error import SerializableErrorInfo

GRACE: Final = timedelta(minutes=10)
"""Ticks that come every few seconds may fail for so long: a restart of the database is no fault."""

_WELL: Final = (TickStatus.SUCCESS, TickStatus.SKIPPED)
_ENDED: Final = (*_WELL, TickStatus.FAILURE)


@dataclass(frozen=True)
class LastTick:
    """
    The newest tick that ended.

    `cause` is the class of its error; None if it went well, or no other follows because what
    ticked is switched off.
    """

    name: str
    at: datetime
    cause: str | None


def load_last_ticks(instance: dg.DagsterInstance, names: Collection[str]) -> Iterator[LastTick]:
    """
    Load the last tick of each of these sensors and schedules.

    One that failed is left out while another went well in the ten minutes before it.
    """
    last: dict[str, tuple[InstigatorState, InstigatorTick]] = {}
    for state in instance.all_instigator_state():
        tick = _newest(instance, state, _ENDED)
        if tick is None or state.instigator_name not in names:
            continue
        other = last.get(state.instigator_name)  # of a code location that had another name
        if other is None or other[1].timestamp < tick.timestamp:
            last[state.instigator_name] = state, tick
    for name, (state, tick) in last.items():
        at = datetime.fromtimestamp(tick.timestamp, UTC)
        if not state.is_running or tick.status is not TickStatus.FAILURE:
            yield LastTick(name, at, None)
        elif _newest(instance, state, _WELL, after=at - GRACE) is None:
            yield LastTick(name, at, _cause(tick.error))


def _newest(
    instance: dg.DagsterInstance,
    state: InstigatorState,
    statuses: tuple[TickStatus, ...],
    *,
    after: datetime | None = None,
) -> InstigatorTick | None:
    found = instance.get_ticks(
        state.instigator_origin_id,
        state.selector_id,
        after=None if after is None else after.timestamp(),
        limit=1,
        statuses=[*statuses],
    )
    return found[0] if found else None


def _cause(error: SerializableErrorInfo | None) -> str:
    """Return the class of the error, never its words: they may quote rows."""
    inner = error.cause or error if error is not None else None
    return "TickEnded" if inner is None or inner.cls_name is None else inner.cls_name
