"""`bank-pipeline keys`: the keys that seal what is stored. None is ever shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bank_pipeline.bootstrap import build_clock
from bank_pipeline.cli.output import AsJson, console, print_json, print_rows
from bank_pipeline.cli.session import at_the_end, open_services, operator
from bank_pipeline.config import Settings
from bank_pipeline.storage.credentials import load_vault
from bank_pipeline.storage.encryption_keys import KeyState
from bank_pipeline.storage.encryption_keys import list_keys as load_key_states
from bank_pipeline.storage.engine import check_server, open_database
from bank_pipeline.storage.keys import open_source
from bank_pipeline.storage.migrate import migrate
from bank_pipeline.storage.sealed_columns import count_sealed
from bank_pipeline.sync.keys import (
    Rotation,
    Told,
    add_key,
    forget_lost_key,
    retire_old_key,
    rotate_keys,
)

app = typer.Typer(help="The keys that seal what is stored.", no_args_is_help=True)


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List the keys by their ids: which one seals, and how much each of them opens."""
    services = open_services()
    with services.sync.engine.connect() as db:
        rows = [_to_row(one) for one in load_key_states(db, services.sync.vault)]
    print_rows(
        rows,
        {
            "id": "id",
            "state": "state",
            "sealed_count": "sealed with it",
            "what": "what",
            "added_at": "since (UTC)",
            "retired_at": "retired",
        },
        title="keys",
        as_json=as_json,
    )


@app.command()
def add() -> None:
    """Put a new key first in the key file; the others stay, to open what they sealed."""
    services = open_services()
    source = open_source(services.settings)
    key_id = add_key(services.sync, source)
    console.print(f"key {key_id} seals from now on; back up the key file, then", highlight=False)
    console.print("`bank-pipeline keys rotate` seals the rest with it, too", highlight=False)


@app.command()
def rotate(as_json: AsJson = False) -> None:
    """Seal everything anew with the first key, while all goes on. Safe to break off and repeat."""
    services = open_services()
    with _progress(is_shown=not as_json) as tell:
        rotation = rotate_keys(services.sync, tell=tell)
    if as_json:
        print_json(rotation)
    else:
        _print_rotation(rotation)
    if rotation.unopened:
        raise typer.Exit(1)


@app.command()
def retire(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `keys list` says.")],
) -> None:
    """Let a key that opens nothing any more seal nothing any more, and drop it from the file."""
    services = open_services()
    was_in_file = retire_old_key(services.sync, open_source(services.settings), key_id)
    where = "out of the key file" if was_in_file else "take it away where you keep it"
    console.print(f"retired: {key_id} seals nothing any more; {where}", highlight=False)


@app.command()
def forget(
    key_id: Annotated[
        str, typer.Argument(help="Id of the lost key, as the refusal to start says.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give up all that a lost key has sealed, when no backup has it: links must be made anew."""
    settings = Settings()
    engine = at_the_end.enter_context(open_database(settings))
    check_server(engine)
    vault = load_vault(settings)
    migrate(engine, vault)
    with engine.connect() as db:
        kinds = count_sealed(db, [key_id]).get(key_id, {})
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "nothing"
    if kinds and not yes and not vault.knows(key_id):
        typer.confirm(f"Give up {listed} for ever?", abort=True, err=True)
    now = build_clock(settings)()
    lost = forget_lost_key(engine, vault, key_id, actor=operator(), now=now)
    if as_json:
        print_json(lost)
        return
    console.print(
        f"given up: {listed}; {lost.connections_count} connections must be linked again",
        highlight=False,
    )


def _to_row(one: KeyState) -> dict[str, Any]:
    if one.retired_at is not None:
        state = "retired"
    elif not one.is_here:
        state = "missing" if one.sealed_count else "not here"
    else:
        state = "seals" if one.is_first else "opens"
    what = ", ".join(f"{count} {kind}" for kind, count in one.sealed.items()) or None
    return {**asdict(one), "state": state, "what": what}


def _print_rotation(rotation: Rotation) -> None:
    console.print(
        f"{rotation.resealed_count} sealed anew, all with key {rotation.key_id}"
        if not rotation.left and not rotation.unopened
        else f"{rotation.resealed_count} sealed anew with key {rotation.key_id}",
        highlight=False,
    )
    for key_id, count in rotation.left.items():
        console.print(
            f"{count} sealed with key {key_id} still: a process that runs seals with it, or what "
            "it sealed does not open. Restart what has other keys, then rotate again",
            highlight=False,
        )
    for one in rotation.unopened:
        console.print(one, style="red", highlight=False)


@contextmanager
def _progress(*, is_shown: bool) -> Iterator[Told]:
    columns = (
        TextColumn("sealing anew"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    progress = Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not is_shown
    )
    with progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
