"""
Plaid's JSON, as far as we read it. What a transaction has beside it is kept in `model_extra`.

Tolerant where Plaid may add, strict where a wrong guess would cost money: an amount is a
JSON number, a date is a calendar date. Each row says which of its fields are vital; `rows.py`
reads it without the others when they do not fit. Validation errors never show values.

Source: https://plaid.com/docs/api/products/transactions/#transactionssync
"""

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StrictStr

from bank_pipeline.providers.fields import (
    ID_LENGTH_MAX,
    OR_NONE,
    CalendarDate,
    Identifier,
    Label,
    Number,
    Row,
    Schema,
    Stated,
    read_currency,
    read_storable,
)


class PlaidCategory(Schema):
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
    pending_transaction_id: Annotated[str, Field(max_length=ID_LENGTH_MAX)] | None = None
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


class PlaidBalances(Schema):
    """
    Balances of one account; null is unknown. On credit and loans, positive is owed.

    One that cannot be read is not stated. Without a readable currency none is.
    """

    current: Annotated[Stated | None, OR_NONE] = None
    available: Annotated[Stated | None, OR_NONE] = None
    limit: Annotated[Stated | None, OR_NONE] = None
    iso_currency_code: Annotated[str, AfterValidator(read_currency)] | None = None
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


class PlaidSyncPage(Schema):
    """
    One page of the change feed, its rows still unread.

    `next_cursor` is empty while there is nothing to remember. Accounts come here as a favour:
    what is missing is asked for.
    """

    accounts: Annotated[list[Any] | None, OR_NONE] = None
    added: list[Any]
    modified: list[Any]
    removed: list[Any]
    next_cursor: Annotated[StrictStr, AfterValidator(read_storable)]
    has_more: StrictBool
    transactions_update_status: Label = None


class PlaidFault(Schema):
    """What is wrong with an Item."""

    error_code: Label = None


class PlaidItem(Row):
    """An Item: our connection. Only whether something is wrong with it is vital."""

    VITAL = frozenset({"error"})

    institution_id: Label = None
    institution_name: Label = None
    error: PlaidFault | None = None
    consent_expiration_time: Label = None


class PlaidTransactionsStatus(Schema):
    """When Plaid last got transactions from the bank."""

    last_successful_update: Label = None


class PlaidItemStatus(Schema):
    """How the products of an Item are."""

    transactions: Annotated[PlaidTransactionsStatus | None, OR_NONE] = None


class PlaidItemAnswer(Schema):
    """Answer of /item/get."""

    item: PlaidItem
    status: Annotated[PlaidItemStatus | None, OR_NONE] = None


class PlaidAccountsAnswer(Schema):
    """Answer of /accounts/get, its rows and its Item still unread."""

    accounts: list[Any]
    item: Any = None


class PlaidInstitution(Row):
    """An institution."""

    VITAL = frozenset({"institution_id", "name", "country_codes"})

    institution_id: Identifier
    name: str
    country_codes: list[str]
    url: str | None = None
    oauth: bool | None = None


class PlaidInstitutionAnswer(Schema):
    """Answer of /institutions/get_by_id."""

    institution: PlaidInstitution
