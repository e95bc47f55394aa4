"""The balance that counts is chosen by type, currency and date, and none is made up."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline.providers.gocardless.balances import to_balances
from bank_pipeline.providers.gocardless.quirks import quirks_of
from bank_pipeline.providers.gocardless.schemas import GcBalance
from bank_pipeline_tests.providers.gocardless.builders import account


def stated(kind: str, amount: str, currency: str | None = "EUR", **fields: Any) -> dict[str, Any]:
    return {
        "balanceType": kind,
        "balanceAmount": {"amount": amount, "currency": currency},
    } | fields


def read(*raws: dict[str, Any], bank: str | None = None) -> tuple[Balance, ...]:
    rows = [GcBalance.model_validate(raw) for raw in raws]
    return to_balances(rows, account(), quirks_of(bank))


def chosen(balances: tuple[Balance, ...], kind: BalanceKind) -> Decimal | None:
    found = [one for one in balances if one.kind is kind]
    return min(found, key=lambda one: one.preference).amount if found else None


def booked(*raws: dict[str, Any], bank: str | None = None) -> Decimal | None:
    return chosen(read(*raws, bank=bank), BalanceKind.BOOKED)


def test_the_booked_balance_follows_the_order_of_types() -> None:
    interim, closing = stated("interimBooked", "1"), stated("closingBooked", "2")
    expected, available = stated("expected", "3"), stated("interimAvailable", "4")
    assert booked(available, expected, closing, interim) == 1
    assert booked(available, expected, closing) == 2
    assert booked(available, expected) == 3
    assert booked(available) == 4
    assert booked() is None


def test_the_available_balance_follows_the_order_of_types() -> None:
    types = ["interimAvailable", "closingAvailable", "forwardAvailable"]
    raws = [stated(kind, str(number)) for number, kind in enumerate(types)]
    for number in range(3):
        assert chosen(read(*reversed(raws[number:])), BalanceKind.AVAILABLE) == number


def test_what_includes_a_credit_limit_is_never_what_is_there() -> None:
    limited = stated("interimAvailable", "4183.61", creditLimitIncluded=True)
    assert booked(limited) is None
    assert chosen(read(limited), BalanceKind.AVAILABLE) == Decimal("4183.61")
    assert read(limited)[0].is_credit_limit_included is True
    for bank in ("DANSKEBANK_DABANO22", "SPK_KARLSRUHE_KARSDE66XXX"):
        assert booked(limited, bank=bank) is None
        assert booked(limited, stated("interimBooked", "-316.39"), bank=bank) == Decimal("-316.39")


def test_the_accounts_own_currency_comes_first() -> None:
    foreign, own = stated("interimBooked", "9", "DKK"), stated("closingBooked", "5")
    assert booked(foreign, own) == 5
    assert booked(foreign) == 9
    assert booked(foreign, stated("interimAvailable", "7")) == 7


def test_a_banks_better_balance_in_another_currency_says_nothing_of_the_accounts_own() -> None:
    foreign, own = stated("interimAvailable", "9", "DKK"), stated("expected", "5")
    assert booked(foreign, own, bank="DANSKEBANK_DABANO22") == 5
    assert booked(foreign, bank="DANSKEBANK_DABANO22") == 9


@pytest.mark.parametrize("codes", [("EUR", "eur"), ("XXX", None)])
def test_one_currency_in_two_spellings_is_one_balance(codes: tuple[str, str | None]) -> None:
    """Else both would be news of one series at every sync."""
    old, new = (
        stated("closingBooked", day, code, referenceDate=f"2026-11-{day}")
        for day, code in zip(("19", "20"), codes, strict=True)
    )
    assert [one.amount for one in read(new, old)] == [Decimal(20)]


def test_of_two_of_one_type_the_newest_counts_and_the_other_is_not_told() -> None:
    old = stated("closingBooked", "1", referenceDate="2026-11-18")
    new = stated("closingBooked", "2", referenceDate="2026-11-19")
    undated = stated("closingBooked", "3")
    for raws in ((old, new, undated), (undated, new, old), (new, old)):
        balances = read(*raws)
        assert [one.amount for one in balances] == [2]
        assert balances[0].as_of_date == date(2026, 11, 19)


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ({"lastChangeDateTime": "2026-11-20T08:30:00Z"}, {"referenceDate": "2026-10-01"}),
        ({"lastChangeDateTime": "2026-11-20T00:00:00Z"}, {"referenceDate": "2026-11-19"}),
        ({"referenceDate": "2026-11-20"}, {"lastChangeDateTime": "2026-11-19T23:59:00Z"}),
        (
            {"lastChangeDateTime": "2026-11-20T08:30:00Z"},
            {"lastChangeDateTime": "2026-11-20T09:00:00+01:00"},
        ),
        (
            {"lastChangeDateTime": "2026-11-20T08:30:00"},
            {"lastChangeDateTime": "2026-11-20T08:00:00"},
        ),
    ],
)
def test_the_newer_of_two_is_told_by_whatever_says_when(
    newer: dict[str, str], older: dict[str, str]
) -> None:
    raws = [stated("interimBooked", "200", **newer), stated("interimBooked", "100", **older)]
    assert [booked(*raws), booked(*reversed(raws))] == [200, 200]


def test_a_balance_of_the_year_1_has_no_day() -> None:
    undated = {"referenceDate": "0001-01-01", "lastChangeDateTime": "0001-01-01T09:00:00Z"}
    (found,) = read(stated("closingBooked", "1", **undated))
    assert (found.as_of, found.as_of_date) == (None, None)


def test_two_currencies_of_one_type_are_two_balances() -> None:
    raws = (stated("interimBooked", "1"), stated("interimBooked", "2", "DKK"))
    assert len(read(*raws)) == 2


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("openingBooked", BalanceKind.OPENING),
        ("nonInvoiced", BalanceKind.INFORMATION),
        ("information", BalanceKind.INFORMATION),
        ("walletReserve", BalanceKind.INFORMATION),
        ("previouslyClosedBooked", BalanceKind.INFORMATION),
    ],
)
def test_an_odd_type_is_kept_and_never_counts(kind: str, expected: BalanceKind) -> None:
    balances = read(stated(kind, "1"))
    assert [(one.kind, one.provider_type) for one in balances] == [(expected, kind)]


@pytest.mark.parametrize("code", ["XXX", "", None])
def test_a_currency_that_nobody_names_is_unknown(code: str | None) -> None:
    assert read(stated("interimBooked", "1", code))[0].currency is None


def test_a_debt_stays_negative() -> None:
    assert booked(stated("interimBooked", "-316.39")) == Decimal("-316.39")


@pytest.mark.parametrize(
    ("bank", "kind"),
    [
        ("AMERICAN_EXPRESS_AESUDEF1", "information"),
        ("SANDBOXFINANCE_SFIN0000", "interimAvailable"),
        ("DANSKEBANK_DABANO22", "interimAvailable"),
        ("NORWEGIAN_SE_NORWNOK1", "expected"),
        ("ING_INGDDEFF", "interimBooked"),
    ],
)
def test_a_bank_may_have_another_balance_that_counts(bank: str, kind: str) -> None:
    types = {"interimBooked", "closingBooked", "expected", "interimAvailable", "information"}
    others = [stated(other, "9") for other in sorted(types - {kind})]
    assert booked(*others, stated(kind, "1"), bank=bank) == 1
    assert len(others) == len(read(*others)), "no type is told twice without need"


def test_remaining_credit_is_not_what_a_card_holds() -> None:
    available, expected = stated("interimAvailable", "9000"), stated("expected", "-100")
    assert booked(available, expected, bank="NORWEGIAN_NO_NORWNOK1") == -100


def test_what_is_available_on_credit_is_never_what_is_there() -> None:
    """Whether or not the bank says that the limit is in it; a debt it tells is one."""
    for word in (None, False, True):
        raw = stated("interimAvailable", "9000", creditLimitIncluded=word)
        for of in (AccountType.CREDIT_CARD, AccountType.LOAN, AccountType.LINE_OF_CREDIT):
            owner = account().model_copy(update={"type": of})
            rows = [GcBalance.model_validate(raw)]
            assert chosen(to_balances(rows, owner, quirks_of(None)), BalanceKind.BOOKED) is None
            told = [*rows, GcBalance.model_validate(stated("expected", "-100"))]
            assert chosen(to_balances(told, owner, quirks_of(None)), BalanceKind.BOOKED) == -100


@pytest.mark.parametrize("amount", ["-1600", "25.5", "0"])
def test_cards_and_loans_are_told_with_our_sign(amount: str) -> None:
    """What is overpaid stays in the holder's favour."""
    for of in (AccountType.CREDIT_CARD, AccountType.LOAN, AccountType.MORTGAGE):
        owner = account().model_copy(update={"type": of})
        rows = [GcBalance.model_validate(stated("interimBooked", amount))]
        assert chosen(to_balances(rows, owner, quirks_of(None)), BalanceKind.BOOKED) == Decimal(
            amount
        )


def test_a_debt_in_two_parts_is_put_together_and_half_of_it_is_nothing() -> None:
    bank = "SEB_KORT_AB_SE_SKHSFI21"
    invoiced, rest = stated("expected", "500", "SEK"), stated("nonInvoiced", "-120.5", "SEK")
    assert booked(invoiced, rest, bank=bank) == Decimal("-620.5")
    assert booked(invoiced, bank=bank) is None
    assert booked(rest, bank=bank) is None


def test_series_are_told_apart_by_their_type() -> None:
    balances = read(stated("interimAvailable", "4"))
    assert len({one.provider_type for one in balances}) == len(balances) == 2
