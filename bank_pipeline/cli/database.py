"""`bank-pipeline db`: the database, embedded or external."""

import json
import os
from typing import Annotated

import typer

from bank_pipeline.bootstrap import build_services
from bank_pipeline.cli.output import AsJson, console
from bank_pipeline.config import Settings
from bank_pipeline.errors import SetupError
from bank_pipeline.storage import embedded, embedded_binaries
from bank_pipeline.storage.engine import build_engine, resolve_database
from bank_pipeline.storage.migrate import migrate

app = typer.Typer(help="The database, embedded or external.", no_args_is_help=True)


@app.command("migrate")
def migrate_database() -> None:
    """Create or update the tables. Safe to repeat; every other command does it too."""
    database = resolve_database(Settings())
    migrate(build_engine(database.url))
    console.print("the database is up to date")


@app.command()
def psql(
    url_only: Annotated[bool, typer.Option("--url", help="Print the URL and end.")] = False,
) -> None:
    """Open a SQL shell on the tables (views in `analytics`, tables in `bank`)."""
    settings = Settings()
    build_services(settings)
    url = resolve_database(settings).url.replace("postgresql+psycopg://", "postgresql://")
    client = str(embedded_binaries.installed_in() / "bin" / "psql")
    if url_only:
        print(url)
        return
    os.execv(client, [client, url])  # noqa: S606


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
    embedded.stop(settings.state_dir)
    console.print("stopped")


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say whether the embedded database runs."""
    settings = Settings()
    state = str(embedded.status(settings.state_dir))
    print(json.dumps({"status": state})) if as_json else console.print(state)


def _refuse_external(settings: Settings) -> None:
    if settings.database_url is not None:
        raise SetupError(
            "BANK_PIPELINE_DATABASE_URL names an external database; it is not ours to start or stop"
        )
