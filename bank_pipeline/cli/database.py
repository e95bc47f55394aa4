"""`bank-pipeline db`: the database, embedded or external."""

import os
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer

from bank_pipeline.cli.output import AsJson, console, print_rows
from bank_pipeline.cli.session import at_the_end, open_services
from bank_pipeline.config import Settings
from bank_pipeline.errors import SetupError
from bank_pipeline.storage import embedded, embedded_binaries
from bank_pipeline.storage.credentials import load_vault
from bank_pipeline.storage.engine import check_server, open_database, resolve_database
from bank_pipeline.storage.migrate import migrate, renew_access

app = typer.Typer(help="The database, embedded or external.", no_args_is_help=True)


@app.command("migrate")
def migrate_database() -> None:
    """Create or update the tables, and who may see what. Every other command does it, too."""
    settings = Settings()
    engine = at_the_end.enter_context(open_database(settings))
    check_server(engine)
    if not migrate(engine, load_vault(settings)).has_changed:
        renew_access(engine)
    console.print("the database is up to date")


@app.command()
def psql(
    url_only: Annotated[bool, typer.Option("--url", help="Print the URL and end.")] = False,
) -> None:
    """Open a SQL shell on the tables (views in `analytics`, tables in `bank`)."""
    settings = Settings()
    open_services()
    url = _to_libpq(resolve_database(settings).url)
    if url_only:
        print(url)
        return
    client = str(embedded_binaries.installed_in() / "bin" / "psql")
    bare, environment = _without_password(url)
    os.execve(client, [client, bare], environment)  # noqa: S606


@app.command()
def start() -> None:
    """Start the embedded database and leave it running."""
    settings = Settings()
    _refuse_external(settings)
    embedded.ensure_running(settings.state_dir)
    console.print("running")


@app.command()
def stop() -> None:
    """Stop the embedded database."""
    settings = Settings()
    _refuse_external(settings)
    was_running = embedded.stop(settings.state_dir)
    console.print("stopped" if was_running else "it was not running")


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say whether the embedded database runs, without starting it."""
    settings = Settings()
    _refuse_external(settings)
    found = embedded.status(settings.state_dir)
    state = "running" if found.is_running else "stopped" if found.has_data else "not created yet"
    row = {"status": state, "pid": found.pid, "folder": str(found.data_dir)}
    print_rows(
        [row],
        {"status": "status", "pid": "process", "folder": "folder"},
        title="embedded database",
        as_json=as_json,
    )


def _refuse_external(settings: Settings) -> None:
    if settings.database_url is not None:
        raise SetupError(
            "BANK_PIPELINE_DATABASE_URL names an external database; it is not ours to start or stop"
        )


def _to_libpq(url: str) -> str:
    """Return the URL as clients of PostgreSQL read it: a space in a path is no `+` to them."""
    address, mark, query = url.replace("postgresql+psycopg://", "postgresql://").partition("?")
    return f"{address}{mark}{query.replace('+', '%20')}"


def _without_password(url: str) -> tuple[str, dict[str, str]]:
    """Move the password to the environment: everybody on the machine can read a command line."""
    parts = urlsplit(url)
    if parts.password is None:
        return url, dict(os.environ)
    user, host = parts.username or "", parts.netloc.rpartition("@")[2]
    bare = parts._replace(netloc=f"{user}@{host}").geturl()
    return bare, {**os.environ, "PGPASSWORD": unquote(parts.password)}
