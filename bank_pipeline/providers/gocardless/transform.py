"""
GoCardless's transactions in our words. Pure: all rules on signs, dates, texts and parties.

What differs from bank to bank is data in `quirks.py`.

Source: https://developer.gocardless.com/bank-account-data/transactions
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.category import Category
from bank_pipeline.domain.identity import UNIDENTIFIED
from bank_pipeline.domain.transaction import (
    Merchant,
    Transaction,
    TransactionStatus,
)
from bank_pipeline.providers import iso20022, mcc
from bank_pipeline.providers.exact_json import to_plain, without_nulls
from bank_pipeline.providers.gocardless.dates import find_day, to_day, to_moment
from bank_pipeline.providers.gocardless.money import (
    Money,
    to_foreign_exchange,
    to_money,
    to_running_balance,
)
from bank_pipeline.providers.gocardless.parties import (
    Side,
    to_counterparty,
    to_side,
    without_card_number,
    without_card_number_in_text,
)
from bank_pipeline.providers.gocardless.quirks import DateField, Quirks, Source
from bank_pipeline.providers.gocardless.readings import Reading, Texts, read_by_patterns
from bank_pipeline.providers.gocardless.schemas import GcTransaction
from bank_pipeline.providers.texts import is_placeholder, to_cleaned, to_text

AHEAD: Final = dt.timedelta(days=1)  # a bank east of us may be a day ahead
_PAID_BEFORE: Final = dt.timedelta(days=60)  # a date in a text that is older is another one
_ANY_DAY: Final = (
    re.compile(r"(?<!\d)(?P<y>20[0-9]{2})-(?P<m>[0-9]{2})-(?P<d>[0-9]{2})(?!\d)"),
    re.compile(r"(?<!\d)(?P<d>[0-9]{2})[./](?P<m>[0-9]{2})[./](?P<y>20[0-9]{2}|[0-9]{2})(?!\d)"),
)


@dataclass(frozen=True)
class Context:
    """What a row is read with: whose it is, how its bank writes, and the day of the answer."""

    account: Account
    quirks: Quirks
    today: dt.date


def to_transaction(
    raw: GcTransaction, unreadable: Mapping[str, Any], *, context: Context, is_pending: bool
) -> Transaction | None:
    """
    Translate one row; None for a pending one without any date, which cannot be placed.

    `unreadable` is what it holds in other shapes than documented. Its id is left to
    `windows.py`. A pending row may be dated in the future here, so that its name stays.
    """
    quirks = context.quirks
    description = to_description(raw, quirks)
    money = to_money(raw, quirks, description)
    side = to_side(raw, is_credit=money.is_credit)
    reading = _read(raw, quirks, description, side)
    day = _to_day(raw, quirks, context, description, reading, is_pending=is_pending)
    if day is None:
        return None
    code = _to_code(raw)
    counterparty = to_counterparty(side, reading.payee, quirks, context.account)
    exchange = to_foreign_exchange(raw.currency_exchange, money)
    row = Transaction(
        account_external_id=context.account.external_id,
        external_id=UNIDENTIFIED,
        status=_to_status(raw, day, context, is_pending=is_pending),
        amount=money.amount,
        currency=money.currency,
        unofficial_currency=money.unofficial_currency,
        booking_date=None if is_pending else day,
        value_date=to_day(raw.value_date) or to_day(raw.value_date_time),
        transaction_date=day if is_pending else _paid_on(reading, day),
        booked_at=None if is_pending else to_moment(raw.booking_date_time),
        description=description,
        cleaned_description=_to_cleaned(description, quirks, reading),
        counterparty=counterparty,
        merchant=_to_merchant(raw),
        payment_method=iso20022.to_payment_method(code),
        bank_transaction_code=code.spelt if code else None,
        reference=to_text(raw.end_to_end_id),
        check_number=to_text(raw.check_id),
        category=_to_category(raw, code, is_credit=money.is_credit),
        foreign_exchange=exchange,
        running_balance=to_running_balance(raw.balance_after_transaction, money),
    )
    details = _to_details(raw, row, money, unreadable)
    return row.model_copy(update={"details": details})


def to_description(raw: GcTransaction, quirks: Quirks) -> str:
    """Return the bank's text, unchanged: the first that says something, and what belongs to it."""
    found = next(_texts_of(raw, quirks.texts), "")
    added = (text for text in _texts_of(raw, quirks.texts_added) if text != found)
    return " ".join(text for text in (found, *added) if text)


def _texts_of(raw: GcTransaction, sources: Iterable[Source]) -> Iterator[str]:
    texts = (" ".join(_lines_of(raw, source)) for source in sources)
    return (text for text in texts if text)


def _lines_of(raw: GcTransaction, source: Source) -> tuple[str, ...]:
    match source:
        case Source.UNSTRUCTURED:
            value: object = raw.remittance_information_unstructured
        case Source.LINES:
            value = raw.remittance_information_unstructured_array
        case Source.STRUCTURED:
            value = raw.remittance_information_structured
        case Source.STRUCTURED_LINES:
            value = raw.remittance_information_structured_array
        case Source.ADDITIONAL:
            value = raw.additional_information
        case Source.BANK_CODE:
            value = raw.proprietary_bank_transaction_code
        case Source.END_TO_END:
            value = raw.end_to_end_id
    return tuple(line for line in map(str.strip, _strings(value)) if line)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))


def _read(raw: GcTransaction, quirks: Quirks, description: str, side: Side) -> Reading:
    texts = Texts(
        description=description,
        lines=_lines_of(raw, Source.LINES),
        unstructured=" ".join(_lines_of(raw, Source.UNSTRUCTURED)),
        structured=" ".join(_lines_of(raw, Source.STRUCTURED)),
        additional=" ".join(_lines_of(raw, Source.ADDITIONAL)),
        payee=side.name,
        is_named=bool(to_text(raw.creditor_name) or to_text(raw.debtor_name)),
    )
    if quirks.reader is not None:
        return quirks.reader(texts)
    return read_by_patterns(texts, quirks.patterns)


def _to_day(
    raw: GcTransaction,
    quirks: Quirks,
    context: Context,
    description: str,
    reading: Reading,
    *,
    is_pending: bool,
) -> dt.date | None:
    """Return the first of the row's dates in the bank's order; of a pending one, of its text."""
    stated = {
        DateField.BOOKING: raw.booking_date,
        DateField.BOOKING_TIME: raw.booking_date_time,
        DateField.VALUE: raw.value_date,
        DateField.VALUE_TIME: raw.value_date_time,
    }
    days = (to_day(stated[field]) for field in quirks.dates)
    found = next((day for day in days if day is not None), None)
    if found is not None or not is_pending:
        return found
    texts = (description, raw.remittance_information_structured or "")
    read = (
        reading.day,
        *(find_day(pattern, text) for text in texts for pattern in _ANY_DAY),
    )
    oldest = context.today - _PAID_BEFORE
    return next((day for day in read if day and oldest <= day <= context.today + AHEAD), None)


def _paid_on(reading: Reading, booked_on: dt.date) -> dt.date | None:
    """Return the day of payment that the text names, if it can be this booking's."""
    day = reading.day
    return day if day and dt.timedelta(0) <= booked_on - day <= _PAID_BEFORE else None


def _to_status(
    raw: GcTransaction, day: dt.date, context: Context, *, is_pending: bool
) -> TransactionStatus:
    """Say whether it is booked: by its booking date, even where we go by another of its dates."""
    if is_pending:
        return TransactionStatus.PENDING
    booked_on = to_day(raw.booking_date) or to_day(raw.booking_date_time) or day
    is_ahead = booked_on > context.today + AHEAD
    return TransactionStatus.SCHEDULED if is_ahead else TransactionStatus.BOOKED


def _to_cleaned(description: str, quirks: Quirks, reading: Reading) -> str | None:
    """Return the text without the bank's own noise; None when that leaves it as it is."""
    text = reading.text or description
    for noise in quirks.noise:
        text = noise.sub(" ", text)
    if quirks.noise:
        text = " ".join(text.split())
    cleaned = to_cleaned(text) or text
    return cleaned if cleaned and cleaned != description else None


def _to_code(raw: GcTransaction) -> iso20022.BankTransactionCode | None:
    own = raw.proprietary_bank_transaction_code
    if is_placeholder(raw.bank_transaction_code):
        return iso20022.parse_code(own)
    return iso20022.parse_code(raw.bank_transaction_code, words=own)


def _to_category(
    raw: GcTransaction, code: iso20022.BankTransactionCode | None, *, is_credit: bool | None
) -> Category | None:
    """Return what the money was for: by the shop, by the payer's purpose, by the kind of entry."""
    return (
        mcc.to_category(_mcc_of(raw))
        or iso20022.purpose_category(raw.purpose_code, is_credit=is_credit)
        or iso20022.to_category(code, is_credit=is_credit)
    )


def _to_merchant(raw: GcTransaction) -> Merchant | None:
    code = to_text(_mcc_of(raw))
    return Merchant(category_code=code) if code else None


def _mcc_of(raw: GcTransaction) -> object:
    return raw.merchant_category_code or (raw.model_extra or {}).get("merchant_category_code")


def _to_details(
    raw: GcTransaction, row: Transaction, money: Money, unreadable: Mapping[str, Any]
) -> dict[str, Any]:
    """
    Keep what has no column, in GoCardless's words, and what a column holds only in part.

    What could not be read is kept whole, but for a card's number. Ids are kept all: which of
    them names the row is decided among the rows of the whole answer.
    """
    said = raw.model_dump(by_alias=True, exclude_unset=True)
    for key in _in_columns(raw, row, money):
        said.pop(key, None)
    if "transactionAmount" in said:
        stated = raw.transaction_amount
        said["transactionAmount"] = {"amount": str(stated.amount), "currency": stated.currency}
    kept: dict[str, Any] = without_nulls(without_card_number(said))
    return {
        **{key: value for key, value in kept.items() if not _is_blank(value)},
        **{key: to_plain(without_card_number_in_text(item)) for key, item in unreadable.items()},
    }


def _in_columns(raw: GcTransaction, row: Transaction, money: Money) -> Iterator[str]:
    """Name the fields of which a column holds all there is."""
    if money.is_as_stated:
        yield "transactionAmount"
    day, counterparty = row.booking_date or row.transaction_date, row.counterparty
    held = (
        ("bookingDate", raw.booking_date, day.isoformat() if day else None),
        ("valueDate", raw.value_date, row.value_date.isoformat() if row.value_date else None),
        ("endToEndId", raw.end_to_end_id, row.reference),
        ("checkId", raw.check_id, row.check_number),
        ("bankTransactionCode", raw.bank_transaction_code, row.bank_transaction_code),
        (
            "remittanceInformationUnstructured",
            raw.remittance_information_unstructured,
            row.description,
        ),
        (
            "remittanceInformationUnstructuredArray",
            raw.remittance_information_unstructured_array,
            [row.description],
        ),
        ("additionalInformation", raw.additional_information, row.description),
        ("merchantCategoryCode", raw.merchant_category_code, _code_of(row)),
    )
    yield from (key for key, stated, kept in held if stated is not None and stated == kept)
    if row.booked_at is not None:
        yield "bookingDateTime"
    if counterparty is not None and money.is_credit is not None:
        name = "debtorName" if money.is_credit else "creditorName"
        stated_name = raw.debtor_name if money.is_credit else raw.creditor_name
        if stated_name == counterparty.name:
            yield name


def _code_of(row: Transaction) -> str | None:
    return row.merchant.category_code if row.merchant else None


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()
