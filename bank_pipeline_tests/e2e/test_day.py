"""
A day of many connections through real daemon, real runs and the instance in Postgres.

The day is compressed: the services' clock runs faster, and the schedule is looked at every
minute. `make day` lives through it; `DAY_CONNECTIONS` and `DAY_MINUTES` say how large and long.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from bank_pipeline.defs.partitions import connection_partitions
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.storage.connections import load_connection
from bank_pipeline_tests.e2e.crowd import Crowd, linked_crowd
from bank_pipeline_tests.waiting import wait_until

pytestmark = [pytest.mark.day, pytest.mark.timeout(7200), pytest.mark.xdist_group("processes")]

CONNECTIONS: Final = int(os.environ.get("DAY_CONNECTIONS", "60"))
MINUTES: Final = float(os.environ.get("DAY_MINUTES", "4"))
FAILING_EVERY: Final = 20  # 5 %
FEED: Final = "/transactions/sync"
CODE: Final = "PRODUCT_NOT_ENABLED"  # not tried again within the call; the next try is minutes on
DAY: Final = timedelta(days=1)
LATER: Final = timedelta(minutes=11)  # a failed one is tried again, and nobody's next turn comes
STEP_S: Final = 0.5
OFF_S: Final = 20.0  # without a daemon: a tick is missed, or late
LOOK_S: Final = 5.0
END_S: Final = 600.0
SYNCS: Final = (
    "SELECT connection_id::text, reason, outcome, started_at, ended_at FROM bank.sync_runs "
    "WHERE reason <> 'initial' ORDER BY connection_id, started_at"
)


def break_some(crowd: Crowd) -> set[ConnectionId]:
    """Have the provider fail for 5 % when they are asked next, and be well again after it."""
    broken = {*crowd.ids[::FAILING_EVERY]}
    for connection_id in broken:
        with crowd.services.sync.engine.connect() as db:
            item = load_connection(db, connection_id).external_id
        fault = Fault(FaultKind.ERROR, code=CODE)
        crowd.sandbox.faults.add(FEED, fault, subject=item, times=1)
    return broken


def shown(crowd: Crowd) -> tuple[set[str], set[str]]:
    """Return which partitions the UI shows as materialised, and which as failed."""
    value = get_and_update_asset_status_cache_value(
        crowd.instance, dg.AssetKey("transactions"), connection_partitions
    )
    if value is None:
        return set(), set()
    with partition_loading_context(dynamic_partitions_store=crowd.instance):
        done = value.deserialize_materialized_partition_subsets(connection_partitions)
        failed = value.deserialize_failed_partition_subsets(connection_partitions)
        return {*done.get_partition_keys()}, {*failed.get_partition_keys()}


def steps_of_a_day(crowd: Crowd) -> Iterator[float]:
    """Let a day pass in `MINUTES`; yield what share of it has passed."""
    pause = threading.Event()
    begun = time.monotonic()
    start = crowd.sandbox.clock.now()
    share = 0.0
    while share < 1:
        pause.wait(STEP_S)
        share = min((time.monotonic() - begun) / (MINUTES * 60), 1.0)
        crowd.sandbox.clock.advance_to(start + DAY * share)
        yield share


def live_through(crowd: Crowd) -> set[str]:
    """Live through the day, killing the daemon twice; return who was shown as failed."""
    failed: set[str] = set()
    daemon = crowd.start_daemon()
    kills = [1 / 3, 2 / 3]
    off_since: float | None = None
    looked_at = time.monotonic()
    for share in steps_of_a_day(crowd):
        if kills and share >= kills[0]:
            kills.pop(0)
            crowd.kill(daemon)
            off_since = time.monotonic()
        if off_since is not None and time.monotonic() - off_since > OFF_S:
            daemon, off_since = crowd.start_daemon(), None
        if time.monotonic() - looked_at > LOOK_S:
            failed |= shown(crowd)[1]
            looked_at = time.monotonic()
    if off_since is not None:
        crowd.start_daemon()
    tried = "SELECT count(DISTINCT connection_id) FROM bank.sync_runs WHERE reason <> 'initial'"
    wait_until(
        lambda: crowd.rows(f"{tried} AND ended_at IS NOT NULL")[0][0] == CONNECTIONS,
        seconds=END_S,
        what="everybody's turn",
    )
    failed |= shown(crowd)[1]
    crowd.sandbox.clock.advance(LATER)
    return failed


def test_a_day_of_many_connections(tmp_path: Path) -> None:
    """
    Every connection is synced once; 5 % fail, are shown as failed, and recover by themselves;
    nobody is synced twice at once; and the daemon is killed twice on the way.
    """
    with linked_crowd(tmp_path, CONNECTIONS) as crowd:
        broken = break_some(crowd)
        calls_before = feed_calls(crowd)

        seen_failed = live_through(crowd)
        synced = "SELECT count(DISTINCT connection_id) FROM bank.sync_runs WHERE reason <> "
        wait_until(
            lambda: crowd.rows(f"{synced}'initial' AND outcome = 'synced'")[0][0] == CONNECTIONS,
            seconds=END_S,
            what="everybody synced",
        )
        wait_until(
            lambda: not crowd.instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)),
            seconds=END_S,
            what="the queue is empty",
        )

        runs = crowd.rows(SYNCS)
        done = Counter(run.connection_id for run in runs if run.outcome == "synced")
        assert done == dict.fromkeys(crowd.ids, 1)
        failed = [run for run in runs if run.outcome != "synced"]
        assert {run.connection_id for run in failed} == broken
        assert len(failed) == len(broken)
        recovered = {run.connection_id for run in runs if run.reason == "recovery"}
        assert recovered == broken
        assert [pair for pair in pairwise(runs) if overlaps(*pair)] == []
        assert feed_calls(crowd) - calls_before == CONNECTIONS + len(broken)
        assert seen_failed
        assert seen_failed <= broken
        assert told_failed(crowd) == broken
        materialized, still_failed = shown(crowd)
        assert (materialized, still_failed) == ({*crowd.ids}, set())


UNDER_WAY: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def feed_calls(crowd: Crowd) -> int:
    """Count the answers to questions for transactions, by the bank's own log."""
    return sum(count for (operation, _), count in crowd.sandbox.plaid.calls.items()
               if operation == FEED)  # fmt: skip


def overlaps(one: Any, other: Any) -> bool:
    """Say whether the second of two neighbouring syncs began before the first had ended."""
    is_same = one.connection_id == other.connection_id
    return bool(is_same and other.started_at < one.ended_at)


def told_failed(crowd: Crowd) -> set[str]:
    """Return the partitions that say on their own page why they failed."""
    rows = crowd.rows(
        "SELECT DISTINCT partition FROM dagster.event_logs "
        "WHERE dagster_event_type = 'ASSET_OBSERVATION' AND event LIKE :code",
        code=f"%{CODE}%",
    )
    return {str(row.partition) for row in rows}
