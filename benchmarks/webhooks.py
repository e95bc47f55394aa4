"""
How long a webhook takes to become rows, in the set-ups that there are.

From the event's commit in the inbox to the commit of the sync that covers it, through a real
daemon and real runs. One installation per set-up, all running side by side, events in turn.
Needs redis-server for the warm workers.
"""

import os
import random
import shutil
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.bootstrap import Services, build_services
from bank_pipeline.cli.playground import playground_environment
from bank_pipeline.cli.processes import python_command
from bank_pipeline.cli.simulated import link_simulated_bank
from bank_pipeline.config import Settings
from bank_pipeline.domain.connection import Connection
from bank_pipeline.providers.base import EventKind, ProviderEvent
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline.storage import embedded
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.webhook_events import insert_event
from bank_pipeline_tests.ports import free_ports
from bank_pipeline_tests.waiting import wait_until

READY_S: Final = 600
ANSWER_S: Final = 90
DEFAULT: Final = "is woken (default)"
SETUPS: Final = {
    "looks every 5 s": {"BANK_PIPELINE_WEBHOOK_WAIT_S": "0"},
    DEFAULT: {},
    "is woken, warm workers": {"BANK_PIPELINE_BROKER_URL": "redis://127.0.0.1:{broker}/0"},
}


@dataclass(frozen=True)
class Size:
    """
    How many events, and of which set-ups.

    `pause_s` is between two events of one set-up: where it is long, they meet the daemon anywhere.
    """

    rounds: int
    setups: tuple[str, ...]
    pause_s: tuple[float, float]


SIZES: Final = {
    "short": Size(2, (DEFAULT,), (0.5, 1.5)),
    "full": Size(12, tuple(SETUPS), (1.0, 6.0)),
}
P95_S_MAX: Final = {DEFAULT: 5.0, "is woken, warm workers": 3.0}


@dataclass
class SetUp:
    """One installation that runs, and what was measured of it."""

    services: Services
    connection: Connection
    seconds: list[float] = field(default_factory=list)

    def is_settled(self) -> bool:
        """Say whether its history is complete, and nothing is planned."""
        with self.services.sync.engine.connect() as db:
            stored = load_connection(db, self.connection.id)
        return stored.last_success_at is not None and stored.next_attempt_at is None

    def measure(self, number: int) -> None:
        """Deliver one event, and wait until a sync has covered it."""
        event = ProviderEvent(
            provider=self.connection.provider,
            kind=EventKind.SYNC,
            code="SYNC_UPDATES_AVAILABLE",
            external_id=self.connection.external_id,
            event_key=f"event-{number}",
        )
        with self.services.sync.engine.begin() as db:
            insert_event(db, event, needs_sync=True, now=self.services.sync.clock())
        begin = perf_counter()
        pause = threading.Event()
        while not self._is_handled(event.event_key):
            assert perf_counter() - begin < ANSWER_S, "the event is not covered"
            pause.wait(0.02)
        self.seconds.append(perf_counter() - begin)

    def _is_handled(self, key: str) -> bool:
        with self.services.sync.engine.connect() as db:
            return bool(db.scalar(_HANDLED, {"key": key}))


_HANDLED: Final = sa.text(
    "SELECT handled_at IS NOT NULL FROM bank.webhook_events WHERE event_key = :key"
)


def measure(size_name: str) -> dict[str, Any]:
    """Measure; return the figures and the broken limits."""
    chance = random.Random(7)
    size = SIZES[size_name]
    with _running(size.setups) as setups:
        for setup in setups.values():
            wait_until(setup.is_settled, seconds=READY_S, what="a first sync")
        for number in range(size.rounds + 1):
            for setup in chance.sample([*setups.values()], len(setups)):
                threading.Event().wait(chance.uniform(*size.pause_s) / len(setups))
                setup.measure(number)
    seconds = {name: setup.seconds[1:] for name, setup in setups.items()}  # the first warms up
    p95_s = {name: round(_p95(one), 2) for name, one in seconds.items()}
    told = {
        name: {
            "median_s": round(statistics.median(one), 2),
            "p95_s": p95_s[name],
            "seconds": [round(second, 3) for second in one],
        }
        for name, one in seconds.items()
    }
    broken = [
        f"{name}: 95 % within {p95_s[name]} s, not {limit}"
        for name, limit in P95_S_MAX.items()
        if name in p95_s and p95_s[name] > limit
    ]
    return {"events": size.rounds, "setups": told, "broken": broken}


def _p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20, method="inclusive")[-1]


@contextmanager
def _running(names: Sequence[str]) -> Iterator[dict[str, SetUp]]:
    """Start these set-ups over one sandbox, each with its own database and daemon."""
    folder = Path(tempfile.mkdtemp(prefix="bank-bench-"))
    clock = VirtualClock(datetime.now(UTC), running=True)  # noqa: TID251 - an entry point
    sandbox = SandboxServer(world=World(7, clock=clock, logins=len(names)))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.enter_context(sandbox)
        [broker] = free_ports(1)
        stack.enter_context(_process(["redis-server", "--port", str(broker), "--save", ""], {}))
        setups = {}
        for login, name in zip(sandbox.world.logins, names, strict=True):
            variables = SETUPS[name]
            state = folder / name.split(",")[-1].strip().replace(" ", "-")
            state.mkdir()
            stack.callback(embedded.stop, state)
            environment = playground_environment(state, sandbox.url)
            environment |= {"BANK_PIPELINE_CLOCK_URL": ""}
            environment |= {key: value.format(broker=broker) for key, value in variables.items()}
            os.environ.pop("BANK_PIPELINE_WEBHOOK_WAIT_S", None)
            os.environ |= environment
            services = stack.enter_context(closing(build_services(Settings())))
            connection_id = link_simulated_bank(services, login)
            with services.sync.engine.connect() as db:
                setups[name] = SetUp(services, load_connection(db, connection_id))
            commands = [["serve", "daemon"]]
            if "BANK_PIPELINE_BROKER_URL" in variables:
                commands.append(["serve", "worker", "--runs", "2"])
            for command in commands:
                stack.enter_context(_process(python_command(*command), environment))
        sandbox.advance(timedelta(minutes=3))  # by then the simulated history is prepared
        yield setups


@contextmanager
def _process(command: list[str], environment: dict[str, Any]) -> Iterator[None]:
    """Run a process beside us, and end it with all that it started."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()
