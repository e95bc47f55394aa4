"""
The only module that imports httpx, so that the HTTP client can be exchanged in one place.

It does so on first use: httpx takes 0.2 s to load, and most processes never need it.
Plaid does not come through here: its official client does the sending (`plaid/sdk.py`).
"""

import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from bank_pipeline.errors import SetupError
from bank_pipeline.providers.exact_json import parse_json

if TYPE_CHECKING:
    import httpx

CONNECT_TIMEOUT_S: Final = 5.0  # a reachable host answers a handshake at once
BODY_BYTES_MAX: Final = 64 * 1024 * 1024  # far above any page we ask for

# httpx logs every URL it opens, query string included; ours may carry what must not be logged.
logging.getLogger("httpx").setLevel(logging.WARNING)


def build_http(*, read_timeout_s: float) -> "httpx.Client":
    """
    Build a client that gives up on silence and never follows a redirect.

    A redirect would carry our credentials to wherever it points.
    """
    import httpx  # noqa: PLC0415 - see the module

    timeout = httpx.Timeout(read_timeout_s, connect=CONNECT_TIMEOUT_S)
    return httpx.Client(timeout=timeout, follow_redirects=False)


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
    except ValueError:
        raise SetupError(f"{redact_url(url)} did not answer with readable JSON") from None


def _read_bounded(answer: "httpx.Response") -> bytes:
    body = bytearray()
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise ValueError("too large")
    return bytes(body)
