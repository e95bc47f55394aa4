"""`bank-pipeline`: the command line, and the one place that turns errors into exit codes."""

import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from bank_pipeline.cli import (
    accounts,
    analysts,
    api_keys,
    audit,
    backfill,
    balances,
    connections,
    database,
    demo,
    doctor,
    duplicates,
    institutions,
    keys,
    link,
    notify,
    repair,
    runs,
    sandbox,
    serve,
    simulate,
    switch,
    teams,
    up,
    webhooks,
)
from bank_pipeline.cli.session import at_the_end
from bank_pipeline.config import Settings
from bank_pipeline.errors import BankPipelineError, SetupError
from bank_pipeline.logs.setup import set_up_process
from bank_pipeline.storage.engine import UNREACHABLE

EXIT_FAILED: Final = 1
EXIT_SETUP: Final = 2

app = typer.Typer(
    name="bank-pipeline",
    help="Bank accounts, balances and transactions in your own Postgres, equal to the banks'.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(accounts.app, name="accounts")
app.add_typer(analysts.app, name="analysts")
app.add_typer(api_keys.app, name="api-keys")
app.add_typer(audit.app, name="audit")
app.add_typer(balances.rules, name="balance-rules")
app.add_typer(balances.checks, name="balance-checks")
app.add_typer(database.app, name="db")
app.add_typer(duplicates.app, name="duplicates")
app.add_typer(institutions.app, name="institutions")
app.add_typer(keys.app, name="keys")
app.add_typer(link.app, name="link")
app.add_typer(notify.app, name="notify")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(teams.app, name="teams")
app.add_typer(webhooks.app, name="webhooks")
app.command("demo")(demo.demo)
app.command("simulate")(simulate.simulate)
app.command("up")(up.up)
app.command("serve")(serve.serve)
app.command("gateway")(up.gateway)
app.command("doctor")(doctor.doctor)
app.command("connections")(connections.list_connections)
app.command("transactions")(connections.list_transactions)
app.command("sync")(connections.sync)
app.command("backfill")(backfill.backfill)
app.add_typer(runs.quarantine, name="quarantine")
app.command("runs")(runs.list_runs)
app.command("explain")(repair.explain_transaction)
app.command("renormalise")(repair.renormalise_archive)
app.command("undo")(repair.undo_sync)
app.command("switch-provider")(switch.switch_provider)
app.command("disconnect")(connections.disconnect_connection)


@app.callback()
def options(
    state_dir: Annotated[
        Path | None, typer.Option(help="Folder of all local state (default: .bank-pipeline).")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done.")] = False,
) -> None:
    """Options of every command."""
    if state_dir is not None:
        os.environ["BANK_PIPELINE_STATE_DIR"] = str(state_dir)
    set_up_process(_read_settings(), usual_level="info" if verbose else "warning")


def _read_settings() -> Settings | None:
    """Return the settings, or None: the command that needs them says what is wrong."""
    try:
        return Settings()
    except ValidationError:
        return None


def main() -> None:
    """Run the command line; errors of ours become one line and an exit code."""
    if isinstance(sys.stdout, TextIOWrapper):  # a letter that a terminal lacks ends no command
        sys.stdout.reconfigure(errors="replace")
    errors = Console(stderr=True)
    try:
        with at_the_end:
            app()
    except SetupError as error:
        _tell(errors, "set-up", str(error))
        sys.exit(EXIT_SETUP)
    except ValidationError as error:
        _tell(errors, "configuration", "a variable has a value that cannot be used")
        for problem in error.errors(include_input=False, include_url=False):
            name = ".".join(_to_variable(str(part)) for part in problem["loc"]) or "settings"
            errors.print(
                f"  {name}: {problem['msg']}", markup=False, highlight=False, soft_wrap=True
            )
        sys.exit(EXIT_SETUP)
    except BankPipelineError as error:
        _tell(errors, "failed", f"{type(error).__name__}: {error}")
        sys.exit(EXIT_FAILED)
    except UNREACHABLE as error:  # its own words quote statements, and what is in them
        name = type(getattr(error, "orig", None) or error).__name__
        _tell(
            errors,
            "database",
            f"it went away, or could not do this now ({name}): see what `bank-pipeline doctor` "
            "says of it, then do the same again",
        )
        sys.exit(EXIT_FAILED)
    except OSError as error:
        if error.filename is None:
            raise  # of no file: not for the operator to mend
        _tell(
            errors,
            "set-up",
            f"{error.filename} cannot be used ({error.strerror}): check that it is there, who owns "
            "it and the folders on the way, and the disk. BANK_PIPELINE_STATE_DIR names another "
            "state folder",
        )
        sys.exit(EXIT_SETUP)
    except UnicodeError:
        _tell(errors, "set-up", "a file (is it .env?) or an argument is not UTF-8: make it so")
        sys.exit(EXIT_SETUP)


def _to_variable(part: str) -> str:
    """Return the variable of a setting as people set it; a provider's is its own name. Pure."""
    return f"BANK_PIPELINE_{part.upper()}" if part in Settings.model_fields else part


def _tell(errors: Console, kind: str, message: str) -> None:
    errors.print(f"[bold red]{kind}:[/] {escape(message)}", highlight=False, soft_wrap=True)
