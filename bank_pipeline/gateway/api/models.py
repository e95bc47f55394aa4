"""What is sent: the rows of each list, field by field. Amounts are exact, and sent as text."""

from datetime import date as calendar_date
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

Amount = Annotated[
    Decimal,
    PlainSerializer(lambda amount: f"{amount:f}", return_type=str),
    Field(description="Exact, as text. Positive is money in; debt is negative."),
]


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore")


class TeamRow(_Row):
    """The team whose key was sent."""

    team_id: UUID
    name: str


class ConnectionRow(_Row):
    """One customer's consent for one bank."""

    connection_id: UUID
    provider: str
    institution_name: str | None
    status: str
    status_reason: str | None
    status_since: datetime
    history_stage: str
    consent_expires_at: datetime | None
    last_success_at: datetime | None
    next_attempt_at: datetime | None
    next_step: str
    created_at: datetime


class AccountRow(_Row):
    """
    An account with what counts of its balances; unknown is null, never 0.

    Each amount has a currency of its own, which may be another than the account's.
    """

    account_id: UUID
    connection_id: UUID
    provider: str
    institution_name: str | None
    connection_status: str
    name: str
    official_name: str | None
    type: str
    currency: str | None
    unofficial_currency: str | None
    booked_balance: Amount | None
    booked_balance_currency: str | None
    booked_balance_unofficial_currency: str | None
    booked_balance_as_of: datetime | None
    available_balance: Amount | None
    available_balance_currency: str | None
    available_balance_unofficial_currency: str | None
    available_balance_as_of: datetime | None
    credit_limit: Amount | None
    credit_limit_currency: str | None
    credit_limit_unofficial_currency: str | None
    is_booked_balance_current: bool | None
    is_available_balance_current: bool | None
    is_credit_limit_in_available: bool | None
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    excluded_at: datetime | None


class BalanceRow(_Row):
    """One balance as it was observed; a new row only where it changed."""

    balance_id: int
    connection_id: UUID
    account_id: UUID
    kind: str
    provider_type: str
    amount: Amount
    currency: str | None
    unofficial_currency: str | None
    as_of: datetime | None
    as_of_date: calendar_date | None
    is_credit_limit_included: bool | None
    observed_at: datetime
    is_current: bool


class TransactionRow(_Row):
    """Money that moved or is about to. `date`: booked, else value, else transaction date."""

    transaction_id: UUID
    connection_id: UUID
    account_id: UUID
    status: str
    date: calendar_date | None
    amount: Amount | None
    currency: str | None
    unofficial_currency: str | None
    booking_date: calendar_date | None
    value_date: calendar_date | None
    transaction_date: calendar_date | None
    description: str
    cleaned_description: str | None
    counterparty_name: str | None
    merchant_name: str | None
    merchant_category_code: str | None
    payment_method: str | None
    reference: str | None
    category: str | None
    source_amount: Amount | None
    source_currency: str | None
    exchange_rate: Amount | None
    running_balance: Amount | None
    note: str | None
    tags: list[str]
    is_hidden: bool
    suspected_duplicate_of: UUID | None
    created_at: datetime
    updated_at: datetime


class SyncRunRow(_Row):
    """One sync. No outcome: it is running, or was killed a moment ago."""

    sync_run_id: UUID
    connection_id: UUID
    reason: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    error_class: str | None
    error_code: str | None
    counts: dict[str, Any] | None
    next_attempt_at: datetime | None


class InstitutionRow(_Row):
    """A bank that can be linked, as one provider offers it."""

    provider: str
    external_id: str
    name: str
    countries: list[str]
    bic: str | None
    logo_url: str | None
    is_beta: bool | None
    customer_kinds: list[str]
    history_days: int | None
    consent_days: int | None


class _Page(BaseModel):
    next: str | None = Field(description="`cursor` of the next page; null at the end.")


class ConnectionPage(_Page):
    """Some connections."""

    items: list[ConnectionRow]


class AccountPage(_Page):
    """Some accounts."""

    items: list[AccountRow]


class BalancePage(_Page):
    """Some balances, the newest first."""

    items: list[BalanceRow]


class TransactionPage(_Page):
    """Some transactions, the newest first."""

    items: list[TransactionRow]


class SyncRunPage(_Page):
    """Some syncs, the newest first."""

    items: list[SyncRunRow]


class ProblemDetails(BaseModel):
    """Why it was not done (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
