"""`bank-pipeline link`: connect a customer's bank from the terminal."""

import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated, Final
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import typer

from bank_pipeline.bootstrap import Services
from bank_pipeline.cli.output import console
from bank_pipeline.cli.session import open_services
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId, LinkSessionId
from bank_pipeline.domain.institution import CustomerKind
from bank_pipeline.errors import SetupError, TransientError
from bank_pipeline.gateway.serve import GatewayThread
from bank_pipeline.storage.connections import load_connection, load_team
from bank_pipeline.sync.link import LinkStarted, check_not_linked, complete_link, start_link
from bank_pipeline.sync.linked import OTHER_ACCOUNTS, OTHER_ACCOUNTS_TOLD, LinkState
from bank_pipeline.sync.page_links import make_connect_link, make_renewal_link

POLL_S: Final = 2.0

Team = Annotated[str, typer.Option(help="Whose bank it is.")]
Renew = Annotated[UUID | None, typer.Option(help="Connection whose consent to renew.")]
WaitS = Annotated[int, typer.Option(min=0, help="How long to wait for the customer.")]
Anyway = Annotated[
    bool,
    typer.Option("--anyway", help="It is another login at a bank that is connected already."),
]
Institution = Annotated[
    str | None,
    typer.Option(help="The bank's id, from `bank-pipeline institutions search`."),
]
Kind = Annotated[
    CustomerKind | None,
    typer.Option(
        help="Whose login it is, at banks that keep those of persons and companies apart "
        "(Enable Banking). Of a renewal: as before; else a person's."
    ),
]

app = typer.Typer(help="Connect a bank.", no_args_is_help=True)


@app.command()
def plaid(
    team: Team = "default", renew: Renew = None, anyway: Anyway = False, wait_s: WaitS = 1800
) -> None:
    """Connect a bank through Plaid, which lets the customer choose it."""
    _link(Provider.PLAID, team=team, renew=renew, anyway=anyway, wait_s=wait_s)


@app.command(name="enable-banking")
def enable_banking(
    team: Team = "default",
    institution: Institution = None,
    kind: Kind = None,
    renew: Renew = None,
    anyway: Anyway = False,
    wait_s: WaitS = 1800,
) -> None:
    """Connect a European bank through Enable Banking."""
    _link(
        Provider.ENABLE_BANKING,
        team=team,
        institution=institution,
        kind=kind,
        renew=renew,
        anyway=anyway,
        wait_s=wait_s,
    )


@app.command()
def gocardless(
    team: Team = "default",
    institution: Institution = None,
    renew: Renew = None,
    anyway: Anyway = False,
    wait_s: WaitS = 1800,
) -> None:
    """Connect a European bank through GoCardless (existing GoCardless customers only)."""
    _link(
        Provider.GOCARDLESS,
        team=team,
        institution=institution,
        renew=renew,
        anyway=anyway,
        wait_s=wait_s,
    )


@app.command()
def teller(
    team: Team = "default", renew: Renew = None, anyway: Anyway = False, wait_s: WaitS = 1800
) -> None:
    """Connect an American bank through Teller, whose widget runs in a page of ours."""
    _link(Provider.TELLER, team=team, renew=renew, anyway=anyway, wait_s=wait_s)


@app.command()
def page(team: Team = "default", renew: Renew = None) -> None:
    """Print an address to send to somebody: there they connect a bank, or renew a connection."""
    services = open_services()
    base_url = services.settings.gateway_url
    if base_url is None:
        raise SetupError("set BANK_PIPELINE_GATEWAY_URL: the address under which people reach us")
    with services.sync.engine.connect() as db:
        team_id = load_team(db, team)
        renewed = None if renew is None else load_connection(db, ConnectionId(str(renew)))
    if renewed is None:
        url = make_connect_link(services.sync, team_id, base_url=base_url)
    else:
        url = make_renewal_link(services.sync, renewed.team_id, renewed.id, base_url=base_url)
    console.print(url.get_secret_value(), highlight=False, soft_wrap=True)


@app.command()
def finish(
    session: Annotated[UUID, typer.Argument(help="The link's id, as printed when it began.")],
    paste: Annotated[
        bool, typer.Option("--paste", help="Ask for the address the customer came back to.")
    ] = False,
    wait_s: WaitS = 0,
) -> None:
    """Take up a link again whose command ended before the customer was done."""
    services = open_services()
    session_id = LinkSessionId(str(session))
    if paste:
        _tell(_take_pasted(services, session_id), session_id)
        return
    _tell(wait_for_link(services, session_id, wait_s=wait_s), session_id)


def _link(
    provider: Provider,
    *,
    team: str,
    renew: UUID | None,
    anyway: bool,
    wait_s: int,
    institution: str | None = None,
    kind: CustomerKind | None = None,
) -> None:
    services = open_services()
    if renew is None and not anyway:
        check_not_linked(services.sync, provider, team_name=team, institution=institution)

    def start(return_url: str | None) -> LinkStarted:
        return start_link(
            services.sync,
            provider,
            team_name=team,
            institution=institution,
            renews=None if renew is None else ConnectionId(str(renew)),
            return_url=return_url,
            is_other_login=anyway,
            customer_kind=kind,
        )

    go_through_link(services, provider, start, wait_s=wait_s)


def go_through_link(
    services: Services,
    provider: Provider,
    start: Callable[[str | None], LinkStarted],
    *,
    wait_s: int,
) -> None:
    """Begin a link, show where it goes, and wait for the customer; `start` takes a return URL."""
    can = services.sync.provider(provider).capabilities
    with ExitStack() as stack:
        return_url = None
        if can.is_linked_on_our_page:
            gateway_url = services.settings.gateway_url or _own_gateway(stack, services)
            return_url = f"{gateway_url.rstrip('/')}/link/widget/{provider}"
        started = start(return_url)
        console.print("Open this page (it stays valid until then):")
        console.print(started.url, style="bold cyan", soft_wrap=True)
        console.print(f"[dim]valid until {started.expires_at:%Y-%m-%d %H:%M} UTC[/]")
        console.print(f"[dim]if this ends early: bank-pipeline link finish {started.session_id}[/]")
        is_seen = can.is_linked_on_our_page or services.settings.gateway_url is not None
        if can.is_finished_by_return and not is_seen:
            _tell(_take_pasted(services, started.session_id), started.session_id)
            return
        state = wait_for_link(services, started.session_id, wait_s=wait_s)
        _tell(state, started.session_id)


def _own_gateway(stack: ExitStack, services: Services) -> str:
    """Run the page on this machine for as long as the command waits."""
    return stack.enter_context(GatewayThread(services)).url


def _take_pasted(services: Services, session_id: LinkSessionId) -> LinkState | None:
    """Take the address from a person: with no gateway, nobody else sees it."""
    if not sys.stdin.isatty():
        console.print("The bank sends the customer back with a code that only that address holds:")
    address = typer.prompt("Paste the address that the browser shows at the end")
    returned = dict(parse_qsl(urlsplit(address.strip()).query))
    if not returned:
        raise SetupError("that address holds nothing behind a `?`: paste it whole")
    return complete_link(services.sync, session_id, returned=returned)


def _tell(state: LinkState | None, session_id: LinkSessionId) -> None:
    if state is None or not state.is_finished:
        console.print(f"not finished yet; later: bank-pipeline link finish {session_id}")
        raise typer.Exit(1)
    if state.exit_reason is not None:
        console.print(f"ended without a connection: {state.exit_reason}")
        if state.exit_reason == OTHER_ACCOUNTS:
            console.print(f"{OTHER_ACCOUNTS_TOLD}: bank-pipeline link PROVIDER --anyway")
        raise typer.Exit(1)
    for connection_id in state.connection_ids:
        is_renewed = connection_id in state.renewed_ids
        console.print(f"{'renewed' if is_renewed else 'connected'}: {connection_id}")
    if state.renewed_ids:
        console.print("[dim]the old consent stays in use until the new one has read an account[/]")
    if state.questions_count:
        console.print(
            f"{state.questions_count} accounts may be known ones: after the next sync, "
            "bank-pipeline accounts questions"
        )
    console.print("The next sync starts by itself under `bank-pipeline up`,")
    console.print(f"or now with: bank-pipeline sync {' '.join(state.connection_ids)}")


def wait_for_link(
    services: Services, session_id: LinkSessionId, *, wait_s: float
) -> LinkState | None:
    """Ask every two seconds until the customer is done; None when the wait is over."""
    pause = threading.Event()
    deadline = time.monotonic() + wait_s
    with console.status("waiting for the customer …"):
        while True:
            try:
                state = complete_link(services.sync, session_id)
            except TransientError as error:
                console.print(f"[dim]{error}; asking again[/]")
            else:
                if state.is_finished:
                    return state
            if time.monotonic() + POLL_S > deadline:
                return None
            pause.wait(POLL_S)
