"""Where customers come back to from their bank, and where a provider's widget runs."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Request
from pydantic import SecretStr
from starlette.responses import RedirectResponse, Response

from bank_pipeline.bootstrap import Services
from bank_pipeline.domain.audit import Actor, ActorKind
from bank_pipeline.domain.visits import Visit
from bank_pipeline.errors import BankPipelineError, NotFoundError, OtherBrowserError, ProviderError
from bank_pipeline.gateway.auth import App
from bank_pipeline.gateway.forms import Form
from bank_pipeline.gateway.pages.connect import to_provider
from bank_pipeline.gateway.render import message_page, oauth_return_page, widget_page
from bank_pipeline.gateway.visits import find_visit, may_see
from bank_pipeline.storage.accounts import load_stored_accounts
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.sync.account_choice import can_choose
from bank_pipeline.sync.link import accept_return, find_link_widget
from bank_pipeline.sync.linked import OTHER_ACCOUNTS, LinkState

router = APIRouter(include_in_schema=False)

AGAIN_S: Final = 10  # each time the provider is asked
_ONLY_IN_FORMS: Final = frozenset({"access_token"})
_RETURNED: Final = Actor(ActorKind.LINK, "return")  # whoever comes back from a bank with its state
_log: Final = logging.getLogger(__name__)

_UNKNOWN: Final = "This address belongs to no link that is under way. Please start again."
_OTHER: Final = (
    "You began to connect your bank in another browser. Please go back to it, or start again here."
)
_OTHER_LOGIN: Final = (
    "Your bank showed accounts of another login, and not all that were connected here. Nothing was "
    "changed. Please log in as the one who connected them, and share all of them again. Is one of "
    "them closed? Then whoever looks after this service leaves it out first, with Choose accounts. "
    "Another login is connected on its own, with Connect a bank."
)


@router.get("/link/return/{provider}")
def come_back(request: Request, services: App, provider: str) -> Response:
    """Take up the link of a customer whose bank sends them back."""
    # What opens a connection comes in a form: addresses end up in histories and logs.
    returned = {k: v for k, v in request.query_params.items() if k not in _ONLY_IN_FORMS}
    return _take_up(request, services, provider, returned, may_wait=True)


@router.post("/link/return/{provider}")
def hand_over(request: Request, services: App, provider: str, form: Form) -> Response:
    """Take up the link of a customer whose widget ended on a page of ours."""
    return _take_up(request, services, provider, form.as_dict(), may_wait=False)


@router.get("/link/widget/{provider}")
def show_widget(
    request: Request, services: App, provider: str, state: str = "", received: str = ""
) -> Response:
    """
    Show the widget of a link that is under way.

    `received` is the address that a bank's own site sent the customer back to, by OAuth.
    """
    try:
        widget = find_link_widget(
            services.sync, to_provider(services, provider), state, browser=_browser(request)
        )
    except OtherBrowserError:
        return message_page("Another browser", _OTHER, status=HTTPStatus.FORBIDDEN)
    except BankPipelineError:
        return message_page("Unknown link", _UNKNOWN, status=HTTPStatus.NOT_FOUND)
    own = services.settings.plaid_redirect_uri
    if own and received.startswith(f"{own}?"):
        settings = {**widget.settings, "receivedRedirectUri": received}
        widget = replace(widget, settings=settings)
    return widget_page(widget, action=f"/link/return/{provider}", state=state)


@router.get("/link/oauth/plaid")
def come_back_to_link() -> Response:
    """Lead a customer whose bank sends them back on to the widget that they left."""
    return oauth_return_page()


def _take_up(
    request: Request,
    services: Services,
    name: str,
    returned: Mapping[str, str],
    *,
    may_wait: bool,
) -> Response:
    visit = find_visit(request)
    try:
        provider = to_provider(services, name)
        sync = services.sync.by(_RETURNED if visit is None else visit.actor)
        state = accept_return(sync, provider, returned, browser=_browser(request))
    except NotFoundError:
        return message_page("Unknown link", _UNKNOWN, status=HTTPStatus.NOT_FOUND)
    except OtherBrowserError:
        return message_page("Another browser", _OTHER, status=HTTPStatus.FORBIDDEN)
    except BankPipelineError as error:
        code = error.code if isinstance(error, ProviderError) else type(error).__name__
        _log.warning("a link through %s was not completed: %s", name, code)
        text = "The bank's answer could not be read just now. Please start again."
        return message_page("That did not work", text, status=HTTPStatus.BAD_GATEWAY, visit=visit)
    if not state.is_finished:
        if not may_wait:
            return message_page("Nearly there", "Your bank is being connected: look in a minute.")
        text = "Your bank has not confirmed yet. This page looks again by itself."
        return message_page("Nearly there", text, again_s=AGAIN_S)
    target = None if visit is None else _target(services, visit, state)
    return _tell(state, visit) if target is None else RedirectResponse(target, HTTPStatus.SEE_OTHER)


def _target(services: Services, visit: Visit, state: LinkState) -> str | None:
    """Return where a visitor goes on whose link yielded something they may see."""
    if state.exit_reason is not None or len(state.connection_ids) != 1:
        return None
    connection_id = state.connection_ids[0]
    with services.sync.engine.connect() as db:
        connection = load_connection(db, connection_id)
        stored = load_stored_accounts(db, connection_id, vault=services.sync.vault)
    if not may_see(services, visit, connection):
        return None
    is_new = connection_id not in state.renewed_ids and (visit.is_guest or visit.may_manage)
    has_choice = len(stored.accounts) > 1 and can_choose(services.sync, connection)
    tail = "/accounts" if is_new and has_choice else ""
    return f"/connections/{connection_id}{tail}"


def _tell(state: LinkState, visit: Visit | None) -> Response:
    if state.exit_reason is not None:
        onward = None if visit is None else ("/", "Start again")
        if state.exit_reason == OTHER_ACCOUNTS:
            return message_page("Not renewed", _OTHER_LOGIN, visit=visit, onward=onward)
        text = "No account was connected. You may close this window."
        return message_page("Not connected", text, visit=visit, onward=onward)
    if state.questions_count:
        text = (
            "Your bank is connected. It shows accounts that may be ones you had before: whoever "
            "looks after this service has to say which. Until then they wait, and nothing is lost."
        )
        return message_page("Connected", text)
    if state.renewed_ids:
        text = "Your connection is renewed. You may close this window."
        return message_page("Connected", text)
    return message_page("Connected", "Your bank is connected. You may close this window.")


def _browser(request: Request) -> SecretStr | None:
    """Return what only the browser knows that began: its session may end while it is at a bank."""
    visit = find_visit(request, also_over=True)
    return None if visit is None else SecretStr(visit.browser)
