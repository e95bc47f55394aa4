"""
What a provider's update means for the rows we hold: which to add, change, remove, keep.

Pure: no clock, no network, no database. Three rules carry the promises:

* A row is found by its own external id, else through the pending row it books, else by
  content when the provider lost that link. A found row keeps our id.
* A pending id that a live booked row has taken over is history: seeing it again changes
  nothing. So any part of a feed may be replayed.
* Removal is soft and only ever follows from the provider's word.

Ids that a bank gives to other rows are seen through in `domain.matching`, before.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from bank_pipeline.domain.ids import TransactionId
from bank_pipeline.domain.matching import RETIRED_PREFIX, Pins
from bank_pipeline.domain.payments import match_payments, match_restored
from bank_pipeline.domain.stored import Key, StoredTransaction, day_of, key_of
from bank_pipeline.domain.transaction import Transaction, TransactionDelta, TransactionStatus
from bank_pipeline.domain.window import DateWindow

__all__ = [
    "ChangePlan",
    "Key",
    "Rename",
    "StoredTransaction",
    "Update",
    "keys_of",
    "missing_keys",
    "plan_changes",
    "to_reconciling",
]


@dataclass(frozen=True, slots=True)
class Update:
    """A stored row and what it becomes: changed, booked from pending, or restored."""

    id: TransactionId
    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Rename:
    """A stored row that gives its name up, because the bank calls another row by it now."""

    id: TransactionId
    before: str
    after: str


@dataclass(frozen=True)
class ChangePlan:
    """
    Everything that one update changes in the table, and a count of what it does not.

    `removals` are booked rows that the bank took back, `vanished` pending rows that ended
    without booking, `overdue` those of them that nobody has shown for too long. No id occurs
    twice in these and in `updates`; a row in `renames` may be in one of the others.
    `swaps_names`: rows take names over from each other. `suspects` are inserts that may be
    the stored row named here, told a second time.
    """

    inserts: tuple[Transaction, ...] = ()
    updates: tuple[Update, ...] = ()
    removals: tuple[TransactionId, ...] = ()
    vanished: tuple[TransactionId, ...] = ()
    overdue: tuple[TransactionId, ...] = ()
    renames: tuple[Rename, ...] = ()
    swaps_names: bool = False
    suspects: Mapping[Key, TransactionId] = field(default_factory=dict)
    unchanged_count: int = 0
    superseded_count: int = 0

    @property
    def is_empty(self) -> bool:
        """Say whether nothing has to be written."""
        ended = self.removals or self.vanished or self.overdue
        return not (self.inserts or self.updates or self.renames or ended)


def keys_of(delta: TransactionDelta) -> set[Key]:
    """Return every name under which a stored row could be meant by this delta."""
    keys = set(delta.removed)
    for transaction in delta.upserts:
        keys.add(key_of(transaction))
        if transaction.pending_external_id is not None:
            keys.add((transaction.account_external_id, transaction.pending_external_id))
    return keys


def plan_changes(
    stored: Iterable[StoredTransaction],
    delta: TransactionDelta,
    *,
    pins: Pins | None = None,
    unshown: Collection[Key] = (),
) -> ChangePlan:
    """
    Decide what `delta` changes in `stored`, which holds at least the rows of `keys_of(delta)`.

    `pins` say of some rows what they are, whatever their ids say. Vanished rows in `stored` may
    be continued, and so may those of `unshown`, which do not end: they may be what nobody could
    read. Applying the plan and planning the same delta again gives an empty plan.
    """
    held = [*stored]
    if not held and not pins and not _names_its_own(delta):
        return ChangePlan(inserts=delta.upserts)  # a first load: there is nothing to compare with
    rows = _Rows(held, delta, pins or {})
    ending = _find_ending(delta, rows)
    inserts: list[Transaction] = []
    updates: list[Update] = []
    unchanged_count = superseded_count = 0
    unmatched: list[Transaction] = []
    for transaction in delta.upserts:
        if rows.is_superseded(transaction):
            superseded_count += 1
            continue
        row = rows.claim(transaction)
        if row is None:
            unmatched.append(transaction)
        elif _is_unchanged(row, transaction):
            unchanged_count += 1
        else:
            updates.append(Update(row.id, transaction))

    ended = {row.id: row for row in ending.values() if row.id not in rows.claimed}
    matched = _match_by_content(unmatched, held, rows, ended, unshown)
    for transaction in unmatched:
        row = matched.get(key_of(transaction))
        if row is None:
            inserts.append(transaction)
        else:
            rows.claimed.add(row.id)
            updates.append(Update(row.id, transaction))
    gone = [row for row in ended.values() if row.id not in rows.claimed and not row.is_removed]
    takeovers = _find_takeovers(rows.by_key, inserts, updates)
    return ChangePlan(
        inserts=tuple(inserts),
        updates=tuple(updates),
        removals=tuple(row.id for row in gone if not _is_pending(row)),
        vanished=tuple(row.id for row in gone if _is_pending(row)),
        renames=tuple(
            Rename(row.id, row.external_id, f"{RETIRED_PREFIX}{row.id}")
            for row in takeovers
            if row.id not in rows.claimed
        ),
        swaps_names=bool(takeovers),
        unchanged_count=unchanged_count,
        superseded_count=superseded_count,
    )


def _names_its_own(delta: TransactionDelta) -> bool:
    """Say whether an entry may be the pending one that another entry books."""
    named = {t.pending_external_id for t in delta.upserts}
    return not named.isdisjoint([t.external_id for t in delta.upserts])


def _find_ending(delta: TransactionDelta, rows: "_Rows") -> dict[TransactionId, StoredTransaction]:
    """Return the stored rows that end here, unless an entry goes on with them."""
    keys = delta.removed | {
        (t.account_external_id, t.pending_external_id)
        for t in delta.upserts
        if t.pending_external_id is not None
    }
    return {row.id: row for key in keys if (row := rows.by_key.get(key)) is not None}


def _match_by_content(
    unmatched: Sequence[Transaction],
    held: Sequence[StoredTransaction],
    rows: "_Rows",
    ended: dict[TransactionId, StoredTransaction],
    unshown: Collection[Key],
) -> dict[Key, StoredTransaction]:
    """Say which rows that ended, now or earlier, go on in entries whose ids we do not hold."""
    if not unmatched:
        return {}
    waiting = {row.id: row for row in held if rows.is_waiting(row)} | ended
    missed = (rows.by_key[key] for key in unshown)
    waiting |= {row.id: row for row in missed if row.id not in rows.claimed}
    matched = match_payments(unmatched, waiting.values(), unshown=unshown)
    known = rows.pins.keys() | matched.keys()
    left = [row for row in unmatched if key_of(row) not in known]
    return matched | match_restored(left, (row for row in held if rows.is_taken_back(row)))


def _is_unchanged(row: StoredTransaction, transaction: Transaction) -> bool:
    """Compare with a row as it was last told; one that lost its name is not that any more."""
    is_same = row.content_hash == transaction.content_hash and row.key == key_of(transaction)
    return is_same and (row.is_dropped or not row.is_removed)


def _find_takeovers(
    by_key: Mapping[Key, StoredTransaction],
    inserts: Iterable[Transaction],
    updates: Sequence[Update],
) -> list[StoredTransaction]:
    """Return the stored rows whose name another row takes over."""
    writers = {key_of(update.transaction): update.id for update in updates}
    return [
        row
        for transaction in (*inserts, *(update.transaction for update in updates))
        if (row := by_key.get(key_of(transaction))) is not None
        and writers.get(key_of(transaction)) != row.id
    ]


def to_reconciling(
    delta: TransactionDelta,
    stored: Iterable[StoredTransaction],
    *,
    accounts: Iterable[str],
    unread: Collection[str | None] = (),
) -> TransactionDelta:
    """
    Turn a complete replay into a delta that also removes what the replay no longer shows.

    A provider that lost our cursor cannot tell what it took back meanwhile; the whole
    history tells it. Only `accounts` (external ids that the answer covers whole) and dates
    on or after the oldest one shown in an account are judged: what lies beyond the answer
    is not denied by it. Rows that people dropped are named, too, so that none takes their place.

    `unread` are external ids of rows that were shown but could not be read: they are not
    gone. One without a readable id (None) could be any, so then nothing is concluded.
    """
    if None in unread:
        return delta
    shown = keys_of(delta)
    oldest: dict[str, date] = {}
    for transaction in delta.upserts:
        day = day_of(transaction)
        if day is not None:
            account = transaction.account_external_id
            oldest[account] = min(day, oldest.get(account, day))
    judged = {account: oldest[account] for account in accounts if account in oldest}
    missing = {
        row.key
        for row in stored
        if (row.is_dropped or not row.is_removed)
        and row.key not in shown
        and row.external_id not in unread
        and row.account_external_id in judged
        and row.day is not None
        and row.day >= judged[row.account_external_id]
    }
    return delta.model_copy(update={"removed": delta.removed | missing})


def missing_keys(
    stored: Iterable[StoredTransaction],
    shown: Iterable[Transaction],
    *,
    account: str,
    covered: DateWindow,
    unread: Collection[str | None] = (),
    pins: Pins | None = None,
) -> frozenset[Key]:
    """
    Return the live rows of one account that an answer should hold and does not.

    `covered` are the dates of which the answer holds every row: only rows of these dates are
    judged, pending ones by the day they were paid. `unread` are ids of rows that were shown
    but could not be read, as in `to_reconciling`; `pins` say what rows are whatever their ids
    say. An answer without a single booked row denies no booked ones, whatever else it shows: an
    empty list is more often a failure than a bank that took all back.
    """
    if None in unread:
        return frozenset()
    names, has_booked = set(), False
    known = pins or {}
    for transaction in shown:
        if key_of(transaction) not in known:
            names.add(transaction.external_id)
        has_booked = has_booked or transaction.status is TransactionStatus.BOOKED
    matched = {row.id for row in known.values() if row is not None}
    return frozenset(
        row.key
        for row in stored
        if row.account_external_id == account
        and not row.is_removed
        and row.id not in matched
        and row.external_id not in names
        and row.external_id not in unread
        and (has_booked or _is_pending(row))
        and row.day is not None
        and row.day in covered
    )


class _Rows:
    """Stored rows by every name they answer to; each may be claimed once."""

    def __init__(
        self, stored: Iterable[StoredTransaction], delta: TransactionDelta, pins: Pins
    ) -> None:
        self.by_key: dict[Key, StoredTransaction] = {}
        self._by_pending_key: dict[Key, list[StoredTransaction]] = defaultdict(list)
        for row in stored:
            self.by_key[row.key] = row
            if row.pending_key is not None and row.pending_key != row.key:
                self._by_pending_key[row.pending_key].append(row)
        self._booked_here = {
            (t.account_external_id, t.pending_external_id): key_of(t)
            for t in delta.upserts
            if t.pending_external_id is not None
        }
        self._removed_here = delta.removed
        self.shown = {key_of(t) for t in delta.upserts}
        self.pins = pins
        self.claimed = {row.id for row in pins.values() if row is not None}

    def is_superseded(self, transaction: Transaction) -> bool:
        """Say whether this is a pending entry that a live booked one has replaced."""
        if transaction.status is not TransactionStatus.PENDING:
            return False
        key = key_of(transaction)
        if self._booked_here.get(key, key) != key:
            return True
        return any(self._stays(successor) for successor in self._by_pending_key.get(key, ()))

    def claim(self, transaction: Transaction) -> StoredTransaction | None:
        """Find and take the row that is this transaction; None when it is new."""
        key = key_of(transaction)
        if key in self.pins:
            return self.pins[key]
        row = self.by_key.get(key)
        if row is None and transaction.pending_external_id is not None:
            row = self.by_key.get(
                (transaction.account_external_id, transaction.pending_external_id)
            )
        if row is None:
            # Booked, taken back, and pending once more; of several the oldest row.
            successors = self._by_pending_key.get(key, ())
            row = min(successors, key=lambda successor: successor.id, default=None)
        if row is None or row.id in self.claimed:
            return None
        self.claimed.add(row.id)
        return row

    def is_waiting(self, row: StoredTransaction) -> bool:
        """Say whether a pending row may be continued: it vanished, or its id is another's."""
        if row.id in self.claimed:
            return False
        if row.key in self.pins:
            return row.status in (TransactionStatus.PENDING, TransactionStatus.VANISHED)
        is_vanished = row.status is TransactionStatus.VANISHED and row.is_removed
        return is_vanished and row.key not in self.shown

    def is_taken_back(self, row: StoredTransaction) -> bool:
        """Say whether a booked row was taken back, by the bank alone, and is not shown again."""
        is_gone = row.status is TransactionStatus.BOOKED and row.is_removed and not row.is_dropped
        return is_gone and row.id not in self.claimed and row.key not in self.shown

    def _stays(self, row: StoredTransaction) -> bool:
        if row.key in self._removed_here:
            return False
        return not row.is_removed or row.key in self.shown


def _is_pending(row: StoredTransaction) -> bool:
    return row.status is TransactionStatus.PENDING
