"""Link simulated people's banks as they would themselves: on the providers' own pages."""

from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from bank_pipeline.bootstrap import Services
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import SetupError
from bank_pipeline.providers.http import build_http, fetch_json
from bank_pipeline.simulation.links import widget_form
from bank_pipeline.sync.link import LinkStarted, complete_link, start_link

CAST: Final[tuple[tuple[Provider, str], ...]] = (
    (Provider.PLAID, "login-1"),
    (Provider.PLAID, "login-6"),
    (Provider.TELLER, "login-4"),
    (Provider.TELLER, "login-7"),
    (Provider.GOCARDLESS, "login-2"),
    (Provider.GOCARDLESS, "login-3"),
    (Provider.ENABLE_BANKING, "login-5"),
    (Provider.ENABLE_BANKING, "login-8"),
)
"""Who of the simulated world connects through which provider; American banks through Teller."""

TEAM: Final = "demo"


def link_simulated_banks(services: Services) -> list[ConnectionId]:
    """Link the whole cast."""
    return [link_simulated_bank(services, login, provider) for provider, login in CAST]


def link_simulated_bank(
    services: Services,
    login_id: str,
    provider: Provider = Provider.PLAID,
    *,
    team: str = TEAM,
    institution: str | None = None,
) -> ConnectionId:
    """
    Link one simulated person's bank as a person would: through the provider's own page.

    `institution` is the provider's id of a bank that goes by another name there.
    """
    can = services.sync.provider(provider).capabilities
    if institution is None and can.is_institution_chosen_first:
        institution = _find_institution(services, provider, login_id)
    started = start_link(
        services.sync,
        provider,
        team_name=team,
        institution=institution,
        return_url=f"{services.settings.gateway_url}/link/widget/{provider}"
        if can.is_linked_on_our_page
        else None,
    )
    if provider is Provider.TELLER:
        _use_widget(services, started, login_id)
    else:
        _agree(started, login_id)
    state = complete_link(services.sync, started.session_id)
    if not state.connection_ids:
        raise SetupError(f"the simulated link yielded nothing: {state.exit_reason}")
    return state.connection_ids[0]


def _agree(started: LinkStarted, login_id: str) -> None:
    """Log in on the simulated page, agree, and let the browser take us back."""
    with build_http(read_timeout_s=30) as http:
        outcome = "success" if "/link/hosted/" in started.url else "approve"
        answer = http.post(started.url, data={"outcome": outcome, "login": login_id})
        if answer.is_redirect:
            http.get(answer.headers["location"]).raise_for_status()
        else:
            answer.raise_for_status()


def _use_widget(services: Services, started: LinkStarted, login_id: str) -> None:
    """Do what the widget does in a browser: log in, and post what it gives to our page."""
    nonce = parse_qs(urlsplit(started.url).query)["state"][0]
    with build_http(read_timeout_s=30) as http:
        http.get(started.url).raise_for_status()
        body = {"login": login_id, "nonce": nonce}
        url = f"{_sandbox_url(services)}/_sim/teller/connect"
        done: dict[str, Any] = http.post(url, json=body).raise_for_status().json()
        gateway = services.settings.gateway_url
        http.post(f"{gateway}/link/return/teller", data=widget_form(done, nonce)).raise_for_status()


def _find_institution(services: Services, provider: Provider, login_id: str) -> str:
    """Return the provider's id of a simulated person's bank."""
    logins = fetch_json(f"{_sandbox_url(services)}/_sim/logins")["logins"]
    login = next(one for one in logins if one["login_id"] == login_id)
    offered = services.sync.provider(provider).fetch_institutions().institutions
    found = [
        bank.external_id
        for bank in offered
        if bank.name == login["bank"] and login["country"] in bank.countries
    ]
    if not found:
        raise SetupError(f"{provider} does not offer {login['bank']}")
    return found[0]


def _sandbox_url(services: Services) -> str:
    url = services.settings.clock_url
    if url is None:
        raise SetupError("no simulation is running")
    return url.removesuffix("/_sim/clock")
