"""How connections become runs: a few get a run of their own, many share runs."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import dagster as dg

from bank_pipeline.bootstrap import system_now
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sync.reports import SyncReason

OWN_RUNS_MAX: Final = 3  # above this, starting a process for each costs more than it shows
BATCH_SIZE: Final = 50  # connections per shared run: a killed run repeats at most these

ASK_AGAIN: Final = timedelta(minutes=10)  # a requested run that did nothing by then was lost
_RUNS_MAX: Final = 1_000

TAG_CONNECTION: Final = "bank/connection"
TAG_PARTITION: Final = "dagster/partition"  # on every run of one partition, a click's too
TAG_REASON: Final = "bank/reason"
TAG_BATCH: Final = "bank/batch"


def to_run_requests(
    keys: Mapping[ConnectionId, str], reason: SyncReason
) -> Iterator[dg.RunRequest]:
    """
    Turn connections, each with the key of what asked for it, into run requests.

    A run key must never come twice for different work: Dagster drops the second silently.
    """
    ids = sorted(keys)
    if len(ids) <= OWN_RUNS_MAX:
        for connection_id in ids:
            yield dg.RunRequest(
                run_key=f"{reason}:{connection_id}:{keys[connection_id]}",
                partition_key=connection_id,
                run_config=_config([], reason),
                tags={TAG_CONNECTION: connection_id, TAG_REASON: reason.value},
            )
        return
    for start in range(0, len(ids), BATCH_SIZE):
        batch = ids[start : start + BATCH_SIZE]
        yield dg.RunRequest(
            run_key=f"{reason}:batch:{_digest([f'{i}:{keys[i]}' for i in batch])}",
            run_config=_config(batch, reason),
            tags={TAG_BATCH: str(len(batch)), TAG_REASON: reason.value},
        )


def load_under_way(instance: dg.DagsterInstance) -> set[ConnectionId]:
    """
    Load the connections of queued and fresh runs: to ask for them again would call twice.

    A batch that works down its list changes what is left of it, so that run keys alone
    cannot tell that the rest was asked for. A run that has run for longer than `ASK_AGAIN`
    may be dead and holds nobody up.
    """
    dead_before = (system_now() - ASK_AGAIN).timestamp()
    filters = dg.RunsFilter(statuses=_UNDER_WAY)
    under_way: set[ConnectionId] = set()
    for record in instance.get_run_records(filters, limit=_RUNS_MAX):
        if record.start_time is None or record.start_time > dead_before:
            under_way |= _connections_of(record.dagster_run)
    return under_way


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


def _config(connection_ids: Sequence[str], reason: SyncReason) -> dict[str, object]:
    config = {"connection_ids": list(connection_ids), "reason": reason.name}
    return {"ops": {"sync_connections": {"config": config}}}


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
