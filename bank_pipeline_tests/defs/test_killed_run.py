"""A run that dies midway: what it recorded stays, the rest is repeated, nothing is doubled."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline_tests.defs.runs import FEED, Runs
from bank_pipeline_tests.waiting import wait_until


def start_run(ids: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Execute the job for these connections in a process of its own, one after the other."""
    config = folder / "run.json"
    asked = {"connection_ids": ids}
    config.write_text(json.dumps({"ops": {"sync_connections": {"config": asked}}}))
    command = [sys.executable, "-m", "dagster", "job", "execute", "-c", str(config)]
    command += ["-m", "bank_pipeline.definitions", "-j", "sync_connections_job"]
    environment = os.environ | {"BANK_PIPELINE_SYNC_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def recorded(runs: Runs) -> set[str]:
    """Return the connections whose transactions were recorded as materialised."""
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    found = runs.instance.get_records_for_run
    return {
        str(record.partition_key)
        for run in runs.instance.get_run_records()
        for record in found(run.dagster_run.run_id, of_type=kind).records
        if record.asset_key == dg.AssetKey("transactions")
    }


@pytest.mark.xdist_group("processes")
def test_a_killed_run_keeps_what_it_recorded(runs: Runs, tmp_path: Path) -> None:
    """
    One connection is synced, the next one hangs at the bank, and the process is killed.

    The first is recorded; the second has nothing half written, its lock is free, and a run
    of both makes everything equal to the banks.
    """
    ids = runs.linked(2)
    hanging = runs.installation.stored(ids[1]).external_id
    faults = runs.installation.sandbox.faults
    faults.add(FEED, Fault(FaultKind.HANG, seconds=60), subject=hanging, times=None)
    process = start_run([*ids], tmp_path)
    try:
        wait_until(lambda: recorded(runs) == {ids[0]} and bool(faults.injected()), seconds=100)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert runs.status("transactions").materialized == {ids[0]}
    assert runs.installation.differences(ids[0]) == []
    assert runs.installation.rows(ids[1]) == 0
    faults.clear()
    runs.installation.sandbox.plaid.released.set()

    result = runs.of_config(ids)

    assert result.success
    assert runs.status("transactions").materialized == {*ids}
    assert [runs.installation.differences(connection_id) for connection_id in ids] == [[], []]
