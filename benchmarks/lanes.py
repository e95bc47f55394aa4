"""How long a manual sync takes alone, and beside a batch of many."""

import os
import shutil
import statistics
import tempfile
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any, Final

import dagster as dg

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline_tests.dagster_ui import launch
from bank_pipeline_tests.e2e.crowd import MODULE, Crowd, linked_crowd
from bank_pipeline_tests.ports import free_ports
from bank_pipeline_tests.waiting import wait_until
from benchmarks.processes import wait_for

IDLE_SAMPLES: Final = 6
BUSY_SAMPLES_MAX: Final = 12
SYNC_S_MAX: Final = 120.0
BATCH_S_MAX: Final = 240.0
SANDBOX_NICENESS: Final = 10  # real banks take nothing of this machine; theirs are in this process
_POLL_S: Final = 0.05
_ENDED: Final = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)
_BATCHES: Final = dg.RunsFilter(
    tags={"bank/reason": "schedule"},
    statuses=[
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ],
)


def measure_lanes(count: int) -> dict[str, Any]:
    """Return the seconds of manual syncs alone and beside a batch, before and after it too."""
    folder = Path(tempfile.mkdtemp(prefix="bank-lanes-"))
    try:
        with linked_crowd(folder, count) as crowd:
            [port] = free_ports(1)
            crowd.start_daemon()
            crowd.start("dagster_webserver", "-m", MODULE, "-p", str(port))
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/server_info")
            _sync(crowd, url, crowd.ids[0])  # the first one warms up
            os.nice(SANDBOX_NICENESS)
            idle = [_sync(crowd, url, one) for one in crowd.ids[:IDLE_SAMPLES]]
            crowd.sandbox.clock.advance(timedelta(hours=25))  # everybody's turn came
            wait_until(lambda: _is_busy(crowd), seconds=BATCH_S_MAX, what="the batch")
            begun = monotonic()
            busy: list[float] = []
            while _is_busy(crowd) and len(busy) < BUSY_SAMPLES_MAX:
                busy.append(_sync(crowd, url, crowd.ids[len(busy)]))
            wait_until(lambda: not _is_busy(crowd), seconds=1800, what="the batch's end")
            took_s = monotonic() - begun
            idle += [_sync(crowd, url, one) for one in crowd.ids[:IDLE_SAMPLES]]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "connections": count,
        "idle_s": idle,
        "beside_batch_s": busy,
        "batch_s": round(took_s, 1),
        "times_idle": round(statistics.median(busy) / statistics.median(idle), 2),
    }


def _is_busy(crowd: Crowd) -> bool:
    return bool(crowd.instance.get_runs_count(_BATCHES))


def _sync(crowd: Crowd, url: str, connection_id: ConnectionId) -> float:
    """Materialise one partition as the UI's button does; return the seconds until it is done."""
    begun = monotonic()
    run_id = launch(url, connection_id, location=MODULE)
    pause = threading.Event()
    while monotonic() - begun < SYNC_S_MAX:
        with suppress(AttributeError):  # not stored yet
            if crowd.instance.get_run_by_id(run_id).status in _ENDED:  # type: ignore[union-attr]
                return round(monotonic() - begun, 2)
        pause.wait(_POLL_S)
    raise AssertionError(f"a manual sync took longer than {SYNC_S_MAX:.0f} s")
