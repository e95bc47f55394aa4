"""What a row says is understood in every shape that banks give it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bank_pipeline.domain.account import AccountIdentifiers
from bank_pipeline.domain.category import Category
from bank_pipeline.domain.transaction import ForeignExchange, PaymentMethod, TransactionStatus
from bank_pipeline.providers.exact_json import dump_json
from bank_pipeline_tests.providers.gocardless.builders import (
    TODAY,
    account,
    answered,
    booked,
    pending,
    row,
)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("45", "45"), ("-10.00", "-10"), ("-7.0000", "-7"), ("+3.5", "3.5"), (" 1.10 ", "1.1")],
)
def test_an_amount_is_exact_and_signed_as_the_holder_sees_it(text: str, amount: str) -> None:
    assert booked(amount=text).amount == Decimal(amount)


def test_an_amount_that_is_a_number_is_as_good() -> None:
    assert booked(transactionAmount={"amount": 100.1, "currency": "EUR"}).amount == Decimal("100.1")


@pytest.mark.parametrize("amount", ["", "ten", "1,5", "NaN", None])
def test_a_row_without_a_readable_amount_is_set_aside_and_its_siblings_land(amount: object) -> None:
    bad = row(transactionAmount={"amount": amount, "currency": "EUR"}, internalTransactionId="i-1")
    answer = answered([bad, row()])
    assert len(answer.transactions) == 1
    assert answer.quarantined[0].external_id == "i-1"
    assert "transactionAmount" in answer.quarantined[0].reason


@pytest.mark.parametrize(
    ("code", "official", "unofficial"),
    [
        ("EUR", "EUR", None),
        ("eur", "EUR", None),
        ("XXX", None, None),
        ("", None, None),
        (None, None, None),
        ("string", None, "STRING"),
    ],
)
def test_a_currency_is_official_another_one_or_unknown(
    code: str | None, official: str | None, unofficial: str | None
) -> None:
    found = booked(currency=code)
    assert (found.currency, found.unofficial_currency) == (official, unofficial)


@pytest.mark.parametrize(
    ("fields", "day"),
    [
        ({"valueDate": "2026-11-18"}, date(2026, 11, 19)),
        ({"bookingDate": "2026-11-19T00:00:00Z"}, date(2026, 11, 19)),
        ({"bookingDate": None, "bookingDateTime": "2026-11-17T23:30:00-05:00"}, date(2026, 11, 17)),
        ({"bookingDate": None, "valueDate": "2026-11-18"}, date(2026, 11, 18)),
        ({"bookingDate": "", "valueDateTime": "2026-11-16T03:30Z"}, date(2026, 11, 16)),
        ({"bookingDate": "31.11.2026", "valueDate": "2026-11-15"}, date(2026, 11, 15)),
        ({"bookingDate": "0001-01-01", "valueDate": "2026-11-15"}, date(2026, 11, 15)),
        ({"bookingDate": "1900-01-01"}, date(1900, 1, 1)),
    ],
)
def test_the_booking_date_is_the_first_that_is_stated_and_never_shifted(
    fields: dict[str, Any], day: date
) -> None:
    assert booked(**fields).booking_date == day


def test_a_booked_row_without_any_date_is_set_aside() -> None:
    for none in (None, "0001-01-01", "1899-12-31"):
        answer = answered([row(bookingDate=none), row()])
        assert len(answer.transactions) == 1
        assert "no_date" in answer.quarantined[0].reason


def test_a_pending_row_has_a_day_of_payment_and_no_booking() -> None:
    found = pending(bookingDate=None, valueDate="2026-11-18")
    assert found.status is TransactionStatus.PENDING
    assert (found.booking_date, found.transaction_date) == (None, date(2026, 11, 18))


@pytest.mark.parametrize("text", ["BAKERY 18.11.2026", "BAKERY 18/11/26", "BAKERY 2026-11-18 9:30"])
def test_a_pending_row_may_have_its_date_in_its_text(text: str) -> None:
    found = pending(bookingDate=None, remittanceInformationUnstructured=text)
    assert found.transaction_date == date(2026, 11, 18)


def test_a_pending_row_may_have_its_date_in_the_structured_text() -> None:
    found = pending(bookingDate=None, remittanceInformationStructured="x 2026-11-18 y")
    assert found.transaction_date == date(2026, 11, 18)


@pytest.mark.parametrize("text", ["BAKERY", "born 18.11.1986", "due 2027-01-01", "31.11.2026"])
def test_a_pending_row_without_a_plausible_date_is_left_out(text: str) -> None:
    undated = row(bookingDate=None, remittanceInformationUnstructured=text)
    answer = answered([], [undated])
    assert answer.transactions == ()
    assert answer.quarantined == ()


def test_nobody_has_paid_tomorrow() -> None:
    assert pending(bookingDate="2026-11-22").transaction_date == TODAY
    assert pending(bookingDate="2026-11-20").transaction_date == TODAY


def test_a_bank_east_of_us_may_be_a_day_ahead() -> None:
    """A calendar date is the bank's, and is kept as it is."""
    tomorrow = TODAY + timedelta(days=1)
    assert pending(bookingDate=tomorrow.isoformat()).transaction_date == tomorrow


def test_a_pending_row_that_is_dated_ahead_keeps_its_name_from_day_to_day() -> None:
    ahead = [row(bookingDate="2026-11-22")]
    days = [TODAY, TODAY + timedelta(days=1), TODAY + timedelta(days=2)]
    rows = [answered([], ahead, today=day).transactions[0] for day in days]
    assert [one.transaction_date for one in rows] == [TODAY, days[2], days[2]]
    assert len({one.external_id for one in rows}) == 1


def test_a_row_booked_ahead_is_scheduled() -> None:
    assert booked(bookingDate="2026-11-21").status is TransactionStatus.BOOKED
    assert booked(bookingDate="2026-11-22").status is TransactionStatus.SCHEDULED
    # Interest may begin later than the booking, also at a bank that we book by that date.
    valued = booked("ISYBANK_ITBBITMM", bookingDate="2026-11-20", valueDate="2026-11-23")
    assert valued.status is TransactionStatus.BOOKED
    ahead = booked("ISYBANK_ITBBITMM", bookingDate="2026-11-23", valueDate="2026-11-20")
    assert ahead.status is TransactionStatus.SCHEDULED


def test_a_row_of_the_first_or_the_last_day_of_all_can_be_read() -> None:
    """Such a date stands for none at some banks; the text names another."""
    for day, text in (("1900-01-01", "2026-11-18"), ("9999-12-31", "9999-12-31")):
        card = booked(
            "LHV_LHVBEE22",
            bookingDate=day,
            remittanceInformationUnstructured=f"(..1234) {text} 09:32 Shop",
        )
        assert str(card.booking_date) == day


def test_a_time_counts_only_when_a_bank_gives_a_real_one() -> None:
    real = booked(bookingDateTime="2026-11-19T14:02:11.1234567+01:00")
    assert real.booked_at == datetime(2026, 11, 19, 13, 2, 11, 123456, tzinfo=UTC)
    odd = ("2026-11-19T00:00:00.000Z", "2026-11-19T14:02:11", "0001-01-01T09:00:00Z", "soon")
    for text in odd:
        unreal = booked(bookingDateTime=text)
        assert unreal.booked_at is None
        assert unreal.details["bookingDateTime"] == text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"remittanceInformationUnstructured": "one  text"}, "one  text"),
        ({"remittanceInformationUnstructuredArray": ["one", " ", "text "]}, "one text"),
        ({"remittanceInformationUnstructuredArray": "one text"}, "one text"),
        ({"remittanceInformationStructured": "RF18"}, "RF18"),
        ({"remittanceInformationStructuredArray": ["RF18", "x"]}, "RF18 x"),
        ({"remittanceInformationStructuredArray": [{"reference": "RF18"}]}, "RF18"),
        ({"additionalInformation": "more"}, "more"),
        ({"proprietaryBankTransactionCode": "POS"}, "POS"),
        ({}, ""),
    ],
)
def test_the_description_is_the_first_text_that_says_something(
    fields: dict[str, Any], text: str
) -> None:
    assert booked(**({"remittanceInformationUnstructured": None} | fields)).description == text


def test_money_out_goes_to_the_creditor_and_money_in_comes_from_the_debtor() -> None:
    parties = {"creditorName": "COFFEE SHOP", "debtorName": "EMPLOYER"}
    out, into = booked(amount="-1", **parties), booked(amount="1", **parties)
    assert (out.counterparty and out.counterparty.name) == "COFFEE SHOP"
    assert (into.counterparty and into.counterparty.name) == "EMPLOYER"
    assert booked(amount="0", **parties).counterparty is None


@pytest.mark.parametrize("name", ["JANE DOE", "Doe Jane", "  ", "NOTPROVIDED"])
def test_the_holder_and_a_placeholder_are_nobodys_counterparty(name: str) -> None:
    assert booked(creditorName=name).counterparty is None
    assert booked(creditorName="COFFEE SHOP", debtorName=name).counterparty is not None


def test_the_holders_own_account_is_not_the_other_side() -> None:
    own = {"iban": "DE02 5001 0517 0137 0750 30"}
    assert booked(creditorName="Mrs J. A. Doe", creditorAccount=own).counterparty is None


def test_the_ultimate_party_is_named_where_the_party_is_not() -> None:
    found = booked(ultimateCreditor="Coffee Holding").counterparty
    assert found is not None
    assert found.name == "Coffee Holding"


@pytest.mark.parametrize(
    ("stated", "identifiers"),
    [
        ({"iban": "DE89 3704 0044 0532 0130 00"}, {"iban": "DE89370400440532013000"}),
        ("DE89370400440532013000", {"iban": "DE89370400440532013000"}),
        ({"bban": "54910000003"}, {"bban": "54910000003"}),
        ("54910000003", {"bban": "54910000003"}),
        ({"iban": ""}, {}),
        (None, {}),
        (["?"], {}),
        (7, {}),
    ],
)
def test_an_account_may_be_an_object_or_a_text(stated: object, identifiers: dict[str, str]) -> None:
    found = booked(creditorName="SHOP", creditorAccount=stated, creditorAgent="COBADEFF")
    assert found.counterparty is not None
    expected = AccountIdentifiers(bic="COBADEFF", **identifiers)
    if stated == 7:
        expected = AccountIdentifiers(bic="COBADEFF", bban="7")
    assert found.counterparty.identifiers == expected


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        (
            [{"sourceCurrency": "USD", "exchangeRate": "1.0843", "targetCurrency": "EUR"}],
            ForeignExchange(source_currency="USD", rate=Decimal("1.0843")),
        ),
        (
            {
                "sourceCurrency": "USD",
                "exchangeRate": "1.1",
                "instructedAmount": {"amount": "11.00", "currency": "USD"},
            },
            ForeignExchange(source_amount=Decimal(-11), source_currency="USD", rate=Decimal("1.1")),
        ),
        (
            # What was instructed is in the account's own currency: not what was paid abroad.
            {"sourceCurrency": "USD", "instructedAmount": {"amount": "10.00", "currency": "EUR"}},
            ForeignExchange(source_currency="USD"),
        ),
        (
            {"sourceCurrency": "EUR", "targetCurrency": "USD", "exchangeRate": "1.15"},
            ForeignExchange(source_currency="USD", rate=Decimal("1.15")),
        ),
        ({"sourceCurrency": "EUR", "exchangeRate": "1.0"}, None),
        ([{"sourceCurrency": "XXX", "exchangeRate": "0.0"}], None),
        (
            # No amount of money: it is unknown, and the row lands.
            {"sourceCurrency": "USD", "exchangeRate": f"1.{'1' * 60}"},
            ForeignExchange(source_currency="USD"),
        ),
        (
            {
                "sourceCurrency": "USD",
                "instructedAmount": {"amount": f"1.{'1' * 60}", "currency": "USD"},
            },
            ForeignExchange(source_currency="USD"),
        ),
        ([], None),
        (None, None),
        ("USD 1.1", None),
        ([None, 3], None),
    ],
)
def test_an_exchange_may_be_a_list_an_object_or_nothing(
    exchange: object, expected: ForeignExchange | None
) -> None:
    assert booked(currencyExchange=exchange).foreign_exchange == expected


@pytest.mark.parametrize(
    ("stated", "balance"),
    [
        ({"balanceAmount": {"amount": "9.52", "currency": "EUR"}}, Decimal("9.52")),
        ({"amount": "9.52", "currency": "EUR"}, Decimal("9.52")),
        ("9.52 EUR", None),
        ({"balanceAmount": {"amount": "9.52", "currency": "XXX"}}, Decimal("9.52")),
        ({"balanceAmount": {"amount": "?"}}, None),
        ({"balanceAmount": {"amount": f"1.{'1' * 60}"}}, None),
        (None, None),
    ],
)
def test_the_running_balance_has_three_shapes(stated: object, balance: Decimal | None) -> None:
    assert booked(balanceAfterTransaction=stated).running_balance == balance


@pytest.mark.parametrize(
    ("code", "own", "balance"), [("SEK", "EUR", None), ("SEK", "XXX", 9), ("SEK", "sek", 9)]
)
def test_a_balance_in_another_currency_is_no_running_balance(
    code: str, own: str, balance: int | None
) -> None:
    stated = {"balanceAmount": {"amount": "9", "currency": code}}
    found = booked(currency=own, balanceAfterTransaction=stated)
    assert found.running_balance == balance
    assert found.details["balanceAfterTransaction"] == stated


def test_codes_say_how_and_what_for() -> None:
    card = booked(bankTransactionCode="PMNT-CCRD-POSD", merchantCategoryCode="5411")
    assert card.payment_method is PaymentMethod.CARD
    assert card.category == Category.GROCERIES
    assert card.merchant is not None
    assert card.merchant.category_code == "5411"
    assert card.bank_transaction_code == "PMNT-CCRD-POSD"
    assert booked(amount="2000", purposeCode="SALA").category == Category.SALARY
    assert booked(merchant_category_code=5411).category == Category.GROCERIES
    assert booked(proprietaryBankTransactionCode="CARD_PAYMENT").payment_method is (
        PaymentMethod.CARD
    )


def test_references_are_kept_unless_they_are_placeholders() -> None:
    assert booked(endToEndId="INV-1", checkId="0042").reference == "INV-1"
    assert booked(endToEndId="INV-1", checkId="0042").check_number == "0042"
    assert booked(endToEndId="NOTPROVIDED").reference is None


def test_what_has_no_column_is_kept_and_unknown_fields_are_no_trouble() -> None:
    found = booked(
        creditorName="SHOP",
        mandateId="M-77",
        debtorName="Jane Doe",
        somethingNew={"deep": ["x", None]},
        blank=" ",
        nothing=None,
    )
    assert found.details == {
        "mandateId": "M-77",
        "debtorName": "Jane Doe",
        "somethingNew": {"deep": ["x", None]},
    }


def test_a_field_of_another_type_is_kept_and_costs_nothing_else() -> None:
    found = booked(creditorName=["SHOP"], bankTransactionCode={"code": 1.5})
    assert found.counterparty is None
    assert found.details["creditorName"] == ["SHOP"]
    assert found.details["bankTransactionCode"] == {"code": 1.5}


@pytest.mark.parametrize("number", ["4111111111111234", "4111 1111-1111 1234", 4111111111111234])
def test_a_cards_number_is_never_kept_whole(number: object) -> None:
    card = {"pan": number, "currency": "EUR"}
    found = booked(creditorName="SHOP", creditorAccount=card, somethingNew=[{"deep": card}])
    end = {"pan": "1234", "currency": "EUR"}
    assert found.details["creditorAccount"] == end
    assert found.details["somethingNew"] == [{"deep": end}]


@pytest.mark.parametrize("number", ["4111111111111234", "4111 1111 1111 1234", 4111111111111234])
def test_a_cards_number_is_not_kept_whole_beside_what_cannot_be_read(number: object) -> None:
    odd: Any = {"pan": number, "name": "a\0b"}
    deep: Any = {"pan": number}
    for _ in range(150):
        deep = {"a": deep}
    found = booked(debtorAccount=odd, creditorAccount=deep, creditorName=[{"pan": number}])
    kept = dump_json(dict(found.details))
    assert "1111" not in kept
    assert kept.count("1234") == 3


def test_a_cards_number_that_its_bank_masks_is_kept_as_it_came() -> None:
    card = {"pan": "411111******1234", "maskedPan": "4111********1234", "bban": "4111111111111234"}
    assert booked(debtorAccount=card).details["debtorAccount"] == card


def test_text_that_no_database_holds_is_mended() -> None:
    found = booked(remittanceInformationUnstructured="a\0b", note="c\0d")
    assert found.description == "a\N{REPLACEMENT CHARACTER}b"
    assert found.details["note"] == '"c\\u0000d"'


def test_a_row_that_is_no_row_is_set_aside() -> None:
    answer = answered([None, "x", 7, [], row()])
    assert len(answer.quarantined) == 4
    assert len(answer.transactions) == 1


def test_a_row_of_a_stranger_is_read_without_a_holder() -> None:
    owner = account(holder_name=None, identifiers=AccountIdentifiers())
    answer = answered([row(creditorName="Jane Doe")], owner=owner)
    assert answer.transactions[0].counterparty is not None
