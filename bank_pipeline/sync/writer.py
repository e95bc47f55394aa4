"""The rows that one sync learned of: accounts, balances, transactions, and what does not fit."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.balance import BalanceKind
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
from bank_pipeline.domain.window import DateWindow, believed_window
from bank_pipeline.providers.answers import QuarantinedRow, WindowAnswer
from bank_pipeline.storage.accounts import (
    close_accounts,
    close_missing_accounts,
    load_account_ids,
    load_open_account_external_ids,
    rename_accounts,
    save_accounts,
)
from bank_pipeline.storage.balance_choice import save_choices
from bank_pipeline.storage.balances import save_balances
from bank_pipeline.storage.coverage import load_coverage, load_oldest_days, save_coverage
from bank_pipeline.storage.depth import request_deep_pass
from bank_pipeline.storage.quarantine import (
    ORPHANED,
    save_quarantined,
    set_orphans_resolved,
)
from bank_pipeline.storage.transactions import load_stored, load_stored_in
from bank_pipeline.sync.balance_checks import BalanceChecks, check_balances, needs_deep_pass
from bank_pipeline.sync.fetch import Fetched
from bank_pipeline.sync.history import Horizon
from bank_pipeline.sync.reports import AccountReading, StepCounts
from bank_pipeline.sync.started import StartedSync
from bank_pipeline.sync.update import write_update

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
        """
        Append the balances that differ from what was last told.

        An account of which nothing came is left alone: no answer, and an empty one, say nothing.
        """
        balances = fetched.accounts.balances
        inserted = save_balances(
            self._db,
            self._connection,
            balances,
            account_ids=load_account_ids(self._db, self._connection.id),
            sync_run_id=self._started.id,
            now=self._now,
            whole=_wholly_told(fetched),
        )
        return StepCounts(inserted=inserted, unchanged=len(balances) - inserted)

    def check_balances(self, fetched: Fetched) -> BalanceChecks:
        """
        Choose what counts of the balances, and hold them against the rows just written.

        A difference that is confirmed asks for a deeper pass: a row that came late explains it.
        """
        account_ids = load_account_ids(self._db, self._connection.id)
        save_choices(self._db, account_ids.values(), now=self._now)
        checks = check_balances(self._db, self._connection, fetched, now=self._now)
        if needs_deep_pass(checks):
            request_deep_pass(self._db, self._connection.id, now=self._now)
        return checks

    def write_transactions(self, fetched: Fetched) -> StepCounts:
        """Bring the transactions to what was told, and note which dates that covers."""
        changes = fetched.changes
        if fetched.windows is not None:
            return self._write_windows(fetched.windows, fetched.horizon)
        if changes is None:
            return _NOTHING
        account_ids = load_account_ids(self._db, self._connection.id)
        set_orphans_resolved(
            self._db,
            self._connection.id,
            account_ids,
            sync_run_id=self._started.id,
            now=self._now,
        )
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
        counts = self._write_update(delta, account_ids)
        if changes.stage is HistoryStage.COMPLETE and fetched.trouble is None:
            self._cover_feed(fetched, account_ids)
        return counts

    def known_readings(self, fetched: Fetched) -> dict[AccountId, AccountReading]:
        """Return what accounts of ours were asked for, by our ids of them."""
        account_ids = load_account_ids(self._db, self._connection.id) if fetched.readings else {}
        known = ((account_ids.get(one.account_external_id), one) for one in fetched.readings)
        return {account_id: one for account_id, one in known if account_id is not None}

    def write_quarantine(self, fetched: Fetched) -> int:
        """Set aside what does not fit; return how many rows are newly there."""
        changed = fetched.changes.quarantined if fetched.changes else ()
        rows = (*fetched.accounts.quarantined, *changed, *self._orphans)
        return save_quarantined(
            self._db, self._connection.id, rows, sync_run_id=self._started.id, now=self._now
        )

    def _write_windows(
        self, answers: Sequence[WindowAnswer], horizon: Horizon | None
    ) -> StepCounts:
        """
        Bring rows to what the answers say, and what they cover is covered.

        What a complete answer does not show any more is gone.
        """
        account_ids = load_account_ids(self._db, self._connection.id)
        answers = self._told_apart(answers, account_ids)
        told = {one.account_external_id: _told_days(one) for one in answers if one.covered}
        stored = load_stored_in(self._db, account_ids=account_ids, windows=told)
        if horizon is not None and horizon.capabilities.cuts_quietly:
            answers = self._believed(answers, stored, account_ids, horizon)
        covered = {one.account_external_id: one.covered for one in answers if one.covered}
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

    def _believed(
        self,
        answers: Sequence[WindowAnswer],
        stored: Sequence[StoredTransaction],
        account_ids: Mapping[str, AccountId],
        horizon: Horizon,
    ) -> list[WindowAnswer]:
        """Take back what answers claim of days of which the bank may have told nothing."""
        known = load_coverage(self._db, account_ids.values())
        sure_from = horizon.today - timedelta(days=horizon.capabilities.overlap_days)
        booked: dict[str, dict[str, date]] = defaultdict(dict)
        for row in stored:
            if row.booking_date is not None:
                booked[row.account_external_id][row.external_id] = row.booking_date
        return [
            one
            if one.covered is None
            else replace(
                one, covered=_believed(one, one.covered, booked, known, account_ids, sure_from)
            )
            for one in answers
        ]

    def _cover_feed(self, fetched: Fetched, account_ids: Mapping[str, AccountId]) -> None:
        """
        Cover what a change feed told: everything that the provider has.

        That reaches from the oldest row it ever showed to the day on which the provider last
        got data from the bank, where it says so, else to today.
        """
        open_ids = load_open_account_external_ids(self._db, self._connection.id)
        ours = [account_ids[external_id] for external_id in sorted(open_ids)]
        held = load_coverage(self._db, ours)
        new = ours if fetched.is_deep else [one for one in ours if one not in held]
        oldest = load_oldest_days(self._db, new) if new else {}
        status = fetched.accounts.status
        refreshed_at = status.last_refreshed_at if status else None
        last = self._started.started_at.date()
        if refreshed_at is not None:
            last = min(last, refreshed_at.date())
        for account_id in ours:
            known = held[account_id][0].first if account_id in held else last
            first = min(known, oldest.get(account_id, known))
            if first <= last:
                window = DateWindow(first=first, last=last)
                save_coverage(self._db, account_id, window, now=self._now)

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


def _wholly_told(fetched: Fetched) -> frozenset[str]:
    """
    Return the accounts of which every balance that their bank tells came.

    A limit alone came with the account itself; and what was set aside may be a balance.
    """
    if fetched.accounts.quarantined:
        return frozenset()
    return frozenset(
        balance.account_external_id
        for balance in fetched.accounts.balances
        if balance.kind is not BalanceKind.CREDIT_LIMIT
    )


def _told_days(answer: WindowAnswer) -> DateWindow:
    """Return the days of an answer, with those of rows that came along."""
    assert answer.covered is not None, "asked of whole answers only"
    days = [row.booking_date for row in answer.transactions if row.booking_date is not None]
    first = min([answer.covered.first, *days])
    return DateWindow(first=first, last=max([answer.covered.last, *days]))


def _believed(
    answer: WindowAnswer,
    covered: DateWindow,
    booked: Mapping[str, Mapping[str, date]],
    known: Mapping[AccountId, Sequence[DateWindow]],
    account_ids: Mapping[str, AccountId],
    sure_from: date,
) -> DateWindow:
    name = answer.account_external_id
    rows = answer.transactions
    shown = {row.external_id for row in rows}
    held = booked.get(name, {})
    before = known.get(account_ids[name], ())
    return believed_window(
        covered,
        sure_from=sure_from,
        shown=[row.booking_date for row in rows if row.booking_date is not None],
        missed=[day for external_id, day in held.items() if external_id not in shown],
        known_from=before[0].first if before else covered.first,
    )
