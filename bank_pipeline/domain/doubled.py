"""One row that an answer holds twice, under two names. Pure."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
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

    Equal rows are two purchases, unless the balance after them proves that one was told twice:
    the balances of that day follow from row to row with one of them, and do not with both. Rows
    that are stored already stay: what was two is never made one in silence.
    """
    groups = _equal_rows(shown, rules)
    if not groups:
        return tuple(shown)
    live = {row.external_id for row in held if not row.is_removed or row.is_dropped}
    known = {row.external_id for row in held}
    days = _rows_by_day(shown)
    left_out: set[str] = set()
    for day, doubles in groups.items():
        spare = [one for group in doubles for one in group[1:]]
        once = Counter(map(_edge, days[day]))
        once.subtract(map(_edge, spare))
        if not _is_trail(once) or not _is_proven(once, day, days, rules):
            continue
        for group in doubles:
            if not _is_trail(once + Counter(map(_edge, group[1:]))):
                left_out |= _spare_names(group, live, known)
    return tuple(row for row in shown if row.external_id not in left_out)


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


def _spare_names(
    group: Sequence[Transaction], live: Collection[str], known: Collection[str]
) -> set[str]:
    """Return the names of a group that are left out: what is stored stays, else one does."""
    stays = {row.external_id for row in group if row.external_id in live}
    names = {row.external_id for row in group}
    return names - (stays or {min(names, key=lambda name: (name not in known, name))})


def _is_proven(
    once: Counter[_Edge],
    day: _Day,
    days: Mapping[_Day, Sequence[Transaction]],
    rules: IdentityRules,
) -> bool:
    """Say whether these balances move with the rows; a single one must join another day's."""
    edges = +once
    if rules.running_balances is RunningBalances.TRUSTED or len(edges) > 1:
        return True
    [(before, after)] = edges
    others = [
        _edge(row)
        for other, rows in days.items()
        if other != day and other[1] == day[1]
        for row in rows
    ]
    return any(before == one[1] or after == one[0] for one in others)


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


def _day(row: Transaction) -> _Day:
    return row.booking_date, row.currency


def _edge(row: Transaction) -> _Edge:
    assert row.running_balance is not None, "asked of rows with a balance only"
    assert row.amount is not None, "asked of rows with an amount only"
    return row.running_balance - row.amount, row.running_balance
