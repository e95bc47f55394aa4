"""
Plaid's JSON, as far as we read it. What is not listed is kept in `model_extra`.

Tolerant where Plaid may add, strict where a wrong guess would cost money: an amount is a
JSON number, a date is a calendar date. Validation errors never show values.

Source: https://plaid.com/docs/api/products/transactions/#transactionssync
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StrictBool, StrictStr

_ISO_DATE_LENGTH = len("2026-01-31")


def _number(value: object) -> Decimal:
    if type(value) is Decimal:
        return value
    if type(value) is int:
        return Decimal(value)
    raise ValueError("a JSON number")


def _date(value: object) -> date:
    if isinstance(value, str) and len(value) == _ISO_DATE_LENGTH:
        return date.fromisoformat(value)
    raise ValueError("a calendar date, YYYY-MM-DD")


Number = Annotated[Decimal, PlainValidator(_number)]
CalendarDate = Annotated[date, PlainValidator(_date)]
Identifier = Annotated[StrictStr, Field(min_length=1)]


class _Schema(BaseModel):
    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)


class PlaidCategory(_Schema):
    """Plaid's Personal Finance Category: an open set of codes in two versions."""

    primary: str
    detailed: str | None = None
    confidence_level: str | None = None
    version: str | None = None


class PlaidTransaction(_Schema):
    """
    One transaction. `amount` is positive when money leaves the account.

    Times are texts here: banks fill them with midnight when they know none.
    """

    account_id: Identifier
    transaction_id: Identifier
    pending_transaction_id: str | None = None
    pending: StrictBool
    amount: Number
    iso_currency_code: str | None = None
    unofficial_currency_code: str | None = None
    date: CalendarDate
    authorized_date: CalendarDate | None = None
    datetime: str | None = None
    authorized_datetime: str | None = None
    name: str | None = None
    original_description: str | None = None
    merchant_name: str | None = None
    merchant_entity_id: str | None = None
    merchant_category_code: str | None = None
    website: str | None = None
    payment_channel: str | None = None
    transaction_code: str | None = None
    check_number: str | None = None
    personal_finance_category: PlaidCategory | None = None
    running_balance: Number | None = None
    payment_meta: dict[str, Any] | None = None
    counterparties: list[dict[str, Any]] | None = None
    account_owner: str | None = None


class PlaidRemoved(_Schema):
    """A transaction that Plaid takes back."""

    account_id: Identifier
    transaction_id: Identifier


class PlaidBalances(_Schema):
    """Balances of one account; null is unknown. On credit and loans, positive is owed."""

    current: Number | None = None
    available: Number | None = None
    limit: Number | None = None
    iso_currency_code: str | None = None
    unofficial_currency_code: str | None = None
    last_updated_datetime: str | None = None


class PlaidAccount(_Schema):
    """One account. `mask` is not unique; new types and subtypes appear without notice."""

    account_id: Identifier
    balances: PlaidBalances
    name: str | None = None
    official_name: str | None = None
    mask: str | None = None
    type: str
    subtype: str | None = None
    persistent_account_id: str | None = None
    holder_category: str | None = None


class PlaidSyncPage(_Schema):
    """
    One page of the change feed, its rows still unread.

    `next_cursor` is empty while there is nothing to remember.
    """

    accounts: list[Any] = []
    added: list[Any]
    modified: list[Any]
    removed: list[Any]
    next_cursor: StrictStr
    has_more: StrictBool
    transactions_update_status: str | None = None


class PlaidFault(_Schema):
    """What is wrong with an Item."""

    error_code: str | None = None


class PlaidItem(_Schema):
    """An Item: our connection."""

    item_id: str | None = None
    institution_id: str | None = None
    institution_name: str | None = None
    error: PlaidFault | None = None
    consent_expiration_time: datetime | None = None


class PlaidTransactionsStatus(_Schema):
    """When Plaid last got transactions from the bank."""

    last_successful_update: datetime | None = None


class PlaidItemStatus(_Schema):
    """How the products of an Item are."""

    transactions: PlaidTransactionsStatus | None = None


class PlaidItemAnswer(_Schema):
    """Answer of /item/get."""

    item: PlaidItem
    status: PlaidItemStatus | None = None


class PlaidAccountsAnswer(_Schema):
    """Answer of /accounts/get, its rows still unread."""

    accounts: list[Any]
    item: PlaidItem | None = None


class PlaidInstitution(_Schema):
    """An institution."""

    institution_id: Identifier
    name: str
    country_codes: list[str]
    url: str | None = None
    oauth: bool | None = None


class PlaidInstitutionAnswer(_Schema):
    """Answer of /institutions/get_by_id."""

    institution: PlaidInstitution
