"""
Enable Banking's JSON, as far as we read it. What a row has beside it is kept in `model_extra`.

Every field that is not required may be null, whatever the specification says. Banks deliver
lists as single values and the other way round: what is not vital is read as it comes.

Source: https://enablebanking.com/docs/api/reference/
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from bank_pipeline.domain.money import normalise_amount
from bank_pipeline.providers.fields import (
    OR_NONE,
    CalendarDate,
    Filled,
    Identifier,
    Label,
    NumberText,
    Row,
    Schema,
    read_storable,
)

_ISO_DATE_LENGTH = len("2026-01-31")


def _day(value: object) -> object:
    """Read the calendar date of a time as it is written: it is the bank's, in no zone of ours."""
    if isinstance(value, str) and value[_ISO_DATE_LENGTH : _ISO_DATE_LENGTH + 1] in ("T", " "):
        return value[:_ISO_DATE_LENGTH]
    return value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


Day = Annotated[CalendarDate, BeforeValidator(_day)]
AmountText = Annotated[NumberText, AfterValidator(normalise_amount)]
Indicator = Annotated[Literal["CRDT", "DBIT"], BeforeValidator(_upper)]
Status = Annotated[
    Literal["BOOK", "PDNG", "HOLD", "SCHD", "CNCL", "RJCT", "OTHR", "INFO"],
    BeforeValidator(_upper),
]
Part = Annotated[dict[str, Any] | None, OR_NONE]


class EbAmount(Schema):
    """An amount as text with its currency; XXX and blank are unknown."""

    currency: Annotated[StrictStr, AfterValidator(read_storable)]
    amount: AmountText


class EbTransaction(Row):
    """
    One transaction. `amount` says how much, the indicator which way.

    Parties, accounts, codes and rates are read field by field, and kept whole otherwise.
    """

    model_config = ConfigDict(extra="allow")

    VITAL = frozenset({"transaction_amount", "credit_debit_indicator", "status"})
    TEXTS = frozenset({"remittance_information"})

    transaction_amount: EbAmount
    credit_debit_indicator: Indicator
    status: Status
    entry_reference: str | int | None = None
    transaction_id: Any = None
    booking_date: Day | None = None
    value_date: Day | None = None
    transaction_date: Day | None = None
    creditor: dict[str, Any] | None = None
    creditor_account: dict[str, Any] | None = None
    creditor_agent: dict[str, Any] | None = None
    debtor: dict[str, Any] | None = None
    debtor_account: dict[str, Any] | None = None
    debtor_agent: dict[str, Any] | None = None
    bank_transaction_code: dict[str, Any] | None = None
    merchant_category_code: str | int | None = None
    remittance_information: Any = None
    reference_number: str | None = None
    balance_after_transaction: EbAmount | None = None
    exchange_rate: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _booked_on_some_day(self) -> "EbTransaction":
        """Refuse a booked row without any date: nobody could say which day it belongs to."""
        dates = (self.booking_date, self.value_date, self.transaction_date)
        if self.status == "BOOK" and not any(dates):
            raise PydanticCustomError("booked_without_date", "a booked row has a date")
        return self


class EbTransactionsPage(Schema):
    """One page, its rows still unread. Null, absent and empty keys all say that it is the last."""

    transactions: list[Any]
    continuation_key: StrictStr | None = None


class EbBalance(Row):
    """One balance, signed; the indicator is not documented but some banks send it."""

    VITAL = frozenset({"balance_amount", "balance_type"})

    balance_amount: EbAmount
    balance_type: Identifier
    credit_debit_indicator: Annotated[Indicator | None, OR_NONE] = None
    last_change_date_time: Label = None
    reference_date: Annotated[Day | None, OR_NONE] = None


class EbBalancesAnswer(Schema):
    """Answer of the balances of one account, its rows still unread."""

    balances: list[Any]


class EbAccount(Row):
    """One account. Without `uid` the bank has blocked or closed it: nobody can ask for it."""

    VITAL = frozenset({"identification_hash"})
    TEXTS = frozenset({"name", "details", "product"})

    uid: Annotated[Identifier | None, OR_NONE] = None
    identification_hash: Identifier
    identification_hashes: Annotated[list[Identifier] | None, OR_NONE] = None
    account_id: Any = None
    all_account_ids: Any = None
    account_servicer: Part = None
    name: str | None = None
    details: str | None = None
    product: str | None = None
    usage: str | None = None
    cash_account_type: str | None = None
    currency: str | None = None
    credit_limit: Annotated[EbAmount | None, OR_NONE] = None


class EbLimit(Schema):
    """The credit limit of an account's details."""

    credit_limit: Annotated[EbAmount | None, OR_NONE] = None


class EbAspspName(Schema):
    """A bank, as sessions name it: there is no id."""

    name: Identifier
    country: Identifier


class EbAccess(Schema):
    """What was consented to, and until when."""

    valid_until: Label = None


class EbSessionAccount(Schema):
    """An account of a session: enough to recognise it."""

    uid: Identifier
    identification_hash: Identifier | None = None
    identification_hashes: Annotated[list[Identifier] | None, OR_NONE] = None


class EbSession(Schema):
    """Answer of GET /sessions/{id}, its accounts still unread."""

    status: Identifier
    accounts: Annotated[list[Identifier] | None, OR_NONE] = None
    accounts_data: Annotated[list[Any] | None, OR_NONE] = None
    aspsp: Annotated[EbAspspName | None, OR_NONE] = None
    psu_type: Label = None
    access: Annotated[EbAccess | None, OR_NONE] = None


class EbNewSession(Schema):
    """Answer of POST /sessions, its accounts still unread. All but the id may be missing."""

    session_id: Filled
    accounts: Annotated[list[Any] | None, OR_NONE] = None
    aspsp: Annotated[EbAspspName | None, OR_NONE] = None
    psu_type: Label = None
    access: Annotated[EbAccess | None, OR_NONE] = None


class EbAuthorization(Schema):
    """Answer of POST /auth."""

    url: Filled


class EbApplication(Schema):
    """Answer of GET /application."""

    active: bool
    redirect_urls: Annotated[list[str] | None, OR_NONE] = None


class EbAuthMethod(Schema):
    """How customers prove who they are."""

    approach: Label = None


class EbAspsp(Row):
    """One bank. `maximum_consent_validity` is in seconds."""

    VITAL = frozenset({"name", "country"})

    name: Identifier
    country: Identifier
    logo: Label = None
    bic: Label = None
    beta: Annotated[bool | None, OR_NONE] = None
    psu_types: Annotated[list[str] | None, OR_NONE] = None
    auth_methods: Annotated[list[EbAuthMethod] | None, OR_NONE] = None
    maximum_consent_validity: Annotated[int | None, OR_NONE] = None
    required_psu_headers: Annotated[list[str] | None, OR_NONE] = None


class EbAspspsAnswer(Schema):
    """Answer of GET /aspsps, its rows still unread."""

    aspsps: list[Any]
