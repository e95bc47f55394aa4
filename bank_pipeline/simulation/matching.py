"""Pair the rows that a bank shows with those that the tables hold. Pure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal


@dataclass(frozen=True)
class ShownRow:
    """
    A row as the bank shows it now.

    `external_id` is None where the provider gives none that can be trusted; `currency` None
    where it names none.
    """

    entry_id: str
    external_id: str | None
    amount: Decimal
    currency: str | None
    is_pending: bool
    day: date
    description: str


@dataclass(frozen=True)
class HeldRow:
    """A live row of the tables; `account` is the provider's id of its account."""

    id: str
    account: str
    external_id: str
    amount: Decimal | None
    currency: str | None
    is_pending: bool
    day: date | None
    description: str


@dataclass(frozen=True)
class Pair:
    """One row in both. `is_sure`: no other row could be meant, as where two are equal."""

    shown: ShownRow
    held: HeldRow
    is_sure: bool


@dataclass
class Matching:
    """
    What came of it. `doubles` are held rows whose entry another row holds already.
    """

    pairs: list[Pair] = field(default_factory=list)
    missing: list[ShownRow] = field(default_factory=list)
    doubles: list[HeldRow] = field(default_factory=list)
    invented: list[HeldRow] = field(default_factory=list)


Key = Callable[[ShownRow | HeldRow], Hashable]


def match_rows(
    shown: Sequence[ShownRow], held: Sequence[HeldRow], names: Mapping[str, str]
) -> Matching:
    """
    Pair rows: by the provider's ids where it has any, else by content, at last by likeness.

    `names` tells which entry each id of the provider ever stood for, so that a row under an
    older id is still known.
    """
    result = Matching()
    open_rows = {row.entry_id: row for row in shown}
    rest: list[HeldRow] = []
    current = {row.external_id for row in shown if row.external_id is not None}
    twins = Counter(_likeness(row) for row in shown)
    for row in sorted(held, key=lambda one: (one.external_id not in current, one.id)):
        entry_id = names.get(row.external_id)
        if entry_id in open_rows:
            one = open_rows.pop(entry_id)
            result.pairs.append(Pair(one, row, is_sure=twins[_likeness(one)] == 1))
        elif entry_id is not None and any(one.entry_id == entry_id for one in shown):
            result.doubles.append(row)
        else:
            rest.append(row)
    waiting = list(open_rows.values())
    for key in (_whole, _without_currency, _without_text, _without_day, _without_amount):
        waiting, rest = _pair_by(key, waiting, rest, result, twins if key is _whole else None)
    result.missing = waiting
    contents = {_likeness(row) for row in shown}
    for row in rest:
        (result.doubles if _likeness(row) in contents else result.invented).append(row)
    return result


def _pair_by(
    key: Key,
    shown: Iterable[ShownRow],
    held: Iterable[HeldRow],
    result: Matching,
    twins: Counter[Hashable] | None,
) -> tuple[list[ShownRow], list[HeldRow]]:
    ours: dict[Hashable, list[HeldRow]] = defaultdict(list)
    for row in held:
        ours[key(row)].append(row)
    theirs: dict[Hashable, list[ShownRow]] = defaultdict(list)
    for one in shown:
        theirs[key(one)].append(one)
    left: list[ShownRow] = []
    for content, group in theirs.items():
        taken = ours.get(content, [])
        is_alone = len(group) == 1 and len(taken) == 1
        is_sure = is_alone and twins is not None and twins[_likeness(group[0])] == 1
        for one in group:
            if taken:
                result.pairs.append(Pair(one, taken.pop(0), is_sure=is_sure))
            else:
                left.append(one)
    return left, [row for group in ours.values() for row in group]


def _whole(row: ShownRow | HeldRow) -> Hashable:
    return row.is_pending, row.amount, row.currency, row.day, row.description


def _without_currency(row: ShownRow | HeldRow) -> Hashable:
    return row.is_pending, row.amount, row.day, row.description


def _without_text(row: ShownRow | HeldRow) -> Hashable:
    return row.is_pending, row.amount, row.day


def _without_day(row: ShownRow | HeldRow) -> Hashable:
    return row.amount, row.description


def _without_amount(row: ShownRow | HeldRow) -> Hashable:
    return row.day, row.description


def _likeness(row: ShownRow | HeldRow) -> Hashable:
    return row.amount, row.day, row.description
