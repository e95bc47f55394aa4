"""Commands that look back and mend: where a row came from, replays of the archive, undo."""

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from bank_pipeline.cli.connections import ConnectionOption
from bank_pipeline.cli.output import AsJson, console, print_json, print_rows, safe
from bank_pipeline.cli.session import open_services
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.stored import day_of
from bank_pipeline.errors import BankPipelineError, BusyError
from bank_pipeline.providers.exact_json import dump_json, parse_json
from bank_pipeline.storage import listing
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.explain import Explanation, Origin, explain
from bank_pipeline.sync.renormalise import Renormalisation, renormalise
from bank_pipeline.sync.undo import UndoPlan, plan_undo, undo

EXAMPLES_MAX: Final = 10  # rows of a diff that are shown to people; JSON has all
_SHOWN_FIRST: Final = (
    "status",
    "amount",
    "currency",
    "booking_date",
    "transaction_date",
    "description",
    "counterparty_name",
    "external_id",
    "removed_at",
)


def explain_transaction(
    transaction: Annotated[str, typer.Argument(help="Id of ours, from `transactions --json`.")],
    as_json: AsJson = False,
) -> None:
    """Tell where a transaction came from: its history, its syncs, and what the provider sent."""
    services = open_services()
    told = explain(services.sync, transaction)
    if as_json:
        print_json(told)
        return
    console.print(f"[bold]transaction[/] {told.transaction_id}", highlight=False)
    for name in _SHOWN_FIRST:
        if told.now[name] is not None:
            _line(f"  {name:<18}{_said(told.now[name])}")
    console.print("[bold]history[/]")
    _print_origin("made by", told.first)
    for step in told.steps:
        by = f"sync {step.sync_run_id}" if step.sync_run_id else "a person"
        _line(f"  {step.at:%Y-%m-%d %H:%M} changed by {by} ({step.reason or 'as the bank said'})")
        for column, (old, new) in step.changes.items():
            _line(f"      {column}: {_said(old)} -> {_said(new)}")
    if told.last is not None:
        _print_origin("as it is now, by", told.last)
    _print_records(told)


def renormalise_archive(
    connection: ConnectionOption = None,
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Only answers of syncs since this day."),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write it; else only show it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read the archived answers by today's transforms, and show or write what comes out anew."""
    services = open_services()
    day = None if since is None else since.date()
    outcomes: list[Renormalisation] = []
    failures: list[str] = []
    for connection_id in _chosen(services.sync, connection):
        try:
            outcomes.append(renormalise(services.sync, connection_id, since=day, applies=apply))
        except BusyError as error:
            failures.append(str(error))
        except BankPipelineError as error:
            failures.append(f"{connection_id}: {error}")
    if as_json:
        print_json(outcomes)
    else:
        _print_outcomes(outcomes, is_applied=apply)
    for failure in failures:
        typer.echo(f"left out: {failure}", err=True)
    if failures:
        raise typer.Exit(1)


def undo_sync(
    sync_run: Annotated[str, typer.Argument(help="Id of a sync run, from `runs`.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask; notes on rows that go may go, too.")
    ] = False,
) -> None:
    """Take back what one sync changed; the next sync brings it again."""
    services = open_services()
    plan = plan_undo(services.sync, sync_run)
    _print_plan(plan)
    if dry_run:
        console.print("nothing was written")
        return
    if not yes and not (plan.annotated_ids or plan.decided_accounts):
        typer.confirm("Take it back?", abort=True)
    report = undo(services.sync, sync_run, discards_annotations=yes)
    console.print(f"undone, by run {report.undone_by}", highlight=False)
    if not plan.is_synced_again:
        return
    again = "renormalise --apply -c" if plan.is_replay else "sync"
    _line(f"`bank-pipeline {again} {plan.connection_id}` brings it again")


def _chosen(context: SyncContext, connection: str | None) -> list[ConnectionId]:
    with context.engine.connect() as db:
        if connection is not None:
            return [load_connection(db, ConnectionId(connection)).id]
        return [ConnectionId(row.id) for row in listing.list_connections(db)]


def _print_plan(plan: UndoPlan) -> None:
    _line(f"undo of sync {plan.run_id}, of connection {plan.connection_id}:")
    _line(f"  {plan.deleted_count} transactions that it brought are deleted")
    _line(f"  {plan.restored_count} transactions that it changed are put back")
    _line(f"  {plan.balances_count} balances that it added are deleted")
    if plan.accounts_count:
        _line(f"  {plan.accounts_count} accounts are put back; new ones go")
    if plan.restores:
        _line(f"  put back as before: {', '.join(plan.restores)}")
    if plan.annotated_ids:
        count = len(plan.annotated_ids)
        _line(f"  {count} of the deleted ones have notes, tags, categories or decisions:")
        for id_ in plan.annotated_ids[:EXAMPLES_MAX]:
            _line(f"      {id_}")
    if plan.decided_accounts:
        _line(f"  of {len(plan.decided_accounts)} of the accounts you decided something:")
        for one in plan.decided_accounts[:EXAMPLES_MAX]:
            _line(f"      {one}")
    if not plan.is_synced_again:
        _line("  the connection is not synced any more: nothing would bring these rows again")
    elif plan.unread_count:
        _line(
            f"  {plan.unread_count} of these transactions are of accounts that are closed or left "
            "out by now: they may not come again"
        )


def _print_outcomes(outcomes: list[Renormalisation], *, is_applied: bool) -> None:
    rows = [
        {
            "connection": one.connection_id,
            "institution": one.institution_name,
            "answers": one.answers_count,
            "rows": one.rows_count,
            "changed": len(one.changed),
            "new": len(one.landed),
            "resolved": one.resolved_count,
            "not_kept": one.unread_count,
        }
        for one in outcomes
    ]
    columns = {
        "connection": "connection",
        "institution": "institution",
        "answers": "answers",
        "rows": "rows",
        "changed": "changed",
        "new": "new",
        "resolved": "from quarantine",
        "not_kept": "answers gone",
    }
    print_rows(rows, columns, title="renormalise", as_json=False, nothing="no connections")
    for one in outcomes:
        _print_examples(one)
    if any(one.unread_count for one in outcomes):
        _line("answers gone: older than the archive keeps them; what they showed stays as it is")
    for one in outcomes:
        if one.sync_run_id is not None:
            _line(f"written by run {one.sync_run_id}; `bank-pipeline undo` takes it back")
    if not is_applied and any(not one.is_empty for one in outcomes):
        _line("nothing was written; --apply writes it")


def _print_examples(outcome: Renormalisation) -> None:
    for row in outcome.changed[:EXAMPLES_MAX]:
        _line(f"{row.transaction_id}  {row.day or '-'}")
        for column, (old, new) in row.changes.items():
            _line(f"    {column}: {_said(old)} -> {_said(new)}")
    for new in outcome.landed[:EXAMPLES_MAX]:
        day = day_of(new)
        _line(f"new  {day or '-'}  {new.amount} {new.currency or ''}  {new.description}")
    more = len(outcome.changed) + len(outcome.landed) - 2 * EXAMPLES_MAX
    if more > 0 or len(outcome.changed) > EXAMPLES_MAX or len(outcome.landed) > EXAMPLES_MAX:
        _line("... and more; --json shows all")
    if outcome.left_out_count:
        _line(
            f"{outcome.left_out_count} entries of the archive of {outcome.connection_id} stand for "
            "no stored row (they go by another name since): left out"
        )
    for kind, count in outcome.failed.items():
        _line(f"{count} answers of {outcome.connection_id} cannot be read any more: {kind}")


def _print_origin(word: str, origin: Origin) -> None:
    run = origin.run
    if run is None:
        _line(f"  {word} a sync that is not recorded")
        return
    dagster = f", Dagster run {run.dagster_run_id}" if run.dagster_run_id else ""
    _line(f"  {run.started_at:%Y-%m-%d %H:%M} {word} sync {run.id} ({run.reason}{dagster})")


def _print_records(told: Explanation) -> None:
    origins = [("what the provider sent first", told.first)]
    if told.last is not None:
        origins.append(("what the provider sent last", told.last))
    for title, origin in origins:
        console.print(f"[bold]{title}[/]")
        record = origin.record
        if record is None:
            _line(f"  {origin.why_none}")
            continue
        request = f", request {record.request_id}" if record.request_id else ""
        _line(f"  {record.operation}{request}, received {record.received_at:%Y-%m-%d %H:%M} UTC")
        for line in dump_json(parse_json(record.text), indent=2).splitlines():
            _line(f"  {line}")


def _said(value: Any) -> str:  # noqa: ANN401 - any value of a column
    if value is None:
        return "-"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value.isoformat() if isinstance(value, date) else str(value)


def _line(text: str) -> None:
    console.print(Text(safe(text)), soft_wrap=True)
