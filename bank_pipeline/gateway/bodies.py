"""Bodies of requests, read no further than they may be long, and no longer than they may take."""

import asyncio
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bank_pipeline.domain.webhooks import Refusal

BODY_BYTES_MAX: Final = 64 * 1024  # the longest that we take names some hundred accounts
BODY_S_MAX: Final = 20.0
_DIGITS_MAX: Final = 12  # no length of ours has more, and `int` of a million takes its time


class UnreadBodyError(Exception):
    """The body was not read to its end."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class BoundedBodies:
    """
    Middleware that ends requests whose body is longer, or takes longer, than any of ours.

    Whoever reads a body reads it whole, before it is known who asks. `but` is the beginning of
    paths with bounds of their own.
    """

    def __init__(self, app: ASGIApp, *, but: str) -> None:
        self._app = app
        self._but = but

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with a body that is bounded while it is read."""
        is_ours = scope["type"] == "http" and not scope["path"].startswith(self._but)
        await self._app(scope, _Bounded(scope, receive) if is_ours else receive, send)


class _Bounded:
    """What a request brings, for as long as its body is within the bounds."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._is_too_long = _says_too_long(Headers(scope=scope), BODY_BYTES_MAX)
        self._ends_at = asyncio.get_running_loop().time() + BODY_S_MAX
        self._count = 0
        self._is_whole = False

    async def __call__(self) -> Message:
        if self._is_whole:  # what comes now is that the other side has gone, whenever it does
            return await self._receive()
        if self._is_too_long:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            async with asyncio.timeout_at(self._ends_at):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(HTTPStatus.REQUEST_TIMEOUT) from None
        self._count += len(message.get("body", b""))
        if self._count > BODY_BYTES_MAX:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self._is_whole = not message.get("more_body", False)
        return message


def _says_too_long(headers: Headers, bytes_max: int) -> bool:
    stated = headers.get("content-length", "0")
    return len(stated) > _DIGITS_MAX or (stated.isdecimal() and int(stated) > bytes_max)


async def read_bounded(request: Request, *, bytes_max: int) -> bytes | None:
    """Return the whole body; None as soon as it is longer than `bytes_max`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            return None
    return bytes(body)


async def read_in_time(request: Request, *, bytes_max: int, seconds_max: float) -> bytes:
    """
    Return the whole body. One that says itself that it is too long is not waited for.

    Raises:
        UnreadBodyError: it is too long, takes too long, or broke off.
    """
    if _says_too_long(request.headers, bytes_max):
        raise UnreadBodyError(Refusal.TOO_LARGE)
    try:
        async with asyncio.timeout(seconds_max):
            body = await read_bounded(request, bytes_max=bytes_max)
    except TimeoutError:
        raise UnreadBodyError(Refusal.TOO_SLOW) from None
    except ClientDisconnect:
        raise UnreadBodyError(Refusal.BROKEN_OFF) from None
    if body is None:
        raise UnreadBodyError(Refusal.TOO_LARGE)
    return body
