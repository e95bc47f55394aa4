"""What other clients expect of one transaction, field by field, beside what we have. Pure."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from bank_pipeline.domain.identity import FINGERPRINT_PREFIX
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline_tests.corpus.cases import Case
from bank_pipeline_tests.corpus.convention import (
    shown_name,
    text_like,
    texts_of,
    to_currency,
    to_day,
    to_decimal,
    to_words,
)
from bank_pipeline_tests.corpus.sheet import Sheet

_NUMBER_TAIL: Final = re.compile(r" \(\w+ XXX \w+\)$")
_STATUSES: Final[Mapping[object, TransactionStatus]] = {
    "posted": TransactionStatus.BOOKED,
    "pending": TransactionStatus.PENDING,
    True: TransactionStatus.BOOKED,
    False: TransactionStatus.PENDING,
}

Pair = tuple[Any, Any]
_Expectation = Callable[[Any, Transaction, Case], Pair | None]


def compare_row(sheet: Sheet, row: Transaction, stated: Mapping[str, Any]) -> None:
    """Compare every stated field of one row; what has no counterpart is noted as ignored."""
    for name, value in stated.items():
        expectation = FIELDS.get(name)
        pair = expectation(value, row, sheet.case) if expectation else None
        if pair is not None:
            sheet.add(name, *pair)
        elif expectation is not None:
            sheet.ignore("other_side")
        else:
            sheet.ignore(name)


def _amount(value: Any, row: Transaction, _case: Case) -> Pair:
    return to_decimal(value), row.amount


def _amount_with_currency(value: Any, row: Transaction, _case: Case) -> Pair:
    expected: list[Any] = []
    found: list[Any] = []
    if "amount" in value:
        expected.append(to_decimal(value["amount"]))
        found.append(row.amount)
    if "currency" in value:
        expected.append(to_currency(value["currency"]))
        found.append(row.currency)
    return expected, found


def _currency(value: Any, row: Transaction, _case: Case) -> Pair:
    return to_currency(value), row.currency


def _day(value: Any, row: Transaction, case: Case) -> Pair:
    """
    Compare the day a client shows: of payment, where there is one.

    The one that states rates of exchange shows the day of booking.
    """
    is_of_booking = "currency_rate" in case.stated
    days = (row.booking_date, row.transaction_date)
    found = next((day for day in (days if is_of_booking else days[::-1]) if day), None)
    return to_day(value), found


def _booking_day(value: Any, row: Transaction, _case: Case) -> Pair:
    return to_day(value), row.booking_date


def _value_day(value: Any, row: Transaction, _case: Case) -> Pair:
    return to_day(value), row.value_date


def _status(value: Any, row: Transaction, _case: Case) -> Pair:
    return _STATUSES[value], row.status


def _id(value: Any, row: Transaction, _case: Case) -> Pair:
    is_named = not row.external_id.startswith(FINGERPRINT_PREFIX)
    return value or None, row.external_id if is_named else None


def _no_blank_id(_value: Any, row: Transaction, _case: Case) -> Pair:
    return True, bool(row.external_id.strip())


def _payee(value: Any, row: Transaction, _case: Case) -> Pair:
    return text_like(_NUMBER_TAIL.sub("", value or ""), shown_name(row))


def _creditor(value: Any, row: Transaction, case: Case) -> Pair | None:
    is_other_side = row.amount is not None and row.amount > 0
    return None if is_other_side else _payee(value, row, case)


def _debtor(value: Any, row: Transaction, case: Case) -> Pair | None:
    is_other_side = row.amount is not None and row.amount < 0
    return None if is_other_side else _payee(value, row, case)


def _text(value: Any, row: Transaction, _case: Case) -> Pair:
    return text_like(value, [row.cleaned_description, row.description])


def _shown(value: Any, row: Transaction, _case: Case) -> Pair | None:
    return text_like(value, texts_of(row)) if value is not None else None


def _counterparty(value: Any, row: Transaction, _case: Case) -> Pair:
    return to_words(value), to_words(row.counterparty.name if row.counterparty else None)


def _merchant(value: Any, row: Transaction, _case: Case) -> Pair:
    return to_words(value), to_words(row.merchant.name if row.merchant else None)


def _running_balance(value: Any, row: Transaction, _case: Case) -> Pair:
    return to_decimal(value), row.running_balance


def _nested_balance(value: Any, row: Transaction, _case: Case) -> Pair:
    return to_decimal(value["amount"]), row.running_balance


def _rate(value: Any, row: Transaction, _case: Case) -> Pair:
    exchange = row.foreign_exchange
    return to_decimal(value), exchange.rate if exchange else None


def _source(value: Any, row: Transaction, _case: Case) -> Pair:
    exchange = row.foreign_exchange
    return to_currency(value), exchange.source_currency if exchange else None


def _exchange(value: Any, row: Transaction, _case: Case) -> Pair:
    """Compare the foreign currency and its rate; an exchange within one currency is none."""
    entry = next(iter(value), {}) if isinstance(value, list) else value or {}
    named = (entry.get("sourceCurrency"), entry.get("targetCurrency"))
    foreign = next((code for code in named if code and code != row.currency), None)
    exchange = row.foreign_exchange
    expected: list[Any] = [foreign]
    found: list[Any] = [exchange.source_currency if exchange else None]
    if foreign and "exchangeRate" in entry:
        expected.append(to_decimal(entry["exchangeRate"]))
        found.append(exchange.rate if exchange else None)
    return expected, found


def _is_landed(_value: Any, _row: Transaction, _case: Case) -> Pair:
    return True, True


FIELDS: Final[Mapping[str, _Expectation]] = {
    "amount": _amount,
    "amount_normalised": _amount,
    "transactionAmount": _amount_with_currency,
    "currency": _currency,
    "date": _day,
    "bookingDate": _booking_day,
    "valueDate": _value_day,
    "status": _status,
    "booked": _status,
    "id": _id,
    "transactionId": _id,
    "external_id": _no_blank_id,
    "payeeName": _payee,
    "counterparty": _counterparty,
    "counterparty_name": _counterparty,
    "creditorName": _creditor,
    "debtorName": _debtor,
    "merchant_name": _merchant,
    "remittanceInformationUnstructured": _text,
    "notes": _text,
    "name": _shown,
    "description": _shown,
    "balance": _running_balance,
    "balanceAfterTransaction": _nested_balance,
    "currency_rate": _rate,
    "currency_source": _source,
    "currencyExchange": _exchange,
    "__accepts__": _is_landed,
    "imported": _is_landed,
}
"""How a stated field is compared; one of the other party is ignored."""
