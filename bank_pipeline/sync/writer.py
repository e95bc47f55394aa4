"""The rows that one sync learned of: accounts, balances, transactions, and what does not fit."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.changes import to_reconciling
from bank_pipeline.domain.connection import Connection, HistoryStage
from bank_pipeline.domain.looks import Look
from bank_pipeline.domain.transaction import TransactionDelta
from bank_pipeline.providers.answers import QuarantinedRow, WindowAnswer
from bank_pipeline.storage.accounts import (
    close_accounts,
    close_missing_accounts,
    load_account_ids,
    rename_accounts,
    save_accounts,
)
from bank_pipeline.storage.balances import save_balances
from bank_pipeline.storage.coverage import load_coverage, save_coverage
from bank_pipeline.storage.quarantine import (
    ORPHANED,
    save_quarantined,
    set_orphans_resolved,
)
from bank_pipeline.storage.transactions import load_stored
from bank_pipeline.sync.fetch import Fetched
from bank_pipeline.sync.reports import StepCounts
from bank_pipeline.sync.started import StartedSync
from bank_pipeline.sync.update import write_looks, write_update

_NOTHING: Final = StepCounts()


class RowWriter:
    """Writes rows, inside one open database transaction that somebody else ends."""

    def __init__(self, db: sa.Connection, started: StartedSync, now: datetime) -> None:
        self._db = db
        self._started = started
        self._connection: Connection = started.connection
        self._now = now
        self._orphans: list[QuarantinedRow] = []

    def write_accounts(self, fetched: Fetched) -> StepCounts:
        """Write the accounts; a complete answer closes those that it does not show."""
        answer = fetched.accounts
        rename_accounts(self._db, self._connection.id, fetched.renamed_accounts)
        saved = save_accounts(self._db, self._connection, answer.accounts, now=self._now)
        closed_count = close_accounts(
            self._db, self._connection.id, fetched.gone_account_ids, now=self._now
        )
        if answer.is_complete:
            shown = {account.external_id for account in answer.accounts}
            closed_count += close_missing_accounts(
                self._db, self._connection.id, shown=shown, now=self._now
            )
        return StepCounts(saved.inserted, saved.updated, closed_count, saved.unchanged)

    def write_balances(self, fetched: Fetched) -> StepCounts:
        """Append the balances that differ from what was last told."""
        balances = fetched.accounts.balances
        inserted = save_balances(
            self._db,
            self._connection,
            balances,
            account_ids=load_account_ids(self._db, self._connection.id),
            sync_run_id=self._started.id,
            now=self._now,
        )
        return StepCounts(inserted=inserted, unchanged=len(balances) - inserted)

    def write_transactions(self, fetched: Fetched) -> StepCounts:
        """Bring the transactions to what was told, and note which dates that covers."""
        changes = fetched.changes
        if fetched.windows is not None:
            return self._write_windows(fetched, fetched.windows)
        if changes is None:
            return _NOTHING
        account_ids = load_account_ids(self._db, self._connection.id)
        set_orphans_resolved(self._db, self._connection.id, account_ids, now=self._now)
        delta = self._without_orphans(changes.delta, frozenset(account_ids))
        is_ready = changes.stage is not HistoryStage.AWAITING_INITIAL
        must_reconcile = fetched.must_reconcile and is_ready
        if must_reconcile:
            delta = to_reconciling(
                delta,
                load_stored(self._db, account_ids=account_ids, keys=None),
                accounts={account.external_id for account in fetched.accounts.accounts},
                unread={row.external_id for row in changes.quarantined},
            )
        return write_update(
            self._db,
            delta,
            team_id=self._connection.team_id,
            account_ids=account_ids,
            sync_run_id=self._started.id,
            now=self._now,
        )

    def write_quarantine(self, fetched: Fetched) -> int:
        """Set aside what does not fit; return how many rows are newly there."""
        changed = fetched.changes.quarantined if fetched.changes else ()
        rows = (*fetched.accounts.quarantined, *changed, *self._orphans)
        return save_quarantined(
            self._db, self._connection.id, rows, sync_run_id=self._started.id, now=self._now
        )

    def _write_windows(self, fetched: Fetched, answers: Sequence[WindowAnswer]) -> StepCounts:
        """
        Bring rows to what the answers say, and what they cover is covered.

        What a complete answer does not show any more is gone.
        """
        account_ids = load_account_ids(self._db, self._connection.id)
        covered_before = load_coverage(self._db, account_ids.values())
        types = {account.external_id: account.type for account in fetched.accounts.accounts}
        looks = [
            Look(
                account=answer.account_external_id,
                rows=answer.transactions,
                covered=answer.covered,
                covered_before=covered_before.get(account_ids[answer.account_external_id], ()),
                unread=frozenset(row.external_id for row in answer.quarantined),
                account_type=types.get(answer.account_external_id),
                rules=answer.identity_rules,
            )
            for answer in answers
        ]
        counts = write_looks(
            self._db,
            looks,
            team_id=self._connection.team_id,
            account_ids=account_ids,
            sync_run_id=self._started.id,
            now=self._now,
        )
        for look in looks:
            if look.covered is not None:
                save_coverage(self._db, account_ids[look.account], look.covered, now=self._now)
        return counts

    def _without_orphans(
        self, delta: TransactionDelta, account_ids: frozenset[str]
    ) -> TransactionDelta:
        """Set aside rows of accounts that the provider does not list: kept, not guessed."""
        orphans = [t for t in delta.upserts if t.account_external_id not in account_ids]
        if not orphans:
            return delta
        self._orphans = [
            QuarantinedRow(
                operation=ORPHANED,
                external_id=t.external_id,
                raw=t.model_dump_json(exclude_none=True),
                reason="the provider lists no such account in this connection",
            )
            for t in orphans
        ]
        kept = tuple(t for t in delta.upserts if t.account_external_id in account_ids)
        return delta.model_copy(update={"upserts": kept})
