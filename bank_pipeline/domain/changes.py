"""
What a provider's update means for the rows we hold: which to add, change, remove, keep.

Pure: no clock, no network, no database. Three rules carry the promises:

* A row is found by its own external id, else through the pending row it books, else by
  content when the provider lost that link. A found row keeps our id.
* A pending id that a live booked row has taken over is history: seeing it again changes
  nothing. So any part of a feed may be replayed.
* Removal is soft and only ever follows from the provider's word.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from bank_pipeline.domain.ids import TransactionId
from bank_pipeline.domain.transaction import Transaction, TransactionDelta, TransactionStatus
from bank_pipeline.domain.window import DateWindow

BOOKING_DELAY_MAX: Final = timedelta(days=8)  # longest that a card payment was seen to stay pending

Key = tuple[str, str]
"""(account_external_id, external_id)"""


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """What a sync needs to know of a row that is already stored."""

    id: TransactionId
    account_external_id: str
    external_id: str
    pending_external_id: str | None
    status: TransactionStatus
    content_hash: bytes
    is_removed: bool
    amount: Decimal | None
    currency: str | None
    transaction_date: date | None
    booking_date: date | None
    description: str

    @property
    def key(self) -> Key:
        """The provider's name of the row."""
        return (self.account_external_id, self.external_id)

    @property
    def pending_key(self) -> Key | None:
        """The name the row had while it was pending, None if it had the same or none."""
        if self.pending_external_id is None:
            return None
        return (self.account_external_id, self.pending_external_id)


@dataclass(frozen=True, slots=True)
class Update:
    """A stored row and what it becomes: changed, booked from pending, or restored."""

    id: TransactionId
    transaction: Transaction


@dataclass(frozen=True)
class ChangePlan:
    """
    Everything that one update changes in the table, and a count of what it does not.

    `removals` are booked rows that the bank took back, `vanished` pending rows that ended
    without booking. No id occurs twice.
    """

    inserts: tuple[Transaction, ...] = ()
    updates: tuple[Update, ...] = ()
    removals: tuple[TransactionId, ...] = ()
    vanished: tuple[TransactionId, ...] = ()
    unchanged_count: int = 0
    superseded_count: int = 0

    @property
    def is_empty(self) -> bool:
        """Say whether nothing has to be written."""
        return not (self.inserts or self.updates or self.removals or self.vanished)


def keys_of(delta: TransactionDelta) -> set[Key]:
    """Return every name under which a stored row could be meant by this delta."""
    keys = set(delta.removed)
    for transaction in delta.upserts:
        keys.add(_key(transaction))
        if transaction.pending_external_id is not None:
            keys.add((transaction.account_external_id, transaction.pending_external_id))
    return keys


def plan_changes(stored: Iterable[StoredTransaction], delta: TransactionDelta) -> ChangePlan:
    """
    Decide what `delta` changes in `stored`, which holds at least the rows of `keys_of(delta)`.

    Applying the plan and planning the same delta again gives an empty plan.
    """
    rows = _Rows(stored, delta)
    ending_keys = delta.removed | {
        (t.account_external_id, t.pending_external_id)
        for t in delta.upserts
        if t.pending_external_id is not None
    }
    ending = {row.id: row for key in ending_keys if (row := rows.by_key.get(key)) is not None}
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
        elif row.content_hash == transaction.content_hash and not row.is_removed:
            unchanged_count += 1
        else:
            updates.append(Update(row.id, transaction))

    ended = [row for row in ending.values() if row.id not in rows.claimed]
    matched = _match_booked_by_content(unmatched, ended)
    for transaction in unmatched:
        row = matched.get(_key(transaction))
        if row is None:
            inserts.append(transaction)
        else:
            rows.claimed.add(row.id)
            updates.append(Update(row.id, transaction))
    gone = [row for row in ended if row.id not in rows.claimed and not row.is_removed]
    return ChangePlan(
        inserts=tuple(inserts),
        updates=tuple(updates),
        removals=tuple(row.id for row in gone if not _is_pending(row)),
        vanished=tuple(row.id for row in gone if _is_pending(row)),
        unchanged_count=unchanged_count,
        superseded_count=superseded_count,
    )


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
    is not denied by it.

    `unread` are external ids of rows that were shown but could not be read: they are not
    gone. One without a readable id (None) could be any, so then nothing is concluded.
    """
    if None in unread:
        return delta
    shown = keys_of(delta)
    oldest: dict[str, date] = {}
    for transaction in delta.upserts:
        day = transaction.booking_date or transaction.transaction_date
        if day is not None:
            account = transaction.account_external_id
            oldest[account] = min(day, oldest.get(account, day))
    judged = {account: oldest[account] for account in accounts if account in oldest}
    missing = {
        row.key
        for row in stored
        if not row.is_removed
        and row.key not in shown
        and row.external_id not in unread
        and row.account_external_id in judged
        and (day := row.booking_date or row.transaction_date) is not None
        and day >= judged[row.account_external_id]
    }
    return delta.model_copy(update={"removed": delta.removed | missing})


def missing_keys(
    stored: Iterable[StoredTransaction],
    shown: Iterable[Transaction],
    *,
    account: str,
    covered: DateWindow,
    unread: Collection[str | None] = (),
) -> frozenset[Key]:
    """
    Return the live rows of one account that an answer should hold and does not.

    `covered` are the dates of which the answer holds every row: only rows of these dates are
    judged, pending ones by the day they were paid. `unread` are ids of rows that were shown
    but could not be read, as in `to_reconciling`. An answer without a single booked row denies
    no booked ones: an empty list is more often a failure than a bank that took all back.
    """
    if None in unread:
        return frozenset()
    names, has_booked = set(), False
    for transaction in shown:
        names.add(transaction.external_id)
        has_booked = has_booked or transaction.status is not TransactionStatus.PENDING
    return frozenset(
        row.key
        for row in stored
        if row.account_external_id == account
        and not row.is_removed
        and row.external_id not in names
        and row.external_id not in unread
        and (has_booked or _is_pending(row))
        and (day := row.booking_date or row.transaction_date) is not None
        and day in covered
    )


def renamed_keys(
    stored: Iterable[StoredTransaction],
    shown: Iterable[Transaction],
    *,
    account: str,
    covered: DateWindow,
) -> frozenset[Key]:
    """
    Return the names that rows of other dates than `covered` go by no more.

    There an answer denies nothing. But a booked row that comes along under a new name, while
    one that is equal to it is not shown under its own, is that one.
    """
    shown = [row for row in shown if row.status is TransactionStatus.BOOKED]
    names = {row.external_id for row in shown}
    held = [row for row in stored if row.account_external_id == account and not row.is_removed]
    known = {row.external_id for row in held}
    fresh = Counter(
        _content(row)
        for row in shown
        if not row.pending_external_id and row.external_id not in known
    )
    renamed: set[Key] = set()
    for row in held:
        if row.status is not TransactionStatus.BOOKED or row.external_id in names:
            continue
        if (
            row.booking_date is not None
            and row.booking_date not in covered
            and fresh[_content(row)]
        ):
            fresh[_content(row)] -= 1
            renamed.add(row.key)
    return frozenset(renamed)


def _content(row: Transaction | StoredTransaction) -> tuple[object, ...]:
    return (row.amount, row.currency, row.booking_date, frozenset(_words(row.description)))


class _Rows:
    """Stored rows by every name they answer to; each may be claimed once."""

    def __init__(self, stored: Iterable[StoredTransaction], delta: TransactionDelta) -> None:
        self.by_key: dict[Key, StoredTransaction] = {}
        self._by_pending_key: dict[Key, list[StoredTransaction]] = defaultdict(list)
        for row in stored:
            self.by_key[row.key] = row
            if row.pending_key is not None and row.pending_key != row.key:
                self._by_pending_key[row.pending_key].append(row)
        self._booked_here = {
            (t.account_external_id, t.pending_external_id): _key(t)
            for t in delta.upserts
            if t.pending_external_id is not None
        }
        self._removed_here = delta.removed
        self._upserted_here = {_key(t) for t in delta.upserts}
        self.claimed: set[TransactionId] = set()

    def is_superseded(self, transaction: Transaction) -> bool:
        """Say whether this is a pending entry that a live booked one has replaced."""
        if transaction.status is not TransactionStatus.PENDING:
            return False
        key = _key(transaction)
        if self._booked_here.get(key, key) != key:
            return True
        return any(self._stays(successor) for successor in self._by_pending_key.get(key, ()))

    def claim(self, transaction: Transaction) -> StoredTransaction | None:
        """Find and take the row that is this transaction; None when it is new."""
        key = _key(transaction)
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

    def _stays(self, row: StoredTransaction) -> bool:
        if row.key in self._removed_here:
            return False
        return not row.is_removed or row.key in self._upserted_here


def _match_booked_by_content(
    unmatched: Sequence[Transaction], ended: Iterable[StoredTransaction]
) -> dict[Key, StoredTransaction]:
    """
    Pair booked entries with pending rows that ended in the same update, one to one.

    For providers that lose the link: same account, amount, currency and text, booked at
    most eight days after. A booked row that ended while an entry equal in all of this and in
    its booking date began is the same one under another id. Equal candidates are
    interchangeable; the oldest is taken first, so that the order in which an update tells them
    does not matter.
    """
    waiting: dict[tuple[str, Decimal | None, str | None], list[StoredTransaction]]
    waiting = defaultdict(list)
    for row in sorted(ended, key=lambda row: (row.transaction_date or date.min, row.id)):
        if row.status in _CONTINUABLE:
            waiting[(row.account_external_id, row.amount, row.currency)].append(row)
    matched: dict[Key, StoredTransaction] = {}
    for transaction in sorted(unmatched, key=_told_apart_by):
        if transaction.status is not TransactionStatus.BOOKED or transaction.pending_external_id:
            continue
        paid = (transaction.account_external_id, transaction.amount)
        candidates = [*waiting[*paid, transaction.currency]]
        if transaction.currency is not None:
            candidates += waiting[*paid, None]  # some banks learn only later to tell it
        match = next((row for row in candidates if _is_renamed(transaction, row)), None)
        if match is None:
            match = next((row for row in candidates if _is_same_payment(transaction, row)), None)
        if match is not None:
            waiting[*paid, match.currency].remove(match)
            matched[_key(transaction)] = match
    return matched


_CONTINUABLE: Final = (
    TransactionStatus.PENDING,
    TransactionStatus.VANISHED,
    TransactionStatus.BOOKED,
)


def _is_renamed(booked: Transaction, row: StoredTransaction) -> bool:
    if row.status is not TransactionStatus.BOOKED or row.is_removed:
        return False
    ours, theirs = _words(booked.description), _words(row.description)
    return booked.booking_date == row.booking_date and ours == theirs


def _told_apart_by(transaction: Transaction) -> tuple[date, date, str]:
    return (
        transaction.transaction_date or date.max,
        transaction.booking_date or date.max,
        transaction.external_id,
    )


def _is_same_payment(booked: Transaction, pending: StoredTransaction) -> bool:
    if pending.status is TransactionStatus.BOOKED:
        return False
    days = (booked.transaction_date or booked.booking_date, pending.transaction_date)
    if booked.amount is None or days[0] is None or days[1] is None:
        return False
    latest = booked.booking_date or days[0]
    if not days[1] <= latest <= days[1] + BOOKING_DELAY_MAX:
        return False
    if booked.description == pending.description:
        return True
    ours, theirs = _words(booked.description), _words(pending.description)
    common = len(ours & theirs)
    return common > 0 and 2 * common >= min(len(ours), len(theirs))


def _words(text: str) -> set[str]:
    return {word for word in text.casefold().split() if not word.isdigit()}


def _key(transaction: Transaction) -> Key:
    return (transaction.account_external_id, transaction.external_id)


def _is_pending(row: StoredTransaction) -> bool:
    return row.status is TransactionStatus.PENDING
