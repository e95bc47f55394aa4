"""Bodies of requests, read no further than they may be long."""

from starlette.requests import Request


async def read_bounded(request: Request, *, bytes_max: int) -> bytes | None:
    """Return the whole body; None as soon as it is longer than `bytes_max`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            return None
    return bytes(body)
