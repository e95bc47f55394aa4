"""Hold the balances of one sync against the rows of the same sync; change neither."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.balance import Balance
from bank_pipeline.domain.balance_choice import BalanceRule
from bank_pipeline.domain.connection import HistoryStage
from bank_pipeline.domain.ids import AccountId
from bank_pipeline.domain.roll_forward import (
    Checkpoint,
    Difference,
    DifferenceState,
    Told,
    begun,
    check,
    day_of,
    first_rows_day,
    is_checkable,
    is_move_due,
    moved_up,
)
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.storage.accounts import HeldAccount
from bank_pipeline.storage.balance_checks import (
    RowsAsked,
    RowsSummed,
    Series,
    StoredDifference,
    load_checkpoints,
    load_row_sums,
    load_unresolved,
    save_checkpoint,
    save_differences,
)
from bank_pipeline.storage.balances import code_of
from bank_pipeline.sync.fetch import Fetched

_DAY: Final = timedelta(days=1)
_OFTEN_WITHOUT_ROWS: Final = frozenset({AccountType.LOAN, AccountType.MORTGAGE})
"""Many banks tell what is owed on these, and no row of how it came to be."""


@dataclass(frozen=True)
class BalanceChecks:
    """
    What the checks of one sync came to.

    `differences_count` are the connection's confirmed differences that stand; `has_confirmed`:
    this sync confirmed one.
    """

    differences_count: int
    has_confirmed: bool


def needs_deep_pass(checks: BalanceChecks) -> bool:
    """
    Say whether the connection's history is to be read deeper, once.

    Each difference is confirmed once, so each asks for one deeper pass: a row that came late
    would be found by it.
    """
    return checks.has_confirmed


def check_balances(
    db: sa.Connection,
    held: Mapping[str, HeldAccount],
    fetched: Fetched,
    *,
    rules: Mapping[AccountId, BalanceRule],
    covered: Mapping[AccountId, Collection[DateWindow]],
    now: datetime,
) -> BalanceChecks:
    """
    Check every series that this sync told, of accounts whose rows it read whole.

    The rows are written already, in the same database transaction. An account whose rows or
    balances did not come is not checked: nothing is concluded from silence. `held` are the
    connection's accounts, `rules` what people decided of them, `covered` the dates of theirs
    that were read.
    """
    unresolved = load_unresolved(db, [one.id for one in held.values()])
    checks = _Checks(db, _checkable(held, fetched), unresolved, rules, now)
    has_confirmed = checks.run(covered if fetched.windows is not None else {})
    count = sum(one.state is DifferenceState.CONFIRMED for one in checks.differences())
    return BalanceChecks(count, has_confirmed)


def _checkable(
    held: Mapping[str, HeldAccount], fetched: Fetched
) -> dict[Series, tuple[Balance, AccountType]]:
    readable = _read_whole(fetched)
    found: dict[Series, tuple[Balance, AccountType]] = {}
    for balance in fetched.accounts.balances:
        name = balance.account_external_id
        account = held.get(name)
        if account is None or (readable is not None and name not in readable):
            continue
        if is_checkable(balance, account.type):
            found[account.id, balance.provider_type, code_of(balance)] = (balance, account.type)
    return found


def _read_whole(fetched: Fetched) -> frozenset[str] | None:
    """Return the accounts whose rows came whole in this sync; None: those of all accounts."""
    if fetched.windows is not None:
        return frozenset(
            answer.account_external_id
            for answer in fetched.windows
            if answer.covered is not None and answer.trouble is None
        )
    changes = fetched.changes
    is_whole = changes is not None and changes.stage is HistoryStage.COMPLETE
    return None if is_whole else frozenset()


class _Checks:
    """The checks of one sync."""

    def __init__(
        self,
        db: sa.Connection,
        checkable: Mapping[Series, tuple[Balance, AccountType]],
        unresolved: Mapping[Series, Sequence[StoredDifference]],
        rules: Mapping[AccountId, BalanceRule],
        now: datetime,
    ) -> None:
        self._db = db
        self._checkable = checkable
        self._unresolved = unresolved
        self._rules = rules
        self._now = now
        self._today = now.date()
        self._after: dict[Series, tuple[Difference, ...]] = {
            series: tuple(one.difference for one in stored) for series, stored in unresolved.items()
        }

    def differences(self) -> Iterator[Difference]:
        """Return every difference of the connection, as the checks left it."""
        return chain.from_iterable(self._after.values())

    def run(self, covered: Mapping[AccountId, Collection[DateWindow]]) -> bool:
        """Check them all, and say whether a difference was confirmed."""
        if not self._checkable:
            return False
        db = self._db
        account_ids = {series[0] for series in self._checkable}
        known = load_checkpoints(db, account_ids)
        points = self._moved_up({one: known[one] for one in self._checkable if one in known})
        first_days = self._first_days(account_ids, covered)
        asked = [
            RowsAsked(
                series,
                points[series].rows_from if series in points else first_days[series[0]],
                day_of(balance, today=self._today),
            )
            for series, (balance, _) in self._checkable.items()
        ]
        sums = load_row_sums(db, asked)
        has_confirmed = False
        for one in asked:
            balance, account_type = self._checkable[one.series]
            summed = sums[one.series]
            if not _can_judge(summed, account_type):
                continue
            told = self._told(balance, self._rules.get(one.series[0]), one, summed)
            point = points.get(one.series)
            if point is None:
                save_checkpoint(db, one.series, begun(told, rows_from=one.first))
                continue
            before = self._unresolved.get(one.series, ())
            outcome = check(point, told, tuple(stored.difference for stored in before))
            self._after[one.series] = outcome.differences
            has_confirmed = has_confirmed or outcome.has_confirmed
            if outcome.checkpoint != known[one.series]:
                save_checkpoint(db, one.series, outcome.checkpoint)
            save_differences(
                db,
                one.series,
                currency=balance.currency,
                unofficial_currency=balance.unofficial_currency,
                before=before,
                after=outcome.differences,
            )
        return has_confirmed

    def _told(
        self, balance: Balance, rule: BalanceRule | None, asked: RowsAsked, summed: RowsSummed
    ) -> Told:
        is_flipped = rule is not None and rule.is_sign_flipped
        return Told(
            balance=-balance.amount if is_flipped else balance.amount,
            day=asked.last,
            rows_sum=summed.rows_sum,
            later_sum=summed.later_sum,
            at=self._now,
        )

    def _moved_up(self, points: Mapping[Series, Checkpoint]) -> dict[Series, Checkpoint]:
        """Let the rows of old checkpoints begin later, so that no check reads a whole history."""
        first = first_rows_day(self._today, known_from=None)
        due = [s for s, point in points.items() if is_move_due(point, today=self._today)]
        asked = [RowsAsked(series, points[series].rows_from, first - _DAY) for series in due]
        sums = load_row_sums(self._db, asked)
        return {
            **points,
            **{
                series: moved_up(points[series], rows_from=first, rows_sum=summed.rows_sum)
                for series, summed in sums.items()
                if summed.is_known
            },
        }

    def _first_days(
        self,
        account_ids: set[AccountId],
        covered: Mapping[AccountId, Collection[DateWindow]],
    ) -> dict[AccountId, date]:
        """Return from which day on the rows of accounts are known, as far as that matters."""
        known_from = {
            account_id: max(window.first for window in windows)
            for account_id, windows in covered.items()
            if windows
        }
        return {
            one: first_rows_day(self._today, known_from=known_from.get(one)) for one in account_ids
        }


def _can_judge(summed: RowsSummed, account_type: AccountType) -> bool:
    return summed.is_known and (summed.has_rows or account_type not in _OFTEN_WITHOUT_ROWS)
