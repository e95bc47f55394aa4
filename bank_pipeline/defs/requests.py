"""How connections become runs: a few get a run of their own, many share runs."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

import dagster as dg

from bank_pipeline.bootstrap import system_now
from bank_pipeline.defs.partitions import CONNECTIONS
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.storage.locks import load_held
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.reports import ALL_STEPS, Step, SyncReason

OWN_RUNS_MAX: Final = 3  # above this, starting a process for each costs more than it shows
BATCH_SIZE: Final = 50  # connections per shared run: many runs side by side on many machines
ROUTINE_BATCH_SIZE: Final = 500  # nobody waits; what is left after `BATCH_LASTS` another does
PER_TICK_MAX: Final = 2_000  # connections that one tick asks for: a tick must end in time

ASK_AGAIN: Final = timedelta(minutes=10)  # a requested run that did nothing by then was lost
BATCH_LASTS: Final = timedelta(minutes=7)  # no sync begins after it, to end before `ASK_AGAIN`
_RUNS_MAX: Final = 1_000

TAG_CONNECTION: Final = "bank/connection"
TAG_PARTITION: Final = "dagster/partition"  # on every run of one partition, a click's too
TAG_PROVIDER: Final = "bank/provider"
TAG_REASON: Final = "bank/reason"
TAG_BATCH: Final = "bank/batch"
TAG_LANE: Final = "bank/lane"
TAG_PRIORITY: Final = "dagster/priority"

ROUTINE: Final = "routine"
PROMPT: Final = "prompt"
"""Lanes. `dagster.yaml` bounds the routine one, so that somebody who waits never waits for it."""

_PRIORITIES: Final = {
    SyncReason.INITIAL: 10,
    SyncReason.WEBHOOK: 10,
    SyncReason.MANUAL: 10,
    SyncReason.RECOVERY: -5,
    SyncReason.SCHEDULE: -10,
    SyncReason.REFRESH: -15,
    SyncReason.BACKFILL: -20,
}
"""Who goes first in the queue; what a person launches in the UI has 0."""


@dataclass(frozen=True)
class Asked:
    """
    A connection to sync, and the key of what asked for it.

    A key must never come twice for different work: Dagster drops the second run silently.
    """

    connection_id: ConnectionId
    provider: Provider
    key: str


def to_run_requests(
    asked: Sequence[Asked],
    reason: SyncReason,
    *,
    asked_at: datetime | None = None,
    steps: Collection[Step] = ALL_STEPS,
) -> Iterator[dg.RunRequest]:
    """
    Turn connections into run requests; many share runs.

    Where somebody waits, those of one provider share runs, so that its limit of runs holds.
    Else they share them in the order given: a quarter of an hour is one start of a process.

    With `asked_at`, the runs leave alone what was done since: work that is asked for twice, as
    after a crash between asking and doing, or by a click while a batch has it before it, is done
    once.
    """
    selection = None if steps == ALL_STEPS else [dg.AssetKey(step.value) for step in sorted(steps)]
    if len(asked) <= OWN_RUNS_MAX:
        for one in asked:
            yield dg.RunRequest(
                run_key=f"{reason}:{one.connection_id}:{one.key}",
                partition_key=one.connection_id,
                asset_selection=selection,
                run_config=_config([], reason, asked_at),
                tags={TAG_CONNECTION: one.connection_id, **_tags([one], reason)},
            )
        return
    for batch in _to_batches(asked, reason):
        digest = _digest([f"{one.connection_id}:{one.key}" for one in batch])
        yield dg.RunRequest(
            run_key=f"{reason}:batch:{digest}",
            asset_selection=selection,
            run_config=_config([one.connection_id for one in batch], reason, asked_at),
            tags={TAG_BATCH: str(len(batch)), **_tags(batch, reason)},
        )


def _to_batches(asked: Sequence[Asked], reason: SyncReason) -> Iterator[Sequence[Asked]]:
    if _lane_of(reason) == ROUTINE:
        groups, size = [asked], ROUTINE_BATCH_SIZE
    else:
        by_provider = sorted(asked, key=lambda one: (one.provider, one.connection_id))
        groups = [[*group] for _, group in groupby(by_provider, key=lambda one: one.provider)]
        size = BATCH_SIZE
    for group in groups:
        for start in range(0, len(group), size):
            yield group[start : start + size]


def load_under_way(instance: dg.DagsterInstance, *, has_routine: bool = True) -> set[ConnectionId]:
    """
    Load the connections of queued and fresh runs: to ask for them again would call twice.

    A batch that works down its list changes what is left of it, so that run keys alone
    cannot tell that the rest was asked for. A run that has run for longer than `ASK_AGAIN`
    may be dead and holds nobody up. Without routine runs: of those that somebody waits for.
    """
    dead_before = (system_now() - ASK_AGAIN).timestamp()
    filters = dg.RunsFilter(statuses=_UNDER_WAY)
    under_way: set[ConnectionId] = set()
    for record in instance.get_run_records(filters, limit=_RUNS_MAX):
        run, started_at = record.dagster_run, record.start_time
        is_counted = has_routine or run.tags.get(TAG_LANE) != ROUTINE
        if is_counted and (started_at is None or started_at > dead_before):
            under_way |= _connections_of(run)
    return under_way


def load_ready(instance: dg.DagsterInstance) -> set[ConnectionId]:
    """Load the partitions that nothing is under way for; one linked a moment ago has none yet."""
    return _load_partitions(instance) - load_under_way(instance)


def load_ready_at_once(
    instance: dg.DagsterInstance, context: SyncContext, among: Collection[ConnectionId]
) -> set[ConnectionId]:
    """
    Load those of `among` that may be synced for somebody who waits.

    What routine runs have before them holds up nobody: they fold what was synced meanwhile.
    Only a sync that goes on right now does, and what was asked for because somebody waits.
    """
    under_way = load_under_way(instance, has_routine=False)
    free = _load_partitions(instance).intersection(among) - under_way
    with context.engine.connect() as db:
        return free - load_held(db, free)


def _load_partitions(instance: dg.DagsterInstance) -> set[ConnectionId]:
    return {ConnectionId(key) for key in instance.get_dynamic_partitions(CONNECTIONS)}


_UNDER_WAY: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def _connections_of(run: dg.DagsterRun) -> set[ConnectionId]:
    if TAG_PARTITION in run.tags:
        return {ConnectionId(run.tags[TAG_PARTITION])}
    ops: Any = run.run_config.get("ops", {})
    config = ops.get("sync_connections", {}).get("config", {})
    return {ConnectionId(id_) for id_ in config.get("connection_ids", [])}


def _tags(asked: Sequence[Asked], reason: SyncReason) -> dict[str, str]:
    providers = {one.provider.value for one in asked}
    return {
        **({TAG_PROVIDER: providers.pop()} if len(providers) == 1 else {}),
        TAG_REASON: reason.value,
        TAG_LANE: _lane_of(reason),
        TAG_PRIORITY: str(_PRIORITIES[reason]),
    }


def _lane_of(reason: SyncReason) -> str:
    return PROMPT if _PRIORITIES[reason] > 0 else ROUTINE


def _config(
    connection_ids: Sequence[str], reason: SyncReason, asked_at: datetime | None
) -> dict[str, object]:
    config: dict[str, object] = {"connection_ids": [*connection_ids], "reason": reason.name}
    if asked_at is not None:
        config["asked_at"] = asked_at.isoformat()
    return {"ops": {"sync_connections": {"config": config}}}


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
