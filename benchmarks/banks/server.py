"""
A server that answers from memory: in a process of its own, so that its CPU is counted apart.

    python -m benchmarks.banks.server PORT

It is told the day by `POST /_day/1`, and tells what it was asked by `GET /_asked`. Plaid's
connections of a number from `LONG` on have a long history, whose pages their number tells.
"""

import asyncio
import base64
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import psutil

from bank_pipeline.providers.http import build_http
from bank_pipeline_tests.ports import free_ports
from bank_pipeline_tests.waiting import answers, wait_until
from benchmarks.banks.answers import (
    HISTORY_PAGE_ROWS,
    Answers,
    build_answers,
    build_history_page,
)
from benchmarks.banks.rows import NUMBER, PAGE

START_S: Final = 30.0
LONG: Final = 90_000_000
"""The first number of connections with a long history: what is above it are thousands of rows."""

_ROWS_PER_NUMBER: Final = 1_000
_PAGE: Final = re.compile(rb'"cursor": *"page-(\d{6})"')
_MORE: Final = b'"has_more": true'
_NO_MORE: Final = b'"has_more": false'
_NUMBERED: Final = re.compile(rb"(?<=[-_])\d{8}")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BASIC: Final = re.compile(rb"\r\nauthorization: *Basic ([^\r]+)", re.IGNORECASE)
_ROOT: Final = NUMBER.encode()
_PAGE_MARK: Final = PAGE.encode()


class _Bank:
    """What all connections to the server share: the answers, the day, and a count."""

    def __init__(self, answers: Answers, history_page: bytes) -> None:
        self._history_page = history_page
        self._answers = {
            (route.encode(), day): (body, body.count(_ROOT))
            for (route, day), body in answers.items()
        }
        self._day = 0
        self.asked: Counter[str] = Counter()

    def answer(self, head: bytes, body: bytes) -> bytes:
        """Return the answer to one request."""
        method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
        path = target.split(b"?", 1)[0]
        if path.startswith(b"/_"):
            return self._control(path)
        found = _NUMBERED.search(path)
        if found is not None:
            path = path[: found.start()] + _ROOT + path[found.end() :]
        else:
            found = _NUMBERED.search(body) or _NUMBERED.search(_token(head))
        route = method + b" " + path
        self.asked[route.decode()] += 1
        if path == b"/transactions/sync" and found is not None and int(found.group()) >= LONG:
            return self._history(found.group(), body)
        day = int(b'"cursor"' in body) if path == b"/transactions/sync" else self._day
        held = self._answers.get((route, day))
        if held is None:
            return _reply(b"404 Not Found", b"{}")
        text, _ = held
        return _reply(b"200 OK", text if found is None else text.replace(_ROOT, found.group()))

    def _history(self, number: bytes, body: bytes) -> bytes:
        """Return the next page of a long history; after the last one nothing has changed."""
        before = _PAGE.search(body)
        page = 1 if before is None else int(before.group(1)) + 1
        pages = (int(number) - LONG) * _ROWS_PER_NUMBER // HISTORY_PAGE_ROWS
        text = self._history_page.replace(_ROOT, number).replace(_PAGE_MARK, b"%06d" % page)
        return _reply(b"200 OK", text if page < pages else text.replace(_MORE, _NO_MORE))

    def _control(self, path: bytes) -> bytes:
        if path.startswith(b"/_day/"):
            self._day = int(path[6:])
        if path == b"/_asked":
            asked, self.asked = self.asked, Counter()
            return _reply(b"200 OK", json.dumps(asked).encode())
        return _reply(b"200 OK", b"{}")


def _token(head: bytes) -> bytes:
    found = _BASIC.search(head)
    return b"" if found is None else base64.b64decode(found.group(1))


def _reply(status: bytes, body: bytes) -> bytes:
    return (
        b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % (status, len(body))
    ) + body


class _Wire(asyncio.Protocol):
    """One connection: a request at a time, as our clients send them."""

    def __init__(self, bank: _Bank) -> None:
        self._bank = bank
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "a socket"
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end]
            found = _LENGTH.search(head)
            whole = end + 4 + (int(found.group(1)) if found else 0)
            if len(self._held) < whole:
                return
            body, self._held = self._held[end + 4 : whole], self._held[whole:]
            self._transport.write(self._bank.answer(head, body))


async def _serve(port: int) -> None:
    today = datetime.now(UTC).date()  # noqa: TID251 - an entry point
    bank = _Bank(build_answers(today), build_history_page(today))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Wire(bank), "127.0.0.1", port, backlog=512)
    await server.serve_forever()


@dataclass(frozen=True)
class PreparedBanks:
    """The running server."""

    url: str
    pid: int

    def set_day(self, day: int) -> None:
        """Let the banks of all connections tell what they have on that day."""
        with build_http(read_timeout_s=5) as http:
            http.post(f"{self.url}/_day/{day}").raise_for_status()

    def take_asked(self) -> Counter[str]:
        """Return how often each route was asked since the last time, and count anew."""
        with build_http(read_timeout_s=5) as http:
            return Counter(http.get(f"{self.url}/_asked").raise_for_status().json())

    def cpu_s(self) -> float:
        """Return the CPU that the server took so far."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system


@contextmanager
def prepared_banks() -> Iterator[PreparedBanks]:
    """Run the server in a process beside us."""
    [port] = free_ports(1)
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.banks.server", str(port)])
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{url}/_live"), seconds=START_S, what=url)
        yield PreparedBanks(url, process.pid)
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
