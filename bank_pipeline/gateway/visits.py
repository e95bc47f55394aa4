"""Sessions of people in browsers: sealed in a cookie, by a key or by a link that was sent."""

import secrets
from http import HTTPStatus
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, FastAPI, Request, Response
from pydantic import SecretStr, ValidationError
from starlette.responses import RedirectResponse

from bank_pipeline.bootstrap import Services
from bank_pipeline.domain.access import KeyScope, Principal
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.visits import GUEST_FOR, SESSION_FOR, PageLink, Visit
from bank_pipeline.errors import NotFoundError, SecretError
from bank_pipeline.gateway.auth import services_of
from bank_pipeline.gateway.problems import Problem
from bank_pipeline.storage.api_keys import load_principal
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.link_sessions import is_linked_by
from bank_pipeline.storage.reading import TeamRows
from bank_pipeline.storage.seals import VaultSeal

COOKIE: Final = "bank_session"
_NAME: Final = "session"
_TOKEN_BYTES: Final = 32
_LOOK_ONLY: Final = "your key allows to look, not to change"


class LoginNeeded(Exception):  # noqa: N818 - no error: the way in
    """Nobody's session came with the request."""


def add_login_handler(app: FastAPI) -> None:
    """Send to the way in whoever asks for a page without a session."""

    @app.exception_handler(LoginNeeded)
    async def _login(_: Request, __: LoginNeeded) -> Response:
        return RedirectResponse("/login", HTTPStatus.SEE_OTHER)


def begin_visit(services: Services, *, by: Principal | PageLink) -> Visit:
    """Return a new session of whoever showed a key, or came by a link that was sent."""
    now = services.sync.clock()
    browser, form_token = secrets.token_urlsafe(_TOKEN_BYTES), secrets.token_urlsafe(_TOKEN_BYTES)
    if isinstance(by, Principal):
        return Visit(
            team_id=by.team_id,
            browser=browser,
            form_token=form_token,
            expires_at=now + SESSION_FOR,
            key_id=by.key_id,
            scope=by.scope,
        )
    return Visit(
        team_id=by.team_id,
        browser=browser,
        form_token=form_token,
        expires_at=min(now + GUEST_FOR, by.expires_at),
        link=by,
    )


def keep_visit(request: Request, response: Response, visit: Visit) -> None:
    """Hand the session to the browser: for no script, no other site, and no plain line."""
    services = services_of(request)
    text = SecretStr(visit.model_dump_json())
    response.set_cookie(
        COOKIE,
        VaultSeal(services.sync.vault, "gateway").close(text, _NAME),
        httponly=True,
        samesite="lax",  # a bank sends the customer back from its own site
        secure=base_url(request).startswith("https:"),
    )


def end_visit(response: Response) -> None:
    """Have the browser forget the session."""
    response.delete_cookie(COOKIE)


def base_url(request: Request) -> str:
    """Return the address that people and providers reach us under, without a slash at its end."""
    return (services_of(request).settings.gateway_url or str(request.base_url)).rstrip("/")


def find_visit(request: Request) -> Visit | None:
    """Return whose session came with the request; None without a valid one."""
    sealed = request.cookies.get(COOKIE)
    if sealed is None:
        return None
    sync = services_of(request).sync
    try:
        text = VaultSeal(sync.vault, "gateway").open(sealed, _NAME).get_secret_value()
        visit = Visit.model_validate_json(text)
    except (SecretError, ValidationError):
        return None
    if visit.is_over(sync.clock()):
        return None
    if visit.key_id is None:
        return visit
    principal = load_principal(sync.engine, visit.key_id)
    return None if principal is None else visit.model_copy(update={"scope": principal.scope})


def _visit(request: Request) -> Visit:
    visit = find_visit(request)
    if visit is None:
        raise LoginNeeded
    return visit


AnyVisit = Annotated[Visit, Depends(_visit)]
"""Whoever has a session."""


def _member(visit: AnyVisit) -> Visit:
    if visit.is_guest:
        raise Problem(HTTPStatus.FORBIDDEN, "your link does not open this page")
    return visit


def _manager(visit: Annotated[Visit, Depends(_member)]) -> Visit:
    if visit.scope is not KeyScope.MANAGE:
        raise Problem(HTTPStatus.FORBIDDEN, _LOOK_ONLY)
    return visit


Member = Annotated[Visit, Depends(_member)]
"""Whoever showed a key."""

MemberWhoManages = Annotated[Visit, Depends(_manager)]
"""Whoever showed a key that may change things."""


def rows_of(request: Request, visit: Visit) -> TeamRows:
    """Return the rows of the visitor's team."""
    return TeamRows(services_of(request).sync.engine, visit.team_id)


def _seen(request: Request, visit: AnyVisit, connection_id: UUID) -> ConnectionId:
    """
    Return a connection that this visitor may look at.

    A guest may look at the one that they renew, and at those that they linked in this browser.

    Raises:
        NotFoundError: it is none of these, whether or not there is such a connection.
    """
    sync = services_of(request).sync
    own_id = ConnectionId(str(connection_id))
    with sync.engine.connect() as db:
        connection = load_connection(db, own_id)
        is_own = connection.team_id == visit.team_id
        if is_own and visit.is_guest:
            is_renewed = visit.link is not None and visit.link.connection_id == connection.id
            browser = SecretStr(visit.browser)
            is_own = is_renewed or is_linked_by(db, connection.id, browser, vault=sync.vault)
    if not is_own:
        raise NotFoundError("there is no such connection")
    return own_id


SeenConnection = Annotated[ConnectionId, Depends(_seen)]
"""A connection that the visitor may look at."""


def _changed(visit: AnyVisit, own_id: SeenConnection) -> ConnectionId:
    if not visit.is_guest and visit.scope is not KeyScope.MANAGE:
        raise Problem(HTTPStatus.FORBIDDEN, _LOOK_ONLY)
    return own_id


ChangedConnection = Annotated[ConnectionId, Depends(_changed)]
"""A connection that the visitor may change: a guest their own, a member with a key for it."""
