"""
Send messages through apprise: mail, Slack, Teams, Discord, webhooks and others, by URL.

An address is a secret: it is in no error, no log and no answer of these functions.
"""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from bank_pipeline.channels.message import Message
from bank_pipeline.errors import RefusedError

if TYPE_CHECKING:
    from apprise import NotifyBase

NOTICE_HEADER: Final = "X-Notification-Id"
"""Equal whenever one notice is sent again: receivers that look at it tell a repetition."""

KEY_HEADER: Final = "Idempotency-Key"

_NO_PAGES: Final = frozenset({"tgram"})  # takes a few tags of HTML within a text, and no page
_HTTP_ERROR: Final = re.compile(r"error=(\d{3})")
_APPRISE: Final = logging.getLogger("apprise")
_URLLIB3: Final = logging.getLogger("urllib3.connectionpool")  # tells paths, which hold tokens


def describe_service(url: SecretStr) -> str:
    """
    Return what kind of service an address belongs to, such as `Slack`.

    Raises:
        RefusedError: no service has such an address.
    """
    return str(_open(url).service_name)


def send(url: SecretStr, message: Message, *, notice_id: str) -> str | None:
    """Send one message to one address; return None, or a class of failure that is safe to show."""
    from apprise import NotifyFormat  # noqa: PLC0415 -- as in `_open`

    try:
        service = _open(url)
    except RefusedError:
        return "AddressUnusable"
    if isinstance(headers := getattr(service, "headers", None), dict):
        headers |= {NOTICE_HEADER: notice_id, KEY_HEADER: notice_id}
    scheme = url.get_secret_value().partition(":")[0].lower()
    is_html = service.resolve_format() == NotifyFormat.HTML and scheme not in _NO_PAGES
    with _overheard() as heard:
        try:
            is_sent = service.notify(
                body=message.html if is_html else message.text,
                title=message.subject,
                body_format=NotifyFormat.HTML if is_html else NotifyFormat.TEXT,
            )
        except Exception as error:  # noqa: BLE001 -- a plug-in's words may quote the address
            return type(error).__name__
    if is_sent:
        return None
    status = _HTTP_ERROR.search("\n".join(heard))
    return f"HTTP {status.group(1)}" if status else "NotDelivered"


def _open(url: SecretStr) -> "NotifyBase":
    # Here and not above: it loads over a hundred services, which takes most of a second.
    from apprise import Apprise  # noqa: PLC0415

    with _overheard():
        service = Apprise.instantiate(url.get_secret_value())
    if service is None:
        raise RefusedError(
            "no service is known by this address: see docs/notifications.md for examples"
        )
    return service


class _Ear(logging.Handler):
    """Hears what this thread logs, and lets nothing of it go further."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.lines.append(record.getMessage())

    def drop(self, record: logging.LogRecord) -> bool:
        """Say whether a record may be logged: only others', while this thread sends."""
        return record.thread != self._thread


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """Keep what names an address out of every log, and hand over apprise's own words."""
    ear = _Ear()
    _APPRISE.propagate = False
    _APPRISE.addHandler(ear)
    _URLLIB3.addFilter(ear.drop)
    try:
        yield ear.lines
    finally:
        _APPRISE.removeHandler(ear)
        _URLLIB3.removeFilter(ear.drop)
