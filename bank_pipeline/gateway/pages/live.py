"""What happens to a connection, told to open pages as it happens (server-sent events)."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Annotated, Final, TypeVar

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from bank_pipeline.bootstrap import Services
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import NotFoundError
from bank_pipeline.gateway.auth import App
from bank_pipeline.gateway.pages.connections import load_facts, render_live
from bank_pipeline.gateway.problems import Problem
from bank_pipeline.gateway.visits import AnyVisit, SeenConnection, rows_of
from bank_pipeline.storage.connection_page import load_version
from bank_pipeline.storage.engine import UNREACHABLE
from bank_pipeline.storage.reading import TeamRows
from bank_pipeline.sync.asking import COOLDOWN

router = APIRouter(include_in_schema=False)

_T = TypeVar("_T")
LOOK_S: Final = 1.0
LOOKS_MAX: Final = 60
"""Then the browser asks anew, and with it whether the session or the key still holds."""
STREAMS_MAX: Final = 200
LOOKERS: Final = 4
"""Threads that look for all streams together: webhooks and pages have theirs to themselves."""


class Streams:
    """How many follow what happens, and the threads that look for them."""

    def __init__(self) -> None:
        self._count = 0
        self._threads = anyio.CapacityLimiter(LOOKERS)

    @asynccontextmanager
    async def one_more(self) -> AsyncIterator[None]:
        """
        Count one stream while the context lasts.

        Raises:
            Problem: 503, there are too many.
        """
        if self._count >= STREAMS_MAX:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "too many follow: load the page again")
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1

    async def in_thread(self, look: Callable[[], _T]) -> _T:
        """Look, beside few others."""
        return await anyio.to_thread.run_sync(look, limiter=self._threads)


async def _streams(request: Request) -> AsyncIterator[Streams]:
    streams: Streams = request.app.state.streams
    async with streams.one_more():
        yield streams


OneStream = Annotated[Streams, Depends(_streams)]
"""A place among those who follow what happens."""


@router.get("/connections/{connection_id}/live", response_class=EventSourceResponse)
async def follow_connection(
    request: Request, visit: AnyVisit, services: App, own_id: SeenConnection, streams: OneStream
) -> AsyncIterator[ServerSentEvent]:
    """Send the changing part of a connection's page whenever it differs from what was sent."""

    def render() -> str:
        return render_live(load_facts(request, visit, services, own_id), visit)

    rows = rows_of(request, visit)
    async for number, html in watch(rows, services, own_id, streams, render):
        yield ServerSentEvent(raw_data=html.replace("\n", " "), id=str(number))


async def watch(
    rows: TeamRows,
    services: Services,
    connection_id: ConnectionId,
    streams: Streams,
    load: Callable[[], _T],
) -> AsyncIterator[tuple[int, _T]]:
    """
    Yield what is loaded now, and again whenever the connection has changed since; numbered.

    Ends after a while, or when the database cannot be asked: whoever follows asks anew.
    """
    known: tuple[object, ...] | None = None
    number = 0
    for _ in range(LOOKS_MAX):
        try:
            look = partial(_load_version, rows, services, connection_id)
            version = await streams.in_thread(look)
            if version != known:
                known, number = version, number + 1
                yield number, await streams.in_thread(load)
        except (NotFoundError, *UNREACHABLE):
            return
        await anyio.sleep(LOOK_S)


def _load_version(
    rows: TeamRows, services: Services, connection_id: ConnectionId
) -> tuple[object, ...]:
    with rows.connect() as db:
        rested_since = services.sync.clock() - COOLDOWN
        return load_version(db, connection_id, rested_since=rested_since)
