"""One row that an answer holds twice, under two names. Pure."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from bank_pipeline.domain.identity_rules import IdentityRules, RunningBalances
from bank_pipeline.domain.stored import StoredTransaction, plain_text
from bank_pipeline.domain.transaction import Transaction, TransactionStatus

_Edge = tuple[Decimal, Decimal]
"""The balance before a row, and after it."""
_Day = tuple[date | None, str | None]
_TRAIL_ENDS: Final = 2


def told_once(
    shown: Sequence[Transaction], held: Iterable[StoredTransaction], rules: IdentityRules
) -> tuple[Transaction, ...]:
    """
    Leave out what an answer of one account holds a second time.

    Equal rows are two purchases, unless the balances prove that one was told twice: those of
    that day, and of it together with the days beside it, follow from row to row with one of
    them, and do not with both. A refund between the two may be booked on a day beside theirs;
    where a row states no balance, nothing is proven. Rows that are stored already stay: what was
    two is never made one in silence.
    """
    groups = _equal_rows(shown, rules)
    if not groups:
        return tuple(shown)
    live = {row.external_id for row in held if not row.is_removed or row.is_dropped}
    known = {row.external_id for row in held}
    days = _rows_by_day(shown)
    untold = {row.booking_date for row in shown if _hides_balance(row)}
    left_out: set[str] = set()
    for day, doubles in groups.items():
        near = _with_days_beside(day, days)
        if not untold.isdisjoint(date_ for date_, _ in near):
            continue
        alone, around = _balances([day], days, groups), _balances(near, days, groups)
        if not _is_proven(alone.once, day, days, rules):
            continue
        for group in doubles:
            edge = _edge(group[0])
            if alone.deny_again(edge) and around.deny_again(edge):
                left_out |= _spare_names(group, live, known)
    return tuple(row for row in shown if row.external_id not in left_out)


@dataclass(frozen=True, slots=True)
class _Balances:
    """What the balances of some days do: with all rows `told`, and with equal ones `once`."""

    told: Counter[_Edge]
    once: Counter[_Edge]

    def deny_again(self, edge: _Edge) -> bool:
        """Say whether they follow from row to row, but not with an equal of this row."""
        again = self.once + Counter([edge])
        return _is_trail(self.once) and not _is_trail(again) and not _is_trail(self.told)


def _equal_rows(
    shown: Sequence[Transaction], rules: IdentityRules
) -> Mapping[_Day, list[list[Transaction]]]:
    """Return the groups of rows that equal each other, their balance included, by day."""
    found: dict[_Day, list[list[Transaction]]] = defaultdict(list)
    if rules.running_balances is RunningBalances.IGNORED:
        return found
    alike: dict[tuple[object, ...], list[Transaction]] = defaultdict(list)
    for row in shown:
        if _has_balance(row) and row.amount:
            alike[_day(row), row.amount, row.running_balance].append(row)
    for rows in alike.values():
        if len(rows) == 1:
            continue
        by_text: dict[str, list[Transaction]] = defaultdict(list)
        for row in rows:
            by_text[plain_text(row.description)].append(row)
        for group in by_text.values():
            if len(group) > 1:
                found[_day(group[0])].append(group)
    return found


def _rows_by_day(shown: Iterable[Transaction]) -> Mapping[_Day, list[Transaction]]:
    days: dict[_Day, list[Transaction]] = defaultdict(list)
    for row in shown:
        if _has_balance(row):
            days[_day(row)].append(row)
    return days


def _with_days_beside(day: _Day, days: Collection[_Day]) -> list[_Day]:
    """Return a day and those before and after it that have rows of its currency."""
    if day[0] is None:
        return [day]
    dates = sorted(one for one, currency in days if currency == day[1] and one is not None)
    place = dates.index(day[0])
    return [(one, day[1]) for one in dates[max(place - 1, 0) : place + 2]]


def _balances(
    some: Iterable[_Day],
    days: Mapping[_Day, Sequence[Transaction]],
    groups: Mapping[_Day, Sequence[Sequence[Transaction]]],
) -> _Balances:
    told: Counter[_Edge] = Counter()
    spare: Counter[_Edge] = Counter()
    for day in some:
        told.update(map(_edge, days[day]))
        for group in groups.get(day, ()):
            spare.update(map(_edge, group[1:]))
    return _Balances(told, told - spare)


def _spare_names(
    group: Sequence[Transaction], live: Collection[str], known: Collection[str]
) -> set[str]:
    """Return the names of a group that are left out: what is stored stays, else one does."""
    stays = {row.external_id for row in group if row.external_id in live}
    names = {row.external_id for row in group}
    return names - (stays or {min(names, key=lambda name: (name not in known, name))})


def _is_proven(
    once: Iterable[_Edge],
    day: _Day,
    days: Mapping[_Day, Sequence[Transaction]],
    rules: IdentityRules,
) -> bool:
    """
    Say whether these balances move with the rows, and are not those of the evening.

    A single one must begin where the day before ended. Where none did, it must join another day,
    and the bank be seen to state more than one balance on a day: that of an evening joins, too.
    """
    moves = {(before, after) for before, after in once if before != after}
    if rules.running_balances is RunningBalances.TRUSTED or len(moves) > 1:
        return True
    [(before, after)] = moves
    others = {other: rows for other, rows in days.items() if other != day and other[1] == day[1]}
    if any(row.running_balance == before for row in _day_before(day, others)):
        return True
    edges = [_edge(row) for rows in others.values() for row in rows]
    is_joined = any(before == one[1] or after == one[0] for one in edges)
    return is_joined and any(_has_several_balances(rows) for rows in days.values())


def _day_before(day: _Day, others: Mapping[_Day, Sequence[Transaction]]) -> Sequence[Transaction]:
    """Return the rows of the last day before a day, none before a day that nobody knows."""
    if day[0] is None:
        return ()
    earlier = [one for one, _ in others if one is not None and one < day[0]]
    return others[max(earlier), day[1]] if earlier else ()


def _has_several_balances(rows: Iterable[Transaction]) -> bool:
    return len({row.running_balance for row in rows}) > 1


def _is_trail(edges: Mapping[_Edge, int]) -> bool:
    """Say whether rows can be put in an order in which each begins where another ended."""
    surplus: Counter[Decimal] = Counter()
    for (before, after), count in edges.items():
        surplus[before] += count
        surplus[after] -= count
    return sum(map(abs, surplus.values())) <= _TRAIL_ENDS


def _has_balance(row: Transaction) -> bool:
    return (
        row.status is TransactionStatus.BOOKED
        and row.running_balance is not None
        and row.amount is not None
    )


def _hides_balance(row: Transaction) -> bool:
    """Say whether a row moved the balance and does not say to what."""
    is_booked = row.status is TransactionStatus.BOOKED
    return is_booked and row.amount != 0 and not _has_balance(row)


def _day(row: Transaction) -> _Day:
    return row.booking_date, row.currency


def _edge(row: Transaction) -> _Edge:
    assert row.running_balance is not None, "asked of rows with a balance only"
    assert row.amount is not None, "asked of rows with an amount only"
    return row.running_balance - row.amount, row.running_balance
