"""`bank-pipeline audit`: who did what to whose data, and whether that record is whole."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

import typer

from bank_pipeline.cli.output import AsJson, console, print_json, print_rows
from bank_pipeline.cli.session import open_services
from bank_pipeline.domain.audit import ActorKind, AuditAction, AuditEntry
from bank_pipeline.storage.audit import AuditFilter, list_audit
from bank_pipeline.storage.teams import find_team_id
from bank_pipeline.sync.audit import verify_audit

app = typer.Typer(help="Who did what to whose data.", no_args_is_help=True)

_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")


@app.command("list")
def list_entries(
    team: Annotated[str | None, typer.Option(help="Name or id of a team, erased ones too.")] = None,
    connection: Annotated[
        UUID | None, typer.Option("--connection", "-c", help="Id of one connection.")
    ] = None,
    action: Annotated[AuditAction | None, typer.Option(help="What was done.")] = None,
    actor: Annotated[ActorKind | None, typer.Option(help="What kind of somebody did it.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day (UTC), inclusive.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="How many at most, the newest first.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """List what was done: by whom, to what, when. Ids and counts, no names."""
    with open_services().sync.engine.connect() as db:
        which = AuditFilter(
            team_id=None if team is None else find_team_id(db, team),
            connection_id=None if connection is None else str(connection),
            action=action,
            actor=actor,
            since=None if since is None else since.replace(tzinfo=UTC),
        )
        rows = list_audit(db, which, limit=limit)
    print_rows(
        [_to_row(row) for row in rows],
        {
            "id": "id",
            "at": "when (UTC)",
            "actor": "by",
            "action": "did",
            "connection_id": "connection",
            "details": "what",
        },
        title="audit",
        as_json=as_json,
    )


@app.command()
def verify(
    expect: Annotated[
        str | None, typer.Option(help="A head that was noted earlier: is it still in the chain?")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every entry and the chain over them; print the head, to be noted elsewhere."""
    if expect is not None and not _HASH.fullmatch(expect):
        raise typer.BadParameter("--expect takes the 64 characters that `audit verify` prints")
    proof = verify_audit(open_services().sync, expected=expect)
    if as_json:
        print_json(proof)
    elif proof.is_whole:
        console.print(f"whole: {proof.sealed_count} entries, none changed, removed or inserted")
        console.print(f"head {proof.head or 'none yet'}", highlight=False, soft_wrap=True)
    else:
        console.print(f"[bold red]NOT WHOLE:[/] {proof.problems_count} problems")
        for one in proof.problems:
            where = f"seal {one.number or '-'}, entry {one.entry_id or '-'}"
            console.print(f"  {one.how.value}: {where}", highlight=False)
    if not proof.is_whole:
        raise typer.Exit(1)


def _to_row(entry: AuditEntry) -> dict[str, object]:
    by = (
        entry.actor.kind.value if entry.actor.id is None else f"{entry.actor.kind}:{entry.actor.id}"
    )
    return {
        "id": entry.id,
        "at": entry.at,
        "actor": by,
        "action": entry.action.value,
        "team_id": entry.team_id,
        "connection_id": entry.connection_id,
        "details": " ".join(f"{name}={value}" for name, value in sorted(entry.details.items())),
    }
