"""Signs, dates, texts and parties of transactions: each rule is a claim."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from bank_pipeline.domain.account import Account, AccountType
from bank_pipeline.domain.category import Category
from bank_pipeline.domain.transaction import (
    CounterpartyType,
    PaymentMethod,
    Transaction,
    TransactionStatus,
)
from bank_pipeline.providers.answers import QuarantinedRow, RawAnswer
from bank_pipeline.providers.enable_banking.quirks import quirks_of
from bank_pipeline.providers.enable_banking.schemas import EbTransaction
from bank_pipeline.providers.enable_banking.transform import to_transaction
from bank_pipeline.providers.enable_banking.window import OPERATION, to_window
from bank_pipeline.providers.exact_json import dump_json, parse_json
from bank_pipeline.providers.rows import Rows
from bank_pipeline_tests.providers.enable_banking.builders import (
    TODAY,
    account,
    amount,
    transaction,
    window,
)

NORDEA = ("FI", "Nordea")


def read(
    *, of: Account | None = None, bank: tuple[str, str] = NORDEA, **fields: Any
) -> tuple[str | None, Transaction] | QuarantinedRow:
    rows = Rows("x", has_odd_text=True)
    raw = parse_json(dump_json(transaction(**fields)))
    pair = rows.read(
        raw,
        EbTransaction,
        lambda row, unreadable: to_transaction(
            row, unreadable, account=of or account(), quirks=quirks_of(*bank), last_day=TODAY
        ),
        id_key="entry_reference",
    )
    return pair if pair is not None else rows.quarantined[0]


def row(**fields: Any) -> Transaction:
    found = read(**fields)
    assert isinstance(found, tuple), found
    return found[1]


def reference(**fields: Any) -> str | None:
    found = read(**fields)
    assert isinstance(found, tuple), found
    return found[0]


def quarantined(**fields: Any) -> QuarantinedRow:
    found = read(**fields)
    assert isinstance(found, QuarantinedRow), found
    return found


@pytest.mark.parametrize(
    ("stated", "indicator", "meant"),
    [
        ("12.34", "DBIT", "-12.34"),
        ("-12.34", "DBIT", "-12.34"),
        ("12.34", "CRDT", "12.34"),
        ("-12.34", "CRDT", "12.34"),
        ("25000.000", "CRDT", "25000"),
        ("0.00", "DBIT", "0"),
        ("0.12345678901234567890123456789012345", "DBIT", "-0.12345678901234567890123456789012345"),
    ],
)
def test_the_indicator_signs_an_amount_whatever_its_own_sign(
    stated: str, indicator: str, meant: str
) -> None:
    found = row(transaction_amount=amount(stated), credit_debit_indicator=indicator)
    assert found.amount is not None
    assert str(found.amount) == meant


@pytest.mark.parametrize(
    ("code", "currency", "unofficial"),
    [
        ("EUR", "EUR", None),
        (" sek", "SEK", None),
        ("XXX", None, None),
        ("", None, None),
        ("USDC", None, "USDC"),
    ],
)
def test_an_unknown_currency_is_none(
    code: str, currency: str | None, unofficial: str | None
) -> None:
    found = row(transaction_amount=amount("1", code))
    assert (found.currency, found.unofficial_currency) == (currency, unofficial)


@pytest.mark.parametrize(
    ("status", "booked_on", "meaning"),
    [
        ("BOOK", "2026-03-04", TransactionStatus.BOOKED),
        ("PDNG", "2026-03-04", TransactionStatus.PENDING),
        ("HOLD", None, TransactionStatus.PENDING),
        ("SCHD", "2026-03-09", TransactionStatus.SCHEDULED),
        ("CNCL", "2026-03-04", TransactionStatus.CANCELLED),
        ("RJCT", None, TransactionStatus.REJECTED),
        ("OTHR", "2026-03-04", TransactionStatus.BOOKED),
        ("OTHR", None, TransactionStatus.INFORMATION),
        ("INFO", None, TransactionStatus.INFORMATION),
        ("INFO", "2026-03-04", TransactionStatus.INFORMATION),
        ("BOOK", "2026-03-06", TransactionStatus.BOOKED),
        ("BOOK", "2026-03-07", TransactionStatus.SCHEDULED),
    ],
)
def test_each_status_has_its_meaning(
    status: str, booked_on: str | None, meaning: TransactionStatus
) -> None:
    found = row(status=status, booking_date=booked_on)
    assert found.status is meaning
    assert found.details.get("status") == (
        status if status in ("HOLD", "OTHR", "INFO") or booked_on == "2026-03-07" else None
    )


@pytest.mark.parametrize(
    ("dates", "booked_on"),
    [
        ({"booking_date": "2026-03-01", "value_date": "2026-03-02"}, date(2026, 3, 1)),
        ({"booking_date": None, "value_date": "2026-03-02"}, date(2026, 3, 2)),
        ({"booking_date": None, "transaction_date": "2026-02-27"}, date(2026, 2, 27)),
        ({"booking_date": "2026-03-01T23:59:59-05:00"}, date(2026, 3, 1)),
        ({"booking_date": "yesterday", "value_date": "2026-03-02"}, date(2026, 3, 2)),
    ],
)
def test_a_booked_row_is_booked_on_the_first_date_it_has(
    dates: dict[str, str | None], booked_on: date
) -> None:
    assert row(**dates).booking_date == booked_on


def test_a_pending_row_has_no_booking_date_but_a_day_it_was_paid() -> None:
    found = row(status="PDNG", booking_date="2026-03-04")
    assert (found.booking_date, found.transaction_date) == (None, date(2026, 3, 4))
    both = row(status="PDNG", booking_date="2026-03-04", transaction_date="2026-03-02")
    assert both.transaction_date == date(2026, 3, 2)
    assert both.details["booking_date"] == "2026-03-04"
    valued = row(status="PDNG", booking_date=None, value_date="2026-03-03")
    assert valued.transaction_date == date(2026, 3, 3)


def test_a_pending_row_that_nobody_could_see_end_is_left_out() -> None:
    """Without a day no answer would ever cover it; a day of any kind will do."""
    undated = transaction(1, status="PDNG", booking_date=None)
    dated = transaction(2, status="HOLD", booking_date=None, value_date="2026-03-04")
    body = dump_json({"transactions": [undated, dated]}).encode()
    answer = to_window([RawAnswer(OPERATION, body, b"", None)], account(), window())

    assert [row.external_id for row in answer.transactions] == ["entry-2"]
    assert answer.quarantined == ()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"booking_date": None}, ": booked_without_date"),
        ({"booking_date": "soon"}, ": booked_without_date"),
        ({"transaction_amount": amount("invalid")}, "transaction_amount.amount: value_error"),
        ({"transaction_amount": amount("NaN")}, "transaction_amount.amount: value_error"),
        ({"transaction_amount": None}, "transaction_amount: model_type"),
        ({"transaction_amount": {"amount": "1"}}, "transaction_amount.currency: missing"),
        ({"credit_debit_indicator": None}, "credit_debit_indicator: literal_error"),
        ({"status": "NEWS"}, "status: literal_error"),
    ],
)
def test_a_row_that_cannot_be_booked_is_set_aside(fields: dict[str, Any], reason: str) -> None:
    found = quarantined(**fields)
    assert (found.external_id, found.reason) == ("entry-1", reason)


def test_the_counterparty_is_the_creditor_of_money_out_and_the_debtor_of_money_in() -> None:
    parties = {
        "creditor": {"name": "Receiver"},
        "creditor_account": {"iban": "FI8638798819867751", "other": None},
        "creditor_agent": {"bic_fi": "OKOYFIHH"},
        "debtor": {"name": "Payer"},
    }
    paid = row(credit_debit_indicator="DBIT", **parties).counterparty
    got = row(credit_debit_indicator="CRDT", **parties).counterparty
    assert paid is not None
    assert got is not None
    assert (paid.name, paid.identifiers.iban, paid.identifiers.bic) == (
        "Receiver",
        "FI8638798819867751",
        "OKOYFIHH",
    )
    assert (got.name, got.identifiers.iban) == ("Payer", None)


def test_the_holder_is_never_the_counterparty() -> None:
    assert row(creditor={"name": "MEIKÄLÄINEN MATTI"}).counterparty is None
    twice = row(creditor={"name": "Somebody"}, debtor={"name": "somebody"})
    assert twice.counterparty is None
    assert twice.details["creditor"] == {"name": "Somebody"}


def test_a_name_in_the_address_is_a_name() -> None:
    found = row(creditor={"postal_address": {"address_line": ["", "ACME STORE WARSAW"]}})
    assert found.counterparty is not None
    assert found.counterparty.name == "ACME STORE WARSAW"


@pytest.mark.parametrize("nobody", [None, {"name": None}, {"name": "NOTPROVIDED"}, {"name": " "}])
def test_no_name_is_no_counterparty(nobody: dict[str, Any] | None) -> None:
    assert row(creditor=nobody).counterparty is None


def test_a_card_is_not_a_shop() -> None:
    found = row(
        creditor={"name": "CARD-350090370"}, remittance_information=["Café Zoë", "LISBOA 12"]
    )
    assert found.counterparty is not None
    assert found.counterparty.name == "Café Zoë"


def test_keys_and_values_are_read_out_of_the_text() -> None:
    lines = ["Bank transfer", "Naam: Bakker", "Omschrijving: Supermarket", "Kenmerk: 12345"]
    found = row(creditor=None, remittance_information=lines)
    assert found.description == " ".join(lines)
    assert found.cleaned_description == "Supermarket"
    assert found.counterparty is not None
    assert (found.counterparty.name, found.reference) == ("Bakker", "12345")


@pytest.mark.parametrize(
    ("given", "description"),
    [
        (["K-MARKET", "18.11."], "K-MARKET 18.11."),
        ("one text", "one text"),
        ([None, " a ", ""], "a"),
        ([], ""),
        (None, ""),
    ],
)
def test_the_description_is_the_banks_text(given: Any, description: str) -> None:
    assert row(remittance_information=given).description == description


def test_without_a_text_the_kind_of_the_entry_is_shown() -> None:
    found = row(remittance_information=[], bank_transaction_code={"description": "Card purchase"})
    assert (found.description, found.cleaned_description) == ("", "Card purchase")


def test_codes_say_how_and_for_what_the_money_moved() -> None:
    code = {"description": "Card purchase", "code": "CCRD", "sub_code": "POSD"}
    found = row(bank_transaction_code=code, merchant_category_code="5411")
    assert found.bank_transaction_code == "CCRD-POSD"
    assert found.payment_method is PaymentMethod.CARD
    assert found.category == Category.GROCERIES
    assert found.merchant is not None
    assert found.merchant.category_code == "5411"
    assert found.counterparty is not None
    assert found.counterparty.type is CounterpartyType.MERCHANT
    assert row(merchant_category_code="5411").payment_method is PaymentMethod.CARD


def test_a_code_that_is_no_text_is_kept_as_it_came() -> None:
    found = row(bank_transaction_code={"description": "Purchase", "code": 12, "sub_code": "32"})
    assert found.details["bank_transaction_code"] == {"description": "Purchase", "code": 12}
    assert found.bank_transaction_code == "32"


def test_a_purchase_in_another_currency_is_signed_like_the_row() -> None:
    exchange = {
        "unit_currency": "USD",
        "exchange_rate": "1.0843",
        "rate_type": "SPOT",
        "instructed_amount": amount("46.08", "USD"),
    }
    found = row(exchange_rate=exchange).foreign_exchange
    assert found is not None
    assert (found.source_amount, found.source_currency, found.rate) == (
        Decimal("-46.08"),
        "USD",
        Decimal("1.0843"),
    )
    same = row(exchange_rate={"exchange_rate": "string", "instructed_amount": amount("12.34")})
    assert same.foreign_exchange is None
    assert same.details["exchange_rate"]["exchange_rate"] == "string"


def test_the_balance_after_a_row_is_kept_in_its_currency() -> None:
    for code, known in (("EUR", True), ("XXX", True), ("USD", False)):
        found = row(balance_after_transaction=amount("1234.560", code))
        assert (found.running_balance == Decimal("1234.56")) is known
        assert ("balance_after_transaction" in found.details) is not known
    card = account(type=AccountType.CREDIT_CARD)
    left = row(of=card, bank=("NO", "Bank Norwegian"), balance_after_transaction=amount("9"))
    assert left.running_balance is None


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("5561990681", "5561990681"),
        ("240412-000017", "240412-000017"),
        (5561990681, "5561990681"),
        (None, None),
        ("", None),
        ("  ", None),
        ("NOTPROVIDED", None),
        ("0", None),
        ("2026-03-04-1", None),
        ("2026-02-04-1", "2026-02-04-1"),
        ("12ab" * 128, "12ab" * 128),
        ("7ab" * 171, None),  # an index of PostgreSQL refuses it, and with it the whole sync
    ],
)
def test_an_entry_reference_that_names_the_row_is_its_id(given: Any, name: str | None) -> None:
    assert reference(entry_reference=given, booking_date="2026-03-04") == name


def test_references_of_a_bank_that_changes_them_are_no_ids() -> None:
    assert reference(bank=("LU", "Banque Changeante")) is None


def test_a_volatile_id_leaves_no_trace() -> None:
    assert row(transaction_id="one") == row(transaction_id="another")


def test_a_hold_that_is_called_booked_is_pending_where_that_is_known() -> None:
    dates = {"booking_date": None, "transaction_date": "2026-03-03"}
    assert row(bank=("BG", "DSK Bank"), **dates).status is TransactionStatus.PENDING
    assert row(**dates).status is TransactionStatus.BOOKED


def test_nothing_is_lost_for_want_of_a_column() -> None:
    found = row(
        note="birthday",
        brand_new={"deep": ["x", None]},
        reference_number="RF07850352502356628678117",
        reference_number_schema="INTL",
        creditor={"name": "K-Market", "private_id": {"identification": "1", "scheme_name": "X"}},
        debtor_account={"iban": "FI0455231152453547"},
        value_date="never",
        merchant_category_code=["5411"],
    )
    assert found.reference == "RF07850352502356628678117"
    assert found.details == {
        "note": "birthday",
        "brand_new": {"deep": ["x", None]},
        "reference_number_schema": "INTL",
        "creditor": {"private_id": {"identification": "1", "scheme_name": "X"}},
        "debtor_account": {"iban": "FI0455231152453547"},
        "value_date": "never",
        "merchant_category_code": ["5411"],
    }


def test_a_cards_number_is_never_kept_whole() -> None:
    card = {"identification": "4000001234567899", "scheme_name": "CPAN", "issuer": None}
    masked = {"identification": "400000******7899", "scheme_name": "CPAN"}
    found = row(
        debtor_account={"iban": None, "other": card},
        debtor_account_additional_identification=[card, masked, "odd"],
    )
    end = {"identification": "7899", "scheme_name": "CPAN"}
    assert found.details == {
        "debtor_account": {"other": end},
        "debtor_account_additional_identification": [end, masked, "odd"],
    }


def test_text_that_no_database_can_hold_costs_only_its_field() -> None:
    found = row(note="a\0b", reference_number="\ud800")
    assert found.amount == Decimal("-12.34")
    assert {*found.details} == {"note", "reference_number"}
