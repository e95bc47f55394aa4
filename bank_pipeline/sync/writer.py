"""The rows that one sync learned of: accounts, balances, transactions, and what does not fit."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.account_matching import AskedAccount
from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.connection import Connection, HistoryStage, Provider
from bank_pipeline.domain.ids import AccountId
from bank_pipeline.domain.looks import Look
from bank_pipeline.domain.reading import Lineage
from bank_pipeline.domain.transaction import Transaction
from bank_pipeline.domain.window import Coverage, DateWindow, to_coverage
from bank_pipeline.providers.answers import QuarantinedRow, WindowAnswer
from bank_pipeline.storage.account_questions import save_questions
from bank_pipeline.storage.accounts import (
    HeldAccount,
    close_accounts,
    close_missing_accounts,
    rename_accounts,
    save_accounts,
    set_arrived,
)
from bank_pipeline.storage.balance_choice import load_grounds, save_choices_by
from bank_pipeline.storage.balances import save_balances
from bank_pipeline.storage.connections import insert_notice
from bank_pipeline.storage.coverage import Ranges, load_oldest_days, load_ranges, save_coverage
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.depth import request_backfill, request_deep_pass
from bank_pipeline.storage.quarantine import (
    save_quarantined,
    set_orphans_resolved,
)
from bank_pipeline.sync.balance_checks import BalanceChecks, check_balances, needs_deep_pass
from bank_pipeline.sync.feed import write_feed
from bank_pipeline.sync.fetch import Fetched
from bank_pipeline.sync.history import Horizon
from bank_pipeline.sync.moved import slack_of
from bank_pipeline.sync.notices import BalanceChange, News
from bank_pipeline.sync.reports import AccountReading, StepCounts
from bank_pipeline.sync.started import StartedSync
from bank_pipeline.sync.update import end_unread, write_looks

_NOTHING: Final = StepCounts()


class RowWriter:
    """Writes rows, inside one open database transaction that somebody else ends."""

    def __init__(
        self,
        db: sa.Connection,
        started: StartedSync,
        now: datetime,
        *,
        vault: Vault,
        moved_from: Provider,
    ) -> None:
        self._db = db
        self._started = started
        self._connection: Connection = started.connection
        self._now = now
        self._vault = vault
        self._moved_from = moved_from
        self._set_aside_count = 0
        self._held: Mapping[str, HeldAccount] = {}
        self._ranges: Ranges | None = None
        self._inserts: Sequence[Transaction] = ()
        self._balance_changes: Sequence[BalanceChange] = ()

    @property
    def news(self) -> News:
        """Return what is new by what was written so far, for those who want to be told."""
        return News(self._inserts, self._balance_changes)

    @property
    def account_ids(self) -> dict[str, AccountId]:
        """Return our ids of all accounts by external id, as `write_accounts` left them."""
        return {name: one.id for name, one in self._held.items()}

    def write_accounts(self, fetched: Fetched) -> StepCounts:
        """Write the accounts; a complete answer closes those that it does not show."""
        answer = fetched.accounts
        rename_accounts(
            self._db,
            self._connection.id,
            fetched.renamed_accounts,
            moved_from=self._moved_from,
        )
        saved = save_accounts(
            self._db, self._connection, answer.accounts, vault=self._vault, now=self._now
        )
        self._held = saved.held
        closed_count = close_accounts(
            self._db, self._connection.id, fetched.gone_account_ids, now=self._now
        )
        self._note_closed(fetched.gone_account_ids)
        if answer.is_complete:
            self._ask(fetched.asked)
            shown = {account.external_id for account in answer.accounts}
            for one in fetched.asked:
                shown |= {one.account.external_id, *one.candidates}
            missing = self._open_names() - shown if shown else frozenset()
            if missing:
                closed_count += close_missing_accounts(
                    self._db, self._connection.id, shown=shown, now=self._now
                )
                self._note_closed(missing)
        return StepCounts(saved.inserted, saved.updated, closed_count, saved.unchanged)

    def without_left_out(self, fetched: Fetched) -> Fetched:
        """Return what is to be written: nothing of accounts that a person left out, by now."""
        out = {name for name, one in self._held.items() if one.is_excluded}
        if not out:
            return fetched
        told, windows = fetched.accounts, fetched.windows
        balances = tuple(one for one in told.balances if one.account_external_id not in out)
        if windows is not None:
            windows = tuple(one for one in windows if one.account_external_id not in out)
        return replace(
            fetched,
            accounts=replace(told, balances=balances),
            windows=windows,
            readings=tuple(one for one in fetched.readings if one.account_external_id not in out),
            sources=tuple(one for one in fetched.sources if one.account_external_id not in out),
        )

    def _open_names(self) -> frozenset[str]:
        return frozenset(name for name, one in self._held.items() if not one.is_closed)

    def _note_closed(self, names: Collection[str]) -> None:
        self._held = {
            name: replace(one, is_closed=True) if name in names else one
            for name, one in self._held.items()
        }

    def _ask(self, asked: Sequence[AskedAccount]) -> None:
        """
        Keep the questions that only a person can answer, and those alone.

        What a person has told since this sync began is no question any more.
        """
        if not asked and not self._started.has_questions:
            return
        asked_count = save_questions(
            self._db,
            self._connection.id,
            [
                replace(
                    one, candidates=tuple(name for name in one.candidates if name in self._held)
                )
                for one in asked
                if one.account.external_id not in self._held
            ],
            account_ids=self.account_ids,
            vault=self._vault,
            now=self._now,
        )
        if asked_count:
            reason = f"{asked_count} accounts may be known ones: bank-pipeline accounts questions"
            insert_notice(self._db, self._connection, reason, now=self._now)

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
            account_ids=self.account_ids,
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
        grounds = load_grounds(self._db, self.account_ids.values())
        saved = save_choices_by(self._db, grounds, now=self._now)
        names = {id_: name for name, id_ in self.account_ids.items()}
        self._balance_changes = [
            BalanceChange(
                names[account_id], grounds[account_id].facts, grounds[account_id].chosen, one
            )
            for account_id, one in saved.changed
        ]
        checks = check_balances(
            self._db,
            self._held,
            fetched,
            rules={id_: one.rule for id_, one in grounds.items() if one.rule is not None},
            covered=self._covered() if fetched.windows is not None else {},
            now=self._now,
        )
        if needs_deep_pass(checks):
            request_deep_pass(self._db, self._connection.id, now=self._now)
        return checks

    def write_transactions(self, fetched: Fetched) -> StepCounts:
        """Bring the transactions to what was told, and note which dates that covers."""
        counts = self._write_told(fetched)
        ended_count = end_unread(
            self._db,
            {one.id: one.type for one in self._held.values() if one.is_closed or one.is_excluded},
            team_id=self._connection.team_id,
            sync_run_id=self._started.id,
            now=self._now,
        )
        return replace(counts, removed=counts.removed + ended_count)

    def _write_told(self, fetched: Fetched) -> StepCounts:
        changes = fetched.changes
        if fetched.windows is not None:
            return self._write_windows(fetched, fetched.windows)
        if changes is None:
            return _NOTHING
        if self._started.has_orphans and changes.cursor_before is None:  # else they come no more
            set_orphans_resolved(
                self._db,
                self._connection.id,
                self.account_ids,
                sync_run_id=self._started.id,
                now=self._now,
            )
        written = write_feed(
            self._db,
            self._started,
            fetched,
            changes,
            held=self._held,
            now=self._now,
            set_aside=self._set_aside,
        )
        self._inserts = written.inserts
        if written.doubted_since is not None:
            since, id_ = written.doubted_since, self._connection.id
            request_backfill(self._db, id_, since=since, now=self._now, is_due=False)
        if changes.stage is HistoryStage.COMPLETE and fetched.trouble is None:
            self._cover_feed(fetched, self.account_ids)
        return written.counts

    def known_readings(self, fetched: Fetched) -> dict[AccountId, AccountReading]:
        """Return what accounts of ours were asked for, by our ids of them."""
        account_ids = self.account_ids
        known = ((account_ids.get(one.account_external_id), one) for one in fetched.readings)
        return {account_id: one for account_id, one in known if account_id is not None}

    def to_lineage(self, fetched: Fetched) -> Lineage:
        """Return which answers were applied, named as the archive names them."""
        ids, names = self.account_ids, {new: old for old, new in fetched.renamed_accounts.items()}
        ids |= {names[one]: id_ for one, id_ in ids.items() if one in names}
        lineage = Lineage(ids, fetched.sources, self._connection.provider)
        return lineage.keyed(self._vault.to_keyed)

    def write_quarantine(self, fetched: Fetched) -> int:
        """Set aside what does not fit; return how many rows are newly there."""
        changed = fetched.changes.quarantined if fetched.changes else ()
        self._set_aside((*fetched.accounts.quarantined, *changed))
        return self._set_aside_count

    def _set_aside(self, rows: Sequence[QuarantinedRow]) -> None:
        self._set_aside_count += save_quarantined(
            self._db,
            self._connection.id,
            rows,
            vault=self._vault,
            sync_run_id=self._started.id,
            now=self._now,
        )

    def _cover_feed(self, fetched: Fetched, account_ids: Mapping[str, AccountId]) -> None:
        """
        Cover what a change feed told: everything that the provider has.

        That reaches from the oldest row it ever showed to the day on which the provider last
        got data from the bank, where it says so, else to today. An account that may be told of
        under another id is not: until a person says so, no row of it is read.
        """
        doubted = {name for one in fetched.asked for name in one.candidates}
        ours = [account_ids[name] for name in sorted(self._open_names() - doubted)]
        held = self._covered()
        new = ours if fetched.is_deep else [one for one in ours if one not in held]
        oldest = load_oldest_days(self._db, new) if new else {}
        status = fetched.accounts.status
        refreshed_at = status.last_refreshed_at if status else None
        last = self._started.started_at.date()
        if refreshed_at is not None:
            last = min(last, refreshed_at.date())
        covered: dict[AccountId, DateWindow] = {}
        for account_id in ours:
            known = min((one.first for one in held.get(account_id, ())), default=last)
            first = min(known, oldest.get(account_id, known))
            if first <= last:
                covered[account_id] = DateWindow(first=first, last=last)
        self._cover(covered)

    def _write_windows(self, fetched: Fetched, answers: Sequence[WindowAnswer]) -> StepCounts:
        """
        Bring rows to what the answers say, and what they cover is covered.

        What a complete answer does not show any more is gone.
        """
        account_ids = self.account_ids
        covered_before = self._covered()
        types = {account.external_id: account.type for account in fetched.accounts.accounts}
        slack = slack_of(self._held, self._connection)
        looks = [
            Look(
                account=answer.account_external_id,
                rows=answer.transactions,
                covered=answer.covered,
                covered_before=tuple(
                    covered_before.get(account_ids[answer.account_external_id], ())
                ),
                unread=frozenset(row.external_id for row in answer.quarantined),
                sure_from=_sure_from(fetched.horizon),
                moved_by=slack.get(answer.account_external_id),
                account_type=types.get(answer.account_external_id),
                rules=answer.identity_rules,
            )
            for answer in answers
        ]
        written = write_looks(
            self._db,
            looks,
            team_id=self._connection.team_id,
            account_ids=account_ids,
            sync_run_id=self._started.id,
            now=self._now,
        )
        self._inserts = written.inserts
        set_arrived(self._db, self._connection.id, slack.keys() & written.covered.keys())
        self._cover({account_ids[name]: window for name, window in written.covered.items()})
        return written.counts

    def to_coverage(self) -> Coverage:
        """Sum up what is covered now of the accounts that are read."""
        covered = self._covered()
        held = self._held.values()
        read = (one.id for one in held if not (one.is_closed or one.is_excluded))
        return to_coverage([[*covered[id_]] for id_ in read if id_ in covered])

    def _covered(self) -> Ranges:
        """Return what is covered, read once: nobody else writes it under the lock."""
        if self._ranges is None:
            self._ranges = load_ranges(self._db, self.account_ids.values())
        return self._ranges

    def _cover(self, windows: Mapping[AccountId, DateWindow]) -> None:
        self._ranges = save_coverage(self._db, self._covered(), windows, now=self._now)


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


def _sure_from(horizon: Horizon | None) -> date | None:
    """Return since when a bank that may cut old days without a word is believed to tell all."""
    if horizon is None or not horizon.capabilities.cuts_quietly:
        return None
    return horizon.today - timedelta(days=horizon.capabilities.overlap_days)
