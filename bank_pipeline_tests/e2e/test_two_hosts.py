"""
Two worker hosts share a database and a broker and nothing else; one of them is lost midway.

Run by `make two-hosts`: it takes minutes, because what is lost has to stay silent for a while.
"""

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg
import pytest
import sqlalchemy as sa

from bank_pipeline.bootstrap import build_services
from bank_pipeline.cli.processes import dagster_environment, python_command
from bank_pipeline.cli.worker import build_app
from bank_pipeline.config import Settings
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.sandbox.plaid.options import PlaidOptions
from bank_pipeline.sandbox.serve import USUAL_START, SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline.storage.locks import load_held
from bank_pipeline_tests.e2e.centre import database_url, postgres, redis
from bank_pipeline_tests.e2e.network import Host, has_namespaces, two_hosts
from bank_pipeline_tests.installation import COUNTRIES, SECRET, Installation, variables
from bank_pipeline_tests.waiting import wait_until

pytestmark = [
    pytest.mark.large,
    pytest.mark.hosts,
    pytest.mark.xdist_group("processes"),
    pytest.mark.timeout(900),
    # The sandbox's connections to a host that vanished are never closed from the other end.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(
        shutil.which("redis-server") is None,
        reason="redis-server is not installed: it carries runs to the two hosts",
    ),
]

CONNECTIONS: Final = 64  # two batches
ANSWER_S: Final = 0.5  # a bank's, so that a batch lasts
LOCK_S: Final = 90  # by then the database has noticed that a host vanished
NOTICED_S: Final = 180  # by then Dagster has
LEASE_ENDS: Final = timedelta(minutes=16)
STARTED: Final = [dg.DagsterRunStatus.STARTED]


@dataclass(frozen=True)
class Cluster:
    """The centre with its daemon, and two hosts with a worker each."""

    installation: Installation
    instance: dg.DagsterInstance
    hosts: dict[str, Host]
    broker_url: str
    start_daemon: Callable[[], None]

    def worker_of(self, run: dg.DagsterRun) -> str | None:
        """Name the host that has a run, as Celery knows it."""
        task = build_app(self.broker_url).AsyncResult(run.tags["dagster-celery/task_id"])
        return str(task.worker).partition("@")[2] if task.worker else None

    def spread(self) -> Counter[str]:
        """Count the runs that each host has or had."""
        runs = self.instance.get_runs()
        return Counter(filter(None, map(self.worker_of, filter(has_task, runs))))

    def busiest(self) -> tuple[Host, dg.DagsterRun]:
        """Return the larger run under way, and the host that has it."""
        runs = self.instance.get_runs(dg.RunsFilter(statuses=STARTED))
        run = max(runs, key=lambda one: len(named_in(one)))
        name = self.worker_of(run)
        assert name is not None, "a started run has a worker"
        return self.hosts[name], run

    def synced(self, ids: list[ConnectionId]) -> int:
        query = "SELECT count(*) FROM bank.connections WHERE last_success_at IS NOT NULL"
        return int(self.installation.value(f"{query} AND id = ANY(CAST(:ids AS uuid[]))", ids=ids))

    def locked(self, ids: list[ConnectionId]) -> set[ConnectionId]:
        """Return the connections whose lock somebody holds."""
        with self.installation.services.sync.engine.connect() as db:
            return load_held(db, ids)

    def in_hand(self, run: dg.DagsterRun) -> list[ConnectionId]:
        """Return the connections that a run was syncing when it was last heard of."""
        begun = sa.text(
            "SELECT connection_id::text FROM bank.sync_runs "
            "WHERE dagster_run_id = :run AND ended_at IS NULL"
        )
        with self.installation.services.sync.engine.connect() as db:
            return [ConnectionId(one) for one in db.scalars(begun, {"run": run.run_id})]

    def has_failed(self, run: dg.DagsterRun) -> bool:
        stored = self.instance.get_run_by_id(run.run_id)
        return stored is not None and stored.status is dg.DagsterRunStatus.FAILURE


def has_task(run: dg.DagsterRun) -> bool:
    return "dagster-celery/task_id" in run.tags


def named_in(run: dg.DagsterRun) -> list[ConnectionId]:
    ops: Any = run.run_config.get("ops", {})
    return [*ops.get("sync_connections", {}).get("config", {}).get("connection_ids", [])]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Start everything but the daemon: nothing is linked yet, and nothing syncs."""
    monkeypatch.chdir(tmp_path)
    world = World(7, clock=VirtualClock(USUAL_START), logins=CONNECTIONS, history_days=20)
    options = PlaidOptions(secret=SECRET, limit_scale=None)
    with ExitStack() as stack:
        left, right = stack.enter_context(two_hosts(tmp_path))
        centre = tmp_path / "centre"
        database_port = stack.enter_context(postgres(centre))
        broker_port = stack.enter_context(redis(centre))
        sandbox = SandboxServer(seed=7, world=world, options=options, host="0.0.0.0")  # noqa: S104
        stack.enter_context(sandbox)

        def environment(address: str, folder: Path) -> dict[str, str]:
            url = database_url(address, database_port)
            ours = variables(sandbox, database_url=url, state_dir=folder / "state")
            ours = {name: value.replace("0.0.0.0", address) for name, value in ours.items()}  # noqa: S104
            broker = f"redis://{address}:{broker_port}"
            return ours | {
                "BANK_PIPELINE_BROKER_URL": f"{broker}/0",
                "BANK_PIPELINE_REDIS_URL": f"{broker}/1",
                "BANK_PIPELINE_SYNC_THREADS": "1",
                "PLAID_COUNTRY_CODES": f"{COUNTRIES},CA",
            }

        here = environment("127.0.0.1", centre)
        for name, value in here.items():
            monkeypatch.setenv(name, value)
        services = stack.enter_context(closing(build_services(Settings())))
        for name, value in dagster_environment(Settings()).items():
            monkeypatch.setenv(name, value)
        instance = stack.enter_context(dg.DagsterInstance.get())
        for host in (left, right):
            # One run each: with room for two, whoever is first may take both batches.
            command = python_command("serve", "worker", "--runs", "1", "--name", host.name)
            host.run(command, environment(host.centre, host.folder))
        daemon = Host("centre", centre, "127.0.0.1", namespace=None)
        stack.callback(daemon.kill)
        yield Cluster(
            Installation(sandbox, services),
            instance,
            {"left": left, "right": right},
            here["BANK_PIPELINE_BROKER_URL"],
            lambda: daemon.run(python_command("serve", "daemon"), here),
        )


@pytest.mark.parametrize("loss", ["killed", "cut off"])
def test_what_a_lost_host_had_in_hand_is_taken_over(cluster: Cluster, loss: str) -> None:
    """
    Both hosts have work, and one is lost while its batch is half done.

    The database frees its locks, Dagster notices its run, the other host takes over, and in
    the end every table equals the banks, also once the lost host is back.
    """
    if loss == "cut off" and not has_namespaces():
        pytest.skip("needs root and `ip netns`: a cable to cut")
    installation = cluster.installation
    faults = installation.sandbox.faults
    faults.add("/transactions/sync", Fault(FaultKind.SLOW_DRIP, seconds=ANSWER_S), times=None)
    ids = installation.link(CONNECTIONS)
    installation.sandbox.world.stand_still()  # what would happen later, no webhook would tell here
    cluster.start_daemon()
    wait_until(lambda: cluster.synced(ids) >= 8, seconds=120, what="work under way")
    wait_until(lambda: set(cluster.spread()) == {"left", "right"}, seconds=30, what="both at work")

    lost, run = cluster.busiest()
    lost.kill() if loss == "killed" else lost.cut()
    assert cluster.synced(ids) < CONNECTIONS
    in_hand = cluster.in_hand(run)
    faults.clear()
    wait_until(lambda: not cluster.locked(in_hand), seconds=LOCK_S, what="locks let go")
    wait_until(lambda: cluster.has_failed(run), seconds=NOTICED_S, what="the lost run noticed")
    others = [one for one in ids if one not in in_hand]
    wait_until(lambda: cluster.synced(others) == len(others), seconds=60, what="the rest")
    installation.sandbox.advance(LEASE_ENDS)
    wait_until(lambda: cluster.synced(ids) == len(ids), seconds=60, what="what it had in hand")
    assert_equal_to_banks(cluster, ids)

    if loss == "cut off":
        lost.plug()
        threading.Event().wait(30)  # it goes on with what it thinks is its own
        assert_equal_to_banks(cluster, ids)


def assert_equal_to_banks(cluster: Cluster, ids: list[ConnectionId]) -> None:
    differences = {one: cluster.installation.differences(one) for one in ids}
    assert {one: found for one, found in differences.items() if found} == {}
    doubled = sa.text(
        "SELECT count(*) FROM (SELECT account_id, external_id FROM bank.transactions "
        "GROUP BY 1, 2 HAVING count(*) > 1) AS twice"
    )
    with cluster.installation.services.sync.engine.connect() as db:
        assert db.scalar(doubled) == 0
