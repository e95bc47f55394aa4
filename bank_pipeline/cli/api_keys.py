"""`bank-pipeline api-keys`: who may ask over HTTP."""

from typing import Annotated

import typer

from bank_pipeline.cli.output import AsJson, console, print_rows
from bank_pipeline.cli.session import open_services
from bank_pipeline.domain.access import KeyScope, id_of
from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.storage.api_keys import insert_api_key, list_api_keys, revoke_api_key
from bank_pipeline.storage.connections import ensure_team, has_teams, load_team
from bank_pipeline.sync.audit import note

app = typer.Typer(help="Keys of programs that ask over HTTP.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for; shown in lists.")],
    team: Annotated[str, typer.Option(help="Whose data it opens.")] = "default",
    scope: Annotated[
        KeyScope, typer.Option(help="read: look at everything of the team; manage: change it, too.")
    ] = KeyScope.READ,
    is_new: Annotated[
        bool, typer.Option("--new-team", help="The team is not there yet: make it.")
    ] = False,
) -> None:
    """Make a key and print it, this once: only its digest is kept. The first one makes its team."""
    context = open_services().sync
    now = context.clock()
    with context.engine.begin() as db:
        makes_team = is_new or not has_teams(db)
        team_id = ensure_team(db, team, now=now) if makes_team else load_team(db, team)
        token = insert_api_key(db, team_id, name=name, scope=scope, now=now)
        made = AuditAction.API_KEY_MADE
        note(context, db, made, team_id, api_key_id=id_of(token), scope=scope.value)
    console.print(token.get_secret_value(), highlight=False, soft_wrap=True)


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List the keys without their secrets."""
    with open_services().sync.engine.connect() as db:
        rows = list_api_keys(db)
    print_rows(
        rows,
        {
            "id": "id",
            "team_name": "team",
            "name": "name",
            "scope": "scope",
            "created_at": "made (UTC)",
            "last_used_at": "last used",
            "revoked_at": "revoked",
        },
        title="api keys",
        as_json=as_json,
        nothing="none; `bank-pipeline api-keys create NAME` makes one",
    )


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Id of the key, as `api-keys list` says.")],
) -> None:
    """Take a key back for good."""
    context = open_services().sync
    with context.engine.begin() as db:
        team_id = revoke_api_key(db, key, now=context.clock())
        note(context, db, AuditAction.API_KEY_REVOKED, team_id, api_key_id=key)
    console.print(f"revoked: {key} opens nothing any more", highlight=False)
