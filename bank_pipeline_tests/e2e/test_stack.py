"""The whole of it in real processes: link, sensor, run, rows, UI, webhook, end."""

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from bank_pipeline.bootstrap import Services, build_services
from bank_pipeline.cli.proof import compare_connection
from bank_pipeline.cli.simulated import link_simulated_bank
from bank_pipeline.config import Settings
from bank_pipeline.domain.connection import Connection, HistoryStage
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.providers.http import fetch_json
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.evidence import AccountEvidence, load_evidence
from bank_pipeline_tests.dagster_ui import launch
from bank_pipeline_tests.e2e.stack import STOP_S, Stack, running_stack
from bank_pipeline_tests.waiting import wait_until

pytestmark = [
    pytest.mark.large,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("processes"),
]

RUN_S: Final = 90
PARTITIONS: Final = """
query { assetNodeOrError(assetKey: {path: ["transactions"]}) { ... on AssetNode {
  assetPartitionStatuses { ... on DefaultPartitionStatuses {
    materializedPartitions failedPartitions } } } } }
"""
RUN: Final = """
query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }
"""
RUNS: Final = """
query { runsOrError { ... on Runs { results { status tags { key value } } } } }
"""


def partitions(stack: Stack) -> dict[str, list[str]]:
    found = stack.ask(PARTITIONS)["assetNodeOrError"]
    return dict(found.get("assetPartitionStatuses") or {})


def runs(stack: Stack, reason: str) -> list[str]:
    """Return the statuses of the runs with this reason."""
    tag = {"key": "bank/reason", "value": reason}
    results: list[Any] = stack.ask(RUNS)["runsOrError"]["results"]
    return [run["status"] for run in results if tag in run["tags"]]


@dataclass(frozen=True)
class Watched:
    """One connection of the running stack: its rows, and the bank's."""

    stack: Stack
    services: Services
    id: ConnectionId

    def stored(self) -> Connection:
        with self.services.sync.engine.connect() as db:
            return load_connection(db, self.id)

    def differences(self) -> list[str]:
        """Compare the tables with the bank."""
        truth = f"{self.stack.sandbox_url}/_sim/truth?item_id={self.stored().external_id}"
        compared = compare_connection("bank", fetch_json(truth), self._held())
        return [difference for row in compared for difference in row.differences]

    def rows(self) -> set[str]:
        """Return the external ids of all rows: as many may go as come."""
        return {name for account in self._held() for name in account.transactions}

    def is_settled(self) -> bool:
        """Say whether all is there and nothing is planned."""
        stored = self.stored()
        is_complete = stored.history_stage is HistoryStage.COMPLETE
        return is_complete and stored.next_attempt_at is None

    def _held(self) -> list[AccountEvidence]:
        with self.services.sync.engine.connect() as db:
            return load_evidence(db, self.id)


def link(stack: Stack) -> Watched:
    """Link the first person's bank through the hosted page; its history is then ready."""
    services = build_services(Settings())
    login = fetch_json(f"{stack.sandbox_url}/_sim/logins")["logins"][0]["login_id"]
    watched = Watched(stack, services, link_simulated_bank(services, login))
    stack.advance(timedelta(minutes=3).total_seconds())
    return watched


def written_lines(folder: Path) -> list[dict[str, Any]]:
    """Return what gateway and runs wrote: to standard error, and into the logs of their steps."""
    files = [folder / "stack.log", *folder.rglob("*.err")]
    lines = [line for file in files for line in file.read_text(errors="replace").splitlines()]
    return [json.loads(line) for line in lines if line.startswith('{"at"')]


def within(condition: Callable[[], bool], what: str) -> None:
    wait_until(condition, seconds=RUN_S, what=what)


def test_the_stack_runs_from_link_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A bank is linked through the hosted page: the sensor's run fills its partition, and the
    tables equal the bank. A launch from the UI succeeds. Days pass: the webhook leads to a
    run and to the new rows. SIGTERM leaves no process.
    """
    with running_stack(tmp_path) as (stack, variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        bank = link(stack)
        within(lambda: bank.id in partitions(stack).get("materializedPartitions", []), "a sync")
        run_id = launch(stack.dagster_url, bank.id)
        within(lambda: stack.ask(RUN, id=run_id)["runOrError"]["status"] == "SUCCESS", "launch")
        within(bank.is_settled, "the whole history")
        within(lambda: bank.differences() == [], "rows equal to the bank")

        # From here on nothing is planned: only the webhook can start what brings the new rows.
        before = bank.rows()
        stack.advance(timedelta(days=2).total_seconds())
        within(lambda: "SUCCESS" in runs(stack, "webhook"), "the webhook's run")
        within(lambda: bank.differences() == [], "the new rows")
        assert bank.rows() - before
        assert partitions(stack)["failedPartitions"] == []
        bank.services.close()

        processes = stack.tree()
        assert len(processes) >= 5, "up, webserver, daemon, code server, gateway"
        stack.up.send_signal(signal.SIGTERM)
        assert stack.up.wait(STOP_S) == 0
        _, alive = psutil.wait_procs(processes, timeout=STOP_S)
        assert alive == []
    spoken = written_lines(tmp_path)
    assert {line.get("route") for line in spoken} >= {"/webhooks/plaid"}
    synced = [line for line in spoken if line["event"] == "synced"]
    assert synced
    assert all({"sync_run_id", "connection_id", "dagster_run_id"} <= {*line} for line in synced)
