"""
Teller's JSON, as far as we read it. What a transaction has beside it is kept in `model_extra`.

Amounts are decimals written as text. Each row says which of its fields are vital; `rows.py`
reads it without the others when they do not fit. Validation errors never show values.

Source: https://teller.io/docs/api/account/transactions
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict

from bank_pipeline.domain.money import normalise_amount
from bank_pipeline.providers.fields import (
    OR_NONE,
    CalendarDate,
    Identifier,
    Label,
    NumberText,
    Row,
    Schema,
)

_Stated = Annotated[NumberText, AfterValidator(normalise_amount)]


class TellerBank(Schema):
    """The institution of an account."""

    id: Label = None
    name: Label = None


class TellerAccount(Row):
    """
    One account. `links` lists what the bank supports; its type decides the sign of amounts.

    Source: https://teller.io/docs/api/accounts
    """

    VITAL = frozenset({"id", "type"})
    TEXTS = frozenset({"name"})

    id: Identifier
    type: Identifier
    enrollment_id: str | None = None
    institution: Annotated[TellerBank | None, OR_NONE] = None
    name: str | None = None
    subtype: str | None = None
    currency: str | None = None
    last_four: str | None = None
    status: str | None = None
    links: dict[str, Any] | None = None


class TellerBalances(Row):
    """
    The balances of one account; null is unknown, and one of the two is stated.

    Source: https://teller.io/docs/api/account/balances
    """

    VITAL = frozenset[str]()

    ledger: _Stated | None = None
    available: _Stated | None = None


class TellerTransaction(Row):
    """
    One transaction, in the currency of its account. It has no times and no currency.

    `running_balance` is null on pending rows, on cards and at many banks.
    """

    model_config = ConfigDict(extra="allow")

    VITAL = frozenset({"id", "account_id", "status", "amount", "date"})
    TEXTS = frozenset({"description"})

    id: Identifier
    account_id: Identifier
    status: Literal["posted", "pending"]
    amount: NumberText
    date: CalendarDate
    description: str | None = None
    type: str | None = None
    running_balance: _Stated | None = None
    details: dict[str, Any] | None = None


class TellerInstitution(Row):
    """
    A bank that can be connected.

    Source: https://teller.io/docs/api/institutions
    """

    VITAL = frozenset({"id", "name"})

    id: Identifier
    name: Identifier
