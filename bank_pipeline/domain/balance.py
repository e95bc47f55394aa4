"""Balances: what an account holds, as one of several things a bank may mean by it. Pure."""

from datetime import date, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from bank_pipeline.domain.money import Amount, Currency


class BalanceKind(StrEnum):
    """
    What a balance counts.

    BOOKED: booked entries only. AVAILABLE: what can be spent now; may include an overdraft.
    CREDIT_LIMIT: the agreed limit, positive, never mixed into a balance. OPENING, EXPECTED
    and INFORMATION: kept as sent, never selected.
    """

    BOOKED = "booked"
    AVAILABLE = "available"
    CREDIT_LIMIT = "credit_limit"
    OPENING = "opening"
    EXPECTED = "expected"
    INFORMATION = "information"


class Balance(BaseModel):
    """
    One balance of one account, as the provider stated it.

    `amount` is signed from the account holder: a debt on a card or loan is negative. A
    balance that the bank does not state does not exist as a value: there is no zero for it.
    `provider_type` is the provider's own word. `as_of` and `as_of_date` are what the
    provider says of the balance's time; both None when it says nothing.

    Of several balances of one kind the one with the lowest `preference` counts: providers
    rank the types they know, the most reliable first.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    account_external_id: str
    kind: BalanceKind
    provider_type: str
    amount: Amount
    currency: Currency | None
    unofficial_currency: str | None = None
    as_of: datetime | None = None
    as_of_date: date | None = None
    is_credit_limit_included: bool | None = None
    preference: int = 0
