"""Which ended rows go on under another id, for providers that lose the link. Pure."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import Final

from bank_pipeline.domain.ids import TransactionId
from bank_pipeline.domain.rewritten import match_rewritten
from bank_pipeline.domain.stored import (
    BOOKING_DELAY_MAX,
    Key,
    StoredTransaction,
    is_similar,
    key_of,
    plain_text,
    words_of,
)
from bank_pipeline.domain.transaction import Transaction, TransactionStatus

_CONTINUABLE: Final = frozenset(
    {
        TransactionStatus.PENDING,
        TransactionStatus.VANISHED,
        TransactionStatus.SCHEDULED,
        TransactionStatus.BOOKED,
    }
)
COMPARED_MAX: Final = 50
"""With how many rows of one price each entry is compared by its words, which takes time."""
_Paid = tuple[str, Decimal | None, str | None]
_Waiting = dict[_Paid, dict[TransactionId, StoredTransaction]]
_Content = Callable[[Transaction | StoredTransaction], object]
_IsOne = Callable[[Transaction, StoredTransaction], bool]


def match_payments(
    unmatched: Sequence[Transaction],
    ended: Iterable[StoredTransaction],
    *,
    unshown: Collection[Key] = (),
) -> dict[Key, StoredTransaction]:
    """
    Pair new entries with rows that ended, in this update or before it, one to one.

    A booked entry is the later life of a pending or announced row of the same account, amount,
    currency and text, booked at most a day before and eight after. A booked row that ended while
    an entry equal in all of this and in its booking date began is the same one under another id;
    so is a pending one of the same day. Equal candidates are interchangeable; what ended now goes
    before what vanished earlier, and the oldest is taken first, so that the order in which an
    update tells them does not matter. Others go by their words. What is left and has no id is
    compared once more, because its name changes with its text and its date; those of `unshown`
    may not have ended.
    """
    waiting = _by_money(row for row in ended if row.status in _CONTINUABLE and not row.is_dropped)
    matched: dict[Key, StoredTransaction] = {}
    if not waiting:
        return matched
    booked = [row for row in unmatched if row.status is TransactionStatus.BOOKED]
    pending = [row for row in unmatched if row.status is TransactionStatus.PENDING]
    rules: tuple[tuple[list[Transaction], _IsOne], ...] = (
        (booked, _is_renamed),
        (booked, _is_booked_from),
        (pending, _is_same_pending),
    )
    for transactions, is_one in rules:
        free = (
            one
            for one in transactions
            if key_of(one) not in matched and (is_one is _is_renamed or not one.pending_external_id)
        )
        matched |= _pair(free, waiting, is_one)
    fresh = [row for row in booked if key_of(row) not in matched]
    left = [row for rows in waiting.values() for row in rows.values()]
    return matched | match_rewritten(fresh, left, unshown=unshown)


def match_restored(
    unmatched: Sequence[Transaction], taken_back: Iterable[StoredTransaction]
) -> dict[Key, StoredTransaction]:
    """
    Pair new booked entries with booked rows that were taken back earlier, one to one.

    Equal account, amount, currency, booking date and words: it is shown again, under another id,
    so what people wrote of it goes on.
    """
    booked = (row for row in unmatched if row.status is TransactionStatus.BOOKED)
    return _pair(booked, _by_money(taken_back), _is_equal_booked)


def _by_money(rows: Iterable[StoredTransaction]) -> _Waiting:
    """Gather rows by account, amount and currency, the first to be taken first."""
    waiting: _Waiting = defaultdict(dict)
    for row in sorted(rows, key=_seniority):
        waiting[_paid(row)][row.id] = row
    return waiting


def _pair(
    transactions: Iterable[Transaction], waiting: _Waiting, is_one: _IsOne
) -> dict[Key, StoredTransaction]:
    """
    Take for each entry a waiting row that it is; what is taken waits no more.

    Of several that it could be, the one of the same text and day of payment goes first, then one
    of the same text, then the closest in words over all entries, of the first so many.
    """
    left = sorted(transactions, key=_told_apart_by)
    matched: dict[Key, StoredTransaction] = {}
    for take in (
        partial(_take_alike, content=_text_and_day),
        partial(_take_alike, content=_text),
        _take_closest,
        partial(_take_alike, content=_nothing),  # the oldest of more than could be compared
    ):
        if not any(waiting.values()):
            break
        matched |= take(left, waiting, is_one)
        left = [row for row in left if key_of(row) not in matched]
    return matched


def _take_alike(
    transactions: Sequence[Transaction], waiting: _Waiting, is_one: _IsOne, content: _Content
) -> dict[Key, StoredTransaction]:
    matched: dict[Key, StoredTransaction] = {}
    alike = _by_content(transactions, waiting, content)
    for transaction in transactions:
        rows = alike[content(transaction)]
        match = next(_fits(transaction, rows, is_one), None)
        if match is not None:
            del rows[_paid(match)][match.id], waiting[_paid(match)][match.id]
            matched[key_of(transaction)] = match
    return matched


def _take_closest(
    transactions: Sequence[Transaction], waiting: _Waiting, is_one: _IsOne
) -> dict[Key, StoredTransaction]:
    matched: dict[Key, StoredTransaction] = {}
    pairs = [
        (_distance(transaction, row), transaction, row)
        for transaction in transactions
        for row in islice(_fits(transaction, waiting, is_one), COMPARED_MAX)
    ]
    for _, transaction, row in sorted(pairs, key=itemgetter(0)):  # equals in their order
        if key_of(transaction) not in matched and row.id in waiting[_paid(row)]:
            del waiting[_paid(row)][row.id]
            matched[key_of(transaction)] = row
    return matched


def _fits(
    transaction: Transaction, waiting: _Waiting, is_one: _IsOne
) -> Iterator[StoredTransaction]:
    for paid in _paid_as(transaction):
        yield from (row for row in waiting.get(paid, {}).values() if is_one(transaction, row))


def _by_content(
    transactions: Iterable[Transaction], waiting: _Waiting, content: _Content
) -> Mapping[object, _Waiting]:
    """Gather what waits of the money of these entries by what it says."""
    alike: Mapping[object, _Waiting] = defaultdict(lambda: defaultdict(dict))
    for paid in {paid for one in transactions for paid in _paid_as(one)}:
        for row in waiting.get(paid, {}).values():
            alike[content(row)][paid][row.id] = row
    return alike


def _text_and_day(row: Transaction | StoredTransaction) -> object:
    return _text(row), row.transaction_date


def _text(row: Transaction | StoredTransaction) -> object:
    return plain_text(row.description)


def _nothing(_: Transaction | StoredTransaction) -> object:
    return None


def _distance(transaction: Transaction, row: StoredTransaction) -> int:
    """Count the words that only one of both texts has."""
    return len(words_of(transaction.description) ^ words_of(row.description))


def _paid(row: Transaction | StoredTransaction) -> _Paid:
    return row.account_external_id, row.amount, row.currency


def _paid_as(transaction: Transaction) -> list[_Paid]:
    """Return how its money may be stored: some banks learn only later to tell the currency."""
    account, amount, currency = _paid(transaction)
    return [(account, amount, one) for one in dict.fromkeys((currency, None))]


def _seniority(row: StoredTransaction) -> tuple[bool, date, str]:
    return row.is_removed, row.transaction_date or date.min, row.id


def _told_apart_by(transaction: Transaction) -> tuple[date, date, str]:
    return (
        transaction.transaction_date or date.max,
        transaction.booking_date or date.max,
        transaction.external_id,
    )


def _is_renamed(booked: Transaction, row: StoredTransaction) -> bool:
    is_live = row.status is TransactionStatus.BOOKED and not row.is_removed
    return is_live and _is_equal_booked(booked, row)


def _is_equal_booked(booked: Transaction, row: StoredTransaction) -> bool:
    is_same_text = words_of(booked.description) == words_of(row.description)
    return is_same_text and booked.booking_date == row.booking_date


def _is_booked_from(booked: Transaction, row: StoredTransaction) -> bool:
    if row.status is TransactionStatus.BOOKED or booked.amount is None:
        return False
    paid_on = row.day if row.status is TransactionStatus.SCHEDULED else row.transaction_date
    first = booked.transaction_date or booked.booking_date
    if first is None or paid_on is None:
        return False
    latest = booked.booking_date or first
    # The date we hold may be a day late: of a value date, or of the look that still showed it.
    is_soon = paid_on - timedelta(days=1) <= latest <= paid_on + BOOKING_DELAY_MAX
    return is_soon and is_similar(booked.description, row.description)


def _is_same_pending(pending: Transaction, row: StoredTransaction) -> bool:
    """A pending row whose id or text changes from look to look is one row."""
    return (
        row.status in (TransactionStatus.PENDING, TransactionStatus.VANISHED)
        and pending.amount is not None
        and pending.transaction_date is not None
        and pending.transaction_date == row.transaction_date
        and is_similar(pending.description, row.description)
    )
