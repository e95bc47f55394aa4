"""A mail server and a webhook receiver on local ports: what notices are delivered to in tests."""

import email
import email.policy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import SecretStr

from bank_pipeline_tests.ports import free_ports


@dataclass
class MailServer:
    """Takes every mail; `refusals` is how many it refuses before."""

    port: int = 0
    refusals: int = 0
    mails: list[EmailMessage] = field(default_factory=list)

    @property
    def url(self) -> SecretStr:
        """Its address, as a team stores it."""
        return SecretStr(
            f"mailto://127.0.0.1:{self.port}/?to=alice@example.com&from=bank@example.com&mode=insecure"
        )

    @property
    def subjects(self) -> list[str]:
        """What came, in its order."""
        return [str(mail["Subject"]) for mail in self.mails]

    def html(self, number: int = 0) -> str:
        """The page of one mail."""
        part = self.mails[number].get_body(("html",))
        assert part is not None, "a mail has a page"
        return str(part.get_content())

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's name
        """Take one mail."""
        if self.refusals:
            self.refusals -= 1
            return "451 Try again later"
        content = envelope.original_content or b""
        parsed = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage), "the default policy makes such"
        self.mails.append(parsed)
        return "250 OK"


@dataclass
class WebhookReceiver:
    """Takes every POST; `refusals` is how many it refuses before."""

    port: int = 0
    refusals: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str | None] = field(default_factory=list)

    @property
    def url(self) -> SecretStr:
        """Its address, with a token in it, as a team stores it."""
        return SecretStr(f"json://127.0.0.1:{self.port}/hooks/canary-token-of-the-hook")

    @property
    def titles(self) -> list[str]:
        """What came, in its order."""
        return [str(body["title"]) for body in self.bodies]


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """Serve mail on a local port."""
    server = MailServer(port=free_ports(1)[0])  # aiosmtpd cannot choose one itself
    controller = Controller(server, hostname="127.0.0.1", port=server.port)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


@contextmanager
def webhook_receiver() -> Iterator[WebhookReceiver]:
    """Serve a webhook's receiver on a local port."""
    receiver = WebhookReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_refused = receiver.refusals > 0
            if is_refused:
                receiver.refusals -= 1
            else:
                receiver.bodies.append(json.loads(body))
                receiver.ids.append(self.headers["X-Notification-Id"])
            self.send_response(503 if is_refused else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        receiver.port = server.server_address[1]
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
