"""The switches under `/_sim/<name>` that every wing has: its truth, and what was called."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bank_pipeline.sandbox.wing import Wing
from bank_pipeline.sandbox.wire import dumps, loads

Switch = Callable[[Mapping[str, Any]], Any]
_BAD_REQUEST = 400
_NOT_FOUND = 404


def wing_routes(wing: Wing) -> list[Route]:
    """Return the routes; `/truth` takes an `external_id`, or tells all connections."""

    def read_truth(asked: Mapping[str, Any]) -> dict[str, Any]:
        if "external_id" in asked:
            return wing.truth_of(str(asked["external_id"]))
        return {"connections": [wing.truth_of(one) for one in wing.external_ids()]}

    def list_calls(_: Mapping[str, Any]) -> dict[str, Any]:
        counted = sorted(wing.calls.items())
        return {
            "calls": [
                {"operation": operation, "subject": subject, "count": count}
                for (operation, subject), count in counted
            ]
        }

    return [switch_route("GET", "/truth", read_truth), switch_route("GET", "/calls", list_calls)]


def switch_route(method: str, path: str, switch: Switch) -> Route:
    """
    Return a route that answers JSON; `switch` is given the query, the path and the body.

    Its KeyError or LookupError is a 404, its ValueError or TypeError a 400.
    """

    def perform(asked: Mapping[str, Any], raw: bytes) -> Response:
        try:
            answer = switch({**asked, **(loads(raw) if raw else {})})
        except LookupError as error:
            return _json({"error": f"no such thing: {error}"}, _NOT_FOUND)
        except (ValueError, TypeError) as error:
            return _json({"error": f"{type(error).__name__}: {error}"}, _BAD_REQUEST)
        return _json(answer, 200)

    async def answer(request: Request) -> Response:
        raw = await request.body()
        return await run_in_threadpool(
            perform, {**request.query_params, **request.path_params}, raw
        )

    return Route(path, answer, methods=[method])


def _json(body: object, status: int) -> Response:
    return Response(dumps(body), status, media_type="application/json")
