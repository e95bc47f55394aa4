"""`bank-pipeline teams`: whose data it is; all of it handed out, or erased."""

import os
from pathlib import Path
from typing import Annotated

import dagster as dg
import typer

from bank_pipeline.cli.output import AsJson, console, print_json, print_rows
from bank_pipeline.cli.processes import dagster_environment
from bank_pipeline.cli.session import open_services
from bank_pipeline.defs.erasing import build_forget
from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.domain.erasure import REMAINDERS
from bank_pipeline.errors import NotFoundError, RefusedError
from bank_pipeline.storage.teams import insert_team, list_teams, load_team_by
from bank_pipeline.sync.audit import note
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.erasing import ErasureReport, erase_team
from bank_pipeline.sync.export import export_team
from bank_pipeline.sync.export_files import FileFormat

app = typer.Typer(help="Whose data it is.", no_args_is_help=True)

TeamArgument = Annotated[str, typer.Argument(help="Name or id of the team.")]


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List the teams: how many connections and accounts each has."""
    with open_services().sync.engine.connect() as db:
        rows = list_teams(db)
    print_rows(
        rows,
        {
            "id": "id",
            "name": "team",
            "connections": "connections",
            "accounts": "accounts",
            "created_at": "made (UTC)",
            "erasure": "being erased",
        },
        title="teams",
        as_json=as_json,
        nothing="none yet; `bank-pipeline teams add NAME` makes one",
    )


@app.command()
def add(name: Annotated[str, typer.Argument(help="What the team is called.")]) -> None:
    """Make a team. Links and keys that name a new one make it as well."""
    context = open_services().sync
    with context.engine.begin() as db:
        team_id = insert_team(db, name, now=context.clock())
        note(context, db, AuditAction.TEAM_MADE, team_id)
    console.print(team_id, highlight=False)


@app.command()
def export(
    team: TeamArgument,
    to: Annotated[Path, typer.Option("--to", help="Folder to make; it must not be there yet.")],
    formats: Annotated[
        list[FileFormat] | None, typer.Option("--format", help="One of them; both by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write all rows of a team, as of one moment, as JSON lines and Parquet with a manifest."""
    context = open_services().sync
    chosen = tuple(dict.fromkeys(formats)) if formats else tuple(FileFormat)
    report = export_team(context, team, to, formats=chosen)
    if as_json:
        print_json(report)
        return
    print_rows(
        [one for one in report.files if one.rows],
        {"name": "file", "rows": "rows", "bytes": "bytes"},
        title=f"{report.folder}, as of {report.snapshot_at:%Y-%m-%d %H:%M:%S} UTC",
        as_json=False,
        nothing="the team has no rows",
    )
    for name, rows in report.unopened.items():
        console.print(
            f"{name} of {len(rows)} rows did not open and is null there: the manifest names them; "
            "is a key lost? See `bank-pipeline keys list`",
            highlight=False,
        )
    console.print("These files hold bank data in clear: keep them as you keep the database.")


@app.command()
def erase(
    team: TeamArgument,
    confirm: Annotated[str, typer.Option(help="The team's name once more.")],
    gives_up: Annotated[
        bool,
        typer.Option(
            "--give-up-consents",
            help="Forget consents that their provider does not end now; they may live on there.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """
    End a team's consents at their providers, then delete all that is known of it.

    May be repeated: it goes on where it was interrupted. What must remain is said at the end.
    """
    services = open_services()
    _check_name(services.sync, team, confirm)
    os.environ |= dagster_environment(services.settings)
    with dg.DagsterInstance.get() as instance:
        forget = build_forget(instance)
        reports = erase_team(services.sync, team, forget=forget, gives_up=gives_up)
    if as_json:
        print_json({"erasures": reports, "remains": REMAINDERS})
    else:
        for one in reports:
            _tell(one)
    if any(not one.is_done for one in reports):
        raise typer.Exit(1)


def _check_name(context: SyncContext, team: str, confirm: str) -> None:
    with context.engine.connect() as db:
        try:
            _, name = load_team_by(db, team)
        except NotFoundError:
            name = team  # perhaps its name is gone already, and the rest goes on
    if confirm != name:
        raise RefusedError("--confirm must be the team's name, letter by letter")


def _tell(report: ErasureReport) -> None:
    if not report.is_done:
        console.print(f"team {report.team_id} is not erased yet: {report.waits_for}")
        console.print("it goes on by `bank-pipeline up`, or when you repeat this command")
        if report.next_attempt_at is not None:
            console.print(f"next try {report.next_attempt_at:%Y-%m-%d %H:%M} UTC")
        return
    rows = sum(report.counts.values())
    console.print(
        f"erased team {report.team_id}: {report.connections_count} connections, {rows} rows"
    )
    print_rows(
        REMAINDERS,
        {"place": "where", "what": "what remains", "until": "until"},
        title="what remains",
        as_json=False,
    )
