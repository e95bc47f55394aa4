"""
The HTTP service beside Dagster: webhooks in, customers back from their banks, health out.

It stores and answers, never syncs.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bank_pipeline.bootstrap import Services
from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import BankPipelineError, WebhookRejectedError
from bank_pipeline.gateway.bodies import read_bounded
from bank_pipeline.gateway.link import link_routes
from bank_pipeline.storage.engine import is_reachable
from bank_pipeline.sync.webhooks import accept_webhook

BODY_BYTES_MAX: Final = 256 * 1024  # real webhooks are below 10 kB

Handler = Callable[[Request], Awaitable[Response]]


def create_app(services: Services) -> Starlette:
    """Build the application; `services` is all that it knows."""
    return Starlette(
        routes=[
            Route("/webhooks/{provider}", _receive_webhook(services), methods=["POST"]),
            *link_routes(services),
            Route("/live", _live, methods=["GET"]),
            Route("/ready", _ready(services), methods=["GET"]),
        ]
    )


def _receive_webhook(services: Services) -> Handler:
    async def receive(request: Request) -> Response:
        """Answer 200 only after the event is stored; Plaid waits at most ten seconds."""
        name = request.path_params["provider"]
        if name not in {provider.value for provider in services.sync.providers}:
            return JSONResponse({"error": "no such provider"}, status_code=404)
        body = await read_bounded(request, bytes_max=BODY_BYTES_MAX)
        if body is None:
            return JSONResponse({"error": "body too large"}, status_code=413)
        try:
            await run_in_threadpool(
                accept_webhook, services.sync, Provider(name), dict(request.headers), body
            )
        except WebhookRejectedError:
            return JSONResponse({"error": "signature not valid"}, status_code=401)
        except BankPipelineError:
            return JSONResponse({"error": "try again"}, status_code=503)
        return JSONResponse({"status": "stored"})

    return receive


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
