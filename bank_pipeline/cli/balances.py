"""Commands on balances: which one counts and why, and whether they go with the rows."""

from enum import StrEnum
from typing import Annotated

import typer

from bank_pipeline.cli.output import AsJson, console, print_rows
from bank_pipeline.cli.session import open_services
from bank_pipeline.domain.balance_choice import BalanceRule
from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.domain.roll_forward import DifferenceState
from bank_pipeline.storage.balance_checks import list_differences
from bank_pipeline.storage.balance_choice import list_choices
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.sync.balance_rules import (
    reset_balance_rule,
    resolve_difference,
    set_balance_rule,
)

rules = typer.Typer(help="Which balance of an account counts, and why.", add_completion=False)
checks = typer.Typer(help="Balances that do not go with their rows.", add_completion=False)

AccountArgument = Annotated[str, typer.Argument(help="Account id, from `accounts --json`.")]


class Sign(StrEnum):
    """How the balance that counts as booked is read."""

    AS_TOLD = "as-told"
    FLIPPED = "flipped"


class YesNo(StrEnum):
    """An answer."""

    YES = "yes"
    NO = "no"


@rules.callback(invoke_without_command=True)
def list_rules(
    context: typer.Context,
    connection: Annotated[
        str | None, typer.Option("--connection", "-c", help="Id of one connection.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List per account what counts as booked, as available and as credit limit, and why."""
    if context.invoked_subcommand is not None:
        return
    services = open_services()
    with services.sync.engine.connect() as db:
        chosen = load_connection(db, ConnectionId(connection)).id if connection else None
        rows = list_choices(db, connection_id=chosen)
    print_rows(
        rows,
        {
            "account_id": "account id",
            "account_name": "account",
            "kind": "counts as",
            "provider_type": "is",
            "amount": "amount",
            "currency": "currency",
            "reason": "because it is",
        },
        title="balances that count",
        as_json=as_json,
    )


@rules.command("set")
def set_rule(
    account: AccountArgument,
    booked: Annotated[
        str | None, typer.Option(help="Type of balance that counts as booked.")
    ] = None,
    available: Annotated[
        str | None, typer.Option(help="Type of balance that counts as available.")
    ] = None,
    sign: Annotated[
        Sign | None, typer.Option(help="Whether the booked balance counts the other way round.")
    ] = None,
    limit_included: Annotated[
        YesNo | None, typer.Option(help="Whether the credit limit is in what is available.")
    ] = None,
) -> None:
    """Decide for one account; takes effect at once, and no sync changes it."""
    rule = BalanceRule(
        booked_type=booked,
        available_type=available,
        is_sign_flipped=None if sign is None else sign is Sign.FLIPPED,
        is_limit_included=None if limit_included is None else limit_included is YesNo.YES,
    )
    if rule.is_empty:
        raise typer.BadParameter("say what to decide: --booked, --available, --sign, ...")
    context = open_services().sync
    set_balance_rule(
        context.engine, AccountId(account), rule, now=context.clock(), actor=context.actor
    )
    console.print(f"decided for account {account}; see `bank-pipeline balance-rules`")


@rules.command("reset")
def reset_rule(account: AccountArgument) -> None:
    """Forget what was decided for one account."""
    context = open_services().sync
    reset_balance_rule(context.engine, AccountId(account), now=context.clock(), actor=context.actor)
    console.print(f"account {account} goes by the general rules again")


@checks.callback(invoke_without_command=True)
def list_checks(
    context: typer.Context,
    every: Annotated[
        bool, typer.Option("--all", help="Those that are not sure yet, or resolved, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List balances that do not go with their rows: account, days and amount."""
    if context.invoked_subcommand is not None:
        return
    states = tuple(DifferenceState) if every else (DifferenceState.CONFIRMED,)
    with open_services().sync.engine.connect() as db:
        rows = list_differences(db, states=states)
    print_rows(
        rows,
        {
            "id": "id",
            "account_id": "account id",
            "account_name": "account",
            "state": "state",
            "first_day": "first day",
            "last_day": "last day",
            "expected": "rows come to",
            "told": "bank tells",
            "difference": "difference",
            "currency": "currency",
        },
        title="balances that do not go with their rows",
        as_json=as_json,
    )


@checks.command("resolve")
def resolve(
    number: Annotated[
        int,
        typer.Argument(min=1, max=2**63 - 1, help="Id of the difference, from `balance-checks`."),
    ],
) -> None:
    """Note that a difference has been dealt with; rows and balances stay as they are."""
    context = open_services().sync
    resolve_difference(context.engine, number, now=context.clock())
    console.print(f"difference {number} is resolved")
