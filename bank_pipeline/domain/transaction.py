"""Transactions as the rest of the pipeline sees them, whoever provided them. Pure."""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from bank_pipeline.domain.account import AccountIdentifiers
from bank_pipeline.domain.money import Amount, Currency


class TransactionStatus(StrEnum):
    """
    Where a transaction stands in its life.

    PENDING (holds included) and BOOKED are money; a PENDING one becomes BOOKED or VANISHED.
    SCHEDULED, CANCELLED and REJECTED never count as money. INFORMATION is what a bank
    reports without booking it.
    """

    PENDING = "pending"
    BOOKED = "booked"
    VANISHED = "vanished"
    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    INFORMATION = "information"


class PaymentMethod(StrEnum):
    """How the money moved. Unknown is None, not OTHER: OTHER is what the bank itself calls so."""

    CARD = "card"
    TRANSFER = "transfer"
    DIRECT_DEBIT = "direct_debit"
    STANDING_ORDER = "standing_order"
    BILL_PAYMENT = "bill_payment"
    CASH = "cash"
    CHEQUE = "cheque"
    FEE = "fee"
    INTEREST = "interest"
    ADJUSTMENT = "adjustment"
    REFUND = "refund"
    PAYMENT_APP = "payment_app"
    OTHER = "other"


class CounterpartyType(StrEnum):
    """What the other side is, where the provider says."""

    MERCHANT = "merchant"
    FINANCIAL_INSTITUTION = "financial_institution"
    PAYMENT_APP = "payment_app"
    MARKETPLACE = "marketplace"
    PAYMENT_TERMINAL = "payment_terminal"
    INCOME_SOURCE = "income_source"
    PERSON = "person"
    ORGANISATION = "organisation"
    OTHER = "other"


class Counterparty(BaseModel):
    """The other side: the creditor if money goes out, the debtor if it comes in."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    name: str
    type: CounterpartyType | None = None
    identifiers: AccountIdentifiers = AccountIdentifiers()


class Merchant(BaseModel):
    """
    Who sold, as the provider recognised it; distinct from the bank's own text.

    `category_code` is the ISO 18245 code of the merchant (MCC).
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    name: str | None = None
    external_id: str | None = None
    website: str | None = None
    category_code: str | None = None


class ProviderCategory(BaseModel):
    """The provider's own category, as given, with the version of its taxonomy."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    primary: str
    detailed: str | None = None
    confidence: str | None = None
    version: str | None = None


class ForeignExchange(BaseModel):
    """
    What was paid before conversion into the account's currency.

    `source_amount` has the sign of the transaction. `rate` is as the bank gave it.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    source_amount: Amount | None = None
    source_currency: Currency | None = None
    rate: Amount | None = None


class Transaction(BaseModel):
    """
    One movement of money on one account, as the provider last described it.

    Sign: `amount` is seen from the account holder. Positive is money in, negative is money
    out, for credit cards too. Providers differ; their `transform.py` flips. None is unknown.

    Dates: `booking_date` is when the bank put the entry on the account and is None while
    the status is PENDING. `value_date` is when the money starts or stops bearing interest.
    `transaction_date` is when the customer paid. All are calendar dates at the bank; none
    carries a time zone. `booked_at` and `transacted_at` are times where the bank gives a
    real one.

    Identity: (account, `external_id`) is unique. A pending transaction and the booked one
    that replaces it may carry different ids; `pending_external_id` links them.

    Text: `description` is the bank's, unchanged; `cleaned_description` is what the provider
    made of it.

    `details` is everything else the provider said of this transaction, in its own words,
    without the keys that are null: nothing is lost for want of a column.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    account_external_id: str = Field(min_length=1)
    external_id: str = Field(min_length=1)
    pending_external_id: str | None = None
    status: TransactionStatus
    amount: Amount | None
    currency: Currency | None
    unofficial_currency: str | None = None
    booking_date: date | None
    value_date: date | None = None
    transaction_date: date | None = None
    booked_at: datetime | None = None
    transacted_at: datetime | None = None
    description: str
    cleaned_description: str | None = None
    counterparty: Counterparty | None = None
    merchant: Merchant | None = None
    payment_method: PaymentMethod | None = None
    payment_channel: str | None = None
    bank_transaction_code: str | None = None
    reference: str | None = None
    check_number: str | None = None
    category: str | None = None
    provider_category: ProviderCategory | None = None
    foreign_exchange: ForeignExchange | None = None
    running_balance: Amount | None = None
    details: Mapping[str, Any] = Field(default_factory=dict)

    @cached_property
    def content_hash(self) -> bytes:
        """
        Fingerprint everything the provider said: 16 bytes, equal if and only if all is equal.

        A sync compares fingerprints and writes only the rows whose fingerprint differs. They are
        stored: were another one made of the same row, every row would be written once more.
        """
        content = self.__pydantic_serializer__.to_json(self, exclude_none=True)
        return hashlib.blake2b(content, digest_size=16).digest()


def paid_until(row: Transaction, today: date, *, ahead: timedelta) -> Transaction:
    """
    Date a pending row today at the latest: nobody has paid tomorrow.

    Dated later, it would be no part of what an answer covers: it could not end, and what books
    before its date would not be known for it. But a bank east of us may be a day `ahead`. A row
    without an id is named before: its name holds the date that the bank states.
    """
    day = row.transaction_date
    if row.status is not TransactionStatus.PENDING or day is None or day <= today + ahead:
        return row
    return row.model_copy(update={"transaction_date": today})


class TransactionDelta(BaseModel):
    """
    The net changes of one update of a change feed, all pages together.

    `upserts` is keyed by (account, external id) and holds the last word on each. `removed`
    are ids the provider took back, none of which is in `upserts`. Applying a delta whole,
    once or many times, gives the same rows.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    upserts: tuple[Transaction, ...]
    removed: frozenset[tuple[str, str]]
    """(account_external_id, external_id) pairs."""
