"""`bank-pipeline accounts`: what there is, and which accounts a person has to tell about."""

from typing import Annotated

import typer

from bank_pipeline.cli.connections import ConnectionOption, list_accounts
from bank_pipeline.cli.output import AsJson, console, print_rows
from bank_pipeline.cli.session import open_services
from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.storage.account_questions import list_questions
from bank_pipeline.sync.account_choice import choose_accounts
from bank_pipeline.sync.questions import decide_question

app = typer.Typer(help="Accounts, and those that may be known ones.", invoke_without_command=True)


@app.callback()
def accounts(
    context: typer.Context, connection: ConnectionOption = None, as_json: AsJson = False
) -> None:
    """List the accounts with their latest balances. Debt is negative; unknown stays blank."""
    if context.invoked_subcommand is None:
        list_accounts(connection, as_json=as_json)


@app.command()
def find(as_json: AsJson = False) -> None:
    """Find accounts by their number, which is asked for without echo: an IBAN, or another."""
    list_accounts(as_json=as_json, number=typer.prompt("Number", hide_input=True, err=True))


@app.command()
def choose(
    connection: Annotated[str, typer.Argument(help="Connection id.")],
    account: Annotated[list[str], typer.Argument(help="Ids of all accounts that are to be read.")],
) -> None:
    """Read these accounts of a connection and none of its others; rows that are here stay."""
    chosen = [AccountId(one.lower()) for one in account]
    count = choose_accounts(open_services().sync, ConnectionId(connection), chosen)
    console.print(f"chosen: {count} of connection {connection}; its other accounts are not read")


@app.command()
def questions(as_json: AsJson = False) -> None:
    """List the accounts of which a person must tell whether they are known ones."""
    with open_services().sync.engine.connect() as db:
        rows = list_questions(db)
    print_rows(
        rows,
        {
            "id": "id",
            "institution_name": "institution",
            "account_name": "account",
            "account_type": "type",
            "account_currency": "currency",
            "candidate_names": "could be",
            "candidate_ids": "their ids",
            "asked_at": "asked (UTC)",
        },
        title="questions",
        as_json=as_json,
        nothing="none is open",
    )


@app.command()
def decide(
    question: Annotated[str, typer.Argument(help="Id of the question.")],
    new: Annotated[bool, typer.Option("--new", help="It is none of ours.")] = False,
    same_as: Annotated[
        str | None, typer.Option(help="Id of the account that it is; its rows go on.")
    ] = None,
) -> None:
    """Decide whether an account is a new one or a known one; the next sync brings its rows."""
    if new is (same_as is not None):
        raise typer.BadParameter("say either --new or --same-as ACCOUNT")
    known = None if same_as is None else AccountId(same_as)
    account_id = decide_question(open_services().sync, question, same_as=known)
    console.print(f"decided: account {account_id}; the next sync brings its rows")
