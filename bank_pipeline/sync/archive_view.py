"""
What the archive shows of a connection in the end: of each row the newest word. Pure.

Answers are put in one after the other, the oldest first. What a later one took back, or should
hold and does not, is gone; and where a later answer is not kept any more, nothing older counts,
because nobody can say whether it said otherwise.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from bank_pipeline.domain.ids import AccountId, SyncRunId
from bank_pipeline.domain.stored import day_of
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline.sync.replay import Key, ReadAgain, Record


@dataclass(frozen=True)
class Shown:
    """A row, and the run whose answer had the last word on it."""

    record: Record
    sync_run_id: SyncRunId


@dataclass
class ArchiveView:
    """The rows that are live by what the archive says, by account and external id."""

    live: dict[Key, Shown] = field(default_factory=dict)

    def add(self, sync_run_id: SyncRunId, read: ReadAgain) -> None:
        """Put in what one later answer says."""
        if read.records is None:
            self._forget(read)
            return
        if read.reading.account_external_id is None:
            self._deny_by_replay(read)
        else:
            self._deny_by_window(read)
        for record in read.records:
            ended = record.transaction.pending_external_id
            if ended is not None and ended != record.transaction.external_id:
                self.live.pop((record.account_id, ended), None)
            self.live[record.key] = Shown(record, sync_run_id)

    def _forget(self, read: ReadAgain) -> None:
        """Take out what an answer that is not kept may have said otherwise."""
        reading = read.reading
        if reading.account_external_id is None:
            self.live.clear()
            return
        first = date.min if reading.is_first or reading.window is None else reading.window.first
        self._drop(
            key
            for key, shown in self.live.items()
            if key[0] == read.account_id and (day_of(shown.record.transaction) or first) >= first
        )

    def _deny_by_replay(self, read: ReadAgain) -> None:
        for key in read.removed:
            self.live.pop(key, None)
        records = read.records or ()
        if not read.reading.is_replay:
            return
        oldest: dict[AccountId, date] = {}
        for record in records:
            day = day_of(record.transaction)
            if day is not None:
                oldest[record.account_id] = min(day, oldest.get(record.account_id, day))
        self._drop(
            key
            for key, shown in self.live.items()
            if key[0] in oldest
            and ((day := day_of(shown.record.transaction)) is None or day >= oldest[key[0]])
        )

    def _deny_by_window(self, read: ReadAgain) -> None:
        covered = read.reading.covered
        if covered is None:
            return
        records = read.records or ()
        shown_keys = {record.key for record in records}
        has_booked = any(not _is_pending(record.transaction) for record in records)
        self._drop(
            key
            for key, shown in self.live.items()
            if key[0] == read.account_id
            and key not in shown_keys
            and (has_booked or _is_pending(shown.record.transaction))
            and ((day := day_of(shown.record.transaction)) is None or day in covered)
        )

    def _drop(self, keys: Iterable[Key]) -> None:
        for key in list(keys):
            del self.live[key]


def _is_pending(row: Transaction) -> bool:
    return row.status is TransactionStatus.PENDING
