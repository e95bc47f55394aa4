"""
The simulated GoCardless as a web application: how a request is judged and answered.

Path, token, address, fault, ids, fields; then what the endpoint itself judges.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bank_pipeline.sandbox.broken_answers import AFTERWARDS, INSTEAD, break_answer
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.sandbox.gocardless import (
    accounts,
    agreements,
    institutions,
    requisitions,
    token_endpoints,
)
from bank_pipeline.sandbox.gocardless.bent_answers import bend
from bank_pipeline.sandbox.gocardless.call import Call, Endpoint, check_uuid, root_of
from bank_pipeline.sandbox.gocardless.errors import (
    ERRORS,
    GoCardlessError,
    gc_error,
    injected_code,
    injected_error,
)
from bank_pipeline.sandbox.gocardless.quotas import Level, company_error, headers_of
from bank_pipeline.sandbox.gocardless.request_log import LoggedRequest, without_secrets
from bank_pipeline.sandbox.gocardless.state import GoCardlessState, LinkedAccount, Reply
from bank_pipeline.sandbox.wire import dumps, loads

ENDPOINTS: Final[Mapping[tuple[str, str], Endpoint]] = {
    **token_endpoints.ENDPOINTS,
    **institutions.ENDPOINTS,
    **agreements.ENDPOINTS,
    **requisitions.ENDPOINTS,
    **accounts.ENDPOINTS,
}
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PREFIX: Final = "api/v2/"
_NEEDS_SLASH: Final = ("POST", "PUT", "PATCH")
_COMPANY_S: Final = 42
_COMPANY: Final = 100
_DAILY_S: Final = 85_092
_DAILY: Final = 4
_TOO_MANY: Final = 429


def api_routes(state: GoCardlessState) -> list[Route]:
    """Return the route of the API, which answers any path with JSON."""

    async def answer(request: Request) -> ASGIApp:
        raw = await request.body()
        asked = _Asked(
            method=request.method,
            path=request.path_params["path"],
            query=dict(request.query_params),
            query_text=request.url.query,
            headers=dict(request.headers),
            raw=raw,
            base_url=root_of(request),
            ip=request.client.host if request.client else "",
        )
        return await run_in_threadpool(_answer, state, asked)

    return [Route("/{path:path}", answer, methods=list(_METHODS))]


@dataclass(frozen=True)
class _Asked:
    """A request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    query_text: str
    headers: Mapping[str, str]
    raw: bytes
    base_url: str
    ip: str


@dataclass
class _Progress:
    """How far a request came, for the log and for the error that may end it."""

    operation: str = "unknown"
    subject: str = ""
    fault: Fault | None = None
    is_struck: bool = False
    company_level: Level | None = None
    call: Call | None = None
    headers: dict[str, str] = field(default_factory=dict)


def _answer(state: GoCardlessState, asked: _Asked) -> ASGIApp:
    progress = _Progress()
    with state.lock:
        reply = _reply(state, asked, progress)
        _log(state, asked, progress, reply.status)
    answer = Response(dumps(reply.body), reply.status, media_type="application/json")
    answer.headers.update(progress.headers)
    fault = progress.fault
    if fault is not None and (progress.is_struck or fault.kind in AFTERWARDS):
        return break_answer(fault, answer, state.released)
    return answer


def _reply(state: GoCardlessState, asked: _Asked, progress: _Progress) -> Reply:
    try:
        reply = _perform(state, asked, progress)
        if progress.fault is not None:
            reply = Reply(bend(reply.body, progress.fault), reply.status)
    except GoCardlessError as error:
        reply = Reply(error.body, error.status)
        call = progress.call
        if error.counts and call is not None and call.account is not None:
            state.fail(call.account, call.now)
    level = None if progress.call is None else progress.call.account_level
    progress.headers = headers_of(progress.company_level, level, state.settings.header_style)
    return reply


def _log(state: GoCardlessState, asked: _Asked, progress: _Progress, status: int) -> None:
    state.calls[progress.operation, progress.subject] += 1
    state.log.add(
        LoggedRequest(
            at=state.clock.now(),
            method=asked.method,
            path=f"/{asked.path}",
            query=asked.query_text,
            headers=without_secrets(asked.headers),
            operation=progress.operation,
            subject=progress.subject,
            status=status,
        )
    )


def _perform(state: GoCardlessState, asked: _Asked, progress: _Progress) -> Reply:
    endpoint, ids = _match(asked)
    now = state.clock.now()
    account = _subject(state, endpoint, ids, progress)
    level, is_over = state.windows.count(endpoint.bucket, state.settings.limit_scale, now)
    progress.company_level = level

    def check_company() -> None:
        if is_over and level is not None:
            raise company_error(endpoint.bucket, level)

    _authorize(state, endpoint, asked)
    progress.fault = state.faults.take(f"gocardless:{endpoint.operation}", progress.subject)
    call = Call(
        state,
        now,
        asked.base_url,
        ids,
        asked.query,
        {},
        account,
        progress.fault,
        check_company,
    )
    progress.call = call
    _strike(call, endpoint, progress)
    _check_ids(call, endpoint)
    _check_query(endpoint, asked)
    call.body = _read_body(endpoint, asked)
    if endpoint.subject != "account":
        check_company()
    return endpoint.answer(call)


def _match(asked: _Asked) -> tuple[Endpoint, Mapping[str, str]]:
    """Return what the path names; reading and deleting do without the slash at the end."""
    if not asked.path.startswith(_PREFIX):
        raise gc_error("not_found")
    path = asked.path.removeprefix(_PREFIX)
    has_slash = path.endswith("/")
    parts = path.removesuffix("/").split("/")
    methods = set()
    for (method, template), endpoint in ENDPOINTS.items():
        ids = _matched(template.split("/"), parts)
        if ids is None or (method in _NEEDS_SLASH and not has_slash):
            continue
        if method == asked.method:
            return endpoint, ids
        methods.add(method)
    if methods and asked.method not in _NEEDS_SLASH:
        raise gc_error("method_not_allowed", method=asked.method)
    raise gc_error("not_found")


def _matched(template: list[str], parts: list[str]) -> Mapping[str, str] | None:
    if len(template) != len(parts):
        return None
    pairs = list(zip(template, parts, strict=True))
    if any(not one.startswith("{") and one != part for one, part in pairs):
        return None
    ids = {one.strip("{}"): part for one, part in pairs if one.startswith("{")}
    return ids if all(ids.values()) else None


def _subject(
    state: GoCardlessState, endpoint: Endpoint, ids: Mapping[str, str], progress: _Progress
) -> LinkedAccount | None:
    """Note what the request is about; return the account if it is about one."""
    progress.operation = endpoint.operation
    if endpoint.subject == "account":
        account = state.account(ids["id"])
        progress.subject = "" if account is None else account.id
        return account
    if endpoint.subject == "requisition":
        progress.subject = ids["id"] if state.requisition(ids["id"]) is not None else ""
    if endpoint.subject == "agreement":
        agreement = state.agreement(ids["id"])
        progress.subject = (agreement and agreement.requisition_id) or ""
    return None


def _authorize(state: GoCardlessState, endpoint: Endpoint, asked: _Asked) -> None:
    if not endpoint.is_open:
        kind, _, token = asked.headers.get("authorization", "").partition(" ")
        is_bearer = kind.lower() == "bearer"
        if not is_bearer or not state.tokens.is_valid(token, "access", state.clock.now()):
            raise gc_error("invalid_token")
    if state.settings.ip_denied:
        raise gc_error("ip_denied", ip=asked.ip)


def _check_ids(call: Call, endpoint: Endpoint) -> None:
    if endpoint.subject != "account":
        return
    account_id = call.ids["id"]
    check_uuid(account_id, "invalid_account_id")
    if call.account is None:
        code = "not_found" if endpoint.operation == "account" else "account_not_found"
        raise gc_error(code, account_id=account_id)


def _check_query(endpoint: Endpoint, asked: _Asked) -> None:
    if unknown := sorted(set(asked.query) - endpoint.query):
        raise gc_error("unknown_fields", fields=", ".join(unknown), place="query")


def _read_body(endpoint: Endpoint, asked: _Asked) -> Mapping[str, Any]:
    if asked.method in ("GET", "DELETE") or endpoint.fields is None:
        return {}
    try:
        body = loads(asked.raw or b"{}")
    except ValueError as error:
        raise gc_error("json") from error
    if not isinstance(body, dict):
        raise gc_error("json")
    if unknown := sorted(set(body) - endpoint.fields):
        raise gc_error("unknown_fields", fields=", ".join(unknown), place="body")
    return body


def _strike(call: Call, endpoint: Endpoint, progress: _Progress) -> None:
    """Carry out what happens instead of the operation; what the bank does comes later."""
    fault = call.fault
    if fault is None:
        return
    is_scope = endpoint.subject == "account" and endpoint.operation != "account"
    if fault.kind is FaultKind.RATE_LIMITED:
        progress.is_struck = True
        raise _too_many(call, fault, is_scope=is_scope)
    if fault.kind in INSTEAD:
        progress.is_struck = True
        raise GoCardlessError(500, {"summary": "replaced by what the fault sends"})
    if fault.kind is FaultKind.ERROR:
        code = injected_code(fault.code)
        if is_scope and code is not None and ERRORS[code].at_bank:
            return
        if code == "daily_quota_gc":
            call.account_level = Level(_DAILY, 0, _DAILY_S)
        if code == "account_state_object" and call.account is not None:
            raise accounts.state_object(call, call.account)
        facts = _facts(call, endpoint)
        raise injected_error(fault.code, fault.status, fault.message, **facts)


def _too_many(call: Call, fault: Fault, *, is_scope: bool) -> GoCardlessError:
    """
    Return the daily refusal of an account, or the company's where no account is concerned.

    `company_quota_gc` as the fault's code asks for the latter on an account, too.
    """
    code = fault.code or ("daily_quota_gc" if is_scope else "company_quota_gc")
    is_daily = is_scope and code != "company_quota_gc"
    seconds = int(fault.seconds or (_DAILY_S if is_daily else _COMPANY_S))
    limit = call.state.settings.daily_limit or _DAILY if is_daily else _COMPANY
    if is_daily:
        call.account_level = Level(limit, 0, seconds)
    facts = {"limit": limit, "seconds": seconds}
    return injected_error(code, _TOO_MANY, fault.message, **facts)


def _facts(call: Call, endpoint: Endpoint) -> dict[str, object]:
    facts: dict[str, object] = {"scope": endpoint.operation}
    account = call.account
    if account is not None:
        requisition = call.state.requisitions[account.requisition_id]
        facts |= {"account_id": account.id, "agreement_id": requisition.agreement_id}
    return facts
