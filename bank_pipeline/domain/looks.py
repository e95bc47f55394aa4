"""
What complete and partial looks at accounts, each for some dates, mean for the rows we hold.

Pure. The one rule for every provider that is asked for dates: what an answer shows is matched
with what is stored, what it should hold and does not has ended, and what cannot be decided is
kept and marked.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.changes import ChangePlan, missing_keys, plan_changes
from bank_pipeline.domain.days import day_after, day_before
from bank_pipeline.domain.doubled import told_once
from bank_pipeline.domain.identity_rules import DOUBTED, IdentityRules, RunningBalances
from bank_pipeline.domain.ids import TransactionId
from bank_pipeline.domain.matching import Pins, match_rows, strict_content
from bank_pipeline.domain.moving import find_moved
from bank_pipeline.domain.payments import match_payments
from bank_pipeline.domain.stored import BOOKING_DELAY_MAX, Key, StoredTransaction, day_of, key_of
from bank_pipeline.domain.transaction import Transaction, TransactionDelta, TransactionStatus
from bank_pipeline.domain.window import DateWindow, believed_window


@dataclass(frozen=True)
class Look:
    """
    What one answer showed of one account.

    `covered` are the dates of which it holds every row, None when it broke off;
    `covered_before` those of which complete answers held every row earlier. `unread` are ids of
    rows that were shown but could not be read, None among them for one without a readable id.
    `sure_from` is since when a bank that may cut what is too old, without a word, is believed;
    None where no bank does. `moved_by`: the account goes by other ids since its last whole look,
    so its rows do, too, and their dates may differ by so much; None where it did not move.
    """

    account: str
    rows: tuple[Transaction, ...]
    covered: DateWindow | None
    covered_before: tuple[DateWindow, ...] = ()
    unread: frozenset[str | None] = frozenset()
    sure_from: date | None = None
    moved_by: timedelta | None = None
    account_type: AccountType | None = None
    rules: IdentityRules = DOUBTED

    @property
    def days(self) -> DateWindow | None:
        """Return the days of the answer, with those of rows that came along."""
        days = [day_of(row) for row in self.rows]
        known = [day for day in days if day is not None]
        if self.covered is not None:
            known += [self.covered.first, self.covered.last]
        slack = self.moved_by or timedelta(0)
        if not known:
            return None
        return DateWindow(first=day_before(min(known), slack), last=day_after(max(known), slack))

    @property
    def judged(self) -> DateWindow | None:
        """Return the days whose rows the answer denies: not an edge where dates may differ."""
        if self.covered is None or not self.moved_by:
            return self.covered
        first = min(self.covered.first + self.moved_by, self.covered.last)
        return DateWindow(first=first, last=self.covered.last)


def believed(look: Look, stored: Iterable[StoredTransaction]) -> Look:
    """Take back what a look claims of days of which the bank may have told nothing."""
    if look.covered is None or look.sure_from is None:
        return look
    account = (row for row in stored if row.account_external_id == look.account)
    held = [row for row in account if not row.is_removed]
    shown, names = {row.external_id for row in look.rows}, {row.external_id for row in held}
    missed = _count_booked(row for row in held if row.external_id not in shown)
    missed -= _count_booked(row for row in look.rows if row.external_id not in names)
    covered = believed_window(
        look.covered,
        sure_from=look.sure_from,
        shown=[row.booking_date for row in look.rows if row.booking_date is not None],
        missed=[day for day, _ in missed],
        known_from=look.covered_before[0].first if look.covered_before else look.covered.first,
    )
    return replace(look, covered=covered)


def _count_booked(
    rows: Iterable[Transaction | StoredTransaction],
) -> Counter[tuple[date, Decimal | None]]:
    """Count by day and amount, which a row keeps that goes on in other words, or by another id."""
    return Counter((row.booking_date, row.amount) for row in rows if row.booking_date is not None)


@dataclass
class _Gathered:
    """What several looks come to."""

    upserts: list[Transaction] = field(default_factory=list)
    removed: set[Key] = field(default_factory=set)
    unshown: set[Key] = field(default_factory=set)
    pins: dict[Key, StoredTransaction | None] = field(default_factory=dict)
    shown: dict[str, tuple[Transaction, ...]] = field(default_factory=dict)


def keys_of_looks(looks: Iterable[Look]) -> set[Key]:
    """Return every name under which a stored row could be meant by these looks."""
    return {key_of(row) for look in looks for row in look.rows}


def plan_looks(stored: Iterable[StoredTransaction], looks: Sequence[Look]) -> ChangePlan:
    """
    Decide what looks, one per account, change in `stored`.

    `stored` holds at least the rows of `keys_of_looks` and those of each look's days, removed
    ones too, and pending ones of `BOOKING_DELAY_MAX` before them. Applying the plan and
    planning the same looks again gives an empty plan, whatever the order of their rows.
    """
    held = defaultdict[str, list[StoredTransaction]](list)
    for row in stored:
        held[row.account_external_id].append(row)
    gathered = _Gathered()
    for look in looks:
        _gather(look, held[look.account], gathered)
    relevant = [row for look in looks for row in held[look.account]]
    delta = TransactionDelta(upserts=tuple(gathered.upserts), removed=frozenset(gathered.removed))
    plan = plan_changes(relevant, delta, pins=gathered.pins, unshown=gathered.unshown)
    changed = {update.id for update in plan.updates} | {*plan.removals, *plan.vanished}
    overdue = [
        row.id
        for look in looks
        for row in _overdue(look, held[look.account])
        if row.id not in changed
    ]
    suspects = _find_suspects(plan, looks, gathered, relevant)
    return replace(plan, overdue=tuple(overdue), suspects=suspects)


def _gather(look: Look, held: Sequence[StoredTransaction], gathered: _Gathered) -> None:
    # A row that could not be read may be the refund between two equal purchases.
    rows = look.rows if look.unread else told_once(look.rows, held, look.rules)
    moved: Pins = {}
    if look.moved_by is not None:
        moved = find_moved(held, rows, slack=look.moved_by)
    found = {row.id for row in moved.values() if row is not None}
    readable = [row for row in held if row.external_id not in look.unread and row.id not in found]
    unmoved = [row for row in rows if key_of(row) not in moved]
    matched = match_rows(unmoved, readable, look.rules, judged=look.judged)
    shown = (*matched.shown, *(row for row in rows if key_of(row) in moved))
    pins = {**matched.pins, **moved}
    if look.covered is None:
        waiting = _find_waiting(shown, held, pins)
        shown = tuple(row for row in shown if key_of(row) not in waiting)
        pins = {key: row for key, row in pins.items() if key not in waiting}
    gathered.shown[look.account] = shown
    gathered.upserts += shown
    gathered.pins |= pins
    if look.judged is not None:
        # A row without a readable id may be any of those missing: they go on, or stay.
        missing = gathered.unshown if None in look.unread else gathered.removed
        missing |= missing_keys(
            held,
            shown,
            account=look.account,
            covered=look.judged,
            unread=look.unread - {None},
            pins=pins,
        )


def _find_waiting(
    shown: Sequence[Transaction], held: Sequence[StoredTransaction], pins: Pins
) -> Collection[Key]:
    """
    Return what may be a pending row of ours under another id, of an answer that broke off.

    Only a whole answer tells whether that row is still there, too: until then it counts once.
    """
    known: dict[Key, StoredTransaction | None] = {row.key: row for row in held}
    known.update(pins)
    told = {key_of(row): known.get(key_of(row)) for row in shown}
    fresh = [row for row in shown if told[key_of(row)] is None]
    seen = {row.id for row in told.values() if row is not None}
    pending = [
        row
        for row in held
        if row.status is TransactionStatus.PENDING and not row.is_removed and row.id not in seen
    ]
    return match_payments(fresh, pending).keys()


def _overdue(look: Look, held: Iterable[StoredTransaction]) -> list[StoredTransaction]:
    """
    Return pending rows that no answer will ever end, and that have not been shown for so long.

    Whoever asks goes back to the oldest pending row. Where an answer begins later all the same,
    the bank gives no more. And one that holds a row without a readable id ends none, though it
    reaches their date: at some banks each answer does.
    """
    if look.covered is None:
        return []
    longest = timedelta(days=look.rules.pending_days_max(look.account_type))
    names = {row.external_id for row in look.rows} | look.unread
    is_unsure = None in look.unread
    return [
        row
        for row in held
        if row.status is TransactionStatus.PENDING
        and not row.is_removed
        and row.external_id not in names
        and row.transaction_date is not None
        and (is_unsure or row.transaction_date < look.covered.first)
        and row.transaction_date < look.covered.last - longest
    ]


def _find_suspects(
    plan: ChangePlan,
    looks: Sequence[Look],
    gathered: _Gathered,
    stored: Iterable[StoredTransaction],
) -> dict[Key, TransactionId]:
    """
    Return the new rows that may be others, told a second time under another id.

    Equal purchases that are shown together are two. But one that comes later, for a day that
    was over and had been read whole, while its equal is still there, leaves a doubt.
    """
    covered = {look.account: look.covered_before for look in looks}
    late = [
        row
        for row in plan.inserts
        if row.status is TransactionStatus.BOOKED
        and row.pending_external_id is None
        and _was_read(row.booking_date, covered[row.account_external_id])
    ]
    if not late:
        return {}
    rules = {look.account: look.rules for look in looks}
    twins = _find_shown_again(plan, gathered, stored)
    suspects: dict[Key, TransactionId] = {}
    for row in late:
        alike = [
            id_
            for id_, balance in twins[_twin_content(row)]
            if not _are_two(row.running_balance, balance, rules[row.account_external_id])
        ]
        if alike:
            suspects[key_of(row)] = min(alike)
    return suspects


def _find_shown_again(
    plan: ChangePlan, gathered: _Gathered, stored: Iterable[StoredTransaction]
) -> defaultdict[tuple[object, ...], list[tuple[TransactionId, Decimal | None]]]:
    """Return the booked rows that we held and that are shown still, by content."""
    by_key = {row.key: row for row in stored}
    by_id = {row.id: row for row in by_key.values()}
    updated = {key_of(update.transaction): by_id[update.id] for update in plan.updates}
    inserted = {key_of(row) for row in plan.inserts}
    found = defaultdict[tuple[object, ...], list[tuple[TransactionId, Decimal | None]]](list)
    for row in (row for rows in gathered.shown.values() for row in rows):
        key = key_of(row)
        held = updated.get(key) or gathered.pins.get(key) or by_key.get(key)
        if held is None or held.is_dropped or key in inserted:
            continue
        if row.status is TransactionStatus.BOOKED:
            found[_twin_content(row)].append((held.id, row.running_balance))
    return found


def _twin_content(row: Transaction) -> tuple[object, ...]:
    return row.account_external_id, row.currency, *strict_content(row)


def _was_read(day: date | None, covered: Iterable[DateWindow]) -> bool:
    """Say whether a day was over when it was covered: the last one of a range still went on."""
    return day is not None and any(one.first <= day < one.last for one in covered)


def _are_two(one: Decimal | None, other: Decimal | None, rules: IdentityRules) -> bool:
    """Say whether the balances after two equal rows show that they are two."""
    if rules.running_balances is RunningBalances.IGNORED or one is None or other is None:
        return False
    return one != other


def pending_since(days: DateWindow) -> date:
    """Return since when pending rows may become booked rows of these days."""
    return day_before(days.first, BOOKING_DELAY_MAX)
