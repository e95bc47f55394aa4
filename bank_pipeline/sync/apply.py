"""The half of a sync that writes: one database transaction for everything one sync learned."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.changes import (
    StoredTransaction,
    missing_keys,
    renamed_keys,
    to_reconciling,
)
from bank_pipeline.domain.connection import Connection, HistoryStage
from bank_pipeline.domain.identity import told_apart
from bank_pipeline.domain.ids import AccountId
from bank_pipeline.domain.transaction import TransactionDelta
from bank_pipeline.domain.transitions import Transition, after_part, after_success
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import ConcurrentSyncError, ProviderError
from bank_pipeline.providers.answers import QuarantinedRow, WindowAnswer
from bank_pipeline.storage.accounts import (
    close_accounts,
    close_missing_accounts,
    load_account_ids,
    rename_accounts,
    save_accounts,
)
from bank_pipeline.storage.balances import save_balances
from bank_pipeline.storage.calls import set_calls_applied
from bank_pipeline.storage.connections import (
    advance_cursor,
    apply_transition,
    lock_connection,
)
from bank_pipeline.storage.coverage import save_coverage
from bank_pipeline.storage.institutions import learn_history_days
from bank_pipeline.storage.quarantine import (
    ORPHANED,
    save_quarantined,
    set_orphans_resolved,
)
from bank_pipeline.storage.sync_runs import finish_sync_run
from bank_pipeline.storage.transactions import load_stored, load_stored_in
from bank_pipeline.storage.webhook_events import mark_events_handled
from bank_pipeline.sync.failures import classify, request_id_of, to_transition
from bank_pipeline.sync.fetch import Fetched
from bank_pipeline.sync.reports import Step, StepCounts, SyncReport
from bank_pipeline.sync.started import StartedSync
from bank_pipeline.sync.update import write_update

_NOTHING: Final = StepCounts()
_STAGES: Final = (HistoryStage.AWAITING_INITIAL, HistoryStage.INITIAL, HistoryStage.COMPLETE)


def apply_fetched(
    engine: sa.Engine,
    started: StartedSync,
    fetched: Fetched,
    *,
    now: datetime,
) -> SyncReport:
    """
    Write everything one sync learned, all or nothing, and return what it came to.

    Raises:
        ConcurrentSyncError: somebody moved the cursor or renewed the consent meanwhile, under
            which accounts have other ids; nothing was written.
    """
    trouble = fetched.trouble
    with engine.begin() as db:
        _check_consent(db, started.connection)
        writer = _Writer(db, started, now)
        accounts = writer.write_accounts(fetched)
        balances = writer.write_balances(fetched)
        transactions = writer.write_transactions(fetched)
        stage = writer.write_stage(fetched)
        quarantined_count = writer.write_quarantine(fetched)
        transition = writer.write_end(fetched, stage, trouble)
        report = SyncReport(
            connection_id=started.connection.id,
            sync_run_id=started.id,
            provider=started.connection.provider,
            institution_name=_institution_name(started.connection, fetched),
            reason=started.request.reason,
            status=transition.status,
            stage=stage,
            steps=started.request.steps,
            accounts=accounts,
            balances=balances,
            transactions=transactions,
            quarantined_count=quarantined_count,
            calls_count=fetched.calls_count,
            pages_count=fetched.pages_count,
            started_at=started.started_at,
            ended_at=now,
            next_attempt_at=transition.next_attempt_at,
        )
        finish_sync_run(
            db,
            started.id,
            outcome=_outcome(stage, trouble),
            counts=report.counts(),
            error_class=classify(trouble)[0] if trouble else None,
            error_code=trouble.code if trouble else None,
            request_id=request_id_of(trouble) if trouble else None,
            next_attempt_at=transition.next_attempt_at,
            now=now,
        )
    return report


def _check_consent(db: sa.Connection, seen: Connection) -> None:
    if lock_connection(db, seen.id).external_id != seen.external_id:
        raise ConcurrentSyncError(f"the consent of connection {seen.id} was renewed meanwhile")


def _told_days(answer: WindowAnswer) -> DateWindow:
    """Return the days of an answer, with those of rows that came along."""
    assert answer.covered is not None, "asked of whole answers only"
    days = [row.booking_date for row in answer.transactions if row.booking_date is not None]
    first = min([answer.covered.first, *days])
    return DateWindow(first=first, last=max([answer.covered.last, *days]))


def _outcome(stage: HistoryStage, trouble: ProviderError | None) -> str:
    if trouble is not None:
        return "failed"
    return "awaiting_initial" if stage is HistoryStage.AWAITING_INITIAL else "synced"


def _described(connection: Connection, fetched: Fetched) -> dict[str, str]:
    """Return the columns that say whose bank it is, if the provider has told by now."""
    status = fetched.accounts.status
    if status is None:
        return {}
    told = {
        "institution_external_id": status.institution_external_id,
        "institution_name": status.institution_name,
    }
    return {name: text for name, text in told.items() if text and text != getattr(connection, name)}


def _institution_name(connection: Connection, fetched: Fetched) -> str | None:
    return _described(connection, fetched).get("institution_name", connection.institution_name)


def _told_stage(fetched: Fetched) -> HistoryStage | None:
    """Return how much of the history has come; None when nobody asked for it."""
    if fetched.changes is not None:
        return fetched.changes.stage
    if fetched.windows is None:
        return None
    if fetched.trouble is None:
        return HistoryStage.COMPLETE
    has_some = any(answer.covered for answer in fetched.windows)
    return HistoryStage.INITIAL if has_some else HistoryStage.AWAITING_INITIAL


class _Writer:
    """The steps of one write, inside one open database transaction."""

    def __init__(self, db: sa.Connection, started: StartedSync, now: datetime) -> None:
        self._db = db
        self._started = started
        self._connection: Connection = started.connection
        self._now = now
        self._orphans: list[QuarantinedRow] = []

    def write_accounts(self, fetched: Fetched) -> StepCounts:
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
        if must_reconcile:
            delta = to_reconciling(
                delta,
                load_stored(self._db, account_ids=account_ids, keys=None),
                accounts={account.external_id for account in fetched.accounts.accounts},
                unread={row.external_id for row in changes.quarantined},
            )
        return self._write_update(delta, account_ids)

    def write_stage(self, fetched: Fetched) -> HistoryStage:
        """
        Move cursor and stage together with the rows; a stage never goes back.

        An answer without a cursor never erases one that we hold.
        """
        before = self._connection.cursor
        told = _told_stage(fetched)
        if told is None:
            return self._connection.history_stage
        stage = max(self._connection.history_stage, told, key=_STAGES.index)
        cursor = fetched.changes.cursor_after if fetched.changes else None
        after = before if cursor is None else cursor
        advance_cursor(self._db, self._connection.id, before=before, after=after, stage=stage)
        return stage

    def write_quarantine(self, fetched: Fetched) -> int:
        changed = fetched.changes.quarantined if fetched.changes else ()
        rows = (*fetched.accounts.quarantined, *changed, *self._orphans)
        return save_quarantined(
            self._db, self._connection.id, rows, sync_run_id=self._started.id, now=self._now
        )

    def write_end(
        self, fetched: Fetched, stage: HistoryStage, trouble: ProviderError | None
    ) -> Transition:
        status = fetched.accounts.status
        told = status.consent_expires_at if status else None
        expires_at = told or self._connection.consent_expires_at
        is_whole = Step.TRANSACTIONS in self._started.request.steps
        transition = self._to_transition(stage, expires_at, trouble, is_whole=is_whole)
        facts: dict[str, Any] = {
            "consent_expires_at": expires_at,
            **_described(self._connection, fetched),
        }
        if fetched.accounts.is_complete:
            facts["last_full_accounts_at"] = self._now
        if fetched.refused_beyond_days is not None:
            facts["refused_beyond_days"] = fetched.refused_beyond_days
        self._remember_history(fetched)
        set_calls_applied(self._db, fetched.answered_call_ids)
        apply_transition(
            self._db,
            self._connection,
            transition,
            sync_run_id=self._started.id,
            now=self._now,
            is_success=is_whole and trouble is None,
            **facts,
        )
        if is_whole:
            mark_events_handled(
                self._db,
                self._connection,
                up_to=self._started.newest_event_id,
                sync_run_id=self._started.id,
                now=self._now,
            )
        return transition

    def _write_windows(self, answers: Sequence[WindowAnswer]) -> StepCounts:
        """
        Bring rows to what the answers say, and what they cover is covered.

        What a complete answer does not show any more is gone.
        """
        account_ids = load_account_ids(self._db, self._connection.id)
        answers = self._told_apart(answers, account_ids)
        covered = {one.account_external_id: one.covered for one in answers if one.covered}
        told = {one.account_external_id: _told_days(one) for one in answers if one.covered}
        stored = load_stored_in(self._db, account_ids=account_ids, windows=told)
        missing = [
            missing_keys(
                stored,
                answer.transactions,
                account=answer.account_external_id,
                covered=answer.covered,
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
        counts = self._write_update(delta, account_ids)
        for external_id, window in covered.items():
            save_coverage(self._db, account_ids[external_id], window, now=self._now)
        return counts

    def _write_update(
        self, delta: TransactionDelta, account_ids: Mapping[str, AccountId]
    ) -> StepCounts:
        return write_update(
            self._db,
            delta,
            team_id=self._connection.team_id,
            account_ids=account_ids,
            sync_run_id=self._started.id,
            now=self._now,
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

    def _to_transition(
        self,
        stage: HistoryStage,
        expires_at: datetime | None,
        trouble: ProviderError | None,
        *,
        is_whole: bool,
    ) -> Transition:
        if trouble is not None:
            return to_transition(self._connection, trouble, now=self._now)
        if not is_whole:
            planned = self._started.planned_attempt_at
            return after_part(self._connection, planned_attempt_at=planned)
        return after_success(
            self._connection, stage=stage, consent_expires_at=expires_at, now=self._now
        )

    def _remember_history(self, fetched: Fetched) -> None:
        """Remember what was refused: for this connection, and for the bank's later customers."""
        bank, days = self._connection.institution_external_id, fetched.learned_history_days
        if bank is not None and days is not None:
            learn_history_days(self._db, self._connection.provider, bank, days)

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
