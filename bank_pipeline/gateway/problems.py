"""Errors over HTTP as problem details (RFC 9457): a type, a title and what to do, no internals."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from bank_pipeline.errors import (
    BankPipelineError,
    BusyError,
    ConcurrentSyncError,
    NotFoundError,
    NotNowError,
    OtherBrowserError,
    ProviderError,
    RateLimitedError,
    RefusedError,
    SetupError,
)
from bank_pipeline.gateway.render import message_page
from bank_pipeline.storage.engine import UNREACHABLE

MEDIA_TYPE: Final = "application/problem+json"
REQUEST_ID: Final = "bank_pipeline.request_id"
"""Under which a request's scope holds its id."""

REQUEST_ID_HEADER: Final = "X-Request-Id"


class Problem(Exception):  # noqa: N818 - the name of the standard
    """What is told to the caller instead of an answer."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,  # noqa: ANN401 - members of the problem
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    def to_response(self) -> JSONResponse:
        """Return it as it is sent."""
        body = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            **self.more,
        }
        return JSONResponse(
            body, status_code=self.status, headers=self.headers, media_type=MEDIA_TYPE
        )


def add_problem_handlers(app: FastAPI) -> None:
    """Have every failure end as a problem."""

    @app.exception_handler(Problem)
    async def _problem(request: Request, error: Problem) -> Response:
        return _answer(request, error)

    @app.exception_handler(BankPipelineError)
    async def _ours(request: Request, error: BankPipelineError) -> Response:
        return _answer(request, to_problem(error))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        # Where and why, without the value: it may be a secret in the wrong place.
        reasons = [
            {"where": ".".join(map(str, one["loc"])), "why": one["msg"]} for one in error.errors()
        ]
        is_page = not request.url.path.startswith(_FOR_PROGRAMS)
        if is_page and any(one["loc"][0] == "path" for one in error.errors()):
            return _answer(request, Problem(HTTPStatus.NOT_FOUND, "there is no such thing"))
        detail = "the request is not as documented"
        if any(one["loc"] == ("body",) for one in error.errors()) and not _is_json(request):
            detail = "send the body as JSON, with the header `Content-Type: application/json`"
        return _answer(request, Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=reasons))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        return _answer(request, Problem(status, status.description or status.phrase))

    async def _away(request: Request, _: Exception) -> Response:
        problem = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not just now; try again in a moment")
        return _answer(request, problem)

    for kind in UNREACHABLE:
        app.add_exception_handler(kind, _away)

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, _: Exception) -> Response:
        # Answered outside of what gives answers their id, so that it is given here.
        request_id = str(request.scope.get(REQUEST_ID, ""))
        detail = "this should not have happened; the log tells more under the request's id"
        problem = Problem(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            detail,
            headers={REQUEST_ID_HEADER: request_id},
            request_id=request_id,
        )
        return _answer(request, problem)


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _answer(request: Request, problem: Problem) -> Response:
    """Answer programs with the problem, people with a page that says it."""
    if request.url.path.startswith(_FOR_PROGRAMS):
        return problem.to_response()
    text = f"{problem.detail[:1].upper()}{problem.detail[1:]}."
    onward = ("/", "Back")
    page = message_page(problem.status.phrase, text, status=problem.status, onward=onward)
    page.headers.update(problem.headers)
    return page


_FOR_PROGRAMS: Final = ("/api/", "/webhooks/", "/live", "/ready", "/metrics")


def to_problem(error: BankPipelineError) -> Problem:
    """Say what an error of ours is to a caller."""
    if isinstance(error, NotNowError):
        next_at = None if error.next_at is None else error.next_at.isoformat()
        return Problem(HTTPStatus.CONFLICT, str(error), next_at=next_at)
    if isinstance(error, RateLimitedError):
        wait_s = error.retry_after_s
        headers = {} if wait_s is None else {"Retry-After": str(max(1, round(wait_s)))}
        return Problem(HTTPStatus.TOO_MANY_REQUESTS, str(error), headers=headers)
    for kind, status, detail in _TOLD:
        if isinstance(error, kind):
            return Problem(status, detail or str(error))
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not just now; try again in a moment")


_TOLD: Final[tuple[tuple[type[BankPipelineError], HTTPStatus, str | None], ...]] = (
    (NotFoundError, HTTPStatus.NOT_FOUND, "there is no such thing"),
    (BusyError, HTTPStatus.CONFLICT, "a sync of this connection is under way"),
    (ConcurrentSyncError, HTTPStatus.CONFLICT, "it changed meanwhile: look again, then decide"),
    (OtherBrowserError, HTTPStatus.FORBIDDEN, None),
    (RefusedError, HTTPStatus.CONFLICT, None),
    (SetupError, HTTPStatus.CONFLICT, None),
    (ProviderError, HTTPStatus.BAD_GATEWAY, "the provider did not answer as it should"),
)
