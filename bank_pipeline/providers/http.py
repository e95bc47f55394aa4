"""
The only module that imports httpx, so that the HTTP client can be exchanged in one place.

It does so on first use: httpx takes 0.2 s to load, and most processes never need it.
Plaid does not come through here: its official client does the sending (`plaid/sdk.py`).
"""

import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import (
    ConfigurationError,
    CredentialsRefusedError,
    PayloadError,
    SetupError,
    TransientError,
)
from bank_pipeline.providers.exact_json import parse_json
from bank_pipeline.providers.metering import CallFacts, PlannedCall, Sending, Subject, sending
from bank_pipeline.providers.throttle import NO_THROTTLE, Throttle

if TYPE_CHECKING:
    import httpx

CONNECT_TIMEOUT_S: Final = 5.0  # a reachable host answers a handshake at once
BODY_BYTES_MAX: Final = 64 * 1024 * 1024  # far above any page we ask for
BODY_TOTAL_MAX_S: Final = 300.0  # a body that drips for longer will not end
NEVER_SENT: Final = frozenset(
    {"NO_ANSWER_ConnectError", "NO_ANSWER_ConnectTimeout", "NO_ANSWER_PoolTimeout"}
)
"""Codes of calls that found no connection: nothing of them was sent."""

# httpx logs every URL it opens, query string included; ours may carry what must not be logged.
logging.getLogger("httpx").setLevel(logging.WARNING)


def build_http(*, read_timeout_s: float, tls: ssl.SSLContext | None = None) -> "httpx.Client":
    """
    Build a client that gives up on silence and never follows a redirect.

    A redirect would carry our credentials to wherever it points.
    """
    import httpx  # noqa: PLC0415 - see the module

    timeout = httpx.Timeout(read_timeout_s, connect=min(CONNECT_TIMEOUT_S, read_timeout_s))
    return httpx.Client(timeout=timeout, follow_redirects=False, verify=tls or _usual_tls())


@cache
def _usual_tls() -> ssl.SSLContext:
    """Read the certificate authorities once: it takes 20 ms, more than many a call."""
    import httpx  # noqa: PLC0415 - see the module

    return httpx.create_ssl_context()


class _AnswerTooLargeError(Exception):
    """The answer passes BODY_BYTES_MAX."""


@dataclass(frozen=True)
class HttpAnswer:
    """One HTTP answer, whole, whatever its status. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpSender:
    """
    Sends one provider's requests. Safe to share between threads.

    `read_facts` says what an answer tells besides its body, for the ledger of calls. `throttle`
    keeps the provider's rates. `tls` presents our certificate where a provider wants one.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        base_url: str,
        timeout_s: float,
        read_facts: Callable[[str, HttpAnswer], CallFacts],
        throttle: Throttle = NO_THROTTLE,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._provider = provider
        self._read_facts = read_facts
        self._throttle = throttle
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._tls = tls
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None

    def send(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        json: Any = None,  # noqa: ANN401 - what is to be sent
        subject: Subject | None = None,
    ) -> HttpAnswer:
        """
        Send one request and read the whole answer, whatever its status.

        `operation` names the call in errors and in the ledger of calls, which never hold the
        URL; `subject` is what it reads of one account.

        Raises:
            TransientError: no answer, or not a whole one. One of `NEVER_SENT` says that nothing
                was sent; TIMEOUT, that it was, and nothing or too little came in time.
            RateLimitedError: it would be one too many now; nothing was sent.
            PayloadError: an answer too large to accept.
            ConfigurationError: this cannot be sent.
        """
        self._throttle.pass_by(operation, method)
        with sending(PlannedCall(self._provider, operation, subject)) as sent:
            return self._send(
                sent, operation, method, path, headers=headers, params=params, json=json
            )

    def _send(
        self,
        sent: Sending,
        operation: str,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        json: Any,  # noqa: ANN401 - what is to be sent
    ) -> HttpAnswer:
        import httpx  # noqa: PLC0415 - see the module

        url = f"{self._base_url}{path}"
        try:
            with self._client().stream(
                method, url, headers=dict(headers), params=params or None, json=json
            ) as answer:
                sent.status = answer.status_code  # it counts, whatever becomes of its body
                body = _read_bounded(answer)
                names = {name.lower(): value for name, value in answer.headers.items()}
                whole = HttpAnswer(answer.status_code, names, body)
        except (httpx.ReadTimeout, httpx.WriteTimeout, TimeoutError):
            raise TransientError(self._provider, operation, code="TIMEOUT") from None
        except httpx.HTTPError as error:
            if self._tls is not None and _refuses_certificate(error):
                raise CredentialsRefusedError(
                    self._provider, operation, code="CERTIFICATE_REFUSED"
                ) from None
            code = f"NO_ANSWER_{type(error).__name__}"
            raise TransientError(self._provider, operation, code=code) from None
        except _AnswerTooLargeError:
            raise PayloadError(self._provider, operation, code="ANSWER_TOO_LARGE") from None
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            # What we wanted to send cannot be sent. Its text may quote a header: a secret.
            code = f"REQUEST_{type(error).__name__}"
            raise ConfigurationError(self._provider, operation, code=code) from None
        sent.answered(whole.status, self._read_facts(operation, whole))
        return whole

    def close(self) -> None:
        """Close all idle connections."""
        with self._lock:
            if self._http is not None:
                self._http.close()
                self._http = None

    def _client(self) -> "httpx.Client":
        with self._lock:
            if self._http is None:
                self._http = build_http(read_timeout_s=self._timeout_s, tls=self._tls)
            return self._http


def _refuses_certificate(error: BaseException | None) -> bool:
    """Say whether the other side ended the handshake with a word about our certificate."""
    while error is not None:
        reason = getattr(error, "reason", None)
        if isinstance(error, ssl.SSLError) and isinstance(reason, str) and "_ALERT_" in reason:
            return True
        error = error.__cause__ or error.__context__
    return False


def redact_url(url: str) -> str:
    """Return scheme, host and path alone: user, password, query and fragment may be secret."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def fetch_json(url: str, *, read_timeout_s: float = 5.0) -> Any:  # noqa: ANN401 - JSON enters
    """
    GET one JSON document, with exact numbers. Meant for the virtual clock.

    Raises:
        SetupError: unreachable, not 200, too large or not JSON.
    """
    import httpx  # noqa: PLC0415 - see the module

    try:
        with build_http(read_timeout_s=read_timeout_s) as http, http.stream("GET", url) as answer:
            if answer.status_code != httpx.codes.OK:
                raise SetupError(f"{redact_url(url)} answered {answer.status_code}, not 200")
            return parse_json(_read_bounded(answer))
    except httpx.HTTPError as error:
        raise SetupError(f"cannot reach {redact_url(url)}: {type(error).__name__}") from None
    except (ValueError, _AnswerTooLargeError):
        raise SetupError(f"{redact_url(url)} did not answer with readable JSON") from None


def _read_bounded(answer: "httpx.Response") -> bytes:
    deadline_s = time.monotonic() + BODY_TOTAL_MAX_S
    body = bytearray()
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise _AnswerTooLargeError
        if time.monotonic() > deadline_s:
            raise TimeoutError
    return bytes(body)
