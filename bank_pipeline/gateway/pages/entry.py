"""The way in and out: by a key of the team, or by a link that was sent."""

from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Request
from pydantic import SecretStr
from starlette.responses import RedirectResponse, Response

from bank_pipeline.errors import NotFoundError
from bank_pipeline.gateway.auth import App
from bank_pipeline.gateway.forms import Form
from bank_pipeline.gateway.problems import Problem
from bank_pipeline.gateway.render import message_page, page
from bank_pipeline.gateway.visits import AnyVisit, begin_visit, end_visit, find_visit, keep_visit
from bank_pipeline.storage.api_keys import authenticate
from bank_pipeline.sync.page_links import open_page_link

router = APIRouter(include_in_schema=False)

_FROM_HERE: Final = ("same-origin", "none")
_STALE: Final = "It is not valid any more, or was not copied whole. Please ask for a new one."


@router.get("/")
def begin(request: Request) -> Response:
    """Send everybody to where they can go."""
    visit = find_visit(request)
    return RedirectResponse("/login" if visit is None else visit.home, HTTPStatus.SEE_OTHER)


@router.get("/login")
def show_login() -> Response:
    """Ask for a key."""
    return page("login", title="Log in", refused=False)


@router.post("/login")
def log_in(request: Request, services: App, form: Form) -> Response:
    """Open a session with a key; the answer to a wrong one tells nothing of why."""
    # Another site could log its visitors in to its own team, to have them connect their bank there.
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in _FROM_HERE:
        raise Problem(HTTPStatus.FORBIDDEN, "log in on this page, not from another site")
    sync = services.sync
    principal = authenticate(sync.engine, SecretStr(form.one("key")), now=sync.clock())
    if principal is None:
        return page("login", status=401, title="Log in", refused=True)
    answer = RedirectResponse("/connections", HTTPStatus.SEE_OTHER)
    before = find_visit(request, also_over=True)
    keep_visit(request, answer, begin_visit(services, by=principal, before=before))
    return answer


@router.post("/logout")
def log_out(visit: AnyVisit, form: Form) -> Response:
    """Close the session."""
    form.check_sender(visit)
    answer = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    end_visit(answer)
    return answer


@router.get("/l/{token}")
def follow_link(request: Request, services: App, token: str) -> Response:
    """Open a session for whoever was sent a link, and leave its address behind at once."""
    try:
        link = open_page_link(services.sync, token)
    except NotFoundError:
        return message_page("This link has ended", _STALE, status=404)
    visit = find_visit(request)
    is_own = visit is not None and visit.team_id == link.team_id and visit.may_manage
    before = find_visit(request, also_over=True)
    arrived = visit if visit and is_own else begin_visit(services, by=link, before=before)
    renewed = link.connection_id
    target = "/connect" if renewed is None else f"/connections/{renewed}/reconnect"
    answer = RedirectResponse(target, HTTPStatus.SEE_OTHER)
    keep_visit(request, answer, arrived)
    return answer
