"""Accounts as the rest of the pipeline sees them, whoever provided them. Pure."""

from collections import Counter
from collections.abc import Sequence
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

    model_config = ConfigDict(frozen=True)

    iban: str | None = None
    bban: str | None = None
    bic: str | None = None
    account_number: str | None = None
    routing_number: str | None = None
    masked_number: str | None = None


class Account(BaseModel):
    """
    One account of one connection, as the provider last described it.

    Identity: (connection, `external_id`) is unique. `stable_external_ids` survive a new
    connection to the same account, where there are such ids: two accounts that share one and
    have one currency are the same.

    `currency` is None when the bank names none; `unofficial_currency` holds a code outside
    ISO 4217, such as a crypto currency's. `provider_type` and `provider_subtype` are the
    provider's own words, kept because new ones appear without notice.
    """

    model_config = ConfigDict(frozen=True)

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


def match_accounts(known: Sequence[Account], fresh: Sequence[Account]) -> dict[str, str]:
    """
    Tell which accounts a renewed consent shows again: {fresh external id: known external id}.

    An account is the same when its external id is, or when it shares a stable id and the
    currency (IBANs are shared by the currencies of one account). Only what is certain is
    matched: where two could be meant, none is.
    """
    by_id = {account.external_id for account in known}
    matched = {one.external_id: one.external_id for one in fresh if one.external_id in by_id}
    free = [account for account in known if account.external_id not in matched]
    new = [account for account in fresh if account.external_id not in matched]
    pairs = [(one, other) for one in new for other in free if _is_same(one, other)]
    times = Counter(account.external_id for pair in pairs for account in pair)
    certain = [pair for pair in pairs if all(times[one.external_id] == 1 for one in pair)]
    return matched | {one.external_id: other.external_id for one, other in certain}


def _is_same(one: Account, other: Account) -> bool:
    if not {*one.stable_external_ids} & {*other.stable_external_ids}:
        return False
    currencies = {
        account.currency or account.unofficial_currency
        for account in (one, other)
        if account.currency or account.unofficial_currency
    }
    return len(currencies) < 2  # noqa: PLR2004 - two that differ
