"""A record of every request, for tests that must say what was and was not sent. Pure."""

import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bank_pipeline.sandbox.wire import moment_text

_KEPT: Final = 10_000
_SECRET_HEADERS: Final = frozenset({"authorization", "cookie"})


@dataclass(frozen=True)
class LoggedRequest:
    """
    One request and the status it was answered with.

    A secret header is replaced by a fingerprint, so that equal ones can be told.
    """

    at: datetime
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    operation: str
    subject: str
    status: int

    def to_json(self) -> dict[str, Any]:
        """Return the record for the control API."""
        return {
            "at": moment_text(self.at),
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": dict(self.headers),
            "operation": self.operation,
            "subject": self.subject,
            "status": self.status,
        }


class RequestLog:
    """Keep the latest requests. Callers hold the state's lock."""

    def __init__(self) -> None:
        self._requests: deque[LoggedRequest] = deque(maxlen=_KEPT)

    def add(self, request: LoggedRequest) -> None:
        """Record one request."""
        self._requests.append(request)

    def clear(self) -> None:
        """Forget all requests."""
        self._requests.clear()

    def to_json(self, operation: str | None = None) -> Sequence[dict[str, Any]]:
        """Return the requests of an operation, or all, oldest first."""
        chosen = (one for one in self._requests if operation in (None, one.operation))
        return [one.to_json() for one in chosen]


def without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers by lower-case name, secret ones as a fingerprint."""
    return {
        name.lower(): _fingerprint(value) if name.lower() in _SECRET_HEADERS else value
        for name, value in headers.items()
    }


def _fingerprint(value: str) -> str:
    return f"sha256:{hashlib.sha256(value.encode()).hexdigest()[:16]}"
