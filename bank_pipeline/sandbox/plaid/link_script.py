"""
The fake Plaid Link for pages: a script as the real one's, and what it calls.

Pages of any origin may use it, as they use the real one.
Source: https://plaid.com/docs/link/web/
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bank_pipeline.sandbox.plaid.errors import PlaidError
from bank_pipeline.sandbox.plaid.hosted_page import offered_logins
from bank_pipeline.sandbox.plaid.link import Choice, finish_session, open_accounts
from bank_pipeline.sandbox.plaid.simulator import Plaid
from bank_pipeline.sandbox.wire import dumps, loads

_SCRIPT: Final = Path(__file__).with_name("link.js")
_OPEN: Final = {"Access-Control-Allow-Origin": "*"}
_BAD_REQUEST: Final = 400
_Asked = Mapping[str, Any]


def script_routes(plaid: Plaid) -> list[Route]:
    """Return the routes: the script, who can connect, and what they decide."""

    def list_logins(asked: _Asked) -> dict[str, Any]:
        token = plaid.links.usable(asked["link_token"], plaid.clock.now())
        world = plaid.world
        logins = [world.logins[one] for one in offered_logins(plaid, token)]
        return {
            "logins": [
                {"login": one.id, "person": one.person_name, "bank": world.banks[one.bank_id].name}
                for one in logins
            ]
        }

    def finish(asked: _Asked) -> dict[str, Any]:
        token = plaid.links.usable(asked["link_token"], plaid.clock.now())
        login_id = asked["login"]
        choice = None if login_id is None else Choice(login_id, open_accounts(plaid, login_id))
        finish_session(plaid, token, choice)
        session = token.sessions[-1]
        added = session.added
        if added is None:
            return {"public_token": None, "metadata": {}}
        about = {
            "institution": added.institution,
            "accounts": added.accounts,
            "link_session_id": session.session_id,
        }
        return {"public_token": added.public_token, "metadata": about}

    async def script(_: Request) -> Response:
        text = _SCRIPT.read_text(encoding="utf-8")
        return Response(text, headers=_OPEN, media_type="text/javascript")

    return [
        Route("/link/v2/stable/link-initialize.js", script),
        _page_route(plaid, "/link/widget/logins", list_logins),
        _page_route(plaid, "/link/widget/finish", finish),
    ]


def _page_route(plaid: Plaid, path: str, perform: Callable[[_Asked], dict[str, Any]]) -> Route:
    """Return a route that answers JSON to pages of any origin."""

    def answer(raw: bytes) -> Response:
        try:
            with plaid.lock:
                body, status = perform(loads(raw)), 200
        except (PlaidError, LookupError, ValueError, TypeError):
            body, status = {"error_code": "INVALID_LINK_TOKEN"}, _BAD_REQUEST
        return Response(dumps(body), status, headers=_OPEN, media_type="application/json")

    async def handle(request: Request) -> Response:
        return await run_in_threadpool(answer, await request.body())

    return Route(path, handle, methods=["POST"])
