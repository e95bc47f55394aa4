"""Commands that look at connections, accounts and transactions, and sync or end connections."""

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import date, datetime
from typing import Annotated, Any

import typer

from bank_pipeline.bootstrap import Services
from bank_pipeline.cli.output import AsJson, console, print_rows
from bank_pipeline.cli.session import open_services
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import (
    BankPipelineError,
    BusyError,
    EndedError,
    NotFoundError,
    ProviderError,
)
from bank_pipeline.storage import listing
from bank_pipeline.storage.account_numbers import find_by_number
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.engine import UNREACHABLE
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.failures import classify, place_of
from bank_pipeline.sync.reports import SyncReason, SyncRequest

ConnectionOption = Annotated[
    str | None, typer.Option("--connection", "-c", help="Id of one connection.")
]


def list_connections(as_json: AsJson = False) -> None:
    """List the connections: status, accounts, last sync, next try."""
    services = open_services()
    with services.sync.engine.connect() as db:
        rows = listing.list_connections(db)
    print_rows(
        rows,
        {
            "id": "id",
            "provider": "provider",
            "institution_name": "institution",
            "status": "status",
            "status_reason": "reason",
            "history_stage": "history",
            "account_count": "accounts",
            "last_success_at": "last success (UTC)",
            "next_step": "next step",
            "next_attempt_at": "next try (UTC)",
        },
        title="connections",
        as_json=as_json,
        nothing="none yet; `bank-pipeline link plaid` makes one",
    )


def list_accounts(
    connection: ConnectionOption = None, as_json: AsJson = False, *, number: str | None = None
) -> None:
    """List the accounts with their latest balances. Debt is negative; unknown stays blank."""
    services = open_services()
    connection_id = _known(services, connection)
    with services.sync.engine.connect() as db:
        rows = listing.list_accounts(db, connection_id=connection_id)
        if number is not None:
            found = find_by_number(db, number, vault=services.sync.vault)
            rows = [row for row in rows if row.id in found]
    print_rows(
        rows,
        {
            **({} if number is None else {"id": "id"}),
            "institution_name": "institution",
            "name": "account",
            "masked_number": "number",
            "type": "type",
            "booked": "booked",
            "available": "available",
            "available_currency": "available in",
            "credit_limit": "limit",
            "credit_limit_currency": "limit in",
            "currency": "currency",
            "transaction_count": "transactions",
        },
        title="accounts",
        as_json=as_json,
    )


def list_transactions(
    connection: ConnectionOption = None,
    account: Annotated[
        str | None, typer.Option(help="Id of one account, from `accounts --json`.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day, inclusive.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day, inclusive.")
    ] = None,
    search: Annotated[str | None, typer.Option(help="Part of description or name.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Rows at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List transactions, newest first. Positive is money in."""
    if since is not None and until is not None and until < since:
        raise typer.BadParameter("--until lies before --since")
    services = open_services()
    connection_id, account_id = _known(services, connection), _known_account(services, account)
    with services.sync.engine.connect() as db:
        rows = listing.list_transactions(
            db,
            connection_id=connection_id,
            account_id=account_id,
            first=_day(since),
            last=_day(until),
            search=search,
            limit=limit,
        )
    print_rows(
        rows,
        {
            "date": "date",
            "account_name": "account",
            "status": "status",
            "amount": "amount",
            "currency": "currency",
            "description": "description",
            "counterparty_name": "counterparty",
            "category": "category",
        },
        title="transactions",
        as_json=as_json,
    )


def sync(
    connection: Annotated[list[str] | None, typer.Argument(help="Connection ids.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every syncable connection.")] = False,
    as_json: AsJson = False,
) -> None:
    """Sync connections now, in this process, and say what came of each."""
    services = open_services()
    ids = choose_connections(services, connection or [], every=every)
    if not ids and not every:
        raise typer.BadParameter("name connections, or say --all")
    with nullcontext() if as_json else console.status("syncing …"):
        results = [_sync_one(services, connection_id) for connection_id in ids]
    print_rows(
        results,
        {
            "connection": "connection",
            "institution": "institution",
            "outcome": "outcome",
            "reason": "reason",
            "new": "new",
            "changed": "changed",
            "removed": "removed",
            "unchanged": "unchanged",
            "calls": "calls",
            "next_try": "next try (UTC)",
        },
        title="sync",
        as_json=as_json,
        nothing="no connection to sync",
    )
    if any(result["outcome"] == "failed" for result in results):
        raise typer.Exit(1)


def disconnect_connection(
    connection: Annotated[str, typer.Argument(help="Connection id.")],
    erase: Annotated[
        bool, typer.Option("--erase", help="Delete all that is stored of it, once it has ended.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Revoke a connection's consent at the provider and forget its credential; rows stay."""
    services = open_services()
    with services.sync.engine.connect() as db:
        known = load_connection(db, ConnectionId(connection))
    if not yes:
        what = "and delete its accounts, transactions and raw answers" if erase else "(rows stay)"
        bank = f" to {known.institution_name}" if known.institution_name else ""
        typer.confirm(f"End connection {known.id}{bank} at the provider {what}?", abort=True)
    report = disconnect(services.sync, known.id, erase=erase)
    if not report.is_ended or (erase and not report.is_erased):
        console.print(f"stopped {connection}: no call for its data is made any more")
        console.print(f"{report.reason}; tried again by `bank-pipeline up`", soft_wrap=True)
        if report.next_attempt_at is not None:
            console.print(f"next try {report.next_attempt_at:%Y-%m-%d %H:%M} UTC")
        raise typer.Exit(1)
    kept = "all that was stored of it is deleted" if erase else "its rows are kept"
    console.print(f"disconnected {connection}; {kept}")


def _sync_one(services: Services, connection_id: ConnectionId) -> dict[str, Any]:
    row: dict[str, Any] = {
        "connection": connection_id,
        "institution": None,
        "reason": None,
        "next_try": None,
    }
    counts: dict[str, Any] = dict.fromkeys(("new", "changed", "removed", "unchanged", "calls"))
    try:
        report = sync_connection(services.sync, SyncRequest(connection_id, SyncReason.MANUAL))
    except BusyError as error:
        return {**row, **counts, "outcome": "busy", "reason": str(error)}
    except (NotFoundError, EndedError) as error:
        return {**row, **counts, "outcome": "failed", "reason": str(error)}
    except UNREACHABLE:
        raise  # so would all others
    except Exception as error:  # noqa: BLE001 - one connection's failure is its own
        with services.sync.engine.connect() as db:
            known = load_connection(db, connection_id)
        planned = {"institution": known.institution_name, "next_try": known.next_attempt_at}
        return {**row, **counts, **planned, "outcome": "failed", "reason": to_reason(error)}
    written = report.transactions
    return {
        **row,
        "institution": report.institution_name,
        "outcome": report.stage if report.stage != "complete" else "synced",
        "new": written.inserted,
        "changed": written.updated,
        "removed": written.removed,
        "unchanged": written.unchanged,
        "calls": report.calls_count,
        "next_try": report.next_attempt_at,
    }


def choose_connections(
    services: Services, named: Sequence[str], *, every: bool
) -> list[ConnectionId]:
    """Return the connections that a command is for, each once, however it is written."""
    if not every:
        return [ConnectionId(one) for one in dict.fromkeys(one.lower() for one in named)]
    with services.sync.engine.connect() as db:
        return listing.load_syncable_ids(db)


def to_reason(error: Exception) -> str:
    """Say why a sync failed, in words of ours."""
    kind, code = classify(error)
    if isinstance(error, ProviderError):
        return f"{kind}: {code}"
    return str(error) if isinstance(error, BankPipelineError) else f"{kind}: {place_of(error)}"


def _known(services: Services, connection: str | None) -> ConnectionId | None:
    """Return the id of a stored connection; a mistyped one must not look like an empty one."""
    if connection is None:
        return None
    with services.sync.engine.connect() as db:
        return load_connection(db, ConnectionId(connection)).id


def _known_account(services: Services, account: str | None) -> str | None:
    if account is None:
        return None
    with services.sync.engine.connect() as db:
        known = {row.id for row in listing.list_accounts(db)}
    if account.lower() not in known:
        raise NotFoundError(f"no account {account}; see `bank-pipeline accounts --json`")
    return account.lower()


def _day(value: datetime | None) -> date | None:
    return None if value is None else value.date()
