"""
The receiver of webhooks: 64 senders at once, for half a minute.

A real gateway over a durable Postgres, and the same server without a database, in turns of some
seconds; half of the webhooks are Plaid's, half Teller's, all signed, each of another connection.
Afterwards every acknowledged one has to be in the inbox.
"""

import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import sqlalchemy as sa
import uvicorn

from bank_pipeline.bootstrap import build_services
from bank_pipeline.cli.playground import playground_environment
from bank_pipeline.cli.processes import python_command
from bank_pipeline.config import Settings
from bank_pipeline.gateway import serve
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline.storage import embedded
from bank_pipeline.storage.engine import build_engine, resolve_database
from bank_pipeline.sync import inbox
from bank_pipeline_tests.gateway.forgeries import PLAID, SECRET, TELLER, Forger
from bank_pipeline_tests.ports import free_ports
from bank_pipeline_tests.waiting import answers, wait_until

SENDERS: Final = 64
SECONDS: Final = {"short": 2.0, "full": 30.0}
WARM_S: Final = 1.0
TURNS: Final = 6
PER_SECOND_MAX: Final = 4_000
"""So many are signed beforehand: none of the two answers more."""
WARM_COUNT: Final = round(PER_SECOND_MAX * WARM_S)
READY_S: Final = 60
OK: Final = b"200"


@dataclass
class Server:
    """One of the two, and what was measured of it."""

    name: str
    port: int
    seconds: list[float] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    refused: int = 0
    lasted_s: float = 0.0

    def figures(self) -> dict[str, Any]:
        """Return what is told of it."""
        ordered = sorted(self.seconds)
        return {
            "per_second": round(len(ordered) / self.lasted_s),
            "p50_ms": round(_quantile(ordered, 0.5) * 1000, 1),
            "p99_ms": round(_quantile(ordered, 0.99) * 1000, 1),
            "longest_ms": round(ordered[-1] * 1000, 1),
            "accepted": len(self.accepted),
            "not_accepted": self.refused,
        }


def measure(size_name: str) -> dict[str, Any]:
    """Measure; return the figures, and what was lost or refused."""
    seconds = SECONDS[size_name]
    with _running() as (stored, bare, forger):
        for server in (stored, bare):  # the first turn warms up: keys, connections, caches
            asyncio.run(_turn(server, _signed(forger, f"warm-{server.name}", WARM_COUNT), WARM_S))
            server.seconds, server.lasted_s = [], 0.0
        for turn in range(TURNS):
            for server in (stored, bare) if turn % 2 else (bare, stored):
                count = round(PER_SECOND_MAX * seconds / TURNS)
                requests = _signed(forger, f"{server.name}-{turn}", count)
                asyncio.run(_turn(server, requests, seconds / TURNS))
        held = _held()
    lost = len(stored.accepted - held)
    broken = {"acknowledged, and not in the inbox": lost, "refused": stored.refused}
    return {
        "senders": SENDERS,
        "seconds_of_each": seconds,
        "servers": {server.name: server.figures() for server in (stored, bare)},
        "lost": lost,
        "broken": [f"{count} {words}" for words, count in broken.items() if count],
    }


async def _turn(server: Server, requests: Sequence[tuple[str, bytes]], seconds: float) -> None:
    """Let all senders send one webhook after the other for so long."""
    waiting = iter(requests)
    begin = perf_counter()

    async def send() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        while perf_counter() - begin < seconds:
            found = next(waiting, None)
            assert found is not None, "more webhooks have to be signed beforehand"
            name, request = found
            sent_at = perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            server.seconds.append(perf_counter() - sent_at)
            if head.split(b" ", 2)[1] == OK:
                server.accepted.add(name)
            else:
                server.refused += 1
        writer.close()

    await asyncio.gather(*(send() for _ in range(SENDERS)))
    server.lasted_s += perf_counter() - begin


def _signed(forger: Forger, name: str, count: int) -> list[tuple[str, bytes]]:
    """Return whole requests, signed now: they are believed for minutes."""
    now = datetime.now(UTC)  # noqa: TID251 - an entry point
    made = []
    for number in range(count):
        sent = forger.genuine((PLAID, TELLER)[number % 2], now, f"{name}-{number}")
        lines = [f"POST {sent.path} HTTP/1.1", "Host: us", f"Content-Length: {len(sent.body)}"]
        lines += [f"{header}: {value}" for header, value in sent.headers]
        made.append((f"{name}-{number}", "\r\n".join([*lines, "", ""]).encode() + sent.body))
    return made


@contextmanager
def _running() -> Iterator[tuple[Server, Server, Forger]]:
    folder = Path(tempfile.mkdtemp(prefix="bank-bench-"))
    sandbox = SandboxServer(world=World(7, clock=VirtualClock(datetime.now(UTC))))  # noqa: TID251
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.enter_context(sandbox)
        stack.callback(embedded.stop, folder)
        os.environ |= playground_environment(folder, sandbox.url) | {
            "BANK_PIPELINE_CLOCK_URL": "",
            "TELLER_APPLICATION_ID": "app_sandbox",
            "TELLER_BASE_URL": sandbox.url,
            "TELLER_SIGNING_SECRET": SECRET,
        }
        build_services(Settings()).close()
        ports = free_ports(2)
        commands = [
            python_command("gateway", "--port", str(ports[0])),
            [sys.executable, "-m", "benchmarks.receiver", str(ports[1])],
        ]
        for command in commands:
            process = subprocess.Popen(command)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        for port in ports:
            url = f"http://127.0.0.1:{port}/live"
            wait_until(lambda url=url: answers(url), seconds=READY_S, what=url)  # type: ignore[misc]
        keys = sandbox.plaid.keys
        forger = Forger(random.Random(7), keys.sign, keys.kids()[-1])
        yield Server("with a database", ports[0]), Server("without", ports[1]), forger


def serve_bare(port: int) -> None:
    """Serve the same receiver, which verifies everything and stores nothing."""
    services = build_services(Settings())

    vars(inbox).update(store_plain_events=lambda *_, **__: None)
    uvicorn.Server(serve.configuration(services, host="127.0.0.1", port=port)).run()


def _held() -> set[str]:
    engine = build_engine(resolve_database(Settings()).url)
    query = sa.text("SELECT connection_external_id FROM bank.webhook_events")
    with engine.connect() as db:
        held = set(db.scalars(query))
    engine.dispose()
    return held


def _quantile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


if __name__ == "__main__":
    serve_bare(int(sys.argv[1]))
