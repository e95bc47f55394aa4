"""Plaid's words in ours: signs, dates, currencies, texts, parties, methods, categories."""

import csv
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.category import Category
from bank_pipeline.domain.transaction import (
    CounterpartyType,
    PaymentMethod,
    Transaction,
    TransactionStatus,
)
from bank_pipeline.providers.plaid.account_types import TYPE_OF_SUBTYPE, to_account_type
from bank_pipeline.providers.plaid.categories import CATEGORY_OF_DETAILED, to_category
from bank_pipeline.providers.plaid.payments import METHOD_OF_CODE
from bank_pipeline.providers.plaid.schemas import PlaidAccount, PlaidCategory, PlaidTransaction
from bank_pipeline.providers.plaid.transform import to_account, to_balances, to_transaction
from bank_pipeline_tests.providers.plaid.builders import account, transaction

INCOMES = {member for member in Category if member.value.endswith("income")}


def translated(**fields: Any) -> Transaction:
    raw = transaction(**fields)
    raw["amount"] = Decimal(str(raw["amount"]))
    return to_transaction(PlaidTransaction.model_validate(raw))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**30)))
def test_the_sign_flips_and_not_one_digit_changes(amount: Decimal) -> None:
    if amount.adjusted() > 30:
        return
    row = translated(amount=amount)
    assert row.amount is not None
    assert row.amount.copy_negate().compare(amount) == 0


@given(st.sampled_from([None, "", "XXX", "usd", "EUR"]), st.sampled_from([None, "BTC", "points"]))
def test_an_unknown_currency_is_never_guessed(iso: str | None, unofficial: str | None) -> None:
    row = translated(iso_currency_code=iso, unofficial_currency_code=unofficial)
    assert row.currency == {"usd": "USD", "EUR": "EUR"}.get(iso or "")
    assert row.unofficial_currency == unofficial


def test_a_pending_transaction_has_no_booking_date() -> None:
    row = translated(pending=True, date="2026-03-05")
    assert row.status is TransactionStatus.PENDING
    assert (row.booking_date, row.transaction_date) == (None, date(2026, 3, 5))


def test_a_pending_date_beside_an_authorized_one_is_kept() -> None:
    row = translated(pending=True, date="2026-03-05", authorized_date="2026-03-04")
    assert row.transaction_date == date(2026, 3, 4)
    assert row.details["date"] == "2026-03-05"


def test_a_booked_transaction_has_both_dates_and_true_times() -> None:
    row = translated(
        date="2026-03-05",
        authorized_date="2026-03-04",
        datetime="2026-03-05T10:00:00+02:00",
        authorized_datetime="2026-03-04T23:59:59Z",
    )
    assert row.status is TransactionStatus.BOOKED
    assert (row.booking_date, row.transaction_date) == (date(2026, 3, 5), date(2026, 3, 4))
    assert row.booked_at == datetime(2026, 3, 5, 8, tzinfo=UTC)
    assert row.transacted_at == datetime(2026, 3, 4, 23, 59, 59, tzinfo=UTC)
    assert "datetime" not in row.details


@pytest.mark.parametrize(
    "text", ["2026-03-05T00:00:00Z", "2026-03-05T00:00:00+05:00", "2026-03-05T10:00:00", "noon"]
)
def test_a_time_that_is_none_is_kept_only_in_details(text: str) -> None:
    row = translated(datetime=text, authorized_datetime=text)
    assert (row.booked_at, row.transacted_at) == (None, None)
    assert row.details["datetime"] == row.details["authorized_datetime"] == text


def test_the_banks_own_text_wins_and_plaids_is_kept_beside_it() -> None:
    row = translated(original_description="POS  COFFEE*0042 ", name="Coffee")
    assert (row.description, row.cleaned_description) == ("POS  COFFEE*0042 ", "Coffee")
    alone = translated(original_description=None, name="Coffee")
    assert (alone.description, alone.cleaned_description) == ("Coffee", None)


@pytest.mark.parametrize(
    ("amount", "expected"), [(10, "The Landlord"), (-10, "The Employer"), (0, None)]
)
def test_the_counterparty_is_the_other_side_and_never_oneself(
    amount: int, expected: str | None
) -> None:
    meta = {"payee": "The Landlord", "payer": "The Employer"}
    counterparty = translated(amount=amount, payment_meta=meta).counterparty
    assert (counterparty.name if counterparty else None) == expected


def test_the_account_owner_is_never_the_counterparty() -> None:
    row = translated(
        account_owner="Jane Doe",
        payment_meta={"payee": "JANE DOE"},
        counterparties=[{"name": "jane doe", "type": "merchant"}],
        merchant_name="Jane Doe",
    )
    assert row.counterparty is None


def test_who_is_meant_comes_before_who_carried_it() -> None:
    row = translated(
        counterparties=[
            {"name": "DoorDash", "type": "marketplace"},
            {"name": "Noodle Bar", "type": "merchant"},
        ]
    )
    assert row.counterparty is not None
    assert row.counterparty.name == "Noodle Bar"
    assert row.counterparty.type is CounterpartyType.MERCHANT
    assert row.details["counterparties"][0]["name"] == "DoorDash"


def test_a_counterpartys_account_numbers_identify_it() -> None:
    numbers = {
        "bacs": {"account": "31926819", "sort_code": "601613"},
        "international": {"iban": "GB29NWBK60161331926819", "bic": "NWBKGB2L"},
    }
    party = {"name": "ACME", "type": "new kind", "account_numbers": numbers}
    counterparty = translated(counterparties=[party]).counterparty
    assert counterparty is not None
    assert counterparty.type is CounterpartyType.OTHER
    assert counterparty.identifiers.iban == "GB29NWBK60161331926819"
    assert counterparty.identifiers.routing_number == "601613"


@pytest.mark.parametrize(("code", "method"), METHOD_OF_CODE.items())
def test_the_banks_code_says_how_the_money_moved(code: str, method: PaymentMethod) -> None:
    row = translated(transaction_code=code)
    assert row.payment_method is method
    assert row.bank_transaction_code == code


@pytest.mark.parametrize(
    ("fields", "method"),
    [
        ({"check_number": "1001"}, PaymentMethod.CHEQUE),
        ({"payment_meta": {"payment_method": "ACH"}}, PaymentMethod.TRANSFER),
        ({"payment_meta": {"payment_processor": "Zelle"}}, PaymentMethod.PAYMENT_APP),
        ({"counterparties": [{"name": "Venmo", "type": "payment_app"}]}, PaymentMethod.PAYMENT_APP),
        ({"payment_channel": "in store"}, PaymentMethod.CARD),
        ({"payment_channel": "in store", "amount": -5}, PaymentMethod.REFUND),
        ({"payment_channel": "online"}, None),
        ({"transaction_code": "something new"}, None),
        ({}, None),
        (
            {
                "personal_finance_category": {
                    "primary": "BANK_FEES",
                    "detailed": "BANK_FEES_ATM_FEES",
                }
            },
            PaymentMethod.FEE,
        ),
        (
            {"payment_channel": "online", "counterparties": [{"name": "S", "type": "merchant"}]},
            PaymentMethod.CARD,
        ),
    ],
)
def test_without_a_code_the_most_certain_sign_decides(
    fields: dict[str, Any], method: PaymentMethod | None
) -> None:
    assert translated(**fields).payment_method is method


def test_nothing_that_plaid_says_is_lost() -> None:
    row = translated(
        location={"city": "Poway", "lat": Decimal("32.959068"), "address": None},
        brand_new_field={"deep": [1, {"er": "x"}], "none": None},
        payment_meta={"reference_number": "R-1", "reason": "rent", "ppd_id": None},
    )
    assert row.reference == "R-1"
    assert row.details == {
        "location": {"city": "Poway", "lat": 32.959068},
        "brand_new_field": {"deep": [1, {"er": "x"}]},
        "payment_meta": {"reason": "rent"},
    }


def test_a_value_of_another_type_than_documented_is_kept_too() -> None:
    row = translated(
        payment_meta={"reference_number": 42, "payee": ["odd"]},
        personal_finance_category={"primary": "NEW", "detailed": "NEW_X", "icon": "i"},
    )
    assert row.details["payment_meta"] == {"reference_number": 42, "payee": ["odd"]}
    assert row.details["personal_finance_category"] == {"icon": "i"}
    assert (row.reference, row.counterparty) == (None, None)


def category(detailed: str | None, primary: str = "NEW") -> str | None:
    return to_category(PlaidCategory(primary=primary, detailed=detailed))


def test_every_listed_category_code_is_mapped(contracts: Path) -> None:
    with (contracts / "plaid" / "personal_finance_categories.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["detailed"] for row in rows} == set(CATEGORY_OF_DETAILED)
    assert all(
        category(row["detailed"], row["primary"]) or row["primary"] == "OTHER" for row in rows
    )


def test_money_that_comes_back_is_never_income() -> None:
    for code, ours in CATEGORY_OF_DETAILED.items():
        if ours in INCOMES:
            assert code.startswith("INCOME_")
    assert CATEGORY_OF_DETAILED["INCOME_TAX_REFUND"] is Category.TAXES
    assert CATEGORY_OF_DETAILED["TRANSFER_IN_ACCOUNT_TRANSFER"] is Category.TRANSFER


def test_an_unknown_category_falls_back_to_its_primary_and_else_to_nothing() -> None:
    assert category("TRAVEL_TO_MARS", "TRAVEL") == "travel"
    assert category(None, "TRAVEL") == "travel"
    assert category("NEW_THING") is None
    assert category("OTHER_OTHER", "OTHER") is None


@pytest.mark.parametrize(
    ("plaid_type", "subtype", "expected"),
    [
        ("depository", "checking", AccountType.CHECKING),
        ("depository", "paypal", AccountType.CASH_MANAGEMENT),
        ("credit", "paypal", AccountType.CREDIT_CARD),
        ("loan", "home equity", AccountType.LINE_OF_CREDIT),
        ("loan", "home equity loan", AccountType.LOAN),
        ("depository", "overdraft", AccountType.CHECKING),
        ("investment", "403B", AccountType.PENSION),
        ("brokerage", "brokerage", AccountType.INVESTMENT),
        ("investment", "brand new", AccountType.INVESTMENT),
        ("loan", None, AccountType.LOAN),
        ("other", "other", AccountType.OTHER),
        ("brand new", None, AccountType.OTHER),
    ],
)
def test_a_subtype_never_turns_what_is_owed(
    plaid_type: str, subtype: str | None, expected: AccountType
) -> None:
    assert to_account_type(plaid_type, subtype) is expected


def test_every_listed_subtype_is_mapped(contracts: Path) -> None:
    text = (contracts / "plaid" / "PLAID.md").read_text()
    listed = text.split("newer than [OAS]): ")[1].split(". Note the irregular")[0]
    subtypes = {word.strip().strip("*").lower() for word in listed.split(",")}
    assert subtypes - set(TYPE_OF_SUBTYPE) == {"other"}


@pytest.mark.parametrize(
    ("plaid_type", "current", "booked"),
    [
        ("depository", 5, 5),
        ("credit", 5, -5),
        ("credit", -5, 5),
        ("loan", 5, -5),
        ("loan", -5, 5),
        ("other", 5, 5),
    ],
)
def test_what_is_owed_is_a_negative_balance(plaid_type: str, current: int, booked: int) -> None:
    balances = {"current": current, "available": None, "limit": 10, "iso_currency_code": "EUR"}
    raw = PlaidAccount.model_validate(account(type=plaid_type, subtype=None, balances=balances))
    stated = to_balances(raw, to_account(raw))
    assert [(balance.kind, balance.amount) for balance in stated] == [
        (BalanceKind.BOOKED, Decimal(booked)),
        (BalanceKind.CREDIT_LIMIT, Decimal(10)),
    ]
    assert all(balance.currency == "EUR" for balance in stated)


def test_an_unstated_balance_does_not_exist() -> None:
    raw = PlaidAccount.model_validate(account(balances={}))
    assert to_balances(raw, to_account(raw)) == ()
    assert to_account(raw).currency is None


def test_an_account_keeps_its_stable_id_and_holder() -> None:
    raw = PlaidAccount.model_validate(
        account(persistent_account_id="forever", holder_category="business", balances={})
    )
    described = to_account(raw)
    assert (described.stable_external_ids, described.is_business) == (("forever",), True)
    assert described.identifiers.masked_number == "0000"
