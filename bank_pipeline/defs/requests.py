"""How connections become runs: a few get a run of their own, many share runs."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import dagster as dg

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sync.reports import SyncReason

OWN_RUNS_MAX: Final = 3  # above this, starting a process for each costs more than it shows
BATCH_SIZE: Final = 50  # connections per shared run: a killed run repeats at most these

TAG_CONNECTION: Final = "bank/connection"
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


def _config(connection_ids: Sequence[str], reason: SyncReason) -> dict[str, object]:
    config = {"connection_ids": list(connection_ids), "reason": reason.name}
    return {"ops": {"sync_connections": {"config": config}}}


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
