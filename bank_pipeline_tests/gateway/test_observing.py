"""Every request has an id and leaves one line, which tells what was asked and nothing of whom."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from bank_pipeline.bootstrap import Services
from bank_pipeline.config import Settings
from bank_pipeline.gateway.app import create_app
from bank_pipeline.gateway.meters import Meters
from bank_pipeline.gateway.observing import GONE, Observed
from bank_pipeline_tests.gateway.conftest import Gate
from bank_pipeline_tests.logs.lines import Lines
from bank_pipeline_tests.sync.ground import Ground
from bank_pipeline_tests.waiting import wait_until

ID: Final = "X-Request-Id"
SECRETS: Final = {
    "token": "access-sandbox-canary-1",
    "code": "canary-2",
    "key": "bpk_canary3",
    "cookie": "canary-4",
    "body": "canary-5",
    "path": "canary-6",
}


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What the gateway's process writes, from DEBUG on."""
    with Lines().beside("bank_pipeline") as heard:
        yield heard


def answered(lines: Lines, count: int = 1) -> list[dict[str, Any]]:
    """Return the lines of so many requests: each is written when its answer is out already."""

    def found() -> list[dict[str, Any]]:
        return [line for line in lines.read() if line["event"] == "answered"]

    wait_until(lambda: len(found()) >= count, seconds=10, what="a line of each request")
    return found()


def test_a_request_leaves_one_line_without_what_was_in_it(gate: Gate, lines: Lines) -> None:
    answers = [
        gate.http.post(
            f"/{method}/{SECRETS['path']}",
            params={"access_token": SECRETS["token"], "code": SECRETS["code"]},
            headers={"Authorization": f"Bearer {SECRETS['key']}", "Cookie": SECRETS["cookie"]},
            content=SECRETS["body"],
        )
        for method in ("link/return", "webhooks", "api/v1/accounts", "nowhere")
    ]
    found = answered(lines, len(answers))

    assert [line["route"] for line in found] == [
        "/link/return/{provider}",
        "unmatched",
        "/api/v1/accounts/{account_id}",
        "unmatched",
    ]
    assert [line["status"] for line in found] == [one.status_code for one in answers]
    assert [line["request_id"] for line in found] == [one.headers[ID] for one in answers]
    assert {line["method"] for line in found} == {"POST"}
    assert all(0 <= line["ms"] < 60_000 for line in found)
    assert set(found[0]) == {
        "at", "level", "logger", "event", "method", "route", "status", "ms", "request_id",
    }  # fmt: skip
    assert [one for one in SECRETS.values() if one in lines.text] == []


def test_an_id_is_taken_over_if_it_has_the_form_of_one(gate: Gate) -> None:
    for given in ("01a1fec9-d97d-7611-a12e-f9d5f4f08839", "a" * 64, "Root-1.2_345"):
        assert gate.http.get("/live", headers={ID: given}).headers[ID] == given
    for given in ("", "short", "a" * 65, "a b c d e f g", "<script>x</script>", "é" * 10,
                  "access-sandbox-canary", "bpk_canary1234", "token_abcdefgh",
                  "DE89370400440532013000"):  # fmt: skip
        made = gate.http.get("/live", headers={ID.encode(): given.encode()})
        assert str(UUID(made.headers[ID])) == made.headers[ID]


def test_each_request_has_an_id_of_its_own(gate: Gate) -> None:
    assert len({gate.http.get("/live").headers[ID] for _ in range(5)}) == 5


def ask(app: FastAPI, *paths: str) -> list[httpx.Response]:
    """Ask an application within this process, all at once."""

    async def ask_all() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
            return await asyncio.gather(*map(http.get, paths))

    return asyncio.run(ask_all())


@pytest.fixture
def app(ground: Ground) -> FastAPI:
    return create_app(Services(settings=Settings(_env_file=None), sync=ground.context))


def test_what_is_written_on_the_way_has_the_requests_id(app: FastAPI, lines: Lines) -> None:
    """In the threads, too, in which requests are served side by side."""
    together = threading.Barrier(3, timeout=10)

    def work(number: int) -> None:
        together.wait()
        logging.getLogger("bank_pipeline.work").info("at work", extra={"number": number})
        together.wait()

    app.add_api_route("/works/{number}", work)
    answers = ask(app, *(f"/works/{number}" for number in range(3)))
    worked = {line["number"]: line["request_id"] for line in lines.read() if "number" in line}

    assert [one.status_code for one in answers] == [200] * 3
    assert worked == {number: one.headers[ID] for number, one in enumerate(answers)}
    assert len({*worked.values()}) == 3


def test_a_failure_is_told_with_the_requests_id_and_without_words(
    app: FastAPI, lines: Lines
) -> None:
    def fail() -> None:
        secret = "canary-local"
        raise ValueError(f"{secret} canary-words")

    app.add_api_route("/api/fails/{what}", fail)
    [answer] = ask(app, "/api/fails/canary-path?x=canary-query")
    [failure] = [line for line in lines.read() if line["level"] == "error"]
    [line] = answered(lines)

    assert answer.status_code == 500
    assert answer.json()["request_id"] == answer.headers[ID] == failure["request_id"]
    assert (line["status"], line["route"]) == (500, "/api/fails/{what}")
    assert failure["exception"][0]["error"] == "ValueError"
    assert "test_observing.py" in failure["exception"][0]["frames"][-1]
    assert "canary" not in lines.text + answer.text


def test_who_leaves_before_the_answer_is_told_as_that(lines: Lines) -> None:
    async def never_answer(*_: object) -> None:
        """Answer nothing, as a handler does whose client is gone."""

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/leaves", "headers": []}
    observed = Observed(never_answer, routes=[], meters=Meters())
    asyncio.run(observed(scope, receive, never_answer))

    assert [line["status"] for line in answered(lines)] == [GONE]


def test_probes_are_written_only_for_who_wants_everything(gate: Gate, lines: Lines) -> None:
    for path in ("/live", "/ready", "/metrics", "/api/v1/team"):
        gate.http.get(path)

    levels = {line["route"]: line["level"] for line in answered(lines, 4)}
    assert levels == {
        "/live": "debug",
        "/ready": "debug",
        "/metrics": "debug",
        "/api/v1/team": "info",
    }
