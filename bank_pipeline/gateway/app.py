"""
The HTTP service beside Dagster: webhooks in, customers back from their banks, rows out, health.

It stores and answers, never syncs.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bank_pipeline.bootstrap import Services
from bank_pipeline.domain.connection import Provider
from bank_pipeline.gateway.api import rows
from bank_pipeline.gateway.api.models import ProblemDetails
from bank_pipeline.gateway.link import link_routes
from bank_pipeline.gateway.problems import MEDIA_TYPE, add_problem_handlers
from bank_pipeline.gateway.webhooks import webhook_routes
from bank_pipeline.storage.engine import is_reachable

API: Final = "/api/v1"

Handler = Callable[[Request], Awaitable[Response]]

_PROBLEM: Final[dict[str, Any]] = {"model": ProblemDetails, "content": {MEDIA_TYPE: {}}}
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    400: _PROBLEM | {"description": "The cursor is none of this list."},
    401: _PROBLEM | {"description": "No valid key."},
    403: _PROBLEM | {"description": "The key does not allow this."},
    404: _PROBLEM | {"description": "The team has no such thing."},
    422: _PROBLEM | {"description": "The request is not as documented."},
}


def create_app(services: Services) -> FastAPI:
    """Build the application; `services` is all that it knows."""
    app = FastAPI(
        title="bank_pipeline",
        version="1",
        summary="Bank accounts, balances and transactions of one team, equal to the banks'.",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # FastAPI's pages load scripts from elsewhere, and here lies bank data
        redoc_url=None,
    )
    app.state.services = services
    add_problem_handlers(app)
    api = APIRouter(prefix=API, responses=_PROBLEMS)
    api.include_router(rows.router)
    app.include_router(api)
    app.router.routes.extend(webhook_routes(services))
    app.router.routes.extend(link_routes(services))
    app.add_route("/live", _live, methods=["GET"])
    app.add_route("/ready", _ready(services), methods=["GET"])
    return app


async def _live(_: Request) -> Response:
    return JSONResponse({"status": "alive"})


def _ready(services: Services) -> Handler:
    async def ready(_: Request) -> Response:
        reachable = await run_in_threadpool(is_reachable, services.sync.engine)
        providers = {
            provider.value: "on" if provider in services.sync.providers else "off"
            for provider in Provider
        }
        return JSONResponse(
            {"database": "reachable" if reachable else "unreachable", "providers": providers},
            status_code=200 if reachable else 503,
        )

    return ready
