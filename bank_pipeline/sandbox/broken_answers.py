"""
Answers that break on their way, carried out on the server's own connection.

The connection comes from `serve.py`, whose protocol puts its transport into the request's state.
"""

import asyncio
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bank_pipeline.sandbox.faults import Fault, FaultKind

TRANSPORT_KEY: Final = "sandbox_transport"
_HTML: Final = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"
_HANG_S: Final = 600.0
_DRIP_S: Final = 1.0
_DRIPS_MAX: Final = 200
_CUT_AT: Final = 20
_RST_AT_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER of zero: close with a reset

# These happen instead of the operation; the others after it.
INSTEAD: Final = frozenset(
    {
        FaultKind.HTTP_STATUS,
        FaultKind.RATE_LIMITED,
        FaultKind.EMPTY_BODY,
        FaultKind.HTML_BODY,
        FaultKind.RESET,
        FaultKind.HANG,
        FaultKind.REDIRECT,
    }
)
AFTERWARDS: Final = frozenset(
    {
        FaultKind.RESET_BODY,
        FaultKind.TRUNCATED_BODY,
        FaultKind.SLOW_DRIP,
        FaultKind.LOST_ANSWER,
    }
)


def break_answer(fault: Fault, answer: Response, released: threading.Event) -> ASGIApp:
    """Return what is sent in place of `answer`. `released` ends what would take long."""
    match fault.kind:
        case FaultKind.RESET_BODY:
            return _Cut(answer, _cut(fault))
        case FaultKind.SLOW_DRIP:
            return _Drip(answer, float(fault.seconds or _DRIP_S), released)
        case FaultKind.HANG:
            return _Silence(float(fault.seconds or _HANG_S), released)
        case FaultKind.RESET | FaultKind.LOST_ANSWER:
            return _Silence(0, released)
        case _:
            return _other_answer(fault, answer)


def _other_answer(fault: Fault, answer: Response) -> Response:
    headers = dict(fault.headers)
    match fault.kind:
        case FaultKind.HTTP_STATUS:
            return _html(fault, fault.status or 502)
        case FaultKind.HTML_BODY:
            return _html(fault, fault.status or 200)
        case FaultKind.EMPTY_BODY:
            return Response(status_code=fault.status or 200, headers=headers)
        case FaultKind.REDIRECT:
            headers["Location"] = fault.location or "http://127.0.0.1:1/"
            return Response(status_code=fault.status or 307, headers=headers)
        case FaultKind.TRUNCATED_BODY:
            cut = bytes(answer.body)[: _cut(fault)]
            return Response(cut, answer.status_code, media_type="application/json")
        case _:
            return _too_many(fault, answer)


def _too_many(fault: Fault, answer: Response) -> Response:
    told = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
    answer.status_code = fault.status or 429
    answer.headers.update({**told, **fault.headers})
    return answer


def _html(fault: Fault, status: int) -> Response:
    title = fault.message or f"{status} Bad Gateway"
    headers = dict(fault.headers)
    return Response(_HTML.format(title), status, headers=headers, media_type="text/html")


def _cut(fault: Fault) -> int:
    return _CUT_AT if fault.after_bytes is None else fault.after_bytes


@dataclass(frozen=True)
class _Silence:
    """Says nothing for a while, then drops the connection."""

    seconds: float
    released: threading.Event

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        if self.seconds:
            await run_in_threadpool(self.released.wait, self.seconds)
        await _drop(scope)


@dataclass(frozen=True)
class _Cut:
    """Sends some of the body, then drops the connection."""

    answer: Response
    length: int

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        await _send_head(self.answer, send)
        part = bytes(self.answer.body)[: self.length]
        await send({"type": "http.response.body", "body": part, "more_body": True})
        await _drop(scope)


@dataclass(frozen=True)
class _Drip:
    """Sends the body in many small pieces over a while."""

    answer: Response
    seconds: float
    released: threading.Event

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await _send_head(self.answer, send)
        body = bytes(self.answer.body)
        size = max(1, -(-len(body) // _DRIPS_MAX))
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            if not self.released.is_set():
                await asyncio.sleep(self.seconds / len(pieces))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_head(answer: Response, send: Send) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": answer.status_code,
            "headers": answer.raw_headers,
        }
    )


async def _drop(scope: Scope) -> None:
    transport = scope["state"][TRANSPORT_KEY]
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:  # else the other side was faster
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_AT_CLOSE)
    transport.abort()
    await asyncio.sleep(0)  # lets the server notice, so that it does not answer 500
    await asyncio.sleep(0)
