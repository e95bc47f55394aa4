"""
The simulated Teller as a web application: the order in which a request is judged and answered.

Certificate, access token, fault, health of the enrollment, operation.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bank_pipeline.sandbox.broken_answers import (
    AFTERWARDS,
    INSTEAD,
    TRANSPORT_KEY,
    break_answer,
)
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.sandbox.teller.bent_answers import bend
from bank_pipeline.sandbox.teller.endpoints import ENDPOINTS, Call, Endpoint, Progress
from bank_pipeline.sandbox.teller.enrollments import Enrollment
from bank_pipeline.sandbox.teller.errors import (
    DISCONNECTED,
    MISSING_CERTIFICATE,
    TellerError,
    teller_error,
)
from bank_pipeline.sandbox.teller.state import TellerState
from bank_pipeline.sandbox.wire import dumps, moment_text

_NO_CONTENT: Final = 204
_USUAL_REASON: Final = "user_action.mfa_required"


@dataclass(frozen=True)
class _Asked:
    """A request as it came."""

    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    token: str | None
    version: str | None
    is_certified: bool
    is_secure: bool


def teller_routes(teller: TellerState) -> list[Route]:
    """Return the routes of the API; any other path is a 404."""
    known = [
        Route(endpoint.path, _handler(teller, endpoint), methods=[endpoint.method])
        for endpoint in ENDPOINTS
    ]
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return [*known, Route("/{path:path}", _handler(teller, None), methods=methods)]


def _handler(teller: TellerState, endpoint: Endpoint | None) -> Callable[[Request], Any]:
    async def answer(request: Request) -> ASGIApp:
        return await run_in_threadpool(_answer, teller, endpoint, _read(request))

    return answer


def _read(request: Request) -> _Asked:
    root = request.scope.get("root_path", "")
    return _Asked(
        method=request.method,
        path=request.url.path.removeprefix(root),
        params=request.path_params,
        query=dict(request.query_params),
        token=_token(request.headers.get("authorization")),
        version=request.headers.get("teller-version"),
        is_certified=_is_certified(request),
        is_secure=request.url.scheme == "https",
    )


def _token(header: str | None) -> str | None:
    """Return the user name of Basic credentials; None when there is none."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except ValueError:
        return None
    return decoded.partition(":")[0] or None


def _is_certified(request: Request) -> bool:
    """Whether the client showed a certificate; ours alone pass the handshake."""
    transport = request.scope.get("state", {}).get(TRANSPORT_KEY)
    secured = None if transport is None else transport.get_extra_info("ssl_object")
    return secured is not None and secured.getpeercert(binary_form=True) is not None


def _answer(teller: TellerState, endpoint: Endpoint | None, asked: _Asked) -> ASGIApp:
    progress = Progress()
    try:
        with teller.lock:
            body = _perform(teller, endpoint, asked, progress)
        status = 200 if body is not None else _NO_CONTENT
        if progress.fault is not None and body is not None:
            body = bend(body, progress.fault)
    except TellerError as error:
        body, status = error.to_json(), error.status
    _note(teller, endpoint, asked, progress, status)
    if progress.pause_s:
        teller.released.wait(progress.pause_s)
    text = b"" if body is None else dumps(body).encode()
    answer = Response(text, status, media_type=None if body is None else "application/json")
    fault = progress.fault
    if fault is not None and fault.kind in INSTEAD | AFTERWARDS:
        return break_answer(fault, answer, teller.released)
    return answer


def _perform(
    teller: TellerState, endpoint: Endpoint | None, asked: _Asked, progress: Progress
) -> Any:  # noqa: ANN401 - any JSON value
    if endpoint is None:
        raise teller_error("not_found")
    progress.subject = asked.params.get("account_id", "")
    opened = _authenticate(teller, asked, progress) if endpoint.needs_token else None
    fault = progress.fault = teller.faults.take(f"teller:{endpoint.operation}", progress.subject)
    if fault is not None:
        _strike(teller, opened, fault)
    if opened is not None and opened.error is not None and not endpoint.works_when_broken:
        raise opened.error
    call = Call(teller, asked.params, asked.query, teller.clock.now(), opened, progress)
    return endpoint.answer(call)


def _authenticate(teller: TellerState, asked: _Asked, progress: Progress) -> Enrollment:
    wants_certificate = asked.is_secure or teller.options.require_certificate
    if wants_certificate and not asked.is_certified:
        raise teller_error("bad_request", MISSING_CERTIFICATE)
    if asked.token is None:
        raise teller_error("unauthorized")
    opened = teller.enrollments.open(asked.token)
    progress.subject = progress.subject or opened.enrollment_id
    return opened


def _strike(teller: TellerState, opened: Enrollment | None, fault: Fault) -> None:
    """Carry out what happens instead of the operation."""
    if fault.kind is FaultKind.ERROR:
        code = fault.code or "internal_server_error"
        raise teller_error(code, fault.message, status=fault.status)
    if fault.kind is FaultKind.RATE_LIMITED:
        raise teller_error(fault.code or "too_many_requests", fault.message, status=429)
    if fault.kind in INSTEAD:
        raise teller_error("internal_server_error")  # replaced by what the fault sends
    if fault.kind is FaultKind.LOGIN_REQUIRED and opened is not None:
        code = fault.code or _USUAL_REASON
        teller.disconnect(opened, code.removeprefix(f"{DISCONNECTED}."))


def _note(
    teller: TellerState, endpoint: Endpoint | None, asked: _Asked, progress: Progress, status: int
) -> None:
    """Count a request and keep what was asked, without its secrets."""
    operation = "" if endpoint is None else endpoint.operation
    with teller.lock:
        teller.calls[operation, progress.subject] += 1
        teller.requests.append(
            {
                "at": moment_text(teller.clock.now()),
                "operation": operation,
                "subject": progress.subject,
                "method": asked.method,
                "path": asked.path,
                "query": asked.query,
                "version": asked.version,
                "certificate": asked.is_certified,
                "status": status,
            }
        )
