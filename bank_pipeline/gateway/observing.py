"""What every request is given and leaves behind: an id, a count, a time, one line."""

import logging
import re
import time
from http import HTTPStatus
from typing import Final
from uuid import uuid4

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from bank_pipeline.bootstrap import Services
from bank_pipeline.gateway.health import health_routes
from bank_pipeline.gateway.meters import METHODS, OTHER, Meters
from bank_pipeline.gateway.metrics import metrics_routes
from bank_pipeline.gateway.problems import REQUEST_ID, REQUEST_ID_HEADER
from bank_pipeline.logs.patterns import redact_text

UNMATCHED: Final = "unmatched"
"""The route of requests that no route takes: a path that an outsider made up is told nowhere."""

GONE: Final = 499
"""The status of requests whose sender left before the answer began, as nginx has it."""

_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_PROBES: Final = frozenset({"/live", "/ready", "/metrics"})  # they come every few seconds, for ever
_log: Final = logging.getLogger(__name__)


def observe(app: FastAPI, services: Services, meters: Meters) -> None:
    """Count every request of `app` and write a line of it; add the routes that tell how it does."""
    app.router.routes.extend([*health_routes(services), *metrics_routes(services, meters)])
    app.add_middleware(Observed, routes=app.router.routes, meters=meters)


class Observed:
    """Middleware around all others but the one that answers for failures."""

    def __init__(self, app: ASGIApp, *, routes: list[BaseRoute], meters: Meters) -> None:
        self._app = app
        self._routes = routes
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and look at its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen = _Seen()
        scope[REQUEST_ID] = request_id = _request_id(Headers(scope=scope))

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.begin_answer(message["status"])
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        # Threads that serve a part of the request take these along.
        bound = bound_contextvars(request_id=request_id)
        with bound, self._meters.under_way.track_inprogress():
            try:
                await self._app(scope, receive, tell)
            except Exception:
                seen.status = seen.status or HTTPStatus.INTERNAL_SERVER_ERROR
                _log.exception("a request failed")
                raise
            finally:
                self._note(scope, seen)

    def _note(self, scope: Scope, seen: "_Seen") -> None:
        route = self._template(scope)
        status = seen.status or GONE
        self._meters.count_request(
            scope["method"], route, status=status, seconds=seen.first_byte_s or seen.elapsed_s
        )
        method = scope["method"] if scope["method"] in METHODS else OTHER
        line = {
            "method": method,
            "route": route,
            "status": int(status),
            "ms": round(seen.elapsed_s * 1000, 1),
        }
        _log.log(logging.DEBUG if route in _PROBES else logging.INFO, "answered", extra=line)

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

    def begin_answer(self, status: int) -> None:
        self.status = status
        self.first_byte_s = self.elapsed_s


def _request_id(headers: Headers) -> str:
    """
    Return the sender's id of the request if it has the form of one, else a new one.

    What looks like a secret is no id, whoever sends it.
    """
    given = headers.get(REQUEST_ID_HEADER, "")
    is_id = _WELL_FORMED.fullmatch(given) is not None and redact_text(given) == given
    return given if is_id else str(uuid4())
