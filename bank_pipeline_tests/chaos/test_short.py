"""A minute of chaos. Run by `pytest -m chaos`: it takes some minutes in all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.broker import has_redis
from chaos.plan import Blow

pytestmark = [
    pytest.mark.large,
    pytest.mark.chaos,
    pytest.mark.xdist_group("processes"),
    pytest.mark.timeout(1_800),
]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("workers", ["cold", "warm"])
def test_everything_breaks_once_and_nothing_is_lost(workers: str, tmp_path: Path) -> None:
    """Each kind of blow falls at least once, and all checkers are content."""
    if workers == "warm" and not has_redis():
        pytest.skip("redis-server is not installed")
    wanted = {"CHAOS_SEED": "1", "CHAOS_MINUTES": "1", "CHAOS_WORKERS": workers}

    outcome = subprocess.run(
        [sys.executable, "-m", "chaos.run"],
        cwd=tmp_path,
        env={**os.environ, **wanted, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    report = json.loads((tmp_path / ".bank-pipeline/chaos/seed-1.json").read_text())
    left_out = {Blow.ARCHIVE_FULL} if any("disk" in one for one in report["skipped"]) else set()
    if workers == "cold":
        left_out |= {Blow.WORKER_KILLED, Blow.BROKER_GONE}
    assert {blow.value for blow in {*Blow} - left_out} <= {*report["injected"]}
    assert all(report["looked"].values()), "a checker that looked at nothing proves nothing"
