"""The rows that a change feed told of: compared with what is stored, and written."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from bank_pipeline.domain.changes import ChangePlan, to_reconciling
from bank_pipeline.domain.connection import HistoryStage
from bank_pipeline.domain.ids import AccountId
from bank_pipeline.domain.matching import Pins
from bank_pipeline.domain.moving import find_moved
from bank_pipeline.domain.stored import Key, StoredTransaction, key_of
from bank_pipeline.domain.transaction import Transaction, TransactionDelta
from bank_pipeline.providers.answers import ChangesAnswer, LongUpdate, QuarantinedRow, fold_pages
from bank_pipeline.storage.accounts import HeldAccount, set_arrived
from bank_pipeline.storage.quarantine import ORPHANED
from bank_pipeline.storage.revisions import load_borne_names
from bank_pipeline.storage.shown import Fate, ShownRows
from bank_pipeline.storage.transaction_writes import apply_plan
from bank_pipeline.storage.transactions import load_stored
from bank_pipeline.sync.fetch import Fetched
from bank_pipeline.sync.moved import slack_of
from bank_pipeline.sync.notices import is_worth_telling
from bank_pipeline.sync.reports import StepCounts
from bank_pipeline.sync.started import StartedSync
from bank_pipeline.sync.update import WrittenUpdate, write_compared, write_update

SetAside = Callable[[Sequence[QuarantinedRow]], None]
_Moving = dict[str, tuple[timedelta, list[StoredTransaction]]]
"""Accounts under another id: by how much dates may differ, and the rows we hold, by external id."""


def write_feed(
    db: sa.Connection,
    started: StartedSync,
    fetched: Fetched,
    changes: ChangesAnswer,
    *,
    held: Mapping[str, HeldAccount],
    now: datetime,
    set_aside: SetAside,
) -> WrittenUpdate:
    """
    Bring the transactions to what an update says, inside one open database transaction.

    Rows of accounts that the provider does not list are set aside: kept, not guessed. Those that
    we hold are not, which a replay tells once more by the id that their account had before, now
    or after that.
    `inserts` of a long update are those alone that somebody may want to be told of.
    """
    is_whole = changes.cursor_before is None and changes.stage is HistoryStage.COMPLETE
    feed = _Feed(db, started, held, now, set_aside, is_whole=is_whole)
    is_ready = changes.stage is not HistoryStage.AWAITING_INITIAL
    judged: Collection[str] | None = None
    if fetched.must_reconcile and is_ready:
        judged = {account.external_id for account in fetched.accounts.accounts}
    if changes.long is None:
        return feed.write(changes.delta, judged, changes.quarantined)
    if slack_of(held, started.connection):
        # Which rows have moved is told by all of them together: this takes the memory it takes.
        pages = [changes.long.read(number) for number in range(len(changes.long))]
        quarantined = [row for page in pages for row in page.quarantined]
        set_aside(quarantined)
        return feed.write(fold_pages(pages), judged, quarantined)
    return feed.write_long(changes.long, judged)


class _Feed:
    """Writes the rows of one update."""

    def __init__(
        self,
        db: sa.Connection,
        started: StartedSync,
        held: Mapping[str, HeldAccount],
        now: datetime,
        set_aside: SetAside,
        *,
        is_whole: bool,
    ) -> None:
        self._db = db
        self._started = started
        self._held = held
        self._account_ids: Mapping[str, AccountId] = {name: one.id for name, one in held.items()}
        self._now = now
        self._set_aside = set_aside
        self._is_whole = is_whole

    def write(
        self,
        delta: TransactionDelta,
        judged: Collection[str] | None,
        quarantined: Sequence[QuarantinedRow],
    ) -> WrittenUpdate:
        """Write an update; `judged` are the accounts of which it is the whole history."""
        moving = self._load_moving(delta)
        orphans = [t for t in delta.upserts if t.account_external_id not in self._account_ids]
        if orphans:
            self._set_orphans_aside(orphans)
            kept = (t for t in delta.upserts if t.account_external_id in self._account_ids)
            delta = delta.model_copy(update={"upserts": tuple(kept)})
        moved = self._find_moved(delta, moving)
        if judged is not None:
            known = {row.id for row in moved.values() if row is not None}
            stored = load_stored(self._db, account_ids=self._account_ids, keys=None)
            delta = to_reconciling(
                delta,
                [row for row in stored if row.id not in known],
                accounts=judged,
                unread={row.external_id for row in quarantined},
            )
        return write_update(
            self._db,
            delta,
            team_id=self._started.connection.team_id,
            account_ids=self._account_ids,
            sync_run_id=self._started.id,
            now=self._now,
            moved=moved,
        )

    def write_long(self, update: LongUpdate, judged: Collection[str] | None) -> WrittenUpdate:
        """
        Write an update page by page, which comes to the same as all of it together.

        Its pages are read twice: for the names of their rows, and for those that differ; and once
        more where they have rows of accounts that are not ours.
        """
        rows, unread = ShownRows(self._db, self._account_ids), set[str | None]()
        for number in range(len(update)):
            page = update.read(number)
            rows.add(number, page.delta, unread=page.unread)
            self._set_aside(page.quarantined)
            unread |= {row.external_id for row in page.quarantined}
        rows.settle()
        if judged is not None and None not in unread:
            rows.reconcile(judged, unread={name for name in unread if name is not None})
        rows.judge()
        for number in rows.orphan_pages():  # before a row of this update is one that we hold
            by_fate = _by_fate(update.read(number).delta.upserts, rows.fates(number))
            self._set_orphans_aside(by_fate[Fate.ORPHAN])
        counts, news, linked = StepCounts(unchanged=rows.count_unchanged()), [], []
        for number in range(len(update)):
            fates = rows.fates(number)
            if not fates:
                continue
            by_fate = _by_fate(update.read(number).delta.upserts, fates)
            linked += by_fate[Fate.LINKED]
            new = by_fate[Fate.NEW]
            self._insert(new)
            counts += StepCounts(inserted=len(new))
            news += [row for row in new if is_worth_telling(self._started, row, now=self._now)]
        removed = rows.removed()
        if not linked and not removed:
            return WrittenUpdate(counts, news)
        written = write_compared(
            self._db,
            TransactionDelta(upserts=tuple(linked), removed=removed),
            team_id=self._started.connection.team_id,
            account_ids=self._account_ids,
            sync_run_id=self._started.id,
            now=self._now,
            days=rows.days_of_new(),
        )
        return replace(written, counts=counts + written.counts, inserts=[*news, *written.inserts])

    def _set_orphans_aside(self, rows: Sequence[Transaction]) -> None:
        """Set rows of unlisted accounts aside, but none that we hold or held by its name."""
        names = [row.external_id for row in rows]
        ours = load_borne_names(self._db, self._account_ids.values(), names)
        self._set_aside(_to_orphans(row for row in rows if row.external_id not in ours))

    def _insert(self, rows: Sequence[Transaction]) -> None:
        apply_plan(
            self._db,
            ChangePlan(inserts=tuple(rows)),
            team_id=self._started.connection.team_id,
            account_ids=self._account_ids,
            sync_run_id=self._started.id,
            now=self._now,
        )

    def _load_moving(self, delta: TransactionDelta) -> _Moving:
        """Load the rows of accounts that a feed tells of under other ids than before."""
        slack = slack_of(self._held, self._started.connection)
        told = {row.account_external_id for row in delta.upserts} if slack else set()
        found: _Moving = {name: (days, []) for name, days in slack.items() if name in told}
        if found:
            ids = {name: self._account_ids[name] for name in found}
            for row in load_stored(self._db, account_ids=ids, keys=None):
                found[row.account_external_id][1].append(row)
        return found

    def _find_moved(self, delta: TransactionDelta, moving: _Moving) -> Pins:
        """
        Say which of these rows are told, by whatever name.

        The rest of them may still come: only a whole history says that they have not moved.
        """
        if self._is_whole:
            set_arrived(self._db, self._started.connection.id, moving.keys())
        moved: dict[Key, StoredTransaction | None] = {}
        for name, (days, held) in moving.items():
            shown = [row for row in delta.upserts if row.account_external_id == name]
            moved |= find_moved(held, shown, slack=days)
        return moved


def _by_fate(
    rows: Iterable[Transaction], fates: Mapping[Key, Fate]
) -> dict[Fate, list[Transaction]]:
    """Sort rows by what becomes of them; those that a later page tells anew have no fate here."""
    found: dict[Fate, list[Transaction]] = {fate: [] for fate in Fate}
    for row in rows:
        fate = fates.get(key_of(row))
        if fate is not None:
            found[fate].append(row)
    return found


def _to_orphans(rows: Iterable[Transaction]) -> list[QuarantinedRow]:
    return [
        QuarantinedRow(
            operation=ORPHANED,
            external_id=row.external_id,
            raw=row.model_dump_json(exclude_none=True),
            reason="the provider lists no such account in this connection",
        )
        for row in rows
    ]
