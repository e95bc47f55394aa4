"""Sessions of people in browsers: sealed in a cookie, by a key or by a link that was sent."""

import secrets
from http import HTTPStatus
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, FastAPI, Request, Response
from pydantic import SecretStr, ValidationError
from starlette.responses import RedirectResponse

from bank_pipeline.bootstrap import Services
from bank_pipeline.domain.access import Principal
from bank_pipeline.domain.connection import Connection
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


def begin_visit(services: Services, *, by: Principal | PageLink, before: Visit | None) -> Visit:
    """
    Return a new session of whoever showed a key, or came by a link that was sent.

    The browser stays the one that it was `before`, for the same team: a link that it has begun
    can still be ended.
    """
    now = services.sync.clock()
    is_known = before is not None and before.team_id == by.team_id
    browser = before.browser if before and is_known else secrets.token_urlsafe(_TOKEN_BYTES)
    is_key = isinstance(by, Principal)
    return Visit(
        team_id=by.team_id,
        browser=browser,
        form_token=secrets.token_urlsafe(_TOKEN_BYTES),
        expires_at=now + (SESSION_FOR if is_key else GUEST_FOR),
        key_id=by.key_id if isinstance(by, Principal) else None,
        scope=by.scope if isinstance(by, Principal) else None,
        link=None if isinstance(by, Principal) else by,
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


def find_visit(request: Request, *, also_over: bool = False) -> Visit | None:
    """
    Return whose session came with the request; None without a valid one.

    `also_over`: also one whose time has passed, for what its browser has begun: never for what
    it may do. One whose key was taken back is none.
    """
    sealed = request.cookies.get(COOKIE)
    if sealed is None:
        return None
    sync = services_of(request).sync
    try:
        text = VaultSeal(sync.vault, "gateway").open(sealed, _NAME).get_secret_value()
        visit = Visit.model_validate_json(text)
    except (SecretError, ValidationError):
        return None
    if visit.is_over(sync.clock()) and not also_over:
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
    if not visit.may_manage:
        raise Problem(HTTPStatus.FORBIDDEN, _LOOK_ONLY)
    return visit


Member = Annotated[Visit, Depends(_member)]
"""Whoever showed a key."""

MemberWhoManages = Annotated[Visit, Depends(_manager)]
"""Whoever showed a key that may change things."""


def rows_of(request: Request, visit: Visit) -> TeamRows:
    """Return the rows of the visitor's team."""
    return TeamRows(services_of(request).sync.engine, visit.team_id)


def is_linked_here(services: Services, visit: Visit, connection_id: ConnectionId) -> bool:
    """Say whether this browser linked the connection, and did not come upon one that was there."""
    sync = services.sync
    with sync.engine.connect() as db:
        return is_linked_by(db, connection_id, SecretStr(visit.browser), vault=sync.vault)


def may_see(services: Services, visit: Visit, connection: Connection) -> bool:
    """
    Say whether a visitor may look at a connection.

    A guest may look at the one that they renew, and at those that they linked in this browser.
    """
    if connection.team_id != visit.team_id:
        return False
    if not visit.is_guest or (visit.link and visit.link.connection_id == connection.id):
        return True
    return is_linked_here(services, visit, connection.id)


def _seen(request: Request, visit: AnyVisit, connection_id: UUID) -> ConnectionId:
    own_id = ConnectionId(str(connection_id))
    with rows_of(request, visit).connect() as db:
        connection = load_connection(db, own_id)
    if not may_see(services_of(request), visit, connection):
        raise NotFoundError("there is no such connection")  # whether or not there is one
    return own_id


SeenConnection = Annotated[ConnectionId, Depends(_seen)]
"""A connection that the visitor may look at."""


def _changed(visit: AnyVisit, own_id: SeenConnection) -> ConnectionId:
    if not visit.is_guest and not visit.may_manage:
        raise Problem(HTTPStatus.FORBIDDEN, _LOOK_ONLY)
    return own_id


ChangedConnection = Annotated[ConnectionId, Depends(_changed)]
"""A connection that the visitor may renew and sync: a guest their own, a member by their key."""


def _chosen(request: Request, visit: AnyVisit, own_id: ChangedConnection) -> ConnectionId:
    if visit.is_guest and not is_linked_here(services_of(request), visit, own_id):
        raise Problem(HTTPStatus.FORBIDDEN, "your link is for renewing this connection alone")
    return own_id


ChosenConnection = Annotated[ConnectionId, Depends(_chosen)]
"""A connection whose accounts the visitor may choose: not whoever was sent a link to renew it."""
