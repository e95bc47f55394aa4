"""A purpose-made HTTP server that answers what a test tells it to, faults included."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Fault = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Reply:
    """One answer; `body` is sent as it is when it is bytes, else as JSON."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: Any
    method: str = "POST"


@dataclass
class Stub:
    """Plays its replies in order and repeats the last; keeps every request."""

    url: str = ""
    replies: list[Reply | Fault] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)

    def plays(self, *replies: Reply | Fault) -> None:
        self.replies = list(replies)

    def next_reply(self) -> Reply | Fault:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the play."""


@contextmanager
def serve() -> Iterator[Stub]:
    stub = Stub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # headers and body go apart: 40 ms for every answer

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length) or b"null")
            headers = {name.lower(): value for name, value in self.headers.items()}
            stub.received.append(Received(self.path, headers, body, self.command))
            reply = stub.next_reply()
            self.received_body = body
            if isinstance(reply, Reply):
                _send(self, reply)
            else:
                self.close_connection = True
                reply(self)

        def do_GET(self) -> None:
            self.do_POST()

        def do_DELETE(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Stay silent."""

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def unreachable(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give an address that leaves whoever wants to connect without an answer, and soon."""
    monkeypatch.setattr("bank_pipeline.providers.http.CONNECT_TIMEOUT_S", 0.3)
    with socket.socket() as full, ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # nobody takes them in, and the queue is full
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}"


def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    handler.send_response(reply.status)
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    for name, value in (headers | reply.headers).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def resets(handler: BaseHTTPRequestHandler) -> None:
    """Reset the connection before a single byte."""
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()


def truncates(handler: BaseHTTPRequestHandler) -> None:
    """Promise 1,000 bytes, send a few, hang up."""
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"added": [')


def hangs(handler: BaseHTTPRequestHandler) -> None:
    """Say nothing until the client has given up."""
    handler.connection.settimeout(5)
    handler.rfile.read(1)


def drips(handler: BaseHTTPRequestHandler) -> None:
    """Send headers, then nothing."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    hangs(handler)
