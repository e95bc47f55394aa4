"""What happens to a connection, told to open pages as it happens (server-sent events)."""

from collections.abc import AsyncIterator
from typing import Final

import anyio
from fastapi import APIRouter, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from bank_pipeline.bootstrap import Services
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.visits import Visit
from bank_pipeline.gateway.auth import App
from bank_pipeline.gateway.pages.connections import load_facts, render_live
from bank_pipeline.gateway.visits import AnyVisit, SeenConnection
from bank_pipeline.storage.connection_page import load_version
from bank_pipeline.sync.asking import COOLDOWN

router = APIRouter(include_in_schema=False)

LOOK_S: Final = 1.0
LOOKS_MAX: Final = 900
"""Then the browser asks anew, and with it whether the session still holds."""


@router.get("/connections/{connection_id}/live", response_class=EventSourceResponse)
async def follow_connection(
    request: Request, visit: AnyVisit, services: App, own_id: SeenConnection
) -> AsyncIterator[ServerSentEvent]:
    """Send the changing part of a connection's page whenever it differs from what was sent."""
    async for version in watch(services, own_id):
        html = await run_in_threadpool(_render, request, visit, services, own_id)
        yield ServerSentEvent(raw_data=html.replace("\n", " "), id=str(version))


async def watch(services: Services, connection_id: ConnectionId) -> AsyncIterator[int]:
    """Yield a number now, and the next one whenever the connection has changed since."""
    known: tuple[object, ...] | None = None
    number = 0
    for _look in range(LOOKS_MAX):
        version = await run_in_threadpool(_load_version, services, connection_id)
        if version != known:
            known, number = version, number + 1
            yield number
        await anyio.sleep(LOOK_S)


def _load_version(services: Services, connection_id: ConnectionId) -> tuple[object, ...]:
    with services.sync.engine.connect() as db:
        rested_since = services.sync.clock() - COOLDOWN
        return load_version(db, connection_id, rested_since=rested_since)


def _render(request: Request, visit: Visit, services: Services, connection_id: ConnectionId) -> str:
    return render_live(load_facts(request, visit, services, connection_id), visit)
