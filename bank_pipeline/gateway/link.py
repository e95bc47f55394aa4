"""Where customers come back to from their bank, and where a provider's widget runs."""

import logging
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bank_pipeline.bootstrap import Services
from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import BankPipelineError, NotFoundError, ProviderError
from bank_pipeline.gateway.bodies import read_bounded
from bank_pipeline.gateway.pages import message_page, widget_page
from bank_pipeline.sync.link import accept_return, find_link_widget
from bank_pipeline.sync.linked import LinkState

FORM_BYTES_MAX: Final = 16 * 1024  # a token, two ids and a signature take less than 1 kB

_ONLY_IN_FORMS: Final = frozenset({"access_token"})
_log: Final = logging.getLogger(__name__)

_UNKNOWN: Final = "This address belongs to no link that is under way. Please start again."


def link_routes(services: Services) -> list[Route]:
    """Return the pages: one to come back to for every provider, one for those with a widget."""

    async def come_back(request: Request) -> Response:
        # What opens a connection comes in a form: addresses end up in histories and logs.
        returned = {k: v for k, v in request.query_params.items() if k not in _ONLY_IN_FORMS}
        if request.method == "POST":
            body = await read_bounded(request, bytes_max=FORM_BYTES_MAX)
            if body is None:
                return message_page("Too much", _UNKNOWN, status=413)
            returned = dict(parse_qsl(body.decode(errors="replace")))
        name = request.path_params["provider"]
        return await run_in_threadpool(_take_up, services, name, returned)

    async def show_widget(request: Request) -> Response:
        name, state = request.path_params["provider"], request.query_params.get("state", "")
        return await run_in_threadpool(_show_widget, services, name, state)

    return [
        Route("/link/return/{provider}", come_back, methods=["GET", "POST"]),
        Route("/link/widget/{provider}", show_widget, methods=["GET"]),
    ]


def _take_up(services: Services, name: str, returned: Mapping[str, str]) -> Response:
    try:
        state = accept_return(services.sync, _to_provider(services, name), returned)
    except NotFoundError:
        return message_page("Unknown link", _UNKNOWN, status=404)
    except BankPipelineError as error:
        code = error.code if isinstance(error, ProviderError) else type(error).__name__
        _log.warning("a link through %s was not completed: %s", name, code)
        text = "The bank's answer could not be read just now. Please start again."
        return message_page("That did not work", text, status=502)
    return _tell(state)


def _tell(state: LinkState) -> Response:
    if not state.is_finished:
        return message_page("Nearly there", "Your bank has not confirmed yet. You may close this.")
    if state.exit_reason is not None:
        return message_page("Not connected", "No account was connected. You may close this window.")
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


def _show_widget(services: Services, name: str, state: str) -> Response:
    try:
        widget = find_link_widget(services.sync, _to_provider(services, name), state)
    except BankPipelineError:
        return message_page("Unknown link", _UNKNOWN, status=404)
    return widget_page(widget, action=f"/link/return/{name}")


def _to_provider(services: Services, name: str) -> Provider:
    found = next((one for one in services.sync.providers if one.value == name), None)
    if found is None:
        raise NotFoundError("no such provider")
    return found
