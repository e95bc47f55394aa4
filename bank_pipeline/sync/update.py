"""Bring the stored transactions of one connection to what one update says of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.changes import StoredTransaction, keys_of, plan_changes
from bank_pipeline.domain.ids import AccountId, SyncRunId, TeamId
from bank_pipeline.domain.transaction import TransactionDelta
from bank_pipeline.domain.unchanged import without_unchanged
from bank_pipeline.storage.transactions import apply_plan, load_live_hashes, load_stored
from bank_pipeline.sync.reports import StepCounts

BIG_UPDATE: Final = 2_000  # rows; above it, hashes alone are read before any row is


def write_update(
    db: sa.Connection,
    delta: TransactionDelta,
    *,
    team_id: TeamId,
    account_ids: Mapping[str, AccountId],
    sync_run_id: SyncRunId,
    now: datetime,
    moved: Sequence[StoredTransaction] = (),
) -> StepCounts:
    """
    Compare an update with what is stored, and write what differs.

    Every account of `delta` is in `account_ids`. The caller holds the connection's lock and
    the transaction in which the cursor moves. `moved` are stored rows under the names that they
    go by from now on.
    """
    left_out = 0
    if len(delta.upserts) > BIG_UPDATE:
        hashes = load_live_hashes(db, account_ids=account_ids)
        delta, left_out = without_unchanged(delta, hashes)
    stored = load_stored(db, account_ids=account_ids, keys=keys_of(delta))
    by_id = {row.id: row for row in stored} | {row.id: row for row in moved}
    plan = plan_changes(by_id.values(), delta)
    apply_plan(db, plan, team_id=team_id, account_ids=account_ids, sync_run_id=sync_run_id, now=now)
    return StepCounts(
        inserted=len(plan.inserts),
        updated=len(plan.updates),
        removed=len(plan.removals) + len(plan.vanished),
        unchanged=left_out + plan.unchanged_count + plan.superseded_count,
    )
