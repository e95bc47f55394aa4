"""`bank-pipeline duplicates`: rows that may be one told twice, and deciding of them."""

from typing import Annotated, Final

import typer

from bank_pipeline.cli.connections import ConnectionOption
from bank_pipeline.cli.output import AsJson, console, print_rows
from bank_pipeline.cli.session import open_services
from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.storage.audit import insert_row_audit
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.duplicates import (
    drop_duplicate,
    keep_duplicate,
    list_suspected_duplicates,
)

app = typer.Typer(help="Rows that may be one, told twice.", no_args_is_help=True)

_DECIDED: Final = AuditAction.ROWS_DECIDED

TransactionArgument = Annotated[
    str, typer.Argument(help="Id of a transaction, as `duplicates list` shows it.")
]


@app.command("list")
def list_duplicates(connection: ConnectionOption = None, as_json: AsJson = False) -> None:
    """List rows that equal another one and came later, when their day had been read already."""
    services = open_services()
    with services.sync.engine.connect() as db:
        connection_id = None
        if connection is not None:
            connection_id = load_connection(db, ConnectionId(connection)).id
        rows = list_suspected_duplicates(db, connection_id=connection_id)
    print_rows(
        rows,
        {
            "id": "id",
            "date": "date",
            "amount": "amount",
            "currency": "currency",
            "description": "description",
            "institution_name": "institution",
            "account_name": "account",
            "twin_id": "equal to",
        },
        title="suspected duplicates",
        as_json=as_json,
        nothing="none",
    )


@app.command()
def keep(transaction: TransactionArgument) -> None:
    """Say that it is a row of its own. One that was dropped comes back; it is not asked again."""
    context = open_services().sync
    now = context.clock()
    with context.engine.begin() as db:
        keep_duplicate(db, transaction, now=now)
        insert_row_audit(db, _DECIDED, actor=context.actor, now=now, transaction_id=transaction)
    console.print(f"kept: {transaction} counts", highlight=False)


@app.command()
def drop(transaction: TransactionArgument) -> None:
    """Say that it is another row told twice: it counts no more, and no sync brings it back."""
    context = open_services().sync
    now = context.clock()
    with context.engine.begin() as db:
        drop_duplicate(db, transaction, now=now)
        insert_row_audit(db, _DECIDED, actor=context.actor, now=now, transaction_id=transaction)
    console.print(
        f"dropped: {transaction}; `duplicates keep {transaction}` brings it back", highlight=False
    )
