"""Which balance counts: the account's currency, then what is still told, then the rank."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.balance_choice import (
    BY_HAND,
    LIMIT_LESS_AVAILABLE,
    NO_LONGER_TOLD,
    SELECTABLE,
    AccountFacts,
    BalanceRule,
    ChosenBalance,
    ToldBalance,
    choose_balances,
)
from bank_pipeline.domain.connection import Provider

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
CARD = AccountType.CREDIT_CARD


def told(number: int, amount: str, **named: Any) -> ToldBalance:
    """Build a booked balance in euros that is still told."""
    values: dict[str, Any] = {
        "id": number,
        "kind": BalanceKind.BOOKED,
        "provider_type": f"type-{number}",
        "amount": Decimal(amount),
        "currency": "EUR",
        "unofficial_currency": None,
        "is_credit_limit_included": None,
        "preference": 0,
        "is_shown": True,
        "observed_at": AT,
    }
    return ToldBalance(**values | named)


def left(amount: str, **named: Any) -> ToldBalance:
    """Build what can still be spent."""
    return told(8, amount, kind=BalanceKind.AVAILABLE, **named)


def limit(amount: str, **named: Any) -> ToldBalance:
    """Build a credit limit."""
    return told(9, amount, kind=BalanceKind.CREDIT_LIMIT, **named)


def choose(
    *given_ones: ToldBalance,
    of: AccountType = AccountType.CHECKING,
    currency: str | None = "EUR",
    rule: BalanceRule = BalanceRule(),  # noqa: B008 - frozen
) -> dict[BalanceKind, ChosenBalance]:
    """Choose for an account of an Enable Banking bank."""
    facts = AccountFacts(Provider.ENABLE_BANKING, of, "FI:Nordea", currency)
    return {one.kind: one for one in choose_balances(given_ones, facts, rule)}


def booked(*given_ones: ToldBalance, **named: Any) -> str | None:
    one = choose(*given_ones, **named).get(BalanceKind.BOOKED)
    return None if one is None else str(one.amount)


def test_the_accounts_currency_comes_before_the_rank_of_a_type() -> None:
    better = told(1, "1", currency="CHF")
    own = told(2, "2", preference=5)
    assert booked(better, own) == "2"
    assert booked(better, own, currency=None) == "1"


def test_a_type_that_is_no_longer_told_does_not_win_for_ever() -> None:
    old = told(1, "1", preference=0, is_shown=False)
    new = told(2, "2", preference=3)
    assert booked(old, new) == "2"
    alone = choose(old)[BalanceKind.BOOKED]
    assert (str(alone.amount), alone.reason) == ("1", NO_LONGER_TOLD)


def test_a_balance_is_chosen_to_its_last_digit() -> None:
    long = "123456789012345678901234567890.5"
    assert booked(told(1, long), rule=BalanceRule(is_sign_flipped=True)) == f"-{long}"
    assert booked(told(1, "0"), rule=BalanceRule(is_sign_flipped=True)) == "0"
    assert str(choose(limit(f"-{long}"))[BalanceKind.CREDIT_LIMIT].amount) == long


def test_nothing_told_is_unknown_and_never_zero() -> None:
    assert choose() == {}
    assert booked(left("100")) is None


def test_of_equal_rank_the_newest_counts() -> None:
    newer = told(2, "2", observed_at=AT + DAY)
    assert booked(told(1, "1"), newer) == "2"


def test_of_several_currencies_none_of_them_the_accounts_one_counts_for_good() -> None:
    """Else the balance of such an account would change its currency with every movement."""
    for moved in (1, 2, 3):
        ones = [
            told(number, str(number), currency=code, observed_at=AT + (number == moved) * DAY)
            for number, code in enumerate((None, "USD", "CHF"), start=1)
        ]
        assert booked(*ones, currency=None) == "3"
        assert booked(*ones, currency="SEK") == "3"


@pytest.mark.parametrize(
    ("given_ones", "owed"),
    [
        ([left("5900"), limit("7500")], "-1600"),
        ([left("5900"), limit("-7500")], "-1600"),
        ([left("7500"), limit("7500")], "0"),
        ([left("7600"), limit("7500")], "0"),
        ([left("7600"), limit("7500"), told(1, "100", kind=BalanceKind.EXPECTED)], "100"),
        ([left("5900"), limit("0")], None),
        ([left("0"), limit("0")], "0"),
        ([left("-50"), limit("0")], "-50"),
        ([left("5900")], None),
        ([limit("7500")], None),
        ([left("5900"), limit("7500", currency="SEK")], None),
        ([left("5900", is_credit_limit_included=False), limit("7500")], None),
        ([left("5900", is_shown=False), limit("7500")], None),
        ([left("5900"), limit("7500"), told(1, "-1500")], "-1500"),
        ([left("5900"), limit("7500"), told(1, "100")], "100"),
        ([left("5900"), limit("7500"), told(1, "-1500", is_shown=False)], "-1600"),
    ],
)
def test_a_card_owes_its_limit_less_what_is_left_where_nobody_says_it(
    given_ones: list[ToldBalance], owed: str | None
) -> None:
    """Never less than nothing, unless the bank itself tells of an overpayment."""
    assert booked(*given_ones, of=CARD) == owed


def test_only_credit_is_computed_from_a_limit() -> None:
    assert booked(left("5900"), limit("7500")) is None


def test_what_is_computed_says_so() -> None:
    one = choose(left("5900"), limit("7500"), of=CARD)[BalanceKind.BOOKED]
    assert (one.is_derived, one.reason, one.balance_id) == (True, LIMIT_LESS_AVAILABLE, 8)


def test_what_is_available_says_whether_the_limit_is_in_it() -> None:
    def included(of: AccountType, word: bool | None, own: bool | None = None) -> bool | None:
        rule = BalanceRule(is_limit_included=own)
        chosen = choose(left("1", is_credit_limit_included=word), of=of, rule=rule)
        return chosen[BalanceKind.AVAILABLE].is_credit_limit_included

    assert included(AccountType.CHECKING, None) is None
    assert included(AccountType.CHECKING, True) is True
    assert included(CARD, None) is True
    assert included(CARD, False) is False
    assert included(CARD, True, own=False) is False


def test_a_persons_choice_comes_before_all_else() -> None:
    ones = (told(1, "1"), told(2, "2", is_shown=False), left("3"))
    rule = BalanceRule(booked_type="type-2", available_type="type-1", is_sign_flipped=True)
    chosen = choose(*ones, rule=rule)
    assert {kind: (str(one.amount), one.reason) for kind, one in chosen.items()} == {
        BalanceKind.BOOKED: ("-2", f"{BY_HAND}; {NO_LONGER_TOLD}"),
        BalanceKind.AVAILABLE: ("1", BY_HAND),
    }


def test_a_person_may_count_what_is_left_as_booked_with_or_without_the_limit() -> None:
    by_hand = BalanceRule(booked_type="type-8")
    assert booked(left("50"), limit("70"), rule=by_hand) == "50"
    with_limit = BalanceRule(booked_type="type-8", is_limit_included=True)
    assert booked(left("50"), limit("70"), rule=with_limit) == "-20"
    assert booked(left("90"), limit("70"), rule=with_limit) == "20"
    assert booked(left("50"), rule=with_limit) is None


def test_a_credit_in_the_holders_favour_stays_positive() -> None:
    assert booked(told(1, "12.50"), of=CARD) == "12.50"


TOLD = st.builds(
    told,
    st.integers(1, 99),
    st.sampled_from(["-5", "0", "7"]),
    kind=st.sampled_from([*BalanceKind]),
    currency=st.sampled_from(["EUR", "CHF", None]),
    preference=st.integers(0, 3),
    is_shown=st.booleans(),
    is_credit_limit_included=st.sampled_from([None, True, False]),
)


@given(
    st.lists(TOLD, unique_by=lambda one: one.id, max_size=6),
    st.sampled_from([*AccountType]),
    st.randoms(use_true_random=False),
)
def test_the_choice_is_one_of_what_was_told_in_whatever_order(
    given_ones: list[ToldBalance], of: AccountType, chance: Any
) -> None:
    """One per kind at most, from a told balance, the same for every order."""
    mixed = chance.sample(given_ones, len(given_ones))
    chosen = choose(*given_ones, of=of)
    assert chosen == choose(*mixed, of=of)
    assert set(chosen) <= set(SELECTABLE)
    assert {one.balance_id for one in chosen.values()} <= {one.id for one in given_ones}
    for one in chosen.values():
        source = next(other for other in given_ones if other.id == one.balance_id)
        assert one.is_derived or abs(one.amount) == abs(source.amount)
