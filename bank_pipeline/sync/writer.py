"""The rows that one sync learned of: accounts, balances, transactions, and what does not fit."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.changes import (
    StoredTransaction,
    missing_keys,
    renamed_keys,
    to_reconciling,
)
from bank_pipeline.domain.connection import Connection, HistoryStage, Provider
from bank_pipeline.domain.identity import told_apart
from bank_pipeline.domain.ids import AccountId
from bank_pipeline.domain.transaction import TransactionDelta
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.providers.answers import QuarantinedRow, WindowAnswer
from bank_pipeline.storage.account_questions import load_candidate_external_ids, save_questions
from bank_pipeline.storage.accounts import (
    close_accounts,
    close_missing_accounts,
    load_account_ids,
    rename_accounts,
    save_accounts,
    set_arrived,
)
from bank_pipeline.storage.balances import save_balances
from bank_pipeline.storage.connections import insert_notice
from bank_pipeline.storage.coverage import save_coverage
from bank_pipeline.storage.quarantine import (
    ORPHANED,
    save_quarantined,
    set_orphans_resolved,
)
from bank_pipeline.storage.transactions import load_stored, load_stored_in
from bank_pipeline.sync.fetch import Fetched
from bank_pipeline.sync.moved import Moved
from bank_pipeline.sync.reports import StepCounts
from bank_pipeline.sync.started import StartedSync
from bank_pipeline.sync.update import write_update

_NOTHING: Final = StepCounts()


class RowWriter:
    """Writes rows, inside one open database transaction that somebody else ends."""

    def __init__(
        self,
        db: sa.Connection,
        started: StartedSync,
        now: datetime,
        *,
        moved_from: Provider | None = None,
    ) -> None:
        self._db = db
        self._started = started
        self._connection: Connection = started.connection
        self._now = now
        self._moved_from = moved_from or started.connection.provider
        self._orphans: list[QuarantinedRow] = []

    def write_accounts(self, fetched: Fetched) -> StepCounts:
        """Write the accounts; a complete answer closes those that it does not show."""
        answer = fetched.accounts
        rename_accounts(
            self._db,
            self._connection.id,
            fetched.renamed_accounts,
            moved_from=self._moved_from,
        )
        saved = save_accounts(self._db, self._connection, answer.accounts, now=self._now)
        closed_count = close_accounts(
            self._db, self._connection.id, fetched.gone_account_ids, now=self._now
        )
        if answer.is_complete:
            self._ask(fetched)
            shown = {account.external_id for account in answer.accounts}
            shown |= load_candidate_external_ids(self._db, self._connection.id)
            closed_count += close_missing_accounts(
                self._db, self._connection.id, shown=shown, now=self._now
            )
        return StepCounts(saved.inserted, saved.updated, closed_count, saved.unchanged)

    def _ask(self, fetched: Fetched) -> None:
        """Keep the questions that only a person can answer, and those alone."""
        asked_count = save_questions(
            self._db,
            self._connection.id,
            fetched.asked,
            account_ids=load_account_ids(self._db, self._connection.id),
            now=self._now,
        )
        if asked_count:
            reason = f"{asked_count} accounts may be known ones: bank-pipeline accounts questions"
            insert_notice(self._db, self._connection, reason, now=self._now)

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
            return self._write_windows(fetched.windows)
        if changes is None:
            return _NOTHING
        account_ids = load_account_ids(self._db, self._connection.id)
        set_orphans_resolved(self._db, self._connection.id, account_ids, now=self._now)
        delta = self._without_orphans(changes.delta, frozenset(account_ids))
        is_ready = changes.stage is not HistoryStage.AWAITING_INITIAL
        must_reconcile = fetched.must_reconcile and is_ready
        moved = Moved.of_changes(self._db, self._connection, delta, account_ids)
        if must_reconcile:
            delta = to_reconciling(
                delta,
                moved.renamed(load_stored(self._db, account_ids=account_ids, keys=None)),
                accounts={account.external_id for account in fetched.accounts.accounts},
                unread={row.external_id for row in changes.quarantined},
            )
        delta = moved.without_gone_names(delta)
        set_arrived(self._db, self._connection.id, moved.accounts)
        return self._write_update(delta, account_ids, moved.rows)

    def write_quarantine(self, fetched: Fetched) -> int:
        """Set aside what does not fit; return how many rows are newly there."""
        changed = fetched.changes.quarantined if fetched.changes else ()
        rows = (*fetched.accounts.quarantined, *changed, *self._orphans)
        return save_quarantined(
            self._db, self._connection.id, rows, sync_run_id=self._started.id, now=self._now
        )

    def _write_windows(self, answers: Sequence[WindowAnswer]) -> StepCounts:
        """
        Bring rows to what the answers say, and what they cover is covered.

        What a complete answer does not show any more is gone.
        """
        account_ids = load_account_ids(self._db, self._connection.id)
        answers = self._told_apart(answers, account_ids)
        covered = {one.account_external_id: one.covered for one in answers if one.covered}
        told = {one.account_external_id: _told_days(one) for one in answers if one.covered}
        moved = Moved.of_windows(self._db, self._connection, answers, told, account_ids)
        stored = moved.renamed(load_stored_in(self._db, account_ids=account_ids, windows=told))
        missing = [
            missing_keys(
                stored,
                answer.transactions,
                account=answer.account_external_id,
                covered=moved.judged(answer.account_external_id, answer.covered),
                unread={row.external_id for row in answer.quarantined},
            )
            | renamed_keys(
                stored,
                answer.transactions,
                account=answer.account_external_id,
                covered=answer.covered,
            )
            for answer in answers
            if answer.covered
        ]
        delta = TransactionDelta(
            upserts=tuple(row for answer in answers for row in answer.transactions),
            removed=frozenset().union(*missing),
        )
        counts = self._write_update(delta, account_ids, moved.rows)
        set_arrived(self._db, self._connection.id, moved.accounts)
        for external_id, window in covered.items():
            save_coverage(self._db, account_ids[external_id], window, now=self._now)
        return counts

    def _write_update(
        self,
        delta: TransactionDelta,
        account_ids: Mapping[str, AccountId],
        moved: Sequence[StoredTransaction],
    ) -> StepCounts:
        return write_update(
            self._db,
            delta,
            team_id=self._connection.team_id,
            account_ids=account_ids,
            sync_run_id=self._started.id,
            now=self._now,
            moved=moved,
        )

    def _told_apart(
        self, answers: Sequence[WindowAnswer], account_ids: Mapping[str, AccountId]
    ) -> list[WindowAnswer]:
        """Give other names to rows whose ids belong to other rows that we hold."""
        keys = {
            (row.account_external_id, row.external_id) for a in answers for row in a.transactions
        }
        held: dict[str, list[StoredTransaction]] = defaultdict(list)
        for row in load_stored(self._db, account_ids=account_ids, keys=keys):
            held[row.account_external_id].append(row)
        return [
            replace(a, transactions=told_apart(a.transactions, held[a.account_external_id]))
            for a in answers
        ]

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


def _told_days(answer: WindowAnswer) -> DateWindow:
    """Return the days of an answer, with those of rows that came along."""
    assert answer.covered is not None, "asked of whole answers only"
    days = [row.booking_date for row in answer.transactions if row.booking_date is not None]
    first = min([answer.covered.first, *days])
    return DateWindow(first=first, last=max([answer.covered.last, *days]))
