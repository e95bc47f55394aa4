"""`/live` and `/ready`: true, in time, and silent about everything but states."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Final

import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.bootstrap import Services
from bank_pipeline.config import Settings
from bank_pipeline.domain.circuit import after_refusal, healthy
from bank_pipeline.domain.connection import Provider
from bank_pipeline.gateway import health
from bank_pipeline.gateway.refreshed import Refreshed
from bank_pipeline.gateway.serve import GatewayThread
from bank_pipeline.providers.cache import build_cache
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.provider_health import save_provider_health
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline_tests.gateway.conftest import Gate
from bank_pipeline_tests.sync.ground import Ground

ASKERS: Final = 50  # more than there are threads for requests


@contextmanager
def gateway_with(
    ground: Ground, settings: Settings | None = None, **parts: Any
) -> Iterator[httpx.Client]:
    """Serve a gateway some of whose parts are others."""
    services = Services(
        settings=settings or Settings(_env_file=None), sync=replace(ground.context, **parts)
    )
    with GatewayThread(services) as gateway, httpx.Client(base_url=gateway.url) as http:
        yield http


class SilentServer:
    """Listens, accepts and never answers, until it hangs up on everybody."""

    def __init__(self) -> None:
        self._accepted: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listening.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._accepted.append(self._listening.accept()[0])

    def hang_up(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)
        for one in self._accepted:
            one.close()


def test_says_that_it_is_alive_and_names_what_it_needs(gate: Gate) -> None:
    ready = gate.http.get("/ready")

    assert gate.http.get("/live").json() == {"status": "alive"}
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "database": "reachable",
        "schema": "current",
        "encryption_key": "opens credentials",
        "providers": {
            "plaid": "on",
            "gocardless": "off",
            "teller": "off",
            "enable_banking": "off",
        },
    }


def test_a_paused_provider_is_named_and_no_reason_to_send_nobody(gate: Gate) -> None:
    """For as long as a sync waits for it: one that nobody's go through is not probed any more."""
    connection_id = gate.ground.link()
    now = gate.ground.context.clock()
    refused = after_refusal(healthy(Provider.PLAID, now=now), "INVALID_API_KEYS", now=now)
    with gate.ground.engine.begin() as db:
        save_provider_health(db, refused)

    ready = gate.http.get("/ready")

    assert (ready.status_code, ready.json()["providers"]["plaid"]) == (200, "paused")

    disconnect(gate.ground.context, connection_id)
    with gateway_with(gate.ground) as http:  # what the other has just read is good for a second
        assert http.get("/ready").json()["providers"]["plaid"] == "on"


@pytest.mark.parametrize(("revision", "said"), [("0011", "older"), ("9999", "newer")])
def test_tables_of_another_release_are_told(gate: Gate, revision: str, said: str) -> None:
    [[head]] = gate.ground.query("SELECT version_num FROM bank.alembic_version")
    change = "UPDATE bank.alembic_version SET version_num = :revision"
    gate.ground.execute(change, revision=revision)
    try:
        ready = gate.http.get("/ready")
    finally:
        gate.ground.execute(change, revision=head)

    assert (ready.status_code, ready.json()["schema"]) == (200, said)


def test_while_tables_are_being_changed_it_goes_on_being_ready(gate: Gate) -> None:
    """As while a newer release migrates: what is locked is unknown, and nobody waits for it."""
    with gate.ground.engine.begin() as db:
        db.execute(sa.text("LOCK TABLE bank.encryption_keys, bank.provider_health"))
        ready = gate.http.get("/ready")

    assert ready.status_code == 200
    assert ready.json()["schema"] == "current"
    assert ready.json()["encryption_key"] == "unknown"
    assert ready.json()["providers"]["plaid"] == "on"


def test_a_key_that_opens_nothing_is_told(ground: Ground) -> None:
    ground.link()

    with gateway_with(ground, vault=Vault([bytes(32)])) as http:
        ready = http.get("/ready")

    assert ready.json()["encryption_key"] == "does not open credentials"


def test_a_cache_that_hosts_share_is_named_where_there_is_one(ground: Ground) -> None:
    settings = Settings(_env_file=None, redis_url=SecretStr("redis://:canary@127.0.0.1:1/0"))

    with gateway_with(ground, settings, cache=build_cache(settings)) as http:
        ready = http.get("/ready")

    assert (ready.status_code, ready.json()["cache"]) == (200, "unreachable")
    assert "canary" not in ready.text


def test_a_database_that_hangs_is_told_within_two_seconds(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even when every thread that serves requests hangs with it; and it stays alive."""
    assert health.READY_S_MAX <= 1.5
    monkeypatch.setattr(health, "READY_S_MAX", 0.3)  # the rest is room for this machine's pauses
    server = SilentServer()
    url = f"postgresql://someone:canary@127.0.0.1:{server.port}/somewhere"
    engine = build_engine(url, connections_max=ASKERS)
    key = {"Authorization": f"Bearer bpk_{'0' * 32}_{'x' * 43}"}
    with ThreadPoolExecutor(ASKERS) as pool, gateway_with(ground, engine=engine) as http:
        for _ in range(ASKERS):
            pool.submit(httpx.get, f"{http.base_url}/api/v1/team", headers=key, timeout=60)
        deadline_s = time.monotonic() + 10
        while engine.pool.checkedout() < ASKERS - 10 and time.monotonic() < deadline_s:  # type: ignore[attr-defined]
            http.get("/live")
        begun_s = time.monotonic()
        ready = http.get("/ready")
        took_s = time.monotonic() - begun_s
        live = http.get("/live")
        server.hang_up()

    assert took_s < 2.0
    assert ready.status_code == 503
    assert ready.json()["database"] == "unreachable"
    assert "127.0.0.1" not in ready.text
    assert "canary" not in ready.text
    assert live.status_code == 200


def test_a_database_that_is_away_is_told_at_once_and_again_when_it_is_back(gate: Gate) -> None:
    away = build_engine("postgresql://someone:canary@127.0.0.1:1/somewhere")

    with gateway_with(gate.ground, engine=away) as http:
        ready = http.get("/ready")

    assert ready.status_code == 503
    assert ready.json() == {
        "status": "not ready",
        "database": "unreachable",
        "providers": gate.http.get("/ready").json()["providers"],
    }


def test_many_who_ask_at_once_cost_one_look() -> None:
    gate, looks = threading.Event(), []

    def look() -> int:
        looks.append(1)
        gate.wait(5)
        return len(looks)

    async def ask() -> list[int | None]:
        found = Refreshed("test", look, fresh_s=60)
        hasty = await found.get(wait_s=0.01)
        others = [asyncio.ensure_future(found.get(wait_s=5)) for _ in range(20)]
        await asyncio.sleep(0)
        gate.set()
        return [hasty, *await asyncio.gather(*others), await found.get(wait_s=0)]

    assert asyncio.run(ask()) == [None, *[1] * 21]


def test_a_look_that_fails_gives_no_value_and_is_not_repeated_at_once() -> None:
    looks: list[int] = []

    def look() -> int:
        looks.append(1)
        raise RuntimeError("canary")

    async def ask() -> list[int | None]:
        found = Refreshed("test", look, fresh_s=60)
        return [await found.get(wait_s=5) for _ in range(3)]

    assert asyncio.run(ask()) == [None] * 3
    assert len(looks) == 1


def test_a_look_that_could_not_begin_is_begun_by_the_next_who_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where a machine has no thread to give just then."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def ask() -> int | None:
        found = Refreshed("test", lambda: 7, fresh_s=60)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError):
                await found.get(wait_s=5)
        return await found.get(wait_s=5)

    assert asyncio.run(ask()) == 7
