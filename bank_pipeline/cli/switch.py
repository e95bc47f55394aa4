"""`bank-pipeline switch-provider`: continue a connection through another provider."""

from typing import Annotated

import typer

from bank_pipeline.cli.link import Institution, Kind, WaitS, go_through_link
from bank_pipeline.cli.session import open_services
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sync.link import LinkStarted
from bank_pipeline.sync.switch import start_switch


def switch_provider(
    connection: Annotated[str, typer.Argument(help="Connection id.")],
    to: Annotated[Provider, typer.Option(help="The provider to go on with.")],
    institution: Institution = None,
    kind: Kind = None,
    wait_s: WaitS = 1800,
) -> None:
    """Continue a connection through another provider; accounts, rows and notes keep their ids."""
    services = open_services()

    def start(return_url: str | None) -> LinkStarted:
        return start_switch(
            services.sync,
            ConnectionId(connection),
            to,
            institution=institution,
            return_url=return_url,
            customer_kind=kind,
        )

    go_through_link(services, to, start, wait_s=wait_s)
