"""The half of a sync that writes: one database transaction for everything one sync learned."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Connection, HistoryStage
from bank_pipeline.domain.reading import Lineage
from bank_pipeline.domain.transitions import (
    Transition,
    after_part,
    after_success,
)
from bank_pipeline.errors import ConcurrentSyncError, ProviderError
from bank_pipeline.storage.accounts import set_all_moved
from bank_pipeline.storage.checkpoints import Checkpoint, load_checkpoint, to_moved
from bank_pipeline.storage.connections import (
    advance_cursor,
    apply_transition,
    insert_notice,
    lock_connection,
)
from bank_pipeline.storage.consents import NextConsent, adopt_next_consent
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.institutions import learn_history_days
from bank_pipeline.storage.sync_runs import SyncOutcome, finish_sync_run
from bank_pipeline.storage.webhook_events import is_told_since, mark_events_handled
from bank_pipeline.sync.audit import note_synced
from bank_pipeline.sync.deepening import write_depth
from bank_pipeline.sync.failures import classify, outcome_of, request_id_of, to_transition
from bank_pipeline.sync.fetch import Fetched
from bank_pipeline.sync.notices import note_applied
from bank_pipeline.sync.quota import CallBook
from bank_pipeline.sync.reports import SyncReport
from bank_pipeline.sync.started import StartedSync, check_not_ended
from bank_pipeline.sync.webhooks import ABOUT_ACCOUNTS, take_up_events
from bank_pipeline.sync.writer import RowWriter

_STAGES: Final = (HistoryStage.AWAITING_INITIAL, HistoryStage.INITIAL, HistoryStage.COMPLETE)


def apply_fetched(
    engine: sa.Engine,
    started: StartedSync,
    fetched: Fetched,
    *,
    vault: Vault,
    now: datetime,
    calls: CallBook | None = None,
    after_trouble: Transition | None = None,
) -> SyncReport:
    """
    Write everything one sync learned, all or nothing, and return what it came to.

    `calls` are written with it; `after_trouble` is where a trouble was judged to lead.

    Raises:
        ConcurrentSyncError: cursor, consent or connection are others by now; nothing is written.
    """
    with engine.begin() as db:
        stored = _lock(db, started.connection)
        before, moved_from = load_checkpoint(db, started.connection.id), started.connection.provider
        started = _adopt(db, started, fetched.consent, now)
        writer = RowWriter(db, started, now, vault=vault, moved_from=moved_from)
        end = _End(db, started, now, after_trouble, stored=None if fetched.consent else stored)
        accounts = writer.write_accounts(fetched)
        fetched = writer.without_left_out(fetched)
        balances = writer.write_balances(fetched)
        transactions = writer.write_transactions(fetched)
        checks = writer.check_balances(fetched)
        stage = end.write_stage(fetched)
        transition = end.write(fetched, stage, fetched.trouble)
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
            quarantined_count=writer.write_quarantine(fetched),
            balance_differences_count=checks.differences_count,
            calls_count=fetched.calls_count,
            calls_left=None if calls is None else calls.lowest_left(now=now),
            pages_count=fetched.pages_count,
            started_at=started.started_at,
            ended_at=now,
            next_attempt_at=transition.next_attempt_at,
            coverage=writer.to_coverage(),
            reach=fetched.reach,
            readings=writer.known_readings(fetched),
        )
        _finish(db, started, fetched, report, lineage=writer.to_lineage(fetched), before=before)
        note_applied(db, started, fetched, transition, writer.news, now=now)
        is_same_provider = started.connection.provider is moved_from
        _write_calls(db, calls, fetched, is_same_provider=is_same_provider)
    return report


def _write_calls(
    db: sa.Connection, calls: CallBook | None, fetched: Fetched, *, is_same_provider: bool
) -> None:
    """Write the calls with the rows they brought; under another provider none goes on."""
    if calls is not None:
        renamed = fetched.renamed_accounts if is_same_provider else None
        calls.write(db, is_applied=True, renamed=renamed)


def _finish(
    db: sa.Connection,
    started: StartedSync,
    fetched: Fetched,
    report: SyncReport,
    *,
    lineage: Lineage,
    before: Checkpoint,
) -> None:
    """Close the run, with what it takes to look back at it, and to take it back."""
    trouble = fetched.trouble
    outcome = _outcome(report.stage, trouble)
    rows = report.transactions
    note_synced(
        db,
        started,
        outcome=outcome,
        now=report.ended_at,
        inserted=rows.inserted,
        updated=rows.updated,
        removed=rows.removed,
    )
    finish_sync_run(
        db,
        started.id,
        outcome=outcome,
        counts=report.counts(),
        error_class=classify(trouble)[0] if trouble else None,
        error_code=trouble.code if trouble else None,
        request_id=request_id_of(trouble) if trouble else None,
        next_attempt_at=report.next_attempt_at,
        lineage=lineage.to_json(),
        before=to_moved(before, load_checkpoint(db, started.connection.id)),
        now=report.ended_at,
    )


def _adopt(
    db: sa.Connection, started: StartedSync, consent: NextConsent | None, now: datetime
) -> StartedSync:
    """
    Put the consent in use by which everything was read; return the sync as it is under it.

    What was said of that consent while it waited counts as if it were said during this sync.
    """
    if consent is None:
        return started
    before = started.connection
    after = adopt_next_consent(db, before, consent, now=now)
    take_up_events(db, after.id, now=now)
    insert_notice(db, after, "new consent in use", now=now)
    if after.provider is not before.provider:
        set_all_moved(db, after.id, moved_from=before.provider)
    return replace(started, connection=after)


def _lock(db: sa.Connection, seen: Connection) -> Connection:
    """Keep others from writing to the connection, and return what it is by now."""
    stored = lock_connection(db, seen.id)
    if stored.external_id != seen.external_id:
        raise ConcurrentSyncError(f"the consent of connection {seen.id} was renewed meanwhile")
    check_not_ended(stored)
    return stored


def _outcome(stage: HistoryStage, trouble: ProviderError | None) -> SyncOutcome:
    if trouble is not None:
        return outcome_of(trouble)
    is_awaiting = stage is HistoryStage.AWAITING_INITIAL
    return SyncOutcome.AWAITING_INITIAL if is_awaiting else SyncOutcome.SYNCED


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
    if fetched.windows is None or fetched.is_put_off:
        return None
    if fetched.trouble is None:
        return HistoryStage.COMPLETE
    has_some = any(answer.covered for answer in fetched.windows)
    return HistoryStage.INITIAL if has_some else HistoryStage.AWAITING_INITIAL


class _End:
    """
    What one sync means for its connection, inside the transaction of its rows.

    `stored` is the connection as the transaction found it, None where it has changed it since.
    """

    def __init__(
        self,
        db: sa.Connection,
        started: StartedSync,
        now: datetime,
        after_trouble: Transition | None,
        *,
        stored: Connection | None,
    ) -> None:
        self._db = db
        self._stored = stored
        self._after_trouble = after_trouble
        self._started = started
        self._connection: Connection = started.connection
        self._now = now

    def write_stage(self, fetched: Fetched) -> HistoryStage:
        """
        Move cursor and stage together with the rows; a stage never goes back.

        An answer without a cursor never erases one that we hold.
        """
        before = self._connection.cursor
        told = _told_stage(fetched)
        known = self._connection.history_stage
        if told is None:
            return known
        stage = max(known, told, key=_STAGES.index)
        if fetched.changes is None and stage is known:
            return stage  # there is no cursor to move
        cursor = fetched.changes.cursor_after if fetched.changes else None
        after = before if cursor is None else cursor
        is_there = self._stored is not None and self._stored.cursor == before == after
        if is_there and stage is known:
            return stage
        advance_cursor(self._db, self._connection.id, before=before, after=after, stage=stage)
        return stage

    def write(
        self, fetched: Fetched, stage: HistoryStage, trouble: ProviderError | None
    ) -> Transition:
        status = fetched.accounts.status
        told = status.consent_expires_at if status else None
        expires_at = told or self._connection.consent_expires_at
        is_part = self._started.request.is_part
        transition = self._to_transition(stage, expires_at, trouble)
        facts: dict[str, Any] = {
            "consent_expires_at": expires_at,
            **_described(self._connection, fetched),
        }
        if fetched.accounts.is_complete and not self._is_list_asked_again():
            facts["last_full_accounts_at"] = self._now
        facts |= write_depth(self._db, self._started, fetched, trouble, now=self._now)
        self._remember_history(fetched)
        apply_transition(
            self._db,
            self._connection,
            transition,
            sync_run_id=self._started.id,
            now=self._now,
            is_success=not is_part and fetched.was_asked and trouble is None,
            is_part=is_part,
            stored=self._stored,
            **facts,
        )
        if self._started.newest_event_id and not is_part:
            mark_events_handled(
                self._db,
                self._connection,
                up_to=self._started.newest_event_id,
                sync_run_id=self._started.id,
                now=self._now,
            )
        return transition

    def _is_list_asked_again(self) -> bool:
        """Say whether somebody has wanted the list of accounts read since this sync began."""
        stored, seen = self._stored, self._connection
        if stored is None:
            return False
        before = seen.last_full_accounts_at, seen.status_since
        if (stored.last_full_accounts_at, stored.status_since) != before:
            return True
        # Where the list was wanted when it began, its being wanted again leaves no other trace.
        newest = self._started.newest_event_id
        return before[0] is None and is_told_since(self._db, stored, ABOUT_ACCOUNTS, after=newest)

    def _to_transition(
        self,
        stage: HistoryStage,
        expires_at: datetime | None,
        trouble: ProviderError | None,
    ) -> Transition:
        is_part, planned = self._started.request.is_part, self._started.planned_attempt_at
        if trouble is not None:
            return self._after_trouble or to_transition(self._connection, trouble, now=self._now)
        if is_part:
            return after_part(self._connection, planned_attempt_at=planned)
        return after_success(
            self._connection, stage=stage, consent_expires_at=expires_at, now=self._now
        )

    def _remember_history(self, fetched: Fetched) -> None:
        """Remember what was refused right after the consent for the bank's later customers."""
        bank = self._connection.institution_external_id
        days = fetched.horizon.learned_bank_days if fetched.horizon else None
        if bank is not None and days is not None:
            learn_history_days(self._db, self._connection.provider, bank, days)
