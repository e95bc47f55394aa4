"""Connect a bank: choose it, then on to its own pages."""

import logging
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from pydantic import SecretStr
from starlette.responses import Response

from bank_pipeline.bootstrap import Services
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.institution import CustomerKind
from bank_pipeline.domain.visits import Visit
from bank_pipeline.errors import NotFoundError, SetupError
from bank_pipeline.gateway.auth import App
from bank_pipeline.gateway.forms import Form
from bank_pipeline.gateway.problems import Problem
from bank_pipeline.gateway.render import page
from bank_pipeline.gateway.visits import AnyVisit, base_url, rows_of
from bank_pipeline.storage.connections import load_open_connections, load_team_name
from bank_pipeline.storage.institution_search import list_countries, search_institutions
from bank_pipeline.sync.link import LinkStarted, start_link

router = APIRouter(include_in_schema=False)

SHOWN_MAX: Final = 60
_NOT_SET_UP: Final = (
    "this bank cannot be connected just now: whoever runs this service finds the reason in its log"
)
_log: Final = logging.getLogger(__name__)
_TEXT_MAX: Final = 100


@router.get("/connect")
def choose_bank(
    request: Request,
    visit: AnyVisit,
    services: App,
    q: Annotated[str, Query(max_length=_TEXT_MAX)] = "",
    country: Annotated[str, Query(pattern="^([A-Z]{2})?$")] = "",
) -> Response:
    """Show the banks that can be connected, and the providers that let people choose there."""
    _check_may_connect(visit)
    asked_first, elsewhere = _providers(services)
    with rows_of(request, visit).connect() as db:
        banks = search_institutions(
            db, q, country=country or None, providers=asked_first, limit=SHOWN_MAX
        )
        countries = list_countries(db, asked_first)
        team = load_team_name(db, visit.team_id)
    return page(
        "connect",
        visit=visit,
        title="Connect a bank",
        team=team,
        banks=banks,
        countries=countries,
        elsewhere=elsewhere,
        asking_kind=[one for one in asked_first if _asks_kind(services, one)],
        q=q,
        country=country,
        is_cut=len(banks) == SHOWN_MAX,
        images=[bank.logo_url for bank in banks if bank.logo_url],
    )


@router.post("/connect")
def connect_bank(request: Request, visit: AnyVisit, services: App, form: Form) -> Response:
    """Begin a link, unless the bank is connected already, and send the customer on."""
    form.check_sender(visit)
    _check_may_connect(visit)
    provider = to_provider(services, form.one("provider"))
    institution = form.one("institution") or None
    is_other_login = form.one("other_login") == "yes"
    kind = _to_customer_kind(form.one("kind"))
    if institution is not None and not is_other_login:
        with rows_of(request, visit).connect() as db:
            known = load_open_connections(db, visit.team_id, provider, institution)
        if known:
            return page(
                "connected_already",
                visit=visit,
                title="This bank is connected already",
                provider=provider,
                institution=institution,
                kind=kind,
                connections=[] if visit.is_guest else known,
            )
    started = begin_link(
        request,
        visit,
        services,
        provider,
        institution=institution,
        is_other_login=is_other_login,
        customer_kind=kind,
    )
    return leave(visit, started, provider)


def begin_link(
    request: Request,
    visit: Visit,
    services: Services,
    provider: Provider,
    *,
    institution: str | None = None,
    renews: ConnectionId | None = None,
    is_other_login: bool = False,
    customer_kind: CustomerKind | None = None,
) -> LinkStarted:
    """Begin a link that this browser alone may end."""
    team_name = rows_of(request, visit).team_name()
    try:
        return start_link(
            services.sync.by(visit.actor),
            provider,
            team_name=team_name,
            institution=institution,
            renews=renews,
            return_url=_return_url(request, services, provider),
            is_other_login=is_other_login,
            browser=SecretStr(visit.browser),
            customer_kind=customer_kind,
        )
    except SetupError as error:
        _log.warning("a link through %s was not begun: %s", provider, error)
        raise Problem(HTTPStatus.CONFLICT, _NOT_SET_UP) from None


def leave(visit: Visit, started: LinkStarted, provider: Provider) -> Response:
    """
    Send the customer to where they consent.

    By a page, not by a redirect: browsers hold a form's policy against all that follows it.
    """
    return page(
        "leave", visit=visit, title="On to your bank", url=started.url, provider=provider.value
    )


def _providers(services: Services) -> tuple[list[Provider], list[Provider]]:
    """Return the providers whose banks are chosen here, and those that ask themselves."""
    here = [
        one
        for one, client in services.sync.providers.items()
        if client.capabilities.is_institution_chosen_first
    ]
    return here, [one for one in services.sync.providers if one not in here]


def _return_url(request: Request, services: Services, provider: Provider) -> str | None:
    """Return where the customer goes or comes back to; None where the provider knows it."""
    can = services.sync.provider(provider).capabilities
    if can.is_linked_on_our_page:
        return f"{base_url(request)}/link/widget/{provider}"
    if can.is_institution_chosen_first:
        return None
    return f"{base_url(request)}/link/return/{provider}"


def _asks_kind(services: Services, provider: Provider) -> bool:
    return services.sync.provider(provider).capabilities.asks_customer_kind


def _to_customer_kind(name: str) -> CustomerKind | None:
    return CustomerKind(name) if name in {*CustomerKind} else None


def to_provider(services: Services, name: str) -> Provider:
    """
    Return the configured provider of this name.

    Raises:
        NotFoundError: there is none.
    """
    found = next((one for one in services.sync.providers if one.value == name), None)
    if found is None:
        raise NotFoundError("there is no such provider")
    return found


def _check_may_connect(visit: Visit) -> None:
    if not visit.may_connect:
        raise Problem(HTTPStatus.FORBIDDEN, "your key or link does not allow to connect a bank")
