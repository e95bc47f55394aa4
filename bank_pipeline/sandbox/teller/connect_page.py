"""
The fake Teller Connect for browsers: a script as the real one's, and what it calls.

Pages of any origin may use it, as they use the real one.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bank_pipeline.sandbox.teller.connect import Choice, connect, offers
from bank_pipeline.sandbox.teller.state import TellerState
from bank_pipeline.sandbox.wire import dumps, loads

_SCRIPT: Final = Path(__file__).with_name("connect.js")
_OPEN: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type",
    "Access-Control-Allow-Private-Network": "true",
}
_Asked = Mapping[str, Any]


def connect_routes(teller: TellerState) -> list[Route]:
    """Return the routes: the script, who can connect, and the enrollment itself."""

    def list_offers(asked: _Asked) -> dict[str, Any]:
        return {"logins": offers(teller, asked.get("enrollment_id"))}

    def enroll(asked: _Asked) -> dict[str, Any]:
        choice = Choice(
            login_id=asked.get("login"),
            accounts=asked.get("account"),
            enrollment_id=asked.get("enrollment_id"),
            nonce=asked.get("nonce"),
        )
        return connect(teller, choice)

    async def script(_: Request) -> Response:
        text = _SCRIPT.read_text(encoding="utf-8")
        return Response(text, headers=_OPEN, media_type="text/javascript")

    return [
        Route("/connect.js", script),
        _page_route("GET", "/connect/logins", list_offers),
        _page_route("POST", "/connect/enrollments", enroll),
    ]


def _page_route(method: str, path: str, perform: Callable[[_Asked], dict[str, Any]]) -> Route:
    """Return a route that answers JSON to pages of any origin; what there is not is a 404."""

    def answer(asked: _Asked, raw: bytes) -> Response:
        try:
            body, status = perform({**asked, **(loads(raw) if raw else {})}), 200
        except LookupError:
            body, status = {"error": "no such thing"}, 404
        except (ValueError, TypeError):
            body, status = {"error": "the request could not be read"}, 400
        return Response(dumps(body), status, headers=_OPEN, media_type="application/json")

    async def handle(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=_OPEN)
        raw = await request.body()
        return await run_in_threadpool(answer, dict(request.query_params), raw)

    return Route(path, handle, methods=[method, "OPTIONS"])
