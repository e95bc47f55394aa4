"""Accounts as the rest of the pipeline sees them, whoever provided them. Pure."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from bank_pipeline.domain.money import Currency


class AccountType(StrEnum):
    """What kind of account it is, in words that all providers' types map to."""

    CHECKING = "checking"
    SAVINGS = "savings"
    CASH_MANAGEMENT = "cash_management"
    PREPAID = "prepaid"
    CREDIT_CARD = "credit_card"
    LINE_OF_CREDIT = "line_of_credit"
    LOAN = "loan"
    MORTGAGE = "mortgage"
    INVESTMENT = "investment"
    PENSION = "pension"
    INSURANCE = "insurance"
    CRYPTO = "crypto"
    OTHER = "other"

    @property
    def is_liability(self) -> bool:
        """Say whether the holder owes what the account holds: its debt is a negative balance."""
        return self in _LIABILITIES


_LIABILITIES = frozenset(
    {
        AccountType.CREDIT_CARD,
        AccountType.LINE_OF_CREDIT,
        AccountType.LOAN,
        AccountType.MORTGAGE,
    }
)


class AccountIdentifiers(BaseModel):
    """
    What the banking world calls an account. All None when unknown.

    `masked_number` is the part that the bank shows (the last digits), never unique.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    iban: str | None = None
    bban: str | None = None
    bic: str | None = None
    account_number: str | None = None
    routing_number: str | None = None
    masked_number: str | None = None

    @property
    def last_four(self) -> str | None:
        """Return what may be shown of the number: at most its last four letters or digits."""
        shown = self.masked_number or self.account_number or self.iban or self.bban or ""
        return "".join(one for one in shown if one.isalnum())[-4:] or None


class Account(BaseModel):
    """
    One account of one connection, as the provider last described it.

    Identity: (connection, `external_id`) is unique. `stable_external_ids` survive a new
    connection to the same account, where there are such ids (see `domain.matching`).

    `currency` is None when the bank names none; `unofficial_currency` holds a code outside
    ISO 4217, such as a crypto currency's. `provider_type` and `provider_subtype` are the
    provider's own words, kept because new ones appear without notice.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    external_id: str = Field(min_length=1)
    stable_external_ids: tuple[str, ...] = ()
    name: str
    official_name: str | None = None
    type: AccountType
    provider_type: str
    provider_subtype: str | None = None
    currency: Currency | None
    unofficial_currency: str | None = None
    identifiers: AccountIdentifiers = AccountIdentifiers()
    holder_name: str | None = None
    is_business: bool | None = None
