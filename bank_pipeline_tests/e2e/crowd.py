"""Many simulated customers before a real Dagster: daemon, runs and instance as in production."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg
import psutil
import sqlalchemy as sa

from bank_pipeline.bootstrap import Services, build_services
from bank_pipeline.cli.playground import playground_environment
from bank_pipeline.cli.processes import dagster_environment
from bank_pipeline.cli.simulated import link_simulated_bank
from bank_pipeline.config import Settings
from bank_pipeline.defs.partitions import CONNECTIONS
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.plaid.options import PlaidOptions
from bank_pipeline.sandbox.serve import USUAL_START, SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline.storage import embedded
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline_tests.environment import kept_environment

MODULE: Final = "bank_pipeline_tests.e2e.compressed"
HISTORY_DAYS: Final = 10
_LINKING: Final = 4  # threads


@dataclass
class Crowd:
    """Linked and synced once, each a partition. The clock stands still until moved."""

    sandbox: SandboxServer
    services: Services
    instance: dg.DagsterInstance
    folder: Path
    ids: list[ConnectionId]
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _orphans: list[psutil.Process] = field(default_factory=list)

    def start_daemon(self) -> subprocess.Popen[bytes]:
        """Start Dagster's daemon, which starts the code server that starts the runs."""
        return self.start("dagster._daemon", "run", "-m", MODULE)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a Python module in a process of its own; the end of the crowd ends it."""
        with (self.folder / "processes.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", *command], stdout=log, stderr=log)
        self._started.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill one process; what it started lives on, as when a daemon runs out of memory."""
        self._orphans += psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()

    def rows(self, query: str, **bound: Any) -> list[Any]:
        """Return the rows of a query."""
        with self.services.sync.engine.connect() as db:
            return [*db.execute(sa.text(query), bound)]

    def stop(self) -> None:
        """End every process that was started, and whatever those started."""
        running = [process for process in self._started if process.poll() is None]
        for one in [*self._orphans, *(psutil.Process(process.pid) for process in running)]:
            with suppress(psutil.NoSuchProcess):
                for child in [*one.children(recursive=True), one]:
                    child.kill()
        for process in running:
            process.wait()


@contextmanager
def linked_crowd(folder: Path, size: int) -> Iterator[Crowd]:
    """Link so many customers, make their first syncs, and give them their partitions."""
    world = World(7, clock=VirtualClock(USUAL_START), logins=size, history_days=HISTORY_DAYS)
    with ExitStack() as stack:
        stack.enter_context(kept_environment())
        stack.callback(embedded.stop, folder)
        options = PlaidOptions(limit_scale=None)
        sandbox = stack.enter_context(SandboxServer(seed=7, world=world, options=options))
        os.environ |= playground_environment(folder, sandbox.url)
        os.environ |= dagster_environment(Settings())
        services = stack.enter_context(closing(build_services(Settings())))
        ids = _link_all(sandbox, services)
        instance = stack.enter_context(dg.DagsterInstance.get())
        instance.add_dynamic_partitions(CONNECTIONS, ids)
        crowd = Crowd(sandbox, services, instance, folder, ids)
        stack.callback(crowd.stop)
        yield crowd


def _link_all(sandbox: SandboxServer, services: Services) -> list[ConnectionId]:
    logins = [*sandbox.world.logins]
    with ThreadPoolExecutor(_LINKING) as pool:
        ids = [*pool.map(lambda login: link_simulated_bank(services, login), logins)]
        sandbox.advance(timedelta(minutes=2))  # by then the simulated history is ready
        requests = [SyncRequest(one, SyncReason.INITIAL) for one in ids]
        assert len([*pool.map(lambda one: sync_connection(services.sync, one), requests)]) == len(
            ids
        )
    return ids
