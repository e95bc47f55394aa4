"""`bank-pipeline analysts`: who may query the views of a team with tools of their own."""

from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from bank_pipeline.cli.output import AsJson, console, print_json, print_rows
from bank_pipeline.cli.session import open_services
from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.storage.analysts import (
    Address,
    address_of,
    close_analyst,
    drop_login,
    insert_analyst,
    list_analysts,
)
from bank_pipeline.storage.connections import load_team
from bank_pipeline.sync.audit import note

app = typer.Typer(
    help="Logins that query the views in `analytics`, of one team.", no_args_is_help=True
)


@dataclass(frozen=True)
class NewLogin(Address):
    """A login as it is shown, once."""

    login: str
    password: str
    team: str


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name of the login; new to the whole server.")],
    team: Annotated[str, typer.Option(help="Whose rows it sees.")] = "default",
    as_json: AsJson = False,
) -> None:
    """Make a login that reads the views of one team, and print its password, this once."""
    services = open_services()
    engine, now = services.sync.engine, services.sync.clock()
    with engine.begin() as db:
        team_id = load_team(db, team)
        password = insert_analyst(db, name, team_id, now=now)
        note(services.sync, db, AuditAction.LOGIN_MADE, team_id)
    if as_json:
        where = asdict(address_of(engine))
        print_json(NewLogin(**where, login=name, password=password.get_secret_value(), team=team))
        return
    console.print(password.get_secret_value(), highlight=False, markup=False, soft_wrap=True)
    if services.settings.database_url is None:
        console.print(
            "[dim]the embedded database admits this machine's user alone: for others, set "
            "BANK_PIPELINE_DATABASE_URL to a server of yours[/]"
        )


@app.command("list")
def list_logins(as_json: AsJson = False) -> None:
    """List the logins, without their passwords: those are kept nowhere."""
    with open_services().sync.engine.connect() as db:
        rows = list_analysts(db)
    print_rows(
        rows,
        {
            "login": "login",
            "team_name": "team",
            "created_at": "made (UTC)",
            "has_login": "can log in",
            "sessions_count": "sessions",
        },
        title="analysts",
        as_json=as_json,
        nothing="none; `bank-pipeline analysts add NAME --team TEAM` makes one",
    )


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Name of the login, as `analysts list` says.")],
) -> None:
    """End a login's sessions and drop it."""
    context = open_services().sync
    with context.engine.begin() as db:
        team_id = close_analyst(db, name)  # for good, whatever comes of the rest
        note(context, db, AuditAction.LOGIN_REMOVED, team_id)
    with context.engine.begin() as db:
        drop_login(db, name)
    console.print(f"removed: {name} sees nothing any more", highlight=False, markup=False)
