"""
The HTTP service beside Dagster: webhooks in, customers back from their banks, rows out, health.

It stores and answers, never syncs.
"""

from typing import Any, Final

from fastapi import APIRouter, FastAPI
from starlette.staticfiles import StaticFiles

from bank_pipeline.bootstrap import Services
from bank_pipeline.gateway.api import actions, reference, rows
from bank_pipeline.gateway.api.models import ProblemDetails
from bank_pipeline.gateway.bodies import BoundedBodies
from bank_pipeline.gateway.meters import Meters
from bank_pipeline.gateway.observing import observe
from bank_pipeline.gateway.pages import (
    accounts,
    connect,
    connections,
    entry,
    live,
    reconnect,
    returns,
)
from bank_pipeline.gateway.problems import MEDIA_TYPE, add_problem_handlers
from bank_pipeline.gateway.visits import add_login_handler
from bank_pipeline.gateway.webhooks import webhook_routes

API: Final = "/api/v1"

PAGES: Final = (entry, connect, returns, connections, live, accounts, reconnect)

_PROBLEM: Final[dict[str, Any]] = {"model": ProblemDetails, "content": {MEDIA_TYPE: {}}}
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    400: _PROBLEM | {"description": "The cursor is none of this list."},
    401: _PROBLEM | {"description": "No valid key."},
    403: _PROBLEM | {"description": "The key does not allow this."},
    404: _PROBLEM | {"description": "The team has no such thing."},
    409: _PROBLEM | {"description": "Not now, or not so; `detail` says why."},
    422: _PROBLEM | {"description": "The request is not as documented."},
}
_AT_PROVIDERS: Final[dict[int | str, dict[str, Any]]] = {
    429: _PROBLEM | {"description": "The provider wants fewer calls; see `Retry-After`."},
    502: _PROBLEM | {"description": "The provider did not answer as it should."},
    503: _PROBLEM | {"description": "Not just now."},
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
    app.state.streams = live.Streams()
    add_problem_handlers(app)
    add_login_handler(app)
    api = APIRouter(prefix=API, responses=_PROBLEMS)
    api.include_router(rows.router)
    api.include_router(actions.router, responses=_AT_PROVIDERS)
    api.include_router(reference.router)
    app.include_router(api)
    meters = Meters()
    app.router.routes.extend(webhook_routes(services, meters))
    for module in PAGES:
        app.include_router(module.router)
    app.mount("/static", StaticFiles(packages=[("bank_pipeline.gateway", "static")]))
    app.add_middleware(BoundedBodies, but="/webhooks/")
    observe(app, services, meters)  # last, so that it is around whatever else is
    return app
