"""The wire under Plaid's SDK: one POST, no redirect, a bounded answer, any status returned."""

import json
import time
from typing import Any, Final

import urllib3

from bank_pipeline.providers.http import HttpAnswer

ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024  # 500 transactions take about 1 MB
ANSWER_TOTAL_MAX_S: Final = 300.0  # a body that drips for longer will not end
HEAD_BYTES: Final = 64 * 1024  # enough of an endless answer to see what it is
_CHUNK_BYTES: Final = 256 * 1024


class AnswerTooLargeError(Exception):
    """The answer passes ANSWER_BYTES_MAX; `head` is how it begins, nobody reads the rest."""

    def __init__(self, head: bytes) -> None:
        super().__init__()
        self.head = head


class RawTransport:
    """
    Stands where the SDK's own REST client would.

    The SDK's follows redirects, and would carry PLAID-SECRET to wherever they point; it
    turns answers into floats; and it has no limit on size or time. It keeps the SDK's
    connection pool, and so its TLS and proxy settings.
    """

    def __init__(self, pool: urllib3.PoolManager) -> None:
        self._pool = pool

    def POST(  # noqa: N802 - the name the SDK calls
        self,
        url: str,
        *,
        headers: dict[str, str],
        body: Any,  # noqa: ANN401 - the SDK's request, made plain
        _request_timeout: tuple[float, float],
        **_ignored: object,
    ) -> HttpAnswer:
        """Send one request and read the whole answer."""
        connect_s, read_s = _request_timeout
        response = self._pool.request(
            "POST",
            url,
            body=json.dumps(body).encode(),
            headers={**headers, "Content-Type": "application/json", "Accept-Encoding": "gzip"},
            timeout=urllib3.Timeout(connect=connect_s, read=read_s),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        return _read(response)

    def close(self) -> None:
        """Close all idle connections."""
        self._pool.clear()


def _read(response: urllib3.BaseHTTPResponse) -> HttpAnswer:
    try:
        body = _read_bounded(response)
    except BaseException:
        response.close()  # what is left of it must not meet the next request
        raise
    response.release_conn()
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpAnswer(response.status, headers, body)


def _read_bounded(response: urllib3.BaseHTTPResponse) -> bytes:
    deadline_s = time.monotonic() + ANSWER_TOTAL_MAX_S
    body = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise AnswerTooLargeError(bytes(body[:HEAD_BYTES]))
        if time.monotonic() > deadline_s:
            raise TimeoutError
    return bytes(body)
