"""Accounts, balances and banks in our words."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from bank_pipeline.domain.account import Account, AccountType
from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline.providers.enable_banking.accounts import (
    has_uid,
    to_account,
    to_balances,
    to_credit_limit,
    to_institution,
)
from bank_pipeline.providers.enable_banking.quirks import quirks_of
from bank_pipeline.providers.enable_banking.schemas import EbAccount, EbAspsp, EbBalance
from bank_pipeline_tests.providers.enable_banking.builders import (
    UID,
    account,
    account_json,
    amount,
    aspsp,
    balance,
)

CARD = {"scheme_name": "CPAN", "issuer": None}


def told(**fields: Any) -> Account:
    return to_account(EbAccount.model_validate(account_json(**fields)))


def balances(*raws: dict[str, Any], bank: str = "Nordea", **named: Any) -> tuple[Balance, ...]:
    rows = [EbBalance.model_validate(raw) for raw in raws]
    country = {"Caixa Geral de Depósitos": "PT", "mBank": "PL"}.get(bank, "FI")
    return to_balances(rows, account(**named), quirks_of(country, bank))


def test_an_account_is_named_by_its_label_its_product_its_number_or_its_holder() -> None:
    assert told().name == "Käyttötili"
    assert told(details=None).name == "Basic account"
    assert told(details="", product=None).name == "Current account 3541"
    assert told(details=None, product=None, account_id=None).name == "Matti Meikäläinen"
    assert told().holder_name == "Matti Meikäläinen"


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("CACC", AccountType.CHECKING),
        ("CARD", AccountType.CREDIT_CARD),
        ("SVGS", AccountType.SAVINGS),
        ("LOAN", AccountType.LOAN),
        ("CASH", AccountType.OTHER),
        ("OTHR", AccountType.OTHER),
        (None, AccountType.OTHER),
    ],
)
def test_each_type_has_its_meaning(word: str | None, kind: AccountType) -> None:
    assert told(cash_account_type=word).type is kind


def test_an_account_is_recognised_by_every_hash_of_its_numbers() -> None:
    found = told(identification_hash="b", identification_hashes=["a", "b", "c"])
    assert (found.external_id, found.stable_external_ids) == (UID, ("b", "a", "c"))
    assert told(identification_hashes=None).stable_external_ids == ("hash-1",)


def test_an_account_that_nobody_can_ask_for_goes_by_its_hash() -> None:
    assert told(uid=None).external_id == "hash-1"
    assert (has_uid(told(uid=None)), has_uid(told())) == (False, True)


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        (
            {"account_id": {"iban": "FI04 5523 1152 4535 47"}},
            {"iban": "FI0455231152453547", "masked_number": "3547"},
        ),
        (
            {"account_id": {"other": {"identification": "123456", "scheme_name": "BBAN"}}},
            {"bban": "123456", "masked_number": "3456"},
        ),
        (
            {"account_id": [{"iban": "FI1"}]},
            {"iban": "FI1", "masked_number": "FI1"},
        ),
        (
            {
                "account_id": {
                    "other": {"identification": "4000001234567899", "scheme_name": "CPAN"}
                }
            },
            {"masked_number": "7899"},
        ),
        (
            {
                "account_id": {"iban": "FI1"},
                "all_account_ids": [{"identification": "77", "scheme_name": "BBAN"}, "odd"],
            },
            {"iban": "FI1", "bban": "77", "masked_number": "FI1"},
        ),
        ({"account_id": "odd", "all_account_ids": "odd"}, {}),
    ],
)
def test_numbers_are_read_in_every_shape(fields: dict[str, Any], known: dict[str, str]) -> None:
    found = told(**fields).identifiers.model_dump(exclude_none=True)
    assert found == known | {"bic": "NDEAFIHH"}


def test_an_account_is_a_business_one_by_its_usage_or_its_session() -> None:
    raw = EbAccount.model_validate(account_json(usage=None))
    assert told(usage="ORGA").is_business is True
    assert told(usage="PRIV").is_business is False
    assert to_account(raw, psu_type="business").is_business is True
    assert to_account(raw).is_business is None


def test_an_unknown_currency_of_an_account_is_none() -> None:
    assert (told(currency="XXX").currency, told(currency=None).currency) == (None, None)
    assert told(currency="USDC").unofficial_currency == "USDC"


def test_a_credit_limit_is_a_balance_of_its_own() -> None:
    raw = EbAccount.model_validate(account_json(credit_limit=amount("-2000.00")))
    limit = to_credit_limit(raw, to_account(raw))
    assert [(one.kind, one.amount, one.currency) for one in limit] == [
        (BalanceKind.CREDIT_LIMIT, Decimal(2000), "EUR")
    ]
    assert to_credit_limit(EbAccount.model_validate(account_json()), told()) == ()


def test_every_balance_is_kept_and_the_most_reliable_comes_first() -> None:
    words = ["OTHR", "VALU", "XPCD", "CLBD", "ITBD", "OPBD", "PRCD", "OPAV", "FWAV", "CLAV"]
    found = balances(*(balance(kind=word) for word in [*words, "ITAV", "INFO", "NEWS"]))
    ranked = sorted(found, key=lambda one: one.preference)
    by_kind = {
        kind: [one.provider_type for one in ranked if one.kind is kind]
        for kind in {one.kind for one in ranked}
    }
    assert by_kind == {
        BalanceKind.BOOKED: ["ITBD", "CLBD"],
        BalanceKind.AVAILABLE: ["ITAV", "CLAV", "FWAV", "OPAV"],
        BalanceKind.OPENING: ["OPBD", "PRCD"],
        BalanceKind.EXPECTED: ["XPCD"],
        BalanceKind.INFORMATION: ["OTHR", "VALU", "INFO", "NEWS"],
    }


def test_without_a_booked_balance_the_next_best_stands_for_it() -> None:
    found = balances(*(balance(kind=word) for word in ("OTHR", "VALU", "XPCD", "ITAV")))
    booked = [one for one in found if one.kind is BalanceKind.BOOKED]
    assert min(booked, key=lambda one: one.preference).provider_type == "XPCD"
    assert len(booked) == 3


def test_a_booked_balance_in_one_currency_says_nothing_of_another() -> None:
    """Else an account in dollars would count euros as its booked balance."""
    euros = balance(kind="ITBD")
    dollars = [balance(kind=word, balance_amount=amount("50", "USD")) for word in ("XPCD", "ITAV")]
    found = balances(euros, *dollars)
    assert {one.currency for one in found if one.kind is BalanceKind.BOOKED} == {"EUR", "USD"}


@pytest.mark.parametrize("codes", [("EUR", "eur"), ("XXX", "")])
def test_one_currency_in_two_spellings_is_one_balance(codes: tuple[str, str]) -> None:
    """Else both would be news of one series at every sync."""
    old, new = (
        balance(balance_amount=amount(text, code), reference_date=f"2026-11-{text}")
        for text, code in zip(("19", "20"), codes, strict=True)
    )
    assert [one.amount for one in balances(new, old)] == [Decimal(20)]


def test_of_two_balances_of_a_type_the_newer_one_counts() -> None:
    """Else yesterday's may come last, and both would be news at every sync."""
    today, before = (
        balance("120.00", kind="CLBD", reference_date="2026-11-20"),
        balance("100.00", kind="CLBD", reference_date="2026-11-19"),
    )
    for told in ((today, before), (before, today)):
        [found] = balances(*told)
        assert found.amount == Decimal(120)


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        (
            {"last_change_date_time": "2026-11-20T08:30:00Z"},
            {"reference_date": "2026-10-01"},
        ),
        (
            {"reference_date": "2026-11-20"},
            {"last_change_date_time": "2026-11-19T22:59:00Z"},
        ),
    ],
)
def test_the_newer_of_two_is_told_by_whatever_says_when(
    newer: dict[str, str], older: dict[str, str]
) -> None:
    told = [balance("200.00", **newer), balance("100.00", **older)]
    for raws in (told, told[::-1]):
        assert [str(one.amount) for one in balances(*raws)] == ["200"]


def test_a_balance_keeps_its_sign_and_its_time() -> None:
    raw = balance(
        "-1500.00", last_change_date_time="2026-03-05T07:00:00+02:00", reference_date="2026-03-04"
    )
    (found,) = balances(raw, type=AccountType.CREDIT_CARD)
    assert (found.amount, found.as_of_date) == (Decimal(-1500), date(2026, 3, 4))
    assert found.as_of == datetime(2026, 3, 5, 5, tzinfo=UTC)
    (owed,) = balances(balance("20", credit_debit_indicator="DBIT"))
    assert owed.amount == -20
    for at, on in (("2026-03-05", "now"), ("0001-01-01T00:00:00Z", "0001-01-01")):
        (vague,) = balances(balance(last_change_date_time=at, reference_date=on))
        assert (vague.as_of, vague.as_of_date) == (None, None)


def test_types_in_words_are_understood() -> None:
    booked, available = balances(balance(kind="closingBooked"), balance(kind="interimAvailable"))
    assert (booked.kind, available.kind) == (BalanceKind.BOOKED, BalanceKind.AVAILABLE)


def test_an_overdraft_within_the_available_is_said_so_where_that_is_known() -> None:
    pair = (balance(kind="ITBD"), balance(kind="ITAV"))
    known = balances(*pair, bank="Caixa Geral de Depósitos")
    assert [one.is_credit_limit_included for one in known] == [None, True]
    assert [one.is_credit_limit_included for one in balances(*pair)] == [None, None]


def test_what_is_left_of_a_card_is_not_what_is_owed() -> None:
    (card,) = balances(balance(kind="ITBD"), bank="mBank", type=AccountType.CREDIT_CARD)
    (current,) = balances(balance(kind="ITBD"), bank="mBank")
    assert (card.kind, current.kind) == (BalanceKind.AVAILABLE, BalanceKind.BOOKED)


@pytest.mark.parametrize(
    ("raw", "amount"),
    [(balance("-1600"), "-1600"), (balance("25.5"), "25.5"), (balance("0"), "0")],
)
@pytest.mark.parametrize("of", [AccountType.CREDIT_CARD, AccountType.LOAN])
def test_cards_and_loans_are_told_with_our_sign(
    raw: dict[str, Any], amount: str, of: AccountType
) -> None:
    """What is overpaid stays in the holder's favour, and an indicator is believed."""
    (told_one,) = balances(raw, type=of)
    (owed,) = balances({**raw, "credit_debit_indicator": "DBIT"}, type=of)
    assert (str(told_one.amount), owed.amount) == (amount, -abs(told_one.amount))


def test_a_bank_is_known_by_its_name_within_a_country() -> None:
    found = to_institution(EbAspsp.model_validate(aspsp()), {})
    assert (found.external_id, found.countries) == ("FI:Nordea", ("FI",))
    assert (found.consent_days_max, found.customer_kinds) == (180, ("business", "personal"))
    assert (found.is_oauth, found.is_beta, found.bic) == (True, False, "NDEAFIHH")
    assert found.history_days_max is None
    bare = to_institution(EbAspsp.model_validate({"name": "A", "country": "fi"}), {})
    assert (bare.external_id, bare.consent_days_max, bare.is_oauth) == ("FI:A", None, None)
