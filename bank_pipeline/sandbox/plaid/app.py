"""
The simulated Plaid as a web application: the order in which a request is judged and answered.

Path, JSON, credentials, fields, access token, fault, rate, health of the Item, operation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bank_pipeline.sandbox.broken_answers import AFTERWARDS, INSTEAD, break_answer
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.sandbox.plaid import (
    accounts,
    institutions,
    item_endpoints,
    link,
    sandbox_endpoints,
    transactions,
)
from bank_pipeline.sandbox.plaid.bent_answers import bend
from bank_pipeline.sandbox.plaid.errors import PlaidError, injected_error, plaid_error
from bank_pipeline.sandbox.plaid.hosted_page import hosted_routes
from bank_pipeline.sandbox.plaid.items import Item
from bank_pipeline.sandbox.plaid.limits import LIMITS
from bank_pipeline.sandbox.plaid.link_script import script_routes
from bank_pipeline.sandbox.plaid.shapes import Anything, Shape
from bank_pipeline.sandbox.plaid.simulator import Call, Endpoint, Plaid
from bank_pipeline.sandbox.wire import dumps, loads

ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    **link.ENDPOINTS,
    **item_endpoints.ENDPOINTS,
    **accounts.ENDPOINTS,
    **transactions.ENDPOINTS,
    **institutions.ENDPOINTS,
    **sandbox_endpoints.ENDPOINTS,
}
_VERSION: Final = "2020-09-14"
_CREDENTIALS: Final = {"client_id": Anything(), "secret": Anything()}
_POST: Final = "POST"


def plaid_routes(plaid: Plaid) -> list[Route]:
    """Return the routes of the API and of Link, hosted and in pages; any other path is a 404."""

    async def answer(request: Request) -> ASGIApp:
        raw = await request.body()
        asked = _Asked(
            request.url.path, request.method, request.headers, raw, str(request.base_url)
        )
        return await run_in_threadpool(_answer, plaid, asked)

    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    own = [*hosted_routes(plaid), *script_routes(plaid)]
    return [*own, Route("/{path:path}", answer, methods=methods)]


@dataclass(frozen=True)
class _Asked:
    """A request as it came."""

    path: str
    method: str
    headers: Mapping[str, str]
    raw: bytes
    base_url: str


@dataclass
class _Progress:
    """How far a request came, for the error that may end it."""

    fault: Fault | None = None


def _answer(plaid: Plaid, asked: _Asked) -> ASGIApp:
    request_id = plaid.mint.request_id()
    progress = _Progress()
    try:
        with plaid.lock:
            body = {**_perform(plaid, asked, progress), "request_id": request_id}
        status = 200
        if progress.fault is not None:
            body = bend(body, progress.fault)
    except PlaidError as error:
        body, status = error.to_json(request_id), error.status
    answer = Response(dumps(body), status, media_type="application/json")
    fault = progress.fault
    if fault is not None and fault.kind in INSTEAD | AFTERWARDS:
        return break_answer(fault, answer, plaid.released)
    return answer


def _perform(plaid: Plaid, asked: _Asked, progress: _Progress) -> dict[str, Any]:
    endpoint = ENDPOINTS.get(asked.path)
    if endpoint is None or asked.method != _POST:
        raise plaid_error("NOT_FOUND")
    body = _read(plaid, endpoint, asked)
    now = plaid.clock.now()
    needs_item = "access_token" in endpoint.shape.fields and asked.path != "/link/token/create"
    item = plaid.items.open(body["access_token"]) if needs_item else None
    item_id = "" if item is None else item.item_id
    plaid.calls[asked.path, item_id] += 1
    fault = progress.fault = plaid.faults.take(asked.path, item_id)
    if fault is not None:
        _strike(plaid, asked.path, item, fault)
    plaid.limits.admit(asked.path, item_id, now)
    if item is not None and item.error is not None and not endpoint.works_when_broken:
        raise item.error
    call = Call(plaid, asked.path, body, now, asked.base_url, item, fault)
    return endpoint.answer(call)


def _read(plaid: Plaid, endpoint: Endpoint, asked: _Asked) -> Mapping[str, Any]:
    """Return the checked body."""
    if asked.headers.get("plaid-version", _VERSION) != _VERSION:
        raise plaid_error("INCOMPATIBLE_API_VERSION")
    try:
        body = loads(asked.raw)
    except ValueError as error:
        raise plaid_error("INVALID_BODY") from error
    if not isinstance(body, dict):
        raise plaid_error("INVALID_BODY")
    _authenticate(plaid, asked.headers, body)
    Shape({**_CREDENTIALS, **endpoint.shape.fields}).check("", body)
    return body


def _authenticate(plaid: Plaid, headers: Mapping[str, str], body: Mapping[str, Any]) -> None:
    given = (
        body.get("client_id") or headers.get("plaid-client-id"),
        body.get("secret") or headers.get("plaid-secret"),
    )
    missing = [
        name for name, value in zip(("client_id", "secret"), given, strict=True) if not value
    ]
    if missing:
        raise plaid_error(
            "MISSING_FIELDS", f"the following required fields are missing: {', '.join(missing)}"
        )
    if given != (plaid.options.client_id, plaid.options.secret):
        raise plaid_error("INVALID_API_KEYS")


def _strike(plaid: Plaid, operation: str, item: Item | None, fault: Fault) -> None:
    """Carry out what happens instead of the operation."""
    if fault.kind is FaultKind.ERROR:
        raise injected_error(fault.code, fault.error_type, fault.status, fault.message)
    if fault.kind is FaultKind.RATE_LIMITED:
        usual = LIMITS[operation].code if operation in LIMITS else "RATE_LIMIT"
        raise injected_error(fault.code or usual, "RATE_LIMIT_EXCEEDED", 429, fault.message)
    if fault.kind in INSTEAD:
        raise plaid_error("INTERNAL_SERVER_ERROR")  # replaced by what the fault sends
    if fault.kind is FaultKind.LOGIN_REQUIRED and item is not None:
        plaid.announcer.break_item(item, "ITEM_LOGIN_REQUIRED", plaid.clock.now())
