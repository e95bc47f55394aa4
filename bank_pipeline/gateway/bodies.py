"""Bodies of requests, read no further than they may be long, and no longer than they may take."""

import asyncio
from typing import Final

from starlette.requests import ClientDisconnect, Request

from bank_pipeline.domain.webhooks import Refusal

_DIGITS_MAX: Final = 12  # no length of ours has more, and `int` of a million takes its time


class UnreadBodyError(Exception):
    """The body was not read to its end."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


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
    stated = request.headers.get("content-length", "0")
    if len(stated) > _DIGITS_MAX or (stated.isdecimal() and int(stated) > bytes_max):
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
