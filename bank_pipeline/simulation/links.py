"""Customers at their banks' pages: they link, renew and repair as a person would."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import TransientError
from bank_pipeline.providers.http import build_http
from bank_pipeline.sandbox.teller.connect import Choice, connect
from bank_pipeline.simulation.customers import Customer
from bank_pipeline.simulation.installation import GATEWAY_URL, Installation
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.sync.link import LinkStarted, accept_return, complete_link, start_link
from bank_pipeline.sync.linked import LinkState

TEAM: Final = "simulation"


def link(
    place: Installation, customer: Customer, login_id: str, *, renews: ConnectionId | None = None
) -> LinkState:
    """
    Link a login, or renew its connection.

    Raises:
        BankPipelineError: it did not work this time.
    """
    provider = customer.provider
    can = place.context.provider(provider).capabilities
    started = start_link(
        place.context,
        provider,
        team_name=TEAM,
        institution=customer.institution if renews is None else None,
        renews=renews,
        return_url=f"{GATEWAY_URL}/link/widget/{provider}" if can.is_linked_on_our_page else None,
    )
    if provider is Provider.TELLER:
        return _use_widget(place, started, login_id, renews)
    outcome = "success" if provider is Provider.PLAID else "approve"
    returned = _decide(started.url, {"outcome": outcome, "login": login_id}, provider)
    if provider is Provider.PLAID:
        return complete_link(place.context, started.session_id)
    return accept_return(place.context, provider, returned)


def _decide(url: str, form: Mapping[str, str], provider: Provider) -> Mapping[str, str]:
    """Decide on the provider's page, and return what the browser brings back with it."""
    try:
        with build_http(read_timeout_s=10) as http:
            answer = http.post(url, data=dict(form))
    except httpx.HTTPError as error:
        raise TransientError(provider, "page", code=type(error).__name__) from None
    if answer.has_redirect_location:
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    if not answer.is_success:
        raise TransientError(provider, "page", code=f"HTTP_{answer.status_code}")
    return {}


def _use_widget(
    place: Installation, started: LinkStarted, login_id: str, renews: ConnectionId | None
) -> LinkState:
    """Do what the widget does in a browser: log in, and hand over what it gives."""
    nonce = dict(parse_qsl(urlsplit(started.url).query))["state"]
    enrollment_id = external_id_of(place, renews) if renews else None
    choice = Choice(
        login_id=None if enrollment_id else login_id, enrollment_id=enrollment_id, nonce=nonce
    )
    done: dict[str, Any] = connect(place.teller, choice)
    return accept_return(place.context, Provider.TELLER, widget_form(done, nonce))


def widget_form(done: Mapping[str, Any], nonce: str) -> dict[str, str]:
    """Return the form that our page posts of what Teller's widget gives it."""
    return {
        "state": nonce,
        "access_token": done["accessToken"],
        "enrollment_id": done["enrollment"]["id"],
        "institution_name": done["enrollment"]["institution"]["name"],
        "user_id": done["user"]["id"],
        "signatures": ",".join(done.get("signatures", [])),
    }


def external_id_of(place: Installation, connection_id: ConnectionId) -> str:
    """Return the provider's id of a connection."""
    with place.context.engine.connect() as db:
        return load_connection(db, connection_id).external_id
