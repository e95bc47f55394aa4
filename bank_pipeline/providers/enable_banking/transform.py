"""
Enable Banking's transactions in our words. Pure: signs, dates, texts and parties live here.

Source: https://enablebanking.com/docs/api/reference/#transaction
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from bank_pipeline.domain.account import Account, AccountIdentifiers, AccountType
from bank_pipeline.domain.category import Category
from bank_pipeline.domain.identity import UNIDENTIFIED
from bank_pipeline.domain.transaction import (
    Counterparty,
    CounterpartyType,
    ForeignExchange,
    Merchant,
    PaymentMethod,
    Transaction,
    TransactionStatus,
)
from bank_pipeline.providers import iso20022, mcc
from bank_pipeline.providers.enable_banking.parts import (
    part_of,
    split_currency,
    text_of,
    to_amount,
    to_identifiers,
    without_card_number,
    without_card_number_in_text,
)
from bank_pipeline.providers.enable_banking.quirks import Quirks
from bank_pipeline.providers.enable_banking.schemas import EbAmount, EbTransaction
from bank_pipeline.providers.exact_json import to_plain, without_nulls
from bank_pipeline.providers.fields import ID_LENGTH_MAX
from bank_pipeline.providers.iso20022 import BankTransactionCode
from bank_pipeline.providers.texts import (
    is_placeholder,
    is_same_name,
    join_lines,
    to_cleaned,
    to_text,
)

FUTURE_DAYS_MAX: Final = 1  # a bank east of UTC is a day ahead; what is dated later has not been

_STATUSES: Final[Mapping[str, TransactionStatus]] = {
    "BOOK": TransactionStatus.BOOKED,
    "PDNG": TransactionStatus.PENDING,
    "HOLD": TransactionStatus.PENDING,
    "SCHD": TransactionStatus.SCHEDULED,
    "CNCL": TransactionStatus.CANCELLED,
    "RJCT": TransactionStatus.REJECTED,
    "INFO": TransactionStatus.INFORMATION,
}
_PLAIN_WORDS: Final = frozenset({"BOOK", "PDNG", "SCHD", "CNCL", "RJCT"})
_NUMBERED_DAY: Final = re.compile(r"(\d{4}-\d{2}-\d{2})-\d{1,4}")
_CARD_NAME: Final = re.compile(r"CARD-\d+")
_PAIR: Final = re.compile(r"\s*(omschrijving|kenmerk|naam)\s*:\s*(.*\S)", re.IGNORECASE)
_CODE_KEYS: Final = frozenset({"code", "sub_code"})  # texts of these are in a column
_NUMBERS: Final = "_account_additional_identification"
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def to_transaction(
    raw: EbTransaction,
    unreadable: Mapping[str, Any] = _NOTHING,
    *,
    account: Account,
    quirks: Quirks,
    last_day: dt.date,
) -> tuple[str | None, Transaction]:
    """
    Translate one transaction, and say which id it could go by; see `domain.identity`.

    The amount says how much and the indicator which way, so that a minus which some banks
    send besides does not count twice. `transaction_id` is no identity, says the
    documentation, and may differ on every call: it is not kept.
    """
    status = _to_status(raw, quirks, last_day)
    is_pending = status is TransactionStatus.PENDING
    currency, unofficial = split_currency(raw.transaction_amount.currency)
    description = join_lines(raw.remittance_information)
    pairs = _to_pairs(raw.remittance_information)
    code = _to_code(raw.bank_transaction_code)
    category_code = to_text(raw.merchant_category_code)
    counterparty = _to_counterparty(raw, account, pairs)
    booking_date = raw.booking_date
    if raw.status == "BOOK":
        booking_date = booking_date or raw.value_date or raw.transaction_date
    # A row without a day would be pending, or announced, for ever.
    paid_on = booking_date or raw.value_date if is_pending else None
    if status is TransactionStatus.SCHEDULED and booking_date is None:
        paid_on = raw.value_date
    balance = _to_running_balance(raw, account, quirks)
    exchange = _to_foreign_exchange(raw, currency)
    transaction = Transaction(
        account_external_id=account.external_id,
        external_id=UNIDENTIFIED,
        status=status,
        amount=_signed(raw, raw.transaction_amount.amount),
        currency=currency,
        unofficial_currency=unofficial,
        booking_date=None if is_pending else booking_date,
        value_date=raw.value_date,
        transaction_date=raw.transaction_date or paid_on,
        description=description,
        cleaned_description=_to_cleaned(description, pairs, code),
        counterparty=counterparty,
        merchant=Merchant(category_code=category_code) if category_code else None,
        payment_method=_to_method(code, category_code),
        bank_transaction_code=code.spelt if code else None,
        reference=to_text(raw.reference_number) or pairs.get("kenmerk"),
        category=_to_category(raw, code, category_code),
        foreign_exchange=exchange,
        running_balance=balance,
        details=_to_details(raw, unreadable, status, counterparty, exchange, balance),
    )
    return _to_reference(raw, quirks), transaction


def _to_status(raw: EbTransaction, quirks: Quirks, last_day: dt.date) -> TransactionStatus:
    """Say where the row stands. What is booked on a day to come is announced, not booked."""
    status = _STATUSES.get(raw.status)
    if status is None:  # OTHR, a status that fits no other word
        status = TransactionStatus.BOOKED if raw.booking_date else TransactionStatus.INFORMATION
    if status is not TransactionStatus.BOOKED:
        return status
    if quirks.is_hold_without_dates and not (raw.booking_date or raw.value_date):
        return TransactionStatus.PENDING
    day = raw.booking_date or raw.value_date or raw.transaction_date
    is_to_come = day is not None and day > last_day + dt.timedelta(days=FUTURE_DAYS_MAX)
    return TransactionStatus.SCHEDULED if is_to_come else status


def _to_reference(raw: EbTransaction, quirks: Quirks) -> str | None:
    """
    Return the entry reference, where it names the row and not its place in a list.

    Some banks number the rows of a day, and number them anew when a late one comes.
    """
    reference = to_text(raw.entry_reference)
    if reference is None or len(reference) > ID_LENGTH_MAX or not quirks.are_references_stable:
        return None
    numbered = _NUMBERED_DAY.fullmatch(reference)
    days = {str(raw.booking_date), str(raw.value_date), str(raw.transaction_date)}
    return None if numbered and numbered[1] in days else reference


def is_name(reference: str, quirks: Quirks) -> bool:
    """Say whether a row of which nothing but its reference is known goes by it for certain."""
    stated = to_text(reference)
    if stated is None or len(stated) > ID_LENGTH_MAX or not quirks.are_references_stable:
        return False
    return _NUMBERED_DAY.fullmatch(stated) is None


def _signed(raw: EbTransaction, amount: Decimal) -> Decimal:
    size = amount.copy_abs()  # exact; abs() would round to 28 digits
    return size if raw.credit_debit_indicator == "CRDT" else size.copy_negate()


def _to_pairs(lines: object) -> Mapping[str, str]:
    """Read the lines of ABN AMRO that say what they are: description, reference, name."""
    texts: Iterable[object] = lines if isinstance(lines, list) else (lines,)
    found = [_PAIR.fullmatch(text) for text in texts if isinstance(text, str)]
    return {match[1].lower(): match[2] for match in found if match and not is_placeholder(match[2])}


def _to_cleaned(
    description: str, pairs: Mapping[str, str], code: BankTransactionCode | None
) -> str | None:
    stated = pairs.get("omschrijving")
    if stated:
        return to_cleaned(stated) or stated
    if not description:
        return code.words if code else None
    return to_cleaned(description)


def _to_code(raw: Mapping[str, Any] | None) -> BankTransactionCode | None:
    if not raw:
        return None
    return iso20022.parse_code(raw.get("code"), raw.get("sub_code"), words=raw.get("description"))


def _to_method(code: BankTransactionCode | None, category_code: str | None) -> PaymentMethod | None:
    return iso20022.to_payment_method(code) or (PaymentMethod.CARD if category_code else None)


def _to_category(
    raw: EbTransaction, code: BankTransactionCode | None, category_code: str | None
) -> Category | None:
    is_credit = raw.credit_debit_indicator == "CRDT"
    return mcc.to_category(category_code) or iso20022.to_category(code, is_credit=is_credit)


def _other_side(raw: EbTransaction) -> str:
    return "debtor" if raw.credit_debit_indicator == "CRDT" else "creditor"


def _to_counterparty(
    raw: EbTransaction, account: Account, pairs: Mapping[str, str]
) -> Counterparty | None:
    """Name the other side, never the holder: the creditor of money out, the debtor of money in."""
    side = _other_side(raw)
    own = raw.creditor if side == "debtor" else raw.debtor
    party = part_of(getattr(raw, side))
    name = _name_of(party)
    if name is not None and _CARD_NAME.fullmatch(name):  # Wise names the card, not the shop
        name = _first_line(raw.remittance_information)
    name = name or pairs.get("naam")
    if name is None or is_same_name(name, account.holder_name) or is_same_name(name, _name_of(own)):
        return None
    return Counterparty(
        name=name, type=_to_party_type(raw, party), identifiers=_party_identifiers(raw, side)
    )


def _first_line(lines: object) -> str | None:
    texts = map(to_text, lines if isinstance(lines, list) else [lines])
    line = next((text for text in texts if text), None)
    return (to_cleaned(line) or line) if line else None


def _name_of(party: Mapping[str, Any] | None) -> str | None:
    """Return a party's name; ING writes it into the first line of the address."""
    name = text_of(party, "name")
    if name or not party:
        return name
    lines = part_of(party.get("postal_address")).get("address_line")
    texts = map(to_text, lines if isinstance(lines, list) else [lines])
    return next((text for text in texts if text), None)


def _to_party_type(raw: EbTransaction, party: Mapping[str, Any]) -> CounterpartyType | None:
    if raw.merchant_category_code and raw.credit_debit_indicator == "DBIT":
        return CounterpartyType.MERCHANT
    if part_of(party.get("organisation_id")):
        return CounterpartyType.ORGANISATION
    return CounterpartyType.PERSON if part_of(party.get("private_id")) else None


def _party_identifiers(raw: EbTransaction, side: str) -> AccountIdentifiers:
    others = (raw.model_extra or {}).get(f"{side}{_NUMBERS}")
    return to_identifiers(getattr(raw, f"{side}_account"), others, getattr(raw, f"{side}_agent"))


def _to_foreign_exchange(raw: EbTransaction, currency: str | None) -> ForeignExchange | None:
    exchange = part_of(raw.exchange_rate)
    instructed = to_amount(exchange.get("instructed_amount"))
    rate = _to_rate(exchange.get("exchange_rate"))
    source = split_currency(instructed.currency)[0] if instructed else None
    if rate is None and (instructed is None or source in (None, currency)):
        return None
    return ForeignExchange(
        source_amount=_signed(raw, instructed.amount) if instructed else None,
        source_currency=source,
        rate=rate,
    )


def _to_rate(value: object) -> Decimal | None:
    amount = to_amount({"currency": "", "amount": value})
    return amount.amount if amount else None


def _to_running_balance(raw: EbTransaction, account: Account, quirks: Quirks) -> Decimal | None:
    balance = raw.balance_after_transaction
    is_card = account.type is AccountType.CREDIT_CARD
    if balance is None or (is_card and quirks.is_card_balance_what_is_left):
        return None
    known, own = (
        split_currency(balance.currency)[0],
        split_currency(raw.transaction_amount.currency)[0],
    )
    return balance.amount if known is None or own is None or known == own else None


def _to_details(
    raw: EbTransaction,
    unreadable: Mapping[str, Any],
    status: TransactionStatus,
    counterparty: Counterparty | None,
    exchange: ForeignExchange | None,
    balance: Decimal | None,
) -> dict[str, Any]:
    """
    Keep what has no column, in Enable Banking's words, and what a column holds only in part.

    What could not be read is kept whole.
    """
    details: dict[str, Any] = {
        **_extra_details(raw),
        **_party_details(raw, counterparty),
        "bank_transaction_code": {
            key: value
            for key, value in part_of(raw.bank_transaction_code).items()
            if key not in _CODE_KEYS or not isinstance(value, str)
        },
        "exchange_rate": _exchange_details(raw, exchange),
    }
    if raw.status not in _PLAIN_WORDS or _STATUSES[raw.status] is not status:
        details["status"] = raw.status
    if status is TransactionStatus.PENDING and raw.transaction_date not in (None, raw.booking_date):
        details["booking_date"] = raw.booking_date.isoformat() if raw.booking_date else None
    if balance is None and raw.balance_after_transaction is not None:
        details["balance_after_transaction"] = _amount_details(raw.balance_after_transaction)
    if not _is_lines(raw.remittance_information):
        details["remittance_information"] = raw.remittance_information
    kept: dict[str, Any] = without_nulls(details)
    if unreadable:
        kept |= {
            key: to_plain(without_card_number_in_text(value)) for key, value in unreadable.items()
        }
    return kept


def _extra_details(raw: EbTransaction) -> dict[str, Any]:
    return {key: without_card_number(value) for key, value in (raw.model_extra or {}).items()}


def _party_details(raw: EbTransaction, counterparty: Counterparty | None) -> dict[str, Any]:
    names = ("creditor", "creditor_account", "creditor_agent")
    keys = (*names, *(name.replace("creditor", "debtor") for name in names))
    details: dict[str, Any] = {key: without_card_number(getattr(raw, key)) for key in keys}
    if counterparty is None:
        return details
    side, ids = _other_side(raw), counterparty.identifiers
    in_columns = {
        side: ("name", counterparty.name),
        f"{side}_account": ("iban", ids.iban),
        f"{side}_agent": ("bic_fi", ids.bic),
    }
    for key, (field, value) in in_columns.items():
        part = details[key]
        if part and value is not None and part.get(field) == value:
            details[key] = {**part, field: None}
    return details


def _exchange_details(raw: EbTransaction, exchange: ForeignExchange | None) -> dict[str, Any]:
    left = dict(part_of(raw.exchange_rate))
    if exchange is not None and exchange.rate is not None:
        left["exchange_rate"] = None
    if exchange is not None and exchange.source_amount is not None and exchange.source_currency:
        left["instructed_amount"] = None
    return left


def _amount_details(amount: EbAmount) -> dict[str, str]:
    return {"currency": amount.currency, "amount": str(amount.amount)}


def _is_lines(value: object) -> bool:
    lines = value if isinstance(value, list) else [value]
    return all(line is None or isinstance(line, str) for line in lines)
