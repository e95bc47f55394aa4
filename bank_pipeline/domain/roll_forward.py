"""
Whether the balance that a bank tells goes with the rows that it shows. Pure.

A booked balance less the booked rows since some day is what the account held before that day:
it cannot change. Whenever it seems to, a row is missing, invented or altered, or the bank told
the rows a moment before the balance. So each check computes this *opening balance* anew, and
compares it with the one known for sure. What holds for `SURE_AFTER`, check after check, is no
moment; until then a difference is open, and if it goes away it was one.

Nothing here ever corrects anything.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.balance import Balance, BalanceKind

SURE_AFTER: Final = timedelta(hours=30)
"""Three checks of a daily sync: two bookings between rows and balance may chance to be equal."""
ROWS_DAYS: Final = 100
"""How far back rows are counted: banks correct, and deliver late, some weeks back at most."""
ROWS_DAYS_MAX: Final = 200
"""When the first day of the rows is moved up, so that a check never reads the whole history."""

_EXACT_TYPES: Final = frozenset(
    {"current", "ledger", "interimbooked", "closingbooked", "itbd", "clbd"}
)
"""Types that count booked rows and nothing else, in lower case."""
_CLOSING_TYPES: Final = frozenset({"closingbooked", "clbd"})
_BY_MARKET: Final = frozenset(
    {AccountType.INVESTMENT, AccountType.PENSION, AccountType.INSURANCE, AccountType.CRYPTO}
)


class DifferenceState(StrEnum):
    """
    Where a difference stands.

    OPEN: seen, and perhaps only a matter of the moment. CONFIRMED: it stayed. RESOLVED: it is
    gone, by itself or because what was missing came.
    """

    OPEN = "open"
    CONFIRMED = "confirmed"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """
    Where the roll-forward of one series stands.

    `opening` is what the account held before `rows_from`, None as long as it is not sure.
    `seen_opening` is what the last check came to, unchanged since `seen_since`. `agreed_*` are
    of the last check that changed something and found all well.
    """

    rows_from: date
    opening: Decimal | None
    seen_opening: Decimal
    seen_since: datetime
    agreed_told: Decimal | None = None
    agreed_day: date | None = None
    agreed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """
    What one check has to compare: a balance and the rows, read just before it.

    `rows_sum` are the booked rows from the checkpoint's `rows_from` to `day`, the last one that
    the balance counts; `later_sum` those of days after it, which some banks count already.
    """

    balance: Decimal
    day: date
    rows_sum: Decimal
    later_sum: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """
    A balance that does not go with its rows, from the outside.

    It arose between `first_day` and `last_day`. `difference` is told less expected: what is
    left of `first_difference`, with which it began.
    """

    expected: Decimal
    told: Decimal
    difference: Decimal
    first_difference: Decimal
    first_day: date
    last_day: date
    from_at: datetime
    to_at: datetime
    opened_at: datetime
    state: DifferenceState
    confirmed_at: datetime | None = None
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What a check comes to: the checkpoint, and the differences in the order they were given.

    A new one is the last. `has_confirmed`: one of them was confirmed by this very check.
    """

    checkpoint: Checkpoint
    differences: tuple[Difference, ...]
    has_confirmed: bool = False


def is_checkable(balance: Balance, account_type: AccountType) -> bool:
    """
    Say whether a balance can be held against rows.

    It must count booked rows and nothing else, and a closing one must say of which day it is.
    What moves with a market does not go by rows.
    """
    word = balance.provider_type.strip().casefold()
    if balance.kind is not BalanceKind.BOOKED or word not in _EXACT_TYPES:
        return False
    if word in _CLOSING_TYPES and balance.as_of_date is None:
        return False
    return account_type not in _BY_MARKET


def day_of(balance: Balance, *, today: date) -> date:
    """Return the last day that a balance counts: its own word, and never a day to come."""
    return today if balance.as_of_date is None else min(balance.as_of_date, today)


def first_rows_day(today: date, *, known_from: date | None) -> date:
    """Return the first day whose rows count; `known_from` is the first that was read whole."""
    day = today - timedelta(days=ROWS_DAYS)
    return day if known_from is None else max(day, known_from)


def begun(told: Told, *, rows_from: date) -> Checkpoint:
    """Return where a series stands after its first check: nothing is sure yet."""
    return Checkpoint(
        rows_from=rows_from,
        opening=None,
        seen_opening=told.balance - told.rows_sum,
        seen_since=told.at,
    )


def moved_up(checkpoint: Checkpoint, *, rows_from: date, rows_sum: Decimal) -> Checkpoint:
    """Return the same standing with later rows; `rows_sum` are those between the two days."""
    opening = checkpoint.opening
    return replace(
        checkpoint,
        rows_from=rows_from,
        opening=None if opening is None else opening + rows_sum,
        seen_opening=checkpoint.seen_opening + rows_sum,
    )


def is_move_due(checkpoint: Checkpoint, *, today: date) -> bool:
    """Say whether the first day of the rows lies so far back that it is moved up."""
    return today - checkpoint.rows_from > timedelta(days=ROWS_DAYS_MAX)


def check(checkpoint: Checkpoint, told: Told, differences: tuple[Difference, ...] = ()) -> Outcome:
    """
    Hold a balance against its rows; `differences` are the unresolved ones, oldest first.

    Checking the same again changes nothing until `SURE_AFTER` has passed.
    """
    implied = _implied(checkpoint, told)
    seen = checkpoint
    if implied != checkpoint.seen_opening:
        seen = replace(checkpoint, seen_opening=implied, seen_since=told.at)
    is_sure = told.at - seen.seen_since >= SURE_AFTER
    if seen.opening is None:
        # With rows of days to come nobody can say yet whether the balance counts them.
        if not is_sure or told.later_sum != 0:
            return Outcome(seen, differences)
        seen = replace(seen, opening=implied)
    if implied == seen.opening:
        return Outcome(_agreed(seen, told), _without_open(differences, told.at))
    return _differing(seen, told, differences, is_sure=is_sure)


def _implied(checkpoint: Checkpoint, told: Told) -> Decimal:
    """
    Return the opening balance that this check comes to.

    A row of a day to come is not in the balance yet. At some banks it is, and then the sum
    with it is the one that agrees.
    """
    implied = told.balance - told.rows_sum
    known = checkpoint.seen_opening if checkpoint.opening is None else checkpoint.opening
    return known if implied != known and implied - told.later_sum == known else implied


def _agreed(checkpoint: Checkpoint, told: Told) -> Checkpoint:
    if checkpoint.agreed_told == told.balance and checkpoint.agreed_day is not None:
        return checkpoint  # a quiet day writes nothing; the day it arose is looked for since then
    return replace(checkpoint, agreed_told=told.balance, agreed_day=told.day, agreed_at=told.at)


def _without_open(differences: tuple[Difference, ...], at: datetime) -> tuple[Difference, ...]:
    return tuple(
        _resolved(one, at) if one.state is DifferenceState.OPEN else one for one in differences
    )


def _differing(
    seen: Checkpoint, told: Told, differences: tuple[Difference, ...], *, is_sure: bool
) -> Outcome:
    """Note, or confirm, that a balance is by so much more than its rows come to."""
    assert seen.opening is not None, "nothing differs from what is not known"
    amount = seen.seen_opening - seen.opening
    healed = _healed(differences, amount, told, is_sure=is_sure)
    if healed is not None:
        settled = replace(seen, opening=seen.seen_opening)
        return Outcome(_agreed(settled, told), healed)
    current = _noted(seen, told, differences, amount)
    others = tuple(one for one in differences if one.state is not DifferenceState.OPEN)
    if not is_sure:
        return Outcome(seen, (*others, current))
    confirmed = replace(current, state=DifferenceState.CONFIRMED, confirmed_at=told.at)
    settled = replace(seen, opening=seen.seen_opening)
    return Outcome(_agreed(settled, told), (*others, confirmed), has_confirmed=True)


def _noted(
    seen: Checkpoint, told: Told, differences: tuple[Difference, ...], amount: Decimal
) -> Difference:
    """Return the open difference as it is now; one at a time is open."""
    was_open = next((one for one in differences if one.state is DifferenceState.OPEN), None)
    if was_open is not None and was_open.difference == amount:
        return was_open
    return Difference(
        expected=told.balance - amount,
        told=told.balance,
        difference=amount,
        first_difference=amount,
        first_day=min(seen.agreed_day or told.day, told.day),
        last_day=told.day,
        from_at=seen.agreed_at or told.at,
        to_at=told.at,
        opened_at=told.at if was_open is None else was_open.opened_at,
        state=DifferenceState.OPEN,
    )


def _healed(
    differences: tuple[Difference, ...], amount: Decimal, told: Told, *, is_sure: bool
) -> tuple[Difference, ...] | None:
    """
    Return the differences after what was missing came, or a part of it; None if none came.

    The whole of a difference, or of all of them, is known by its amount at once; a part must
    have stayed.
    """
    known = [one for one in differences if one.state is DifferenceState.CONFIRMED]
    if known and sum((one.difference for one in known), amount) == 0:
        ended = (
            replace(one, difference=Decimal(0), told=told.balance, to_at=told.at)
            if one.state is DifferenceState.CONFIRMED
            else one
            for one in differences
        )
        return tuple(_resolved(one, told.at) for one in ended)
    for index, one in enumerate(differences):
        if one.state is not DifferenceState.CONFIRMED:
            continue
        left = one.difference + amount
        is_part = is_sure and abs(left) < abs(one.difference) and left * one.difference > 0
        if left != 0 and not is_part:
            continue
        smaller = replace(one, difference=left, told=told.balance, to_at=told.at)
        if left == 0:
            smaller = _resolved(one, told.at)
        changed = (*differences[:index], smaller, *differences[index + 1 :])
        return _without_open(changed, told.at)
    return None


def _resolved(one: Difference, at: datetime) -> Difference:
    return replace(one, state=DifferenceState.RESOLVED, resolved_at=at)
