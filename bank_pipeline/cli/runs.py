"""Commands that list syncs, and rows that could not be read."""

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text

from bank_pipeline.cli.connections import ConnectionOption
from bank_pipeline.cli.output import AsJson, console, print_json, print_rows, safe
from bank_pipeline.cli.session import open_services
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import NotFoundError
from bank_pipeline.storage import listing
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.quarantine import ListedQuarantine, list_open_quarantine
from bank_pipeline.storage.sync_runs import SyncRun, load_recent_sync_runs, load_sync_runs
from bank_pipeline.sync.quarantine import resolve_quarantined, show_quarantined

quarantine = typer.Typer(help="Rows that do not fit, kept until they are dealt with.")

_Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Rows at most.")]
_Id = Annotated[
    int, typer.Argument(min=1, max=2**63 - 1, help="Id of a quarantined row, from `quarantine`.")
]


def list_runs(
    connection: ConnectionOption = None, limit: _Limit = 20, as_json: AsJson = False
) -> None:
    """List syncs, newest first: why, how they ended, what they wrote, and the next try."""
    services = open_services()
    with services.sync.engine.connect() as db:
        if connection is None:
            runs = load_recent_sync_runs(db, limit=limit)
        else:
            connection_id = load_connection(db, ConnectionId(connection)).id
            runs = load_sync_runs(db, connection_id, limit=limit)
        names = {one.id: one.institution_name for one in listing.list_connections(db)}
    print_rows(
        [_to_row(run, names.get(run.connection_id)) for run in runs],
        {
            "id": "run",
            "institution": "institution",
            "started_at": "started (UTC)",
            "reason": "reason",
            "outcome": "outcome",
            "rows": "rows",
            "calls": "calls",
            "error": "error",
            "next_attempt_at": "next try (UTC)",
        },
        title="sync runs",
        as_json=as_json,
    )


@quarantine.callback(invoke_without_command=True)
def list_quarantine(
    context: typer.Context,
    connection: ConnectionOption = None,
    limit: _Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List the rows that do not fit: where they came from and what rule they break."""
    if context.invoked_subcommand is not None:
        return
    services = open_services()
    with services.sync.engine.connect() as db:
        connection_id = None
        if connection is not None:
            connection_id = load_connection(db, ConnectionId(connection)).id
        rows = list_open_quarantine(db, connection_id=connection_id, limit=limit)
    print_rows(
        rows,
        {
            "id": "id",
            "connection_id": "connection",
            "operation": "operation",
            "external_id": "provider's id",
            "reason": "reason",
            "at": "since (UTC)",
        },
        title="quarantine",
        as_json=as_json,
        nothing="every row fits",
    )


@quarantine.command("show")
def show_quarantine(quarantine_id: _Id, as_json: AsJson = False) -> None:
    """Show one row that does not fit, with its text as the provider sent it."""
    row = show_quarantined(open_services().sync, quarantine_id)
    if as_json:
        print_json(row)
        return
    for name, value in _without_text(row).items():
        console.print(Text(safe(f"{name:<15}{value}")), soft_wrap=True)
    console.print(Text(safe(row.raw)), soft_wrap=True)


@quarantine.command("resolve")
def resolve_quarantine(quarantine_id: _Id) -> None:
    """Mark a row as dealt with. It is open again when the provider sends it again."""
    if not resolve_quarantined(open_services().sync, quarantine_id):
        raise NotFoundError(f"no open quarantined row {quarantine_id}")
    console.print(f"resolved {quarantine_id}", highlight=False)


def _to_row(run: SyncRun, institution: str | None) -> dict[str, Any]:
    written = run.counts.get("transactions")
    error = f"{run.error_class}: {run.error_code}" if run.error_class else None
    return asdict(run) | {
        "outcome": "undone" if run.undone_at else run.outcome or "running",
        "institution": institution,
        "rows": written and "+{inserted} ~{updated} -{removed}".format_map(written),
        "calls": run.counts.get("calls"),
        "error": error,
    }


def _without_text(row: ListedQuarantine) -> dict[str, Any]:
    """Leave out what the bank said: it is shown when it is asked for, and never in a list."""
    return {name: value for name, value in asdict(row).items() if name != "raw"}
