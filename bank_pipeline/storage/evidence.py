"""What our tables say of one connection, in the provider's ids: to be held against the bank."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

import sqlalchemy as sa

from bank_pipeline.domain.ids import ConnectionId


@dataclass(frozen=True)
class TransactionEvidence:
    """
    One live row: amount positive is money in; `day` is the booking date, else when paid.

    `description` is the text for display, `original` the bank's own.
    """

    external_id: str
    amount: Decimal | None
    currency: str | None
    is_pending: bool
    day: date | None
    description: str
    original: str = field(default="", compare=False)


@dataclass(frozen=True)
class AccountEvidence:
    """One account: balances from the holder's view, and its live transactions by external id."""

    external_id: str
    name: str
    booked: Decimal | None
    available: Decimal | None
    currency: str | None
    transactions: dict[str, TransactionEvidence] = field(default_factory=dict)


def load_evidence(db: sa.Connection, connection_id: ConnectionId) -> list[AccountEvidence]:
    """Load every account of a connection with what analysts see of it."""
    rows: dict[str, dict[str, TransactionEvidence]] = defaultdict(dict)
    for row in db.execute(_TRANSACTIONS, {"connection_id": connection_id}):
        rows[row.account_id][row.external_id] = TransactionEvidence(
            external_id=row.external_id,
            amount=row.amount,
            currency=row.currency,
            is_pending=row.status == "pending",
            day=row.date,
            description=row.text,
            original=row.description,
        )
    return [
        AccountEvidence(
            external_id=account.external_id,
            name=account.name,
            booked=account.booked_balance,
            available=account.available_balance,
            currency=account.currency,
            transactions=rows[account.account_id],
        )
        for account in db.execute(_ACCOUNTS, {"connection_id": connection_id})
    ]


_ACCOUNTS = sa.text(
    "SELECT account_id, external_id, name, booked_balance, available_balance, "
    "coalesce(currency, unofficial_currency) AS currency "
    "FROM analytics.accounts WHERE connection_id = :connection_id ORDER BY name, account_id"
)
_TRANSACTIONS = sa.text(
    "SELECT account_id, external_id, amount, coalesce(currency, unofficial_currency) AS currency, "
    "status, coalesce(booking_date, transaction_date, value_date) AS date, description, "
    "coalesce(cleaned_description, description) AS text "
    "FROM analytics.transactions WHERE connection_id = :connection_id"
)
