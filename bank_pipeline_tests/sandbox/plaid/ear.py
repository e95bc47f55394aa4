"""A receiver of webhooks, which answers as a test wishes."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Heard:
    """One webhook as it arrived."""

    body: bytes
    signature: str | None

    @property
    def json(self) -> dict[str, Any]:
        """The body, read."""
        read: dict[str, Any] = json.loads(self.body)
        return read


class Ear:
    """
    Listen on loopback. `answers` are given one after the other, then 200 for ever.

    `signature_header` is the provider's.
    """

    def __init__(self, signature_header: str = "Plaid-Verification") -> None:
        self.heard: list[Heard] = []
        self.changed = threading.Condition()
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.always: int = 200
        ear = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with ear.changed:
                    ear.heard.append(Heard(body, self.headers.get(signature_header)))
                    ear.changed.notify_all()
                status, headers = ear.answers.pop(0) if ear.answers else (ear.always, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """Where to send webhooks."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def wait_for(self, count: int) -> bool:
        """Wait until so many webhooks were heard; say whether they were."""
        with self.changed:
            return self.changed.wait_for(lambda: len(self.heard) >= count, 10)

    def codes(self) -> Sequence[str]:
        """Return the codes heard so far, in order."""
        return [one.json["webhook_code"] for one in self.heard]

    def last(self, code: str) -> dict[str, Any]:
        """Return the latest webhook of a code."""
        return next(one.json for one in reversed(self.heard) if one.json["webhook_code"] == code)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
