"""
Which stored rows an account's rows are that all came under other ids. Pure.

After a new consent or with another provider every id may differ, and the words, too. What no
bank changes is the account, the amount, the currency and, to a day, the date. Rows that are
equal in these are told apart by their order, and by their text where that helps.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import chain, combinations
from typing import Final

from bank_pipeline.domain.ids import TransactionId
from bank_pipeline.domain.matching import Pins
from bank_pipeline.domain.stored import BOOKING_DELAY_MAX, Key, StoredTransaction, key_of
from bank_pipeline.domain.transaction import Transaction, TransactionStatus

_PAIR: Final = 1 << 60
_DAY_APART: Final = 1 << 30
"""What a pair is worth, and what each day between costs, in common words: more than all of them."""
_NEVER: Final = -(1 << 100)


def find_moved(
    stored: Iterable[StoredTransaction], shown: Iterable[Transaction], *, slack: timedelta
) -> Pins:
    """
    Say which stored row each shown row is whose name nobody has, in one account that moved.

    A row that is shown under the name it has stays what it is; at another provider, which may count
    otherwise, only if its money is. What people dropped takes of what the live rows leave, so that
    the bank's copy of it does not count again.
    """
    held, told = [*stored], [*shown]
    named = {key_of(row): row for row in told}
    taken = {
        row.key
        for row in held
        if row.key in named and (not slack or _is_same_money(row, named[row.key]))
    }
    free = [row for row in held if row.key not in taken]
    live = [row for row in free if not row.is_removed]
    dropped = [row for row in free if row.is_dropped and row.is_removed]
    pins: dict[Key, StoredTransaction | None] = {}
    for rows in (live, dropped):
        left = [row for row in told if key_of(row) not in taken]
        moved = match_moved(rows, left, slack=slack)
        pins |= {(row.account_external_id, moved[row.id]): row for row in rows if row.id in moved}
        taken |= pins.keys()
    return pins


def _is_same_money(row: StoredTransaction, entry: Transaction) -> bool:
    ours, theirs = _day(row), _day(entry)
    if ours is None or theirs is None:
        return row.amount == entry.amount
    is_near = abs(theirs - ours) <= BOOKING_DELAY_MAX
    is_currency = row.currency == entry.currency or None in (row.currency, entry.currency)
    return is_near and is_currency and row.amount == entry.amount


def match_moved(
    stored: Iterable[StoredTransaction], shown: Iterable[Transaction], *, slack: timedelta
) -> dict[TransactionId, str]:
    """
    Pair rows of one account with those shown, and return the names they go by now.

    `stored` are the rows that may have moved, `shown` those under names that nobody has. Booked
    is paired with booked and pending with pending, at most `slack` apart; then what was pending
    with what has booked meanwhile. As many as possible are paired, without crossing in time.
    """
    free, new = list(stored), list(shown)
    moved: dict[TransactionId, str] = {}
    for was_pending, is_pending, earliest, latest in (
        (False, False, -slack, slack),
        (True, True, -slack, slack),
        (True, False, timedelta(0), BOOKING_DELAY_MAX),
    ):
        for rows, entries in _same_amounts(
            [row for row in free if row.id not in moved and _is_pending(row) is was_pending],
            [one for one in new if _is_pending(one) is is_pending],
        ):
            pairs = _align(rows, entries, earliest=earliest, latest=latest)
            moved |= {row.id: entry.external_id for row, entry in pairs}
        taken = {*moved.values()}
        new = [one for one in new if one.external_id not in taken]
    return moved


def _same_amounts(
    rows: Iterable[StoredTransaction], entries: Iterable[Transaction]
) -> list[tuple[list[StoredTransaction], list[Transaction]]]:
    groups: dict[Decimal, tuple[list[StoredTransaction], list[Transaction]]]
    groups = defaultdict(lambda: ([], []))
    for row in rows:
        if row.amount is not None and _day(row) is not None:
            groups[row.amount][0].append(row)
    for entry in entries:
        if entry.amount is not None and _day(entry) is not None:
            groups[entry.amount][1].append(entry)
    return [
        (sorted(ours, key=_in_time), sorted(theirs, key=_in_time))
        for ours, theirs in groups.values()
        if ours and theirs
    ]


def _align(
    rows: Sequence[StoredTransaction],
    entries: Sequence[Transaction],
    *,
    earliest: timedelta,
    latest: timedelta,
) -> list[tuple[StoredTransaction, Transaction]]:
    """
    Pair two lists in time order: as many as possible, then the nearest days and texts.

    Within a day the order of two lists means nothing: there the texts have the last word.
    """
    gains = [[_gain(row, one, earliest, latest) for one in entries] + [0] for row in rows]
    gains.append([0] * (len(entries) + 1))
    best = [[0] * (len(entries) + 1) for _ in range(len(rows) + 1)]
    for i in range(len(rows) - 1, -1, -1):
        for j in range(len(entries) - 1, -1, -1):
            best[i][j] = max(best[i + 1][j], best[i][j + 1], gains[i][j] + best[i + 1][j + 1])
    pairs: dict[int, int] = {}
    i = j = 0
    while i < len(rows) and j < len(entries):
        if best[i][j] == gains[i][j] + best[i + 1][j + 1]:
            pairs[i] = j
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    places = _exchanged(pairs, gains, [*map(_day, rows), None], [*map(_day, entries), None])
    return [(rows[i], entries[j]) for i, j in places if i < len(rows) and j < len(entries)]


def _exchanged(
    pairs: Mapping[int, int],
    gains: Sequence[Sequence[int]],
    row_days: Sequence[date | None],
    entry_days: Sequence[date | None],
) -> list[list[int]]:
    """
    Exchange what rows of one day are paired with, or entries of one day, while that is worth.

    All go by their numbers; the last number stands for none.
    """
    nobody, nothing = len(row_days) - 1, len(entry_days) - 1
    places = [[i, pairs.get(i, nothing)] for i in range(nobody)]
    paired = {*pairs.values()}
    places += [[nobody, j] for j in range(nothing) if j not in paired]
    is_changed = True
    while is_changed:  # each exchange is worth more than what was before, so they come to an end
        is_changed = False
        for side, days in enumerate((row_days, entry_days)):
            same_day = defaultdict[date | None, list[list[int]]](list)
            for place in places:
                same_day[days[place[side]]].append(place)
            same_day.pop(None, None)  # those that are alone
            both = chain.from_iterable(combinations(group, 2) for group in same_day.values())
            for one, other in both:
                (i, j), (k, m) = one, other
                if gains[i][m] + gains[k][j] > gains[i][j] + gains[k][m]:
                    one[1], other[1] = m, j
                    is_changed = True
    return places


def _gain(
    row: StoredTransaction, entry: Transaction, earliest: timedelta, latest: timedelta
) -> int:
    """Return what a pair is worth: itself, then few days between, then common words."""
    ours, theirs = _day(row), _day(entry)
    if ours is None or theirs is None or not earliest <= theirs - ours <= latest:
        return _NEVER
    if row.currency and entry.currency and row.currency != entry.currency:
        return _NEVER
    return _PAIR - _DAY_APART * abs((theirs - ours).days) + len(_words(row) & _words(entry))


def _in_time(row: StoredTransaction | Transaction) -> tuple[date, str, str, str]:
    words = " ".join(sorted(_words(row)))
    return (_day(row) or date.min, row.currency or "", words, row.external_id)


def _day(row: StoredTransaction | Transaction) -> date | None:
    if _is_pending(row):
        return row.transaction_date or row.booking_date
    return row.booking_date or row.transaction_date


def _words(row: StoredTransaction | Transaction) -> frozenset[str]:
    return frozenset(row.description.casefold().split())


def _is_pending(row: StoredTransaction | Transaction) -> bool:
    return row.status is TransactionStatus.PENDING
