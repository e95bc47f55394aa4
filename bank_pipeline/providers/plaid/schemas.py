"""
Plaid's JSON, as far as we read it. What a transaction has beside it is kept in `model_extra`.

Tolerant where Plaid may add, strict where a wrong guess would cost money: an amount is a
JSON number, a date is a calendar date. Each row says which of its fields are vital; `rows.py`
reads it without the others when they do not fit. Validation errors never show values.

Source: https://plaid.com/docs/api/products/transactions/#transactionssync
"""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    StrictStr,
    ValidationError,
    WrapValidator,
)

from bank_pipeline.domain.money import normalise_amount, to_currency
from bank_pipeline.providers.exact_json import is_storable

_CURRENCY: Final = re.compile("[A-Z]{3}")
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


def _stated(value: object) -> Decimal:
    return normalise_amount(_number(value))


def _currency_code(code: str) -> str:
    cleaned = to_currency(code)
    if cleaned is None or _CURRENCY.fullmatch(cleaned):
        return code
    raise ValueError("an ISO 4217 code")


def _storable(text: str) -> str:
    if is_storable(text):
        return text
    raise ValueError("text that a database can hold")


def _or_none(value: object, read: Callable[[object], Any]) -> Any:  # noqa: ANN401 - what it reads
    try:
        return read(value)
    except ValidationError:
        return None


Number = Annotated[Decimal, PlainValidator(_number)]
Stated = Annotated[Decimal, PlainValidator(_stated)]
"""An amount beside the one that matters: what is no amount fails here, where it may."""
CalendarDate = Annotated[date, PlainValidator(_date)]
Identifier = Annotated[StrictStr, Field(min_length=1)]
OR_NONE: Final = WrapValidator(_or_none)
"""What cannot be read is unknown, and nothing else is lost for it."""
Label = Annotated[Annotated[str, AfterValidator(_storable)] | None, OR_NONE]


class _Schema(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class Row(_Schema):
    """
    A row that lands as long as its vital fields can be read.

    Only vital fields are required. `TEXTS` are for people: with a damaged character they
    still say something.
    """

    VITAL: ClassVar[frozenset[str]]
    TEXTS: ClassVar[frozenset[str]] = frozenset()


class PlaidCategory(_Schema):
    """Plaid's Personal Finance Category: an open set of codes in two versions."""

    model_config = ConfigDict(extra="allow")

    primary: str
    detailed: str | None = None
    confidence_level: str | None = None
    version: str | None = None


class PlaidTransaction(Row):
    """
    One transaction. `amount` is positive when money leaves the account.

    Times are texts here: banks fill them with midnight when they know none.
    """

    model_config = ConfigDict(extra="allow")

    VITAL = frozenset(
        {
            "account_id",
            "transaction_id",
            "pending",
            "amount",
            "iso_currency_code",
            "unofficial_currency_code",
            "date",
        }
    )
    TEXTS = frozenset({"name", "original_description", "merchant_name"})

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
    running_balance: Stated | None = None
    payment_meta: dict[str, Any] | None = None
    counterparties: list[dict[str, Any]] | None = None
    account_owner: str | None = None


class PlaidRemoved(Row):
    """A transaction that Plaid takes back."""

    VITAL = frozenset({"account_id", "transaction_id"})

    account_id: Identifier
    transaction_id: Identifier


class PlaidBalances(_Schema):
    """
    Balances of one account; null is unknown. On credit and loans, positive is owed.

    One that cannot be read is not stated. Without a readable currency none is.
    """

    current: Annotated[Stated | None, OR_NONE] = None
    available: Annotated[Stated | None, OR_NONE] = None
    limit: Annotated[Stated | None, OR_NONE] = None
    iso_currency_code: Annotated[str, AfterValidator(_currency_code)] | None = None
    unofficial_currency_code: str | None = None
    last_updated_datetime: Label = None


class PlaidAccount(Row):
    """One account. `mask` is not unique; new types and subtypes appear without notice."""

    VITAL = frozenset({"account_id"})
    TEXTS = frozenset({"name", "official_name"})

    account_id: Identifier
    balances: PlaidBalances = PlaidBalances()
    name: str | None = None
    official_name: str | None = None
    mask: str | None = None
    type: str | None = None
    subtype: str | None = None
    persistent_account_id: str | None = None
    holder_category: str | None = None


class PlaidSyncPage(_Schema):
    """
    One page of the change feed, its rows still unread.

    `next_cursor` is empty while there is nothing to remember. Accounts come here as a favour:
    what is missing is asked for.
    """

    accounts: Annotated[list[Any] | None, OR_NONE] = None
    added: list[Any]
    modified: list[Any]
    removed: list[Any]
    next_cursor: Annotated[StrictStr, AfterValidator(_storable)]
    has_more: StrictBool
    transactions_update_status: Label = None


class PlaidFault(_Schema):
    """What is wrong with an Item."""

    error_code: Label = None


class PlaidItem(Row):
    """An Item: our connection. Only whether something is wrong with it is vital."""

    VITAL = frozenset({"error"})

    institution_id: Label = None
    institution_name: Label = None
    error: PlaidFault | None = None
    consent_expiration_time: Label = None


class PlaidTransactionsStatus(_Schema):
    """When Plaid last got transactions from the bank."""

    last_successful_update: Label = None


class PlaidItemStatus(_Schema):
    """How the products of an Item are."""

    transactions: Annotated[PlaidTransactionsStatus | None, OR_NONE] = None


class PlaidItemAnswer(_Schema):
    """Answer of /item/get."""

    item: PlaidItem
    status: Annotated[PlaidItemStatus | None, OR_NONE] = None


class PlaidAccountsAnswer(_Schema):
    """Answer of /accounts/get, its rows and its Item still unread."""

    accounts: list[Any]
    item: Any = None


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
