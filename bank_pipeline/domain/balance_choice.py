"""
Which of the balances that a bank tells counts as booked, as available, as the credit limit.

Pure: no clock, no network, no database. What the bank said stays stored as it was said; here
it is only chosen. A provider's transform says of each balance what kind it is and how much it
is worth beside others of its kind; the rules here say what holds for a kind of account, and a
person may know better for one account.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from typing import Final

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.money import normalise_amount

SELECTABLE: Final = (BalanceKind.BOOKED, BalanceKind.AVAILABLE, BalanceKind.CREDIT_LIMIT)


@dataclass(frozen=True, slots=True)
class BalanceRule:
    """
    What to choose and how to read it; None leaves a question to the next rule, or to the bank.

    `booked_type` and `available_type` are the provider's words. `is_sign_flipped`: what is told
    as booked counts the other way round. `is_limit_included`: what is told as available holds
    the credit limit.
    """

    booked_type: str | None = None
    available_type: str | None = None
    is_sign_flipped: bool | None = None
    is_limit_included: bool | None = None

    @property
    def is_empty(self) -> bool:
        """Say whether it answers no question."""
        return self == BalanceRule()

    def over(self, other: "BalanceRule") -> "BalanceRule":
        """Return this rule, with the answers of another where this one has none."""
        mine = {one.name: getattr(self, one.name) for one in fields(self)}
        return BalanceRule(
            **{name: getattr(other, name) if own is None else own for name, own in mine.items()}
        )


@dataclass(frozen=True, slots=True)
class RuleScope:
    """The accounts that a rule is about; None and empty mean all. Banks by their whole id."""

    provider: Provider | None = None
    types: frozenset[AccountType] = frozenset()
    institutions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What a choice depends on. `currency` is the account's own code, official or not."""

    provider: Provider
    type: AccountType
    institution_external_id: str | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class ToldBalance:
    """The newest word of one series. `is_shown`: the last whole answer had it."""

    id: int
    kind: BalanceKind
    provider_type: str
    amount: Decimal
    currency: str | None
    unofficial_currency: str | None
    is_credit_limit_included: bool | None
    preference: int
    is_shown: bool
    observed_at: datetime

    @property
    def code(self) -> str | None:
        """Return its currency's code, official or not."""
        return self.currency or self.unofficial_currency


@dataclass(frozen=True, slots=True)
class ChosenBalance:
    """
    What counts as one kind. `balance_id` is the told balance it comes from.

    `is_derived`: it was computed from others, for want of the bank's own word. `reason` says
    why this one, for people. `currency`: its code, official or not, which may be another than the
    account's; `balance_id` tells it, so that it is equal to any.
    """

    kind: BalanceKind
    balance_id: int
    amount: Decimal
    reason: str
    is_derived: bool = False
    is_credit_limit_included: bool | None = None
    currency: str | None = field(default=None, compare=False)


ON_CREDIT: Final = frozenset({AccountType.CREDIT_CARD, AccountType.LINE_OF_CREDIT})
_DEPOSITS: Final = frozenset(
    {
        AccountType.CHECKING,
        AccountType.SAVINGS,
        AccountType.CASH_MANAGEMENT,
        AccountType.PREPAID,
    }
)

RULES: Final[tuple[tuple[RuleScope, BalanceRule], ...]] = (
    # What can be spent on credit is the rest of the limit, whoever tells it.
    (RuleScope(types=ON_CREDIT), BalanceRule(is_limit_included=True)),
    # Both count no overdraft: available is current, less what is pending.
    (RuleScope(Provider.PLAID, _DEPOSITS), BalanceRule(is_limit_included=False)),
    (RuleScope(Provider.TELLER, _DEPOSITS), BalanceRule(is_limit_included=False)),
)
"""
What holds for kinds of accounts, the later over the earlier. Which of a single bank's types are
worth what is said where its other peculiarities are, beside the provider's transform.
"""

BY_HAND: Final = "chosen by hand"
ONLY_ONE: Final = "the only one told"
MOST_RELIABLE: Final = "the most reliable of those told"
NO_LONGER_TOLD: Final = "no longer told by the bank: its last word"
LIMIT_LESS_AVAILABLE: Final = "what can still be spent, less the credit limit"


def rule_for(account: AccountFacts, own: BalanceRule = BalanceRule()) -> BalanceRule:
    """Return what holds for an account; `own` is what a person decided for it."""
    rule = BalanceRule()
    for scope, general in RULES:
        if _is_about(scope, account):
            rule = general.over(rule)
    return own.over(rule)


def choose_balances(
    told: Sequence[ToldBalance],
    account: AccountFacts,
    own: BalanceRule = BalanceRule(),
) -> tuple[ChosenBalance, ...]:
    """
    Choose what counts as booked, available and credit limit; a kind that is unknown is absent.

    The account's own currency comes first, then what the bank still tells, then the provider's
    rank of its types, then the first currency by its code, then the newest. A person's choice
    comes before all of it.
    """
    chooser = _Chooser(told, account, own)
    chosen = (chooser.booked(), chooser.available(), chooser.limit())
    return tuple(one for one in chosen if one is not None)


def _is_about(scope: RuleScope, account: AccountFacts) -> bool:
    return (
        scope.provider in (None, account.provider)
        and (not scope.types or account.type in scope.types)
        and (not scope.institutions or account.institution_external_id in scope.institutions)
    )


def _by_hand_of(one: ToldBalance) -> str:
    return BY_HAND if one.is_shown else f"{BY_HAND}; {NO_LONGER_TOLD}"


class _Chooser:
    """One account's balances, its rule, and the questions put to them."""

    def __init__(
        self, told: Sequence[ToldBalance], account: AccountFacts, own: BalanceRule
    ) -> None:
        self._told = told
        self._account = account
        self._own = own
        self._rule = rule_for(account, own)

    def booked(self) -> ChosenBalance | None:
        by_hand = self._of_type(self._rule.booked_type)
        if by_hand is not None:
            return self._by_hand(by_hand)
        best = self._best(BalanceKind.BOOKED)
        if best is not None and best.is_shown:
            return self._as_booked(best, self._reason(best))
        owed = self._owed()
        if owed is not None or best is None:
            return owed
        return self._as_booked(best, NO_LONGER_TOLD)

    def available(self) -> ChosenBalance | None:
        by_hand = self._of_type(self._rule.available_type)
        one = by_hand or self._best(BalanceKind.AVAILABLE)
        if one is None:
            return None
        reason = self._reason(one) if by_hand is None else _by_hand_of(one)
        return ChosenBalance(
            BalanceKind.AVAILABLE,
            one.id,
            one.amount,
            reason,
            is_credit_limit_included=self._is_limit_in(one),
            currency=one.code,
        )

    def limit(self) -> ChosenBalance | None:
        one = self._best(BalanceKind.CREDIT_LIMIT)
        if one is None:
            return None
        amount = one.amount.copy_abs()
        return ChosenBalance(
            BalanceKind.CREDIT_LIMIT, one.id, amount, self._reason(one), currency=one.code
        )

    def _by_hand(self, one: ToldBalance) -> ChosenBalance | None:
        """Count a balance as booked because a person says so; without its limit it is unknown."""
        if one.kind is not BalanceKind.AVAILABLE or not self._is_limit_in(one):
            return self._as_booked(one, _by_hand_of(one))
        return self._less_limit(one, reason=f"{_by_hand_of(one)}: {LIMIT_LESS_AVAILABLE}")

    def _owed(self) -> ChosenBalance | None:
        """Compute what is owed on credit from what is left of it, where no bank says it."""
        if self._account.type not in ON_CREDIT:
            return None
        left = self._best(BalanceKind.AVAILABLE)
        if left is None or not left.is_shown or not self._is_limit_in(left):
            return None
        return self._less_limit(left, reason=LIMIT_LESS_AVAILABLE)

    def _less_limit(self, left: ToldBalance, *, reason: str) -> ChosenBalance | None:
        limit = self._best(BalanceKind.CREDIT_LIMIT)
        if limit is None or limit.code != left.code:
            return None
        amount = left.amount - abs(limit.amount)
        if amount > 0 and self._account.type.is_liability and not self._is_overpaid():
            if limit.amount == 0:
                return None  # something is left of nothing: the bank does not tell the limit
            amount = Decimal(0)  # more is left than the limit: the limit is old, nobody was paid
        return ChosenBalance(
            BalanceKind.BOOKED, left.id, amount, reason, is_derived=True, currency=left.code
        )

    def _is_overpaid(self) -> bool:
        """Say whether the bank itself tells a credit in the holder's favour."""
        words = (BalanceKind.BOOKED, BalanceKind.EXPECTED, BalanceKind.INFORMATION)
        return any(one.is_shown and one.kind in words and one.amount > 0 for one in self._told)

    def _as_booked(self, one: ToldBalance, reason: str) -> ChosenBalance:
        amount = one.amount
        if self._rule.is_sign_flipped:
            amount = normalise_amount(amount.copy_negate())  # exact; a minus sign would round
        return ChosenBalance(BalanceKind.BOOKED, one.id, amount, reason, currency=one.code)

    def _is_limit_in(self, one: ToldBalance) -> bool | None:
        for word in (self._own.is_limit_included, one.is_credit_limit_included):
            if word is not None:
                return word
        return self._rule.is_limit_included

    def _of_type(self, provider_type: str | None) -> ToldBalance | None:
        if provider_type is None:
            return None
        return self._first(one for one in self._told if one.provider_type == provider_type)

    def _best(self, kind: BalanceKind) -> ToldBalance | None:
        return self._first(one for one in self._told if one.kind is kind)

    def _first(self, candidates: Iterable[ToldBalance]) -> ToldBalance | None:
        return min(candidates, key=self._rank, default=None)

    def _rank(self, one: ToldBalance) -> tuple[bool, bool, int, bool, str, float, int]:
        is_other = self._account.currency is not None and one.code != self._account.currency
        age = -one.observed_at.timestamp()
        code = one.code or ""  # of several, one for good: not the one that moved last
        return (is_other, not one.is_shown, one.preference, not code, code, age, one.id)

    def _reason(self, one: ToldBalance) -> str:
        if not one.is_shown:
            return NO_LONGER_TOLD
        rivals = [other for other in self._told if other.kind is one.kind and other.is_shown]
        return ONLY_ONE if len(rivals) == 1 else MOST_RELIABLE
