"""
GoCardless's JSON, as far as we read it. What a row has beside it is kept in `model_extra`.

Almost every field is optional, text may be blank or null, and several change their type from
bank to bank: those are read as they come (`Any`), and understood in the transforms.

Source: https://bankaccountdata.gocardless.com/api/v2/swagger.json
"""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from bank_pipeline.domain.money import normalise_amount
from bank_pipeline.providers.fields import OR_NONE, Identifier, Label, NumberText, Row, Schema
from bank_pipeline.providers.gocardless.dates import to_day


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Text = Annotated[str | None, BeforeValidator(_number_as_text)]
"""A text, or a number meant as one: ids are such at some banks."""

_BERLIN: ConfigDict = ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="allow")


def _an_amount(number: Decimal) -> Decimal:
    """Refuse what is no amount of money. It stays as it was spelt: so `details` tell of it."""
    normalise_amount(number)
    return number


class GcAmount(Schema):
    """An amount as text, and its currency: `XXX` or blank when unknown."""

    amount: Annotated[NumberText, AfterValidator(_an_amount)]
    currency: Label = None


class GcTransaction(Row):
    """
    One transaction, signed as the holder sees it: negative is money out, but for some banks.

    Dates and times are texts here: dates come as times, and times without a zone.
    """

    model_config = _BERLIN

    VITAL = frozenset({"transactionAmount"})
    TEXTS = frozenset(
        {
            "remittanceInformationUnstructured",
            "remittanceInformationUnstructuredArray",
            "remittanceInformationStructured",
            "remittanceInformationStructuredArray",
            "additionalInformation",
            "creditorName",
            "debtorName",
        }
    )

    transaction_amount: GcAmount
    transaction_id: Text = None
    internal_transaction_id: Text = None
    entry_reference: Text = None
    end_to_end_id: Text = None
    check_id: Text = None
    booking_date: str | None = None
    booking_date_time: str | None = None
    value_date: str | None = None
    value_date_time: str | None = None
    currency_exchange: Any = None
    creditor_name: str | None = None
    creditor_account: Any = None
    creditor_agent: str | None = None
    ultimate_creditor: str | None = None
    debtor_name: str | None = None
    debtor_account: Any = None
    debtor_agent: str | None = None
    ultimate_debtor: str | None = None
    remittance_information_unstructured: str | None = None
    remittance_information_unstructured_array: Any = None
    remittance_information_structured: str | None = None
    remittance_information_structured_array: Any = None
    additional_information: str | None = None
    purpose_code: str | None = None
    bank_transaction_code: str | None = None
    proprietary_bank_transaction_code: str | None = None
    merchant_category_code: Text = None
    balance_after_transaction: Any = None


class GcBooked(GcTransaction):
    """A booked transaction: one without any date cannot be put on the account."""

    @model_validator(mode="after")
    def _dated(self) -> "GcBooked":
        dates = (self.booking_date, self.booking_date_time, self.value_date, self.value_date_time)
        if not any(map(to_day, dates)):
            raise PydanticCustomError("no_date", "a booked row has a date")
        return self


class GcBookings(Schema):
    """The two lists of one answer, their rows unread; `pending` may be missing, or no list."""

    booked: list[Any]
    pending: Any = None


class GcTransactionsAnswer(Schema):
    """Answer of accounts/{id}/transactions/."""

    transactions: GcBookings


class GcBalance(Row):
    """One balance; its type is an open set of words."""

    model_config = _BERLIN

    VITAL = frozenset({"balanceAmount", "balanceType"})

    balance_amount: GcAmount
    balance_type: Identifier
    credit_limit_included: bool | None = None
    reference_date: str | None = None
    last_change_date_time: str | None = None


class GcBalancesAnswer(Schema):
    """Answer of accounts/{id}/balances/; the list may be empty."""

    balances: list[Any]


class GcMetadata(Schema):
    """Answer of accounts/{id}/, which costs none of the daily calls. `status` is open."""

    iban: Label = None
    bban: Label = None
    status: Label = None
    institution_id: Label = None
    owner_name: Label = None
    name: Label = None


class GcDetails(Schema):
    """What a bank says of an account; every field is optional, `currency` may be `XXX`."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)

    resource_id: Label = None
    iban: Label = None
    bban: Label = None
    scan: Label = None
    currency: Label = None
    owner_name: Label = None
    name: Label = None
    display_name: Label = None
    product: Label = None
    details: Label = None
    cash_account_type: Label = None
    bic: Label = None
    masked_pan: Label = None
    usage: Label = None


class GcDetailsAnswer(Schema):
    """Answer of accounts/{id}/details/."""

    account: GcDetails


class GcRequisition(Schema):
    """A requisition: our connection. Only LN is usable, whatever `accounts` holds."""

    id: Identifier
    status: Identifier
    institution_id: Label = None
    agreement: Label = None
    accounts: tuple[Identifier, ...] = ()
    reference: Label = None
    link: Label = None


class GcRequisitionsPage(Schema):
    """One page of our requisitions."""

    results: list[Any]
    next: Label = None


class GcAgreement(Schema):
    """An end user agreement: `accepted` is a time, and null until then."""

    id: Identifier
    accepted: Label = None
    access_valid_for_days: Annotated[int | None, OR_NONE] = None
    max_historical_days: Annotated[int | None, OR_NONE] = None


class GcInstitution(Row):
    """A bank. Its limits are numbers written as text."""

    VITAL = frozenset({"id", "name"})

    id: Identifier
    name: str
    countries: Annotated[tuple[str, ...] | None, OR_NONE] = None
    bic: Label = None
    logo: Label = None
    transaction_total_days: Text = None
    max_access_valid_for_days: Text = None
    supported_features: Annotated[tuple[str, ...] | None, OR_NONE] = None
