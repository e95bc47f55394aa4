"""
Which booked rows without an id go on in other words, or on another day. Pure.

Where a bank gives no id, a row is named by its content. A bank that rewrites a text or moves a
booking date then seems to take one row back and to book another one.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta
from typing import Final

from bank_pipeline.domain.identity import FINGERPRINT_PREFIX
from bank_pipeline.domain.stored import Key, StoredTransaction, is_similar, key_of, plain_text
from bank_pipeline.domain.transaction import Transaction, TransactionStatus

MOVED_MAX: Final = timedelta(days=5)
"""How far a bank moves a booking date: over a long weekend, and not to next week's purchase."""

_Pair = tuple[Transaction, StoredTransaction]


def match_rewritten(
    fresh: Sequence[Transaction],
    ended: Iterable[StoredTransaction],
    *,
    unshown: Collection[Key] = (),
) -> dict[Key, StoredTransaction]:
    """
    Pair new booked rows that are named by content with such rows that ended, one to one.

    `ended` are rows that the same complete answer should hold and does not. Account, amount and
    currency are equal; and so is the text, or else the booking date. The nearest date goes first,
    then a similar text. A wholly other text is only believed where nothing else of that amount
    came or went on that day, and never of those `unshown`, which may be what nobody could read.
    Of two equal purchases neither ends while both are shown, so they stay two.
    """
    pairing = _Pairing(
        [row for row in fresh if _is_nameless(row.external_id)],
        [row for row in ended if _is_live(row) and _is_nameless(row.external_id)],
    )
    pairing.match(_is_moved)
    pairing.match(_is_reworded)
    pairing.match_alone(unshown)
    return pairing.matched


class _Pairing:
    """New rows and ended ones, of which each is taken once."""

    def __init__(self, fresh: list[Transaction], ended: list[StoredTransaction]) -> None:
        self.matched: dict[Key, StoredTransaction] = {}
        self._taken: set[str] = set()
        by_money = defaultdict[object, list[StoredTransaction]](list)
        for row in ended:
            by_money[row.account_external_id, row.amount].append(row)
        pairs = [
            (row, stored)
            for row in fresh
            for stored in by_money[row.account_external_id, row.amount]
            if _may_be_one(row, stored)
        ]
        self._pairs = sorted(pairs, key=_nearness)

    def match(self, is_one: Callable[[Transaction, StoredTransaction], bool]) -> None:
        """Take the pairs that are one, the nearest first."""
        for row, stored in self._pairs:
            if self._is_free(row, stored) and is_one(row, stored):
                self._take(row, stored)

    def match_alone(self, unshown: Collection[Key]) -> None:
        """Take the pairs of one day in which neither could be anything else."""
        left = [
            (row, stored)
            for row, stored in self._pairs
            if self._is_free(row, stored)
            and row.booking_date == stored.booking_date
            and stored.key not in unshown
        ]
        rivals = defaultdict[object, int](int)
        for row, stored in left:
            rivals[key_of(row)] += 1
            rivals[stored.id] += 1
        for row, stored in left:
            if rivals[key_of(row)] == rivals[stored.id] == 1:
                self._take(row, stored)

    def _is_free(self, row: Transaction, stored: StoredTransaction) -> bool:
        return key_of(row) not in self.matched and stored.id not in self._taken

    def _take(self, row: Transaction, stored: StoredTransaction) -> None:
        self.matched[key_of(row)] = stored
        self._taken.add(stored.id)


def _is_nameless(external_id: str) -> bool:
    return external_id.startswith(FINGERPRINT_PREFIX)


def _is_live(row: StoredTransaction) -> bool:
    return row.status is TransactionStatus.BOOKED and not row.is_removed


def _may_be_one(row: Transaction, stored: StoredTransaction) -> bool:
    is_money = row.amount is not None and stored.currency in (row.currency, None)
    return is_money and _days_between(row, stored) <= MOVED_MAX


def _days_between(row: Transaction, stored: StoredTransaction) -> timedelta:
    if row.booking_date is None or stored.booking_date is None:
        return timedelta.max
    return abs(row.booking_date - stored.booking_date)


def _nearness(pair: _Pair) -> tuple[timedelta, str, str]:
    row, stored = pair
    return _days_between(row, stored), stored.id, row.external_id


def _is_moved(row: Transaction, stored: StoredTransaction) -> bool:
    return plain_text(row.description) == plain_text(stored.description)


def _is_reworded(row: Transaction, stored: StoredTransaction) -> bool:
    is_same_day = row.booking_date == stored.booking_date
    return is_same_day and is_similar(row.description, stored.description)
