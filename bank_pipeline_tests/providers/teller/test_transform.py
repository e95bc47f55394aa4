"""Each rule of the translation is a claim."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from bank_pipeline.domain.account import Account, AccountType
from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.category import Category
from bank_pipeline.domain.transaction import (
    Counterparty,
    CounterpartyType,
    PaymentMethod,
    Transaction,
    TransactionStatus,
)
from bank_pipeline.providers.rows import Rows
from bank_pipeline.providers.teller.schemas import (
    TellerAccount,
    TellerBalances,
    TellerTransaction,
)
from bank_pipeline.providers.teller.transform import (
    to_account,
    to_balances,
    to_running_balance,
    to_transaction,
)
from bank_pipeline.providers.teller.vocabulary import (
    CATEGORY_OF_WORD,
    TYPE_OF_SUBTYPE,
    to_category,
)
from bank_pipeline_tests.providers.teller.builders import (
    CARD,
    CHECKING,
    TODAY,
    account,
    transaction,
)


def translated(owner: Account = CHECKING, **fields: Any) -> Transaction:
    rows = Rows("transactions", has_odd_text=True)
    row = rows.read(
        transaction(**fields),
        TellerTransaction,
        lambda raw, unreadable: to_transaction(raw, unreadable, owner, today=TODAY),
        id_key="id",
    )
    assert row is not None, rows.quarantined
    return row


def quarantined(**fields: Any) -> str:
    rows = Rows("transactions", has_odd_text=True)
    raw = {key: value for key, value in transaction(**fields).items() if value != "absent"}
    row = rows.read(
        raw,
        TellerTransaction,
        lambda one, unreadable: to_transaction(one, unreadable, CHECKING, today=TODAY),
        id_key="id",
    )
    assert row is None
    return rows.quarantined[0].reason


def enriched(**fields: Any) -> dict[str, Any]:
    return {
        "processing_status": "complete",
        "category": None,
        "counterparty": {"name": None, "type": None},
    } | fields


def test_a_deposits_amount_is_ours_and_a_cards_is_turned() -> None:
    assert translated(amount="-84.12").amount == Decimal("-84.12")
    assert translated(CARD, amount="42.47").amount == Decimal("-42.47")
    assert translated(CARD, amount="-500.00").amount == 500


def test_amounts_are_exact_however_long() -> None:
    text = "-12345678901234567890123456789.123456789"
    assert translated(amount=text).amount == Decimal(text)
    assert translated(CARD, amount=text).amount == Decimal(text[1:])


def test_a_posted_row_is_booked_on_its_date() -> None:
    row = translated(status="posted", date="2026-11-17")
    assert row.status is TransactionStatus.BOOKED
    assert (row.booking_date, row.transaction_date) == (date(2026, 11, 17), None)


def test_a_pending_row_was_paid_on_its_date_and_is_not_booked() -> None:
    row = translated(status="pending", date="2026-11-17")
    assert row.status is TransactionStatus.PENDING
    assert (row.booking_date, row.transaction_date) == (None, date(2026, 11, 17))


def test_nobody_has_paid_tomorrow() -> None:
    """But a bank may be a day ahead of us."""
    days = {"2026-11-21": date(2026, 11, 21), "2026-11-22": TODAY, "2027-01-01": TODAY}
    for stated, day in days.items():
        assert translated(status="pending", date=stated).transaction_date == day


@pytest.mark.parametrize(
    ("day", "status"),
    [
        ("2026-11-21", TransactionStatus.BOOKED),
        ("2026-11-22", TransactionStatus.SCHEDULED),
    ],
)
def test_what_is_posted_for_a_day_to_come_is_scheduled(day: str, status: TransactionStatus) -> None:
    row = translated(date=day)
    assert row.status is status
    assert (row.booking_date is None) == (status is TransactionStatus.SCHEDULED)


def test_a_row_has_its_accounts_currency() -> None:
    assert translated().currency == "USD"
    wallet = CHECKING.model_copy(update={"currency": None, "unofficial_currency": "USDC"})
    row = translated(wallet)
    assert (row.currency, row.unofficial_currency) == (None, "USDC")


def test_the_banks_text_stays_and_gets_a_form_for_display() -> None:
    row = translated(description="  CARD  1234 SHOP ")
    assert row.description == "  CARD  1234 SHOP "
    assert row.cleaned_description
    assert row.cleaned_description != row.description


def test_the_other_side_is_who_teller_recognised() -> None:
    party = {"name": "J LEWIS", "type": "person"}
    row = translated(details=enriched(counterparty=party))
    assert row.counterparty == Counterparty(name="J LEWIS", type=CounterpartyType.PERSON)
    assert translated().counterparty == Counterparty(
        name="GREEN STREET GROCERS", type=CounterpartyType.ORGANISATION
    )


@pytest.mark.parametrize("name", ["YOURSELF", "Yourself", "ROE, Jane"])
def test_the_holder_is_never_the_other_side(name: str) -> None:
    owner = CHECKING.model_copy(update={"holder_name": "Jane Roe"})
    party = {"name": name, "type": "person"}
    row = translated(owner, details=enriched(counterparty=party))
    assert row.counterparty is None
    assert row.details["details"]["counterparty"] == party


@pytest.mark.parametrize("party", [None, {}, {"name": None, "type": None}, {"name": " "}, 5])
def test_an_unknown_side_is_none(party: object) -> None:
    assert translated(details=enriched(counterparty=party)).counterparty is None


def test_a_new_kind_of_side_keeps_its_word() -> None:
    party = {"name": "X", "type": "robot"}
    row = translated(details=enriched(counterparty=party))
    assert row.counterparty == Counterparty(name="X", type=CounterpartyType.OTHER)
    assert row.details["details"]["counterparty"] == party


@pytest.mark.parametrize(
    ("word", "method"),
    [
        ("card_payment", PaymentMethod.CARD),
        ("ach", PaymentMethod.TRANSFER),
        ("transfer", PaymentMethod.TRANSFER),
        ("wire", PaymentMethod.TRANSFER),
        ("payment", PaymentMethod.TRANSFER),
        ("bill_payment", PaymentMethod.BILL_PAYMENT),
        ("digital_payment", PaymentMethod.PAYMENT_APP),
        ("atm", PaymentMethod.CASH),
        ("check", PaymentMethod.CHEQUE),
        ("fee", PaymentMethod.FEE),
        ("interest", PaymentMethod.INTEREST),
        ("other", PaymentMethod.OTHER),
        ("deposit", None),
        ("invented_tomorrow", None),
        (None, None),
    ],
)
def test_the_type_says_how_the_money_moved(word: str | None, method: PaymentMethod | None) -> None:
    row = translated(type=word)
    assert row.payment_method is method
    assert row.details.get("type") == word


def test_all_documented_categories_have_ours() -> None:
    assert len(CATEGORY_OF_WORD.keys() - {"services"}) == 28
    assert [word for word, ours in CATEGORY_OF_WORD.items() if ours is None] == ["general"]


@pytest.mark.parametrize(
    ("word", "type_", "amount", "is_debt", "expected"),
    [
        ("groceries", "card_payment", -1, False, Category.GROCERIES),
        ("groceries", "card_payment", 1, False, Category.GROCERIES),
        ("loan", "ach", -1, False, Category.LOAN_PAYMENT),
        ("loan", "ach", 1, False, Category.LOAN_RECEIVED),
        ("general", "card_payment", -1, False, None),
        ("general", "transfer", -1, False, Category.TRANSFER),
        (None, "fee", -12, False, Category.BANK_FEES),
        ("income", "interest", 1, False, Category.INTEREST_INCOME),
        (None, "interest", -1, True, Category.INTEREST_PAID),
        ("general", "atm", -20, False, Category.CASH_WITHDRAWAL),
        ("general", "atm", 20, False, Category.CASH_DEPOSIT),
        ("general", "payment", 500, True, Category.CREDIT_CARD_PAYMENT),
        ("income", "other", 25, True, Category.OTHER_INCOME),
        ("invented_tomorrow", "card_payment", -1, False, None),
        (None, None, 0, False, None),
    ],
)
def test_a_category_comes_from_the_type_where_that_is_certain(
    word: str | None, type_: str | None, amount: int, is_debt: bool, expected: Category | None
) -> None:
    assert to_category(word, type_, Decimal(amount), is_debt=is_debt) is expected


def test_tellers_own_category_stays_beside_ours() -> None:
    row = translated(details=enriched(category="fuel"))
    assert row.provider_category is not None
    assert (row.category, row.provider_category.primary) == (Category.VEHICLE, "fuel")


def test_what_is_not_enriched_yet_says_so_and_has_no_category() -> None:
    row = translated(details=enriched(processing_status="pending"))
    assert (row.category, row.provider_category) == (None, None)
    assert row.details["details"] == {"processing_status": "pending"}


def test_running_balances_are_kept_with_our_sign() -> None:
    assert translated(running_balance="2931.41").running_balance == Decimal("2931.41")
    assert translated(CARD, running_balance="500.00").running_balance == -500
    assert translated(running_balance=None).running_balance is None


def test_nothing_without_a_column_is_lost() -> None:
    row = translated(
        mood="new",
        details=enriched(counterparty={"name": "X", "type": "person", "id": "c1"}, seen="twice"),
    )
    assert row.details == {
        "mood": "new",
        "type": "card_payment",
        "details": {"processing_status": "complete", "counterparty": {"id": "c1"}, "seen": "twice"},
    }


@pytest.mark.parametrize(
    ("field", "odd"),
    [
        ("type", 5),
        ("running_balance", "much"),
        ("details", "text"),
        ("description", ["x"]),
    ],
)
def test_decoration_that_cannot_be_read_is_kept_beside_the_row(field: str, odd: object) -> None:
    fields: dict[str, Any] = {field: odd}
    row = translated(**fields)
    assert row.amount == Decimal("-84.12")
    assert row.details[field] == odd


@pytest.mark.parametrize("field", ["id", "account_id", "status", "amount", "date"])
@pytest.mark.parametrize("odd", ["absent", None, "", "odd\0", ["x"]])
def test_a_row_is_set_aside_without_what_is_vital(field: str, odd: object) -> None:
    is_odd_text = odd == "odd\0"
    expected = "text that no database can hold" if is_odd_text else field
    assert expected in quarantined(**{field: odd})


@pytest.mark.parametrize("amount", ["NaN", "1e5", "1,000.00", "$5", "--5", "5."])
def test_what_is_no_decimal_is_no_amount(amount: str) -> None:
    assert "amount" in quarantined(amount=amount)


def test_unknown_statuses_are_set_aside() -> None:
    assert quarantined(status="canceled") == "status: literal_error"


def read_account(**fields: Any) -> Account:
    return to_account(TellerAccount.model_validate(account(**fields)))


def test_an_account_is_described() -> None:
    read = read_account()
    assert read == CHECKING.model_copy(update={"identifiers": read.identifiers})
    assert read.identifiers.masked_number == "0001"
    assert read.stable_external_ids == ()


@pytest.mark.parametrize(
    ("code", "expected"),
    [("USD", ("USD", None)), ("usd", ("USD", None)), ("XXX", (None, None)), (None, (None, None)),
     ("", (None, None)), ("USDC", (None, "USDC"))],
)  # fmt: skip
def test_currencies_are_upper_case_and_unknown_is_none(
    code: str | None, expected: tuple[str | None, str | None]
) -> None:
    read = read_account(currency=code)
    assert (read.currency, read.unofficial_currency) == expected


@pytest.mark.parametrize(("subtype", "expected"), sorted(TYPE_OF_SUBTYPE.items()))
def test_every_documented_subtype_has_a_type(subtype: str, expected: AccountType) -> None:
    type_ = "credit" if expected.is_liability else "depository"
    assert read_account(type=type_, subtype=subtype).type is expected


@pytest.mark.parametrize(
    ("type_", "subtype", "expected"),
    [
        ("depository", "brand_new", AccountType.CHECKING),
        ("depository", None, AccountType.CHECKING),
        ("credit", "brand_new", AccountType.CREDIT_CARD),
        ("depository", "credit_card", AccountType.CHECKING),
        ("credit", "checking", AccountType.CREDIT_CARD),
        ("brand_new", None, AccountType.OTHER),
    ],
)
def test_a_subtype_never_turns_a_deposit_into_a_debt(
    type_: str, subtype: str | None, expected: AccountType
) -> None:
    assert read_account(type=type_, subtype=subtype).type is expected


def test_balances_are_those_that_are_stated_and_debt_is_negative() -> None:
    raw = TellerBalances.model_validate({"ledger": "1180.02", "available": None})
    (balance,) = to_balances(raw, CARD)
    assert (balance.kind, balance.provider_type) == (BalanceKind.BOOKED, "ledger")
    assert (balance.amount, balance.currency) == (Decimal("-1180.02"), "USD")
    overpaid = TellerBalances.model_validate({"ledger": "-25.5", "available": "125.5"})
    assert [one.amount for one in to_balances(overpaid, CARD)] == [
        Decimal("25.5"),
        Decimal("125.5"),
    ]
    overdrawn = TellerBalances.model_validate({"ledger": "-3", "available": "-3"})
    assert [one.amount for one in to_balances(overdrawn, CHECKING)] == [-3, -3]
    both = TellerBalances.model_validate({"ledger": "10", "available": "90.5"})
    assert [(one.kind, one.amount) for one in to_balances(both, CARD)] == [
        (BalanceKind.BOOKED, -10),
        (BalanceKind.AVAILABLE, Decimal("90.5")),
    ]
    assert to_balances(TellerBalances(), CHECKING) == ()


def test_the_running_balance_is_the_newest_booked_rows() -> None:
    rows = [
        translated(id="txn_1", status="pending"),
        translated(id="txn_2", status="posted", running_balance=None, date="2026-11-18"),
        translated(id="txn_3", status="posted", running_balance="7.50", date="2026-11-17"),
        translated(id="txn_4", status="posted", running_balance="9.00", date="2026-11-16"),
    ]
    balance = to_running_balance(rows, CHECKING)
    assert balance is not None
    assert (balance.amount, balance.as_of_date) == (Decimal("7.50"), date(2026, 11, 17))
    assert (balance.kind, balance.provider_type) == (BalanceKind.BOOKED, "running_balance")
    assert balance.preference > 0
    assert to_running_balance(rows[:2], CHECKING) is None
