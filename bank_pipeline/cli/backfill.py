"""The command that reads history again, and says of each account what came of it."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Annotated, Any, Final

import typer

from bank_pipeline.bootstrap import Services
from bank_pipeline.cli.connections import choose_connections, to_reason
from bank_pipeline.cli.output import AsJson, console, print_rows
from bank_pipeline.cli.session import open_services
from bank_pipeline.domain.depth import Depth
from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import BusyError, EndedError, NotFoundError
from bank_pipeline.storage import listing
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.coverage import load_coverage
from bank_pipeline.storage.engine import UNREACHABLE
from bank_pipeline.storage.sync_runs import load_sync_runs
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.reports import SyncReason, SyncRequest

_COLUMNS: Final = {
    "institution": "institution",
    "account": "account",
    "asked": "asked for",
    "refused": "refused",
    "covered_before": "covered before",
    "covered_after": "covered now",
    "new": "new",
    "changed": "changed",
    "removed": "removed",
    "outcome": "outcome",
    "reason": "reason",
    "next_try": "next try (UTC)",
}
_WHOLE: Final = "whole history"


@dataclass(frozen=True)
class Backfilled:
    """
    What came of one account; `account` is None of a connection of which none is known.

    `asked` is None when nothing was asked for, else the dates in words. `covered_before` and
    `covered_after` are ranges of dates, oldest first.
    """

    connection: str
    institution: str | None = None
    account_id: str | None = None
    account: str | None = None
    outcome: str = "done"
    reason: str | None = None
    asked: str | None = None
    refused: tuple[str, ...] = ()
    covered_before: tuple[str, ...] = ()
    covered_after: tuple[str, ...] = ()
    new: int | None = None
    changed: int | None = None
    removed: int | None = None
    next_try: datetime | None = None


def backfill(
    since: Annotated[
        datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day to read.")
    ],
    connection: Annotated[
        list[str] | None, typer.Option("--connection", "-c", help="A connection id; repeatable.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every syncable connection.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Read history again from a day on, and say of each account what came of it.

    Counts as asked for by a person where a provider counts calls. What a quota or an outage
    puts off is done by the next syncs, for three days.
    """
    services = open_services()
    first = since.date()
    if first > services.sync.clock().date():
        raise typer.BadParameter("--from lies in the future")
    ids = choose_connections(services, connection or [], every=every)
    if not ids and not every:
        raise typer.BadParameter("name connections with --connection, or say --all")
    with nullcontext() if as_json else console.status("reading history …"):
        found = [row for one in ids for row in _backfill(services, one, first)]
    print_rows(
        [asdict(row) if as_json else _to_words(row) for row in found],
        _COLUMNS,
        title=f"backfill from {first}",
        as_json=as_json,
        nothing="no connection to read",
    )
    if any(row.outcome == "failed" for row in found):
        raise typer.Exit(1)


def _backfill(services: Services, connection_id: ConnectionId, since: date) -> list[Backfilled]:
    request = SyncRequest(connection_id, SyncReason.BACKFILL, depth=Depth.BACKFILL, since=since)
    base, before = Backfilled(connection_id), _load_covered(services, connection_id)
    try:
        sync_connection(services.sync, request)
    except (NotFoundError, EndedError) as error:
        return [replace(base, outcome="failed", reason=str(error))]
    except BusyError:
        reason = "another sync holds the connection; the one after it reads the history"
        base = replace(base, outcome="busy", reason=reason)
    except UNREACHABLE:
        raise  # so would all others
    except Exception as error:  # noqa: BLE001 - one connection's failure is its own
        base = replace(base, outcome="failed", reason=to_reason(error))
    after = _load_covered(services, connection_id)
    with services.sync.engine.connect() as db:
        known = load_connection(db, connection_id)
        # Busy: the newest run is another sync's, or there is none yet.
        runs = () if base.outcome == "busy" else load_sync_runs(db, connection_id, limit=1)
        readings = runs[0].counts.get("windows", {}) if runs else {}
        written = listing.load_row_counts(db, connection_id, runs[0].id) if runs else {}
        accounts = listing.list_accounts(db, connection_id=connection_id)
    base = replace(base, institution=known.institution_name, next_try=known.next_attempt_at)
    rows = [
        _to_row(
            replace(
                base,
                account_id=one.id,
                account=one.name,
                covered_before=_ranges(before.get(AccountId(one.id), ())),
                covered_after=_ranges(after.get(AccountId(one.id), ())),
            ),
            readings.get(one.id),
            written.get(one.id, listing.RowCounts()),
        )
        for one in accounts
        if one.closed_at is None
    ]
    return rows or [base]


def _to_row(
    row: Backfilled, reading: Mapping[str, Any] | None, written: listing.RowCounts
) -> Backfilled:
    """Add what an account was asked for, and what came; without that, why not."""
    if reading is None:
        return row if row.outcome != "done" else replace(row, outcome="not asked")
    return replace(
        _read(row, reading),
        new=written.inserted,
        changed=written.updated,
        removed=written.removed,
    )


def _read(row: Backfilled, reading: Mapping[str, Any]) -> Backfilled:
    """Add what an account was asked for; its own trouble goes before the connection's."""
    asked, covered, trouble = reading["asked"], reading["covered"], reading["trouble"]
    reason: str | None = trouble
    if trouble is None and asked and covered and covered[0] > asked[0]:
        reason = f"the bank gives nothing before {covered[0]}"
    is_told = asked is not None or trouble is None
    return replace(
        row,
        outcome="failed" if trouble else "done",
        reason=reason,
        asked=("..".join(asked) if asked else _WHOLE) if is_told else None,
        refused=tuple(reading["refused"]),
    )


def _load_covered(
    services: Services, connection_id: ConnectionId
) -> dict[AccountId, tuple[DateWindow, ...]]:
    with services.sync.engine.connect() as db:
        accounts = listing.list_accounts(db, connection_id=connection_id)
        return load_coverage(db, [AccountId(one.id) for one in accounts])


def _ranges(windows: Sequence[DateWindow]) -> tuple[str, ...]:
    return tuple(f"{window.first}..{window.last}" for window in windows)


def _to_words(row: Backfilled) -> dict[str, Any]:
    lists = {
        name: ", ".join(getattr(row, name)) or None
        for name in ("refused", "covered_before", "covered_after")
    }
    return {**asdict(row), **lists}
