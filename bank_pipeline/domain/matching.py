"""
Which stored row each booked row of an answer is, where ids may have moved. Pure.

An id counts where the row under it is the one we hold. Where it is not, either the bank
corrected the row, or it gave its ids to other rows: then the content of one is found under the
id of another, and the rows are matched by content and occurrence instead.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from bank_pipeline.domain.identity import FINGERPRINT_PREFIX, is_another, renamed
from bank_pipeline.domain.identity_rules import IdentityRules, RunningBalances
from bank_pipeline.domain.ids import TransactionId
from bank_pipeline.domain.stored import (
    BOOKING_DELAY_MAX,
    Key,
    StoredTransaction,
    day_of,
    is_similar,
    key_of,
    plain_text,
    words_of,
)
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline.domain.window import DateWindow

Row = Transaction | StoredTransaction
Pins = Mapping[Key, StoredTransaction | None]
"""What certain shown rows are, whatever their ids say: a stored row, or None, a new one."""

RETIRED_PREFIX: Final = "retired-"
"""How a row is named whose id the bank gave to another one."""
_BOOKED: Final = TransactionStatus.BOOKED
_DIGITS: Final = re.compile(r"([0-9]+)")
_Content = tuple[Decimal | None, date | None, object]


@dataclass(frozen=True)
class Matched:
    """The rows of an answer, some under other names, and what some of them are."""

    shown: tuple[Transaction, ...]
    pins: Pins


def match_rows(
    shown: Sequence[Transaction],
    held: Sequence[StoredTransaction],
    rules: IdentityRules,
    *,
    judged: DateWindow | None,
) -> Matched:
    """
    Say what the booked rows of one answer of one account are, those whose ids do not tell.

    `held` are the stored rows of that account: at least those of the days and ids shown. `judged`
    are the days whose rows the answer denies, None for one that broke off: elsewhere a row that
    is only alike may be another one, and the stored one be shown by the next answer.
    """
    comparison = _compare(shown, held, rules)
    others = {
        row.external_id
        for row, stored in comparison.differing
        if not comparison.is_open(row, stored) and is_another(row, stored)
    }
    if others:
        shown = renamed(shown, others)
        comparison = _compare(shown, held, rules)
    return Matched(tuple(shown), comparison.to_pins(judged))


def strict_content(row: Row) -> _Content:
    """Return what equal rows share; the currency is compared apart, because it may be unknown."""
    return row.amount, row.booking_date, plain_text(row.description)


def loose_content(row: Row) -> _Content:
    """Return the same, without the numbers in the text and the order of its words."""
    return row.amount, row.booking_date, words_of(row.description)


def is_equal(row: Transaction, stored: StoredTransaction) -> bool:
    """Say whether two booked rows say the same; a currency may be learned later."""
    return strict_content(row) == strict_content(stored) and (
        row.currency == stored.currency or None in (row.currency, stored.currency)
    )


@dataclass
class _Comparison:
    """
    The booked rows of an answer beside the stored ones, without those that are settled.

    `differing` are rows that say something else than the stored row of their id. `fresh` have
    an id that we do not hold. `free` are stored rows of which no shown row is known to be one.
    Pending rows are among them as evidence; they are matched with the payments that ended.
    `explained` are ids of which one of the two rows is found under another id.
    """

    differing: list[tuple[Transaction, StoredTransaction]] = field(default_factory=list)
    fresh: list[Transaction] = field(default_factory=list)
    free: list[StoredTransaction] = field(default_factory=list)
    moved_days: set[date | None] = field(default_factory=set)
    explained: set[Key] = field(default_factory=set)

    def is_open(self, row: Transaction, stored: StoredTransaction) -> bool:
        """
        Say whether an id does not hold: ids of these days went to other rows.

        Nor does that of a row that is gone and now seems to come back as another: a hold may
        come back at another amount, but not with another text.
        """
        is_gone = stored.is_removed and (
            stored.status is _BOOKED or not is_similar(row.description, stored.description)
        )
        return is_gone or not self.moved_days.isdisjoint({day_of(row), stored.day})

    def to_pins(self, judged: DateWindow | None) -> Pins:
        """Match what is not settled by content, and among equals by balance and occurrence."""
        moved = [pair for pair in self.differing if self.is_open(*pair)]
        if not self.fresh and not moved:
            return {}
        rows = [*self.fresh, *(row for row, _ in moved)]
        free = [*self.free, *(stored for _, stored in moved)]
        pool = _Pool(
            [row for row in rows if row.status is _BOOKED],
            [stored for stored in free if stored.status is _BOOKED],
        )
        pool.match(strict_content)
        pool.free = [stored for stored in pool.free if _is_gone(stored, judged)]
        pool.match(loose_content)
        for row, stored in moved:
            if key_of(row) in pool.pins:
                continue
            is_free = stored.id not in pool.taken and key_of(row) not in self.explained
            is_corrected = is_free and _is_correction(row, stored)
            pool.pins[key_of(row)] = stored if is_corrected else None
        return pool.pins


def _compare(
    shown: Sequence[Transaction], held: Sequence[StoredTransaction], rules: IdentityRules
) -> _Comparison:
    by_name = {row.external_id: row for row in held}
    found = _Comparison()
    twins: list[tuple[Transaction, StoredTransaction]] = []
    named: set[TransactionId] = set()
    for row in shown:
        stored = by_name.get(row.external_id)
        if stored is None:
            if row.pending_external_id is None:
                found.fresh.append(row)
            continue
        named.add(stored.id)
        if not _is_settled(row, stored, rules):
            found.differing.append((row, stored))
        elif _is_taken_last(row, stored, rules):
            found.fresh.append(row)
            found.free.append(stored)
        elif _may_be_twin(row, stored, rules):
            twins.append((row, stored))
    if found.fresh or found.differing or twins:
        found.free += [row for row in held if row.id not in named and _is_findable(row)]
        _find_moved(found)
    for row, stored in twins:
        found.fresh.append(row)
        found.free.append(stored)
    return found


def _is_settled(row: Transaction, stored: StoredTransaction, rules: IdentityRules) -> bool:
    if rules.are_ids_lasting or row.content_hash == stored.content_hash:
        return True
    return _is_same_money(row, stored)


def _is_findable(stored: StoredTransaction) -> bool:
    return stored.status is _BOOKED or not stored.is_removed


def _is_same_money(row: Transaction, stored: StoredTransaction) -> bool:
    """Say whether two rows tell of one movement, which may have been booked or not."""
    if {row.status, stored.status} == {_BOOKED}:
        return is_equal(row, stored)
    days = day_of(row), stored.day
    if row.amount != stored.amount or None in days:
        return row.amount == stored.amount
    is_near = abs((days[0] or date.min) - (days[1] or date.min)) <= BOOKING_DELAY_MAX
    return is_near and is_similar(row.description, stored.description)


def _is_taken_last(row: Transaction, stored: StoredTransaction, rules: IdentityRules) -> bool:
    """
    Say whether a row goes to an equal live one first, though it has the id of one that is gone.

    The bank may have dropped the other one than a person did, or may count its rows anew.
    """
    is_gone = stored.is_dropped or (stored.is_removed and not rules.are_ids_lasting)
    is_pending = row.status is TransactionStatus.PENDING and stored.status is not _BOOKED
    return is_gone and (is_pending or {row.status, stored.status} == {_BOOKED})


def _may_be_twin(row: Transaction, stored: StoredTransaction, rules: IdentityRules) -> bool:
    """
    Say whether a name by content may have gone to an equal row.

    A purchase that comes later, or one that cannot be read, moves the numbers of its equals.
    """
    balances = row.running_balance, stored.running_balance
    return (
        row.external_id.startswith(FINGERPRINT_PREFIX)
        and {row.status, stored.status} == {_BOOKED}
        and rules.running_balances is not RunningBalances.IGNORED
        and None not in balances
        and balances[0] != balances[1]
    )


def _find_moved(found: _Comparison) -> None:
    """
    Find the days whose ids went to other rows.

    The proof is the content of one of two rows that share an id, under another id, where
    nobody else explains it. Names that we made up prove nothing, nor do pending rows of one price
    that rows under new ids may have become, or that one whose text is corrected became before
    they ended; nor the next hold of a shop that holds the same at each visit, while the first one
    books as it should; nor rows of no amount: all cards are verified alike.
    """
    if not found.differing:
        return
    shown = defaultdict[Decimal | None, list[Transaction]](list)
    for row in (*found.fresh, *(row for row, _ in found.differing)):
        if row.amount:
            shown[row.amount].append(row)
    known = defaultdict[Decimal | None, list[StoredTransaction]](list)
    for stored in (*found.free, *(stored for _, stored in found.differing)):
        is_named = not stored.external_id.startswith((FINGERPRINT_PREFIX, RETIRED_PREFIX))
        if stored.amount and is_named:
            known[stored.amount].append(stored)
    for row, stored in found.differing:
        is_elsewhere = any(
            _is_same_money(other, stored) and not _is_next_hold(other, row, stored)
            for other in shown[stored.amount]
        )
        others = known[row.amount]
        if day_of(row) == stored.day and is_similar(row.description, stored.description):
            others = [one for one in others if not _may_have_become(one, stored)]
        if is_elsewhere or _was_elsewhere(row, others, found.fresh):
            found.explained.add(key_of(row))
            found.moved_days |= {day_of(row), stored.day}


def _was_elsewhere(
    row: Transaction, known: Iterable[StoredTransaction], fresh: Iterable[Transaction]
) -> bool:
    """Say whether a row is held under another id: booked, or pending and become no `fresh` one."""
    alike = [other for other in known if _is_same_money(row, other)]
    if not alike or any(other.status is _BOOKED for other in alike):
        return bool(alike)
    booked = (one for one in fresh if one.status is _BOOKED)
    became = sum(any(_is_same_money(one, other) for other in alike) for one in booked)
    return len(alike) > became


def _is_next_hold(other: Transaction, row: Transaction, stored: StoredTransaction) -> bool:
    """
    Say whether a pending row like the stored one is of another day, while that seems to book.

    A filling station holds one amount each time, and books what was paid.
    """
    return (
        {other.status, stored.status} == {TransactionStatus.PENDING}
        and row.status is _BOOKED
        and None not in (other.transaction_date, stored.transaction_date)
        and other.transaction_date != stored.transaction_date == row.transaction_date
        and is_similar(row.description, stored.description)
    )


def _may_have_become(pending: StoredTransaction, booked: StoredTransaction) -> bool:
    """Say whether a pending row may have stayed beside the booked one that it became."""
    days = pending.day, booked.day
    return (
        pending.status is TransactionStatus.PENDING
        and booked.status is _BOOKED
        and (pending.amount, pending.currency) == (booked.amount, booked.currency)
        and None not in days
        and timedelta() <= (days[1] or date.min) - (days[0] or date.min) <= BOOKING_DELAY_MAX
        and is_similar(booked.description, pending.description)
    )


def _is_gone(stored: StoredTransaction, judged: DateWindow | None) -> bool:
    """Say whether a row is not there under its own words: the answer would show it."""
    is_denied = judged is not None and stored.day is not None and stored.day in judged
    return stored.is_removed or is_denied


def _is_correction(row: Transaction, stored: StoredTransaction) -> bool:
    """Where ids have moved, only a row of the same day and text is believed to be corrected."""
    if stored.status is not _BOOKED:
        is_same_day = day_of(row) == stored.day
        return is_same_day and is_similar(row.description, stored.description)
    if stored.is_removed and not stored.is_dropped and row.amount != stored.amount:
        return False  # what was taken back does not come back at another amount
    return (
        row.booking_date == stored.booking_date
        and words_of(row.description) == words_of(stored.description)
        and not is_another(row, stored)
    )


@dataclass
class _Pool:
    """Shown rows without a stored one, and stored rows without a shown one; matched in steps."""

    rows: list[Transaction]
    free: list[StoredTransaction]
    pins: dict[Key, StoredTransaction | None] = field(default_factory=dict)
    taken: set[TransactionId] = field(default_factory=set)

    def match(self, content: Callable[[Row], _Content]) -> None:
        """
        Pair rows of one content, one to one.

        A live one of equal balance goes first, then what is live before what is gone, then a
        known currency; among equals the names decide, so that the order of an answer does not.
        What is gone takes no row by its balance alone: a live one would end in its stead.
        """
        waiting: dict[_Content, list[StoredTransaction]] = defaultdict(list)
        for stored in sorted(self.free, key=_preference):
            if stored.id not in self.taken:
                waiting[content(stored)].append(stored)
        if not waiting:
            return
        for has_equal_balance in (True, False):
            for row in sorted(self.rows, key=lambda row: _in_order(row.external_id)):
                if key_of(row) in self.pins:
                    continue
                candidates = waiting[content(row)]
                found = _choose(row, candidates, has_equal_balance=has_equal_balance)
                if found is not None:
                    candidates.remove(found)
                    self.pins[key_of(row)] = found
                    self.taken.add(found.id)


def _choose(
    row: Transaction, candidates: Iterable[StoredTransaction], *, has_equal_balance: bool
) -> StoredTransaction | None:
    fitting = _fitting(row, candidates)
    if has_equal_balance:
        known = row.running_balance
        live = (one for one in fitting if not one.is_removed)
        fitting = (one for one in live if known is not None and one.running_balance == known)
    return min(fitting, key=lambda one: (_rank(one), one.currency is None), default=None)


def _fitting(
    row: Transaction, candidates: Iterable[StoredTransaction]
) -> Iterator[StoredTransaction]:
    for one in candidates:
        if one.currency in (row.currency, None):
            yield one


def _rank(row: StoredTransaction) -> int:
    """What is live goes before what the bank took back, and that before what people dropped."""
    return 2 if row.is_dropped else int(row.is_removed)


def _preference(row: StoredTransaction) -> tuple[int, list[tuple[int, str]], str]:
    return _rank(row), _in_order(row.external_id), row.id


def _in_order(name: str) -> list[tuple[int, str]]:
    """Return what sorts names as people count: 2 before 10."""
    parts = _DIGITS.split(name)
    return [(int(part) if part.isdecimal() else -1, part) for part in parts]
