"""`bank-pipeline link`: connect a customer's bank from the terminal."""

import threading
import time
from typing import Annotated, Final
from uuid import UUID

import typer

from bank_pipeline.bootstrap import Services
from bank_pipeline.cli.output import console
from bank_pipeline.cli.session import open_services
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId, LinkSessionId
from bank_pipeline.errors import TransientError
from bank_pipeline.sync.link import LinkState, complete_link, start_link

POLL_S: Final = 2.0

app = typer.Typer(help="Connect a bank.", no_args_is_help=True)


@app.command()
def plaid(
    team: Annotated[str, typer.Option(help="Whose bank it is.")] = "default",
    renew: Annotated[UUID | None, typer.Option(help="Connection whose consent to renew.")] = None,
    wait_s: Annotated[int, typer.Option(min=0, help="How long to wait for the customer.")] = 1800,
) -> None:
    """Connect a bank through Plaid: prints a page to open, and waits until it is done."""
    services = open_services()
    started = start_link(
        services.sync,
        Provider.PLAID,
        team_name=team,
        renews=None if renew is None else ConnectionId(str(renew)),
    )
    console.print("Open this page and choose a bank (it stays valid until then):")
    console.print(started.url, style="bold cyan", soft_wrap=True)
    console.print(f"[dim]valid until {started.expires_at:%Y-%m-%d %H:%M} UTC[/]")
    console.print(f"[dim]if this ends early: bank-pipeline link finish {started.session_id}[/]")
    _wait_and_tell(services, started.session_id, wait_s=wait_s)


@app.command()
def finish(
    session: Annotated[UUID, typer.Argument(help="The link's id, as printed when it began.")],
    wait_s: Annotated[int, typer.Option(min=0, help="How long to wait for the customer.")] = 0,
) -> None:
    """Take up a link again whose command ended before the customer was done."""
    _wait_and_tell(open_services(), LinkSessionId(str(session)), wait_s=wait_s)


def _wait_and_tell(services: Services, session_id: LinkSessionId, *, wait_s: int) -> None:
    state = wait_for_link(services, session_id, wait_s=wait_s)
    if state is None:
        console.print(f"not finished yet; later: bank-pipeline link finish {session_id}")
        raise typer.Exit(1)
    if state.exit_reason is not None:
        console.print(f"ended without a connection: {state.exit_reason}")
        raise typer.Exit(1)
    if not state.connection_ids:
        console.print("done already; see `bank-pipeline connections`")
        return
    for connection_id in state.connection_ids:
        console.print(f"connected: {connection_id}")
    console.print("The first sync starts by itself under `bank-pipeline up`,")
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
