"""Bring the stored transactions of one connection to what one update says of them."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.changes import ChangePlan, keys_of, plan_changes
from bank_pipeline.domain.days import day_before
from bank_pipeline.domain.identity_rules import DOUBTED
from bank_pipeline.domain.ids import AccountId, SyncRunId, TeamId
from bank_pipeline.domain.inheriting import with_heirs
from bank_pipeline.domain.looks import Look, believed, keys_of_looks, plan_looks
from bank_pipeline.domain.matching import Pins
from bank_pipeline.domain.stored import BOOKING_DELAY_MAX, StoredTransaction, key_of, unlinked_on
from bank_pipeline.domain.transaction import Transaction, TransactionDelta
from bank_pipeline.domain.unchanged import Fingerprints, without_unchanged
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.storage.transaction_writes import apply_plan
from bank_pipeline.storage.transactions import (
    load_ended,
    load_live_hashes,
    load_looked_at,
    load_pending_before,
    load_stored,
)
from bank_pipeline.sync.reports import StepCounts

BIG_UPDATE: Final = 2_000  # rows; above it, hashes alone are read before any row is


@dataclass(frozen=True)
class WrittenUpdate:
    """
    What an update came to: the rows written, and those of them that are new.

    `doubted_since`: only the whole history since then tells whether the bank still has them.
    """

    counts: StepCounts
    inserts: Sequence[Transaction]
    doubted_since: date | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class WrittenLooks(WrittenUpdate):
    """What looks came to, and the days by account of which they are believed to tell all."""

    covered: Mapping[str, DateWindow]


def write_update(
    db: sa.Connection,
    delta: TransactionDelta,
    *,
    team_id: TeamId,
    account_ids: Mapping[str, AccountId],
    sync_run_id: SyncRunId,
    now: datetime,
    moved: Pins | None = None,
) -> WrittenUpdate:
    """
    Compare an update of a change feed with what is stored, and write what differs.

    Every account of `delta` is in `account_ids`. The caller holds the connection's lock and
    the transaction in which the cursor moves. `moved` are stored rows by the names that they go
    by from now on.
    """
    left_out, is_first = 0, False
    if len(delta.upserts) > BIG_UPDATE:
        made = Fingerprints(delta.upserts)
        with ThreadPoolExecutor(max_workers=1) as aside:
            asked = aside.submit(load_live_hashes, db, account_ids=account_ids)
            made.make(is_over=asked.done)  # while the server goes through the rows
        hashes = asked.result()
        delta, left_out = without_unchanged(delta, hashes, made)
        is_first = not hashes
    written = write_compared(
        db,
        delta,
        team_id=team_id,
        account_ids=account_ids,
        sync_run_id=sync_run_id,
        now=now,
        moved=moved,
        is_first=is_first,
    )
    return replace(written, counts=written.counts + StepCounts(unchanged=left_out))


def write_compared(  # noqa: PLR0913 - keyword-only
    db: sa.Connection,
    delta: TransactionDelta,
    *,
    team_id: TeamId,
    account_ids: Mapping[str, AccountId],
    sync_run_id: SyncRunId,
    now: datetime,
    moved: Pins | None = None,
    days: DateWindow | None = None,
    is_first: bool = False,
) -> WrittenUpdate:
    """
    Write what differs of an update, or of that part of it which has to be compared row by row.

    `days` are those of new rows without a link, None: those of `delta`. What was paid on them or
    within eight days before, as a pending row, may have booked, or go on under another id.
    `is_first`: no row is stored as it was last told, so that to read all takes less than to name
    what is looked for.
    """
    keys = None if is_first else keys_of(delta)
    stored = load_stored(db, account_ids=account_ids, keys=keys)
    days = days or _days_of_new(delta, stored)
    if days is not None:
        known = {row.id for row in stored}
        paid = DateWindow(first=day_before(days.first, BOOKING_DELAY_MAX), last=days.last)
        ended = load_ended(db, account_ids=account_ids, days=paid)
        stored += [row for row in ended if row.id not in known]
    known = {row.id for row in stored}
    stored += [row for row in (moved or {}).values() if row is not None and row.id not in known]
    plan = plan_changes(stored, delta, pins=moved)
    removals = {*plan.removals}
    gone_on = [row.booking_date for row in stored if row.id in removals and row.booking_date]
    doubted_since = None
    if gone_on:
        days = DateWindow(first=min(gone_on), last=max(gone_on))
        ended = load_ended(db, account_ids=account_ids, days=days)
        inherited = with_heirs(plan, delta, stored=stored, ended=ended)
        plan, doubted_since = inherited.plan, inherited.doubted_since
    apply_plan(db, plan, team_id=team_id, account_ids=account_ids, sync_run_id=sync_run_id, now=now)
    counts = _to_counts(plan, unchanged=plan.unchanged_count + plan.superseded_count)
    return WrittenUpdate(counts, plan.inserts, doubted_since=doubted_since)


def write_looks(
    db: sa.Connection,
    looks: Sequence[Look],
    *,
    team_id: TeamId,
    account_ids: Mapping[str, AccountId],
    sync_run_id: SyncRunId,
    now: datetime,
) -> WrittenLooks:
    """
    Compare what was asked for by dates with what is stored, and write what differs.

    Every account of `looks` is in `account_ids`. The caller holds the connection's lock and the
    transaction in which the coverage is written.
    """
    stored = load_looked_at(
        db,
        account_ids=account_ids,
        keys=keys_of_looks(looks),
        days={look.account: look.days for look in looks if look.days is not None},
        pending_before=BOOKING_DELAY_MAX,
    )
    looks = [believed(look, stored) for look in looks]
    plan = plan_looks(stored, looks)
    apply_plan(db, plan, team_id=team_id, account_ids=account_ids, sync_run_id=sync_run_id, now=now)
    return WrittenLooks(
        _to_counts(plan, unchanged=plan.unchanged_count + plan.superseded_count),
        plan.inserts,
        {look.account: look.covered for look in looks if look.covered is not None},
    )


def end_unread(
    db: sa.Connection,
    types: Mapping[AccountId, AccountType],
    *,
    team_id: TeamId,
    sync_run_id: SyncRunId,
    now: datetime,
) -> int:
    """
    End what is pending for too long in accounts that are not read any more; return how many.

    No answer will ever tell how it ended. Should one show it again, it is back.
    """
    days = {
        id_: day_before(now.date(), timedelta(days=DOUBTED.pending_days_max(kind)))
        for id_, kind in types.items()
    }
    plan = ChangePlan(overdue=load_pending_before(db, days))
    if not plan.is_empty:
        apply_plan(db, plan, team_id=team_id, account_ids={}, sync_run_id=sync_run_id, now=now)
    return len(plan.overdue)


def _to_counts(plan: ChangePlan, *, unchanged: int) -> StepCounts:
    return StepCounts(
        inserted=len(plan.inserts),
        updated=len(plan.updates),
        removed=len(plan.removals) + len(plan.vanished) + len(plan.overdue),
        unchanged=unchanged,
    )


def _days_of_new(delta: TransactionDelta, stored: Sequence[StoredTransaction]) -> DateWindow | None:
    """Return the days of new rows without a link, booked or pending."""
    known = {row.key for row in stored}
    unlinked = [unlinked_on(row) for row in delta.upserts if key_of(row) not in known]
    days = [day for day in unlinked if day is not None]
    return DateWindow(first=min(days), last=max(days)) if days else None
