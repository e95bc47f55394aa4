"""
The simulated Enable Banking as a web application: how a request is judged and answered.

Path, token, application, body, fault, then what the endpoint itself asks. Faults are named
`enable_banking:` and one of `application`, `aspsps`, `auth`, `welcome` (the consent page),
`sessions` (the exchange of a code), `session`, `session_delete`, `details`, `balances`,
`transactions`, `transaction`; their subject is the account's uid, else the session's id, else "".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bank_pipeline.sandbox.broken_answers import AFTERWARDS, INSTEAD, break_answer
from bank_pipeline.sandbox.enable_banking import (
    account_endpoints,
    aspsps,
    auth,
    session_endpoints,
    transactions,
)
from bank_pipeline.sandbox.enable_banking.bent_answers import bend
from bank_pipeline.sandbox.enable_banking.consent_page import answer_page
from bank_pipeline.sandbox.enable_banking.errors import (
    EnableBankingError,
    api_error,
    wrong_parameters,
)
from bank_pipeline.sandbox.enable_banking.sessions import SessionStatus
from bank_pipeline.sandbox.enable_banking.simulator import Call, Endpoint, State
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.sandbox.wire import dumps, loads, moment_text

ENDPOINTS: Final = (
    *aspsps.ENDPOINTS,
    *auth.ENDPOINTS,
    *session_endpoints.ENDPOINTS,
    *account_endpoints.ENDPOINTS,
    *transactions.ENDPOINTS,
)
OPERATIONS: Final = tuple(f"enable_banking:{one.operation}" for one in ENDPOINTS)
_METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_HIDDEN: Final = "authorization"
_PERIOD_DAYS: Final = 89


def api_routes(state: State) -> list[Route]:
    """Return the routes of the API and of the consent page; any other path is a 404."""

    async def page(request: Request) -> ASGIApp:
        form = await request.body()
        return await run_in_threadpool(_consent, state, request.url.query, form)

    async def nothing(_: Request) -> Response:
        return _json(api_error("NOT_FOUND").body, 404)

    return [
        Route("/welcome", page, methods=["GET", "POST"]),
        *(_route(state, one) for one in ENDPOINTS),
        Route("/{path:path}", nothing, methods=_METHODS),
    ]


@dataclass(frozen=True)
class _Asked:
    """A request as it came; `path` holds what its variable parts are."""

    method: str
    url_path: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw: bytes
    base_url: str

    @property
    def subject(self) -> str:
        """The account that it concerns, else the session."""
        return self.path.get("account_id") or self.path.get("session_id") or ""


@dataclass
class _Progress:
    """How far a request came, for the error that may end it."""

    fault: Fault | None = None


def _route(state: State, endpoint: Endpoint) -> Route:
    async def answer(request: Request) -> ASGIApp:
        asked = _Asked(
            request.method,
            request.url.path,
            request.path_params,
            request.query_params,
            request.headers,
            await request.body(),
            _base_url(request),
        )
        return await run_in_threadpool(_answer, state, endpoint, asked)

    return Route(endpoint.path, answer, methods=[endpoint.method])


def _base_url(request: Request) -> str:
    """Return where the API hangs as the caller sees it; Starlette's own leaves out the mount."""
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"


def _answer(state: State, endpoint: Endpoint, asked: _Asked) -> ASGIApp:
    progress = _Progress()
    logged: dict[str, Any] = {}
    try:
        with state.lock:
            logged = _log(state, endpoint.operation, asked)
            body = _perform(state, endpoint, asked, progress)
        status = 200
        if progress.fault is not None:
            body = bend(body, progress.fault)
    except EnableBankingError as error:
        body, status = error.body, error.status
    logged["status"] = status
    return _sent(state, progress.fault, _json(body, status))


def _perform(
    state: State, endpoint: Endpoint, asked: _Asked, progress: _Progress
) -> dict[str, Any]:
    now = state.clock.now()
    application_id = state.gate.application_id(asked.headers.get(_HIDDEN), now)
    if not state.application(application_id).active and endpoint.operation != "application":
        raise api_error("ACCESS_DENIED")
    body = _read(asked.raw)
    state.calls[endpoint.operation, asked.subject] += 1
    fault = state.faults.take(f"enable_banking:{endpoint.operation}", asked.subject)
    progress.fault = fault
    if fault is not None:
        _strike(state, asked, fault)
    call = Call(
        state,
        application_id,
        asked.path,
        asked.query,
        asked.headers,
        body,
        now,
        asked.base_url,
        fault,
    )
    return endpoint.answer(call)


def _strike(state: State, asked: _Asked, fault: Fault) -> None:
    """Carry out what happens instead of the operation."""
    if fault.kind is FaultKind.ERROR:
        raise _injected(state, fault)
    if fault.kind is FaultKind.RATE_LIMITED:
        raise api_error(fault.code or "ASPSP_RATE_LIMIT_EXCEEDED", message=fault.message)
    if fault.kind is FaultKind.NOT_READY:
        raise api_error(fault.code or "ASPSP_PSU_ACTION_REQUIRED", message=fault.message)
    if fault.kind in INSTEAD:
        raise api_error("INTERNAL_SERVER_ERROR")  # replaced by what the fault sends
    if fault.kind is FaultKind.LOGIN_REQUIRED:
        status = SessionStatus(fault.code or "REVOKED")
        for session in state.sessions:
            uids = [one.uid for one in session.grants]
            if asked.subject and asked.subject in (session.session_id, *uids):
                session.end(status, state.clock.now())


def _injected(state: State, fault: Fault) -> EnableBankingError:
    code = fault.code or "ASPSP_ERROR"
    if code == "WRONG_TRANSACTIONS_PERIOD/dated":
        today = state.clock.now().date()
        days = int(fault.key or _PERIOD_DAYS)
        return transactions.period_error(today - timedelta(days=days), today)
    return api_error(code, status=fault.status, message=fault.message)


def _read(raw: bytes) -> object:
    if not raw:
        return None
    try:
        return loads(raw)
    except ValueError as error:
        raise wrong_parameters("body: JSON decode error") from error


def _consent(state: State, query: str, form: bytes) -> ASGIApp:
    with state.lock:
        state.calls["welcome", ""] += 1
    fault = state.faults.take("enable_banking:welcome")
    if fault is not None and fault.kind in INSTEAD:
        return break_answer(fault, _json({}, 500), state.released)
    return _sent(state, fault, answer_page(state, query, form))


def _sent(state: State, fault: Fault | None, answer: Response) -> ASGIApp:
    if fault is not None and fault.kind in INSTEAD | AFTERWARDS:
        return break_answer(fault, answer, state.released)
    return answer


def _log(state: State, operation: str, asked: _Asked) -> dict[str, Any]:
    headers = {name: value for name, value in asked.headers.items() if name != _HIDDEN}
    logged: dict[str, Any] = {
        "at": moment_text(state.clock.now()),
        "operation": operation,
        "subject": asked.subject,
        "method": asked.method,
        "path": asked.url_path,
        "query": dict(asked.query),
        "headers": headers,
    }
    state.requests.append(logged)
    return logged


def _json(body: object, status: int) -> Response:
    return Response(dumps(body), status, media_type="application/json")
