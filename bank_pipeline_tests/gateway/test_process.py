"""The gateway as a process: killed in the middle of the load, and flooded until it would burst."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Final

import pytest
import sqlalchemy as sa
from rich.console import Console

from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline_tests.gateway.forgeries import PLAID, TELLER, Forger, Sent
from bank_pipeline_tests.gateway.wire import GatewayProcess, Wire, gateway_process
from bank_pipeline_tests.sync.conftest import sandbox
from bank_pipeline_tests.waiting import wait_until

__all__ = ["sandbox"]

SENDERS: Final = 16
BEFORE_THE_KILL: Final = 150
FLOOD: Final = 100_000
WARM: Final = 5_000
FLOOD_SENDERS: Final = 4
GROWTH_BYTES_MAX: Final = 24 * 2**20  # an interpreter breathes; a leak of 100 bytes each shows


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the process has the machine's clock


@pytest.fixture
def forger(sandbox: SandboxServer) -> Forger:
    keys = sandbox.plaid.keys
    return Forger(random.Random(7), keys.sign, keys.kids()[-1])


def stored(engine: sa.Engine) -> Counter[tuple[str, str]]:
    query = sa.text("SELECT provider, connection_external_id FROM bank.webhook_events")
    with engine.connect() as db:
        return Counter((row[0], row[1]) for row in db.execute(query))


class Load:
    """Senders, each with webhooks of its own, that go on until they are told to stop."""

    def __init__(self, forger: Forger, port: int) -> None:
        self._forger = forger
        self._port = port
        self._is_over = threading.Event()
        self.acknowledged: set[tuple[str, str]] = set()
        self.unanswered: list[tuple[str, str]] = []
        self.answers: Counter[int | None] = Counter()

    def run(self, sender: int) -> None:
        number = 0
        with closing(Wire(self._port)) as wire:
            while not self._is_over.is_set():
                number += 1
                name, path = f"s{sender}-{number}", (PLAID, TELLER)[number % 2]
                self.send(wire, path, name)

    def send(self, wire: Wire, path: str, name: str) -> None:
        key = (path.rpartition("/")[2], name)
        status = wire.send(self._forger.genuine(path, now(), name))
        self.answers[status] += 1
        if status == 200:
            self.acknowledged.add(key)
        else:
            self.unanswered.append(key)

    def stop(self) -> None:
        self._is_over.set()


@pytest.mark.large
def test_a_gateway_that_is_killed_loses_nothing_that_it_acknowledged(
    engine: sa.Engine, database_url: str, sandbox: SandboxServer, forger: Forger, tmp_path: Path
) -> None:
    """What got no answer comes again, as from providers; of Teller's, which have ids, no two."""
    with (
        gateway_process(tmp_path, sandbox.url, database_url=database_url) as gateway,
        ThreadPoolExecutor(SENDERS) as pool,
    ):
        load = Load(forger, gateway.port)
        for sender in range(SENDERS):
            pool.submit(load.run, sender)
        wait_until(lambda: len(load.acknowledged) >= BEFORE_THE_KILL, seconds=30)
        gateway.kill()
        load.stop()
    assert load.unanswered, "the kill met the load"
    wait_until(lambda: _sessions(engine) == 1, seconds=10, what="the end of its transactions")

    assert load.acknowledged <= set(stored(engine))
    with (
        gateway_process(tmp_path, sandbox.url, database_url=database_url) as gateway,
        closing(Wire(gateway.port)) as wire,
    ):
        for provider, name in [*load.unanswered]:
            load.send(wire, f"/webhooks/{provider}", name)
    held = stored(engine)
    assert set(held) == load.acknowledged
    assert {count for (provider, _), count in held.items() if provider == "teller"} == {1}


@pytest.mark.flood
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_bad_webhooks_leave_counts_and_nothing_else(
    engine: sa.Engine, database_url: str, sandbox: SandboxServer, forger: Forger, tmp_path: Path
) -> None:
    """None is believed, none is a failure of ours, and the process holds no more memory."""
    with gateway_process(tmp_path, sandbox.url, database_url=database_url) as gateway:
        flood(gateway, forger, WARM, seed=1)
        before, begin = gateway.memory_bytes(), perf_counter()
        wrong = flood(gateway, forger, FLOOD, seed=2)
        after = gateway.memory_bytes()
    megabytes = f"{before / 2**20:.1f} MB before, {after / 2**20:.1f} MB after"
    Console().print(f"\nmemory: {megabytes}, {FLOOD / (perf_counter() - begin):.0f} per second")

    assert wrong == Counter()
    assert set(stored(engine)) == set()
    with engine.connect() as db:
        rows, times = db.execute(
            sa.text("SELECT count(*), sum(times) FROM bank.webhook_refusals")
        ).one()
    assert times == WARM + FLOOD
    assert rows <= 200
    assert after - before <= GROWTH_BYTES_MAX


def flood(
    gateway: GatewayProcess, forger: Forger, count: int, *, seed: int
) -> Counter[tuple[str, str, int | None]]:
    """Send so many bad webhooks; return those that were answered as they must not be."""

    def pour(number: int) -> Counter[tuple[str, str, int | None]]:
        own = Forger(random.Random(seed * 100 + number), forger.plaid_sign, forger.key_id)
        wrong: Counter[tuple[str, str, int | None]] = Counter()
        with closing(Wire(gateway.port)) as wire:
            for one in _some(own.endless(now), count // FLOOD_SENDERS):
                status = wire.send(one)
                hung_up = one.kind == "size" and status is None
                if status not in one.statuses and not hung_up:
                    wrong[one.kind, one.path, status] += 1
        return wrong

    with ThreadPoolExecutor(FLOOD_SENDERS) as pool:
        return sum(pool.map(pour, range(FLOOD_SENDERS)), Counter())


def _some(endless: Iterator[Sent], count: int) -> Iterator[Sent]:
    for _ in range(count):
        yield next(endless)


def _sessions(engine: sa.Engine) -> int:
    """Count the sessions in a transaction: this one, and those of a dead gateway."""
    query = sa.text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND xact_start IS NOT NULL"
    )
    with engine.connect() as db:
        return int(db.scalar(query) or 0)
