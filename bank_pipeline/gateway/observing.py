"""What every request is given and leaves behind: an id, a count, a time, one line."""

import time
from typing import Final

from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bank_pipeline.bootstrap import Services
from bank_pipeline.gateway.health import health_routes
from bank_pipeline.gateway.meters import Meters
from bank_pipeline.gateway.metrics import metrics_routes

UNMATCHED: Final = "unmatched"
"""The route of requests that no route takes: a path that an outsider made up is told nowhere."""


GONE: Final = 499
"""The status of requests whose sender left before the answer began, as nginx has it."""


def observe(app: FastAPI, services: Services) -> Meters:
    """Count every request of `app`, and add the routes that tell how it does."""
    meters = Meters()
    app.router.routes.extend([*health_routes(services), *metrics_routes(services, meters)])
    app.add_middleware(_Observed, routes=app.router.routes, meters=meters)
    return meters


class _Observed:
    """Middleware around all others but the one that answers for failures."""

    def __init__(self, app: ASGIApp, *, routes: list[BaseRoute], meters: Meters) -> None:
        self._app = app
        self._routes = routes
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen = _Seen()

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.begin_answer(message)
            await send(message)

        with self._meters.under_way.track_inprogress():
            try:
                await self._app(scope, receive, tell)
            except Exception:
                seen.status = seen.status or 500
                raise
            finally:
                self._note(scope, seen)

    def _note(self, scope: Scope, seen: "_Seen") -> None:
        route = self._template(scope)
        status = seen.status or GONE
        self._meters.count_request(
            scope["method"], route, status=status, seconds=seen.first_byte_s or seen.elapsed_s
        )

    def _template(self, scope: Scope) -> str:
        """Return the route as it was declared: what is in its place may be a secret."""
        # FastAPI's own note of a route of an included router, with the prefix; else the route.
        told = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
        path = getattr(told, "path", None)
        if isinstance(path, str):
            return path
        endpoint = scope.get("endpoint")
        for route in self._routes:
            if isinstance(route, Route) and route.endpoint is endpoint:
                return route.path
            if isinstance(route, Mount) and route.app is endpoint:
                return f"{route.path}/…"
        return UNMATCHED


class _Seen:
    """What is known of one request so far."""

    def __init__(self) -> None:
        self._begun_s = time.monotonic()
        self.status: int | None = None
        self.first_byte_s: float | None = None

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._begun_s

    def begin_answer(self, message: Message) -> None:
        self.status = message["status"]
        self.first_byte_s = self.elapsed_s
