"""Commands about webhooks: how long they wait, which came, and which were not believed."""

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Final

import typer

from bank_pipeline.cli.connections import ConnectionOption
from bank_pipeline.cli.output import AsJson, print_rows
from bank_pipeline.cli.session import open_services
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.inbox import load_events, load_waiting
from bank_pipeline.storage.webhook_refusals import load_refusals

app = typer.Typer(help="What providers told us unasked.", no_args_is_help=True)

DAYS: Final = 7


@app.command("lag")
def show_lag(as_json: AsJson = False) -> None:
    """Show which events wait, for what, and how long; what waits for a sync should be seconds."""
    services = open_services()
    now = services.sync.clock()
    with services.sync.engine.connect() as db:
        waiting = load_waiting(db, now=now)
    rows = [
        asdict(one) | {"waited_s": max(0, round((now - one.oldest_received_at).total_seconds()))}
        for one in waiting
    ]
    print_rows(
        rows,
        {
            "provider": "provider",
            "waits_for": "waits for",
            "events": "events",
            "connections": "connections",
            "oldest_received_at": "oldest (UTC)",
            "waited_s": "waited (s)",
        },
        title="webhooks that wait",
        as_json=as_json,
        nothing="none: all are handled",
    )


@app.command("list")
def list_events(
    connection: ConnectionOption = None,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Only those that are not handled yet.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Rows at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the inbox, newest first: what came, for whom, and which sync covered it."""
    services = open_services()
    with services.sync.engine.connect() as db:
        held = None if connection is None else load_connection(db, ConnectionId(connection))
        events = load_events(db, limit=limit, connection=held, is_waiting=waiting)
    print_rows(
        events,
        {
            "provider": "provider",
            "code": "code",
            "kind": "asks for",
            "connection_id": "connection",
            "received_at": "received (UTC)",
            "handled_at": "handled (UTC)",
            "sync_run_id": "by run",
        },
        title="webhooks",
        as_json=as_json,
    )


@app.command("refused")
def list_refused(
    days: Annotated[int, typer.Option(min=1, max=3650, help="How far to look back.")] = DAYS,
    as_json: AsJson = False,
) -> None:
    """List how many webhooks were not believed, per hour, and why."""
    services = open_services()
    since = services.sync.clock() - timedelta(days=days)
    with services.sync.engine.connect() as db:
        refused = load_refusals(db, since=since)
    print_rows(
        refused,
        {
            "hour": "hour (UTC)",
            "provider": "provider",
            "refusal": "reason",
            "times": "times",
            "first_at": "first (UTC)",
            "last_at": "last (UTC)",
        },
        title=f"webhooks refused in {days} days",
        as_json=as_json,
    )
