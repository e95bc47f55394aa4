"""Domain values with defaults for everything: a test names only what it is about. Pure."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from pydantic import SecretStr

from bank_pipeline.domain.account import Account, AccountIdentifiers, AccountType
from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline.domain.transaction import (
    Counterparty,
    CounterpartyType,
    ForeignExchange,
    Merchant,
    PaymentMethod,
    ProviderCategory,
    Transaction,
    TransactionStatus,
)
from bank_pipeline.providers.base import LinkRequest

_FIRST_DAY = date(2026, 1, 1).toordinal()


def transaction(number: int, **named: Any) -> Transaction:
    """Build a booked purchase of `number` euros, `txn-<number>`, on account `acc-1`."""
    is_pending = named.get("status") is TransactionStatus.PENDING
    day = date.fromordinal(_FIRST_DAY + number % 365)
    values: dict[str, Any] = {
        "account_external_id": "acc-1",
        "external_id": f"txn-{number}",
        "status": TransactionStatus.BOOKED,
        "amount": Decimal(-number),
        "currency": "EUR",
        "booking_date": None if is_pending else day,
        "transaction_date": day,
        "description": f"CARD PURCHASE {number}",
    }
    return Transaction.model_validate(values | named)


def pending(number: int, **named: Any) -> Transaction:
    """Build the purchase `txn-<number>` as it is before it books."""
    return transaction(number, status=TransactionStatus.PENDING, **named)


def full_transaction(number: int, **named: Any) -> Transaction:
    """Build a purchase in which every field has a value, as the richest banks give it."""
    values: dict[str, Any] = {
        "pending_external_id": f"pending-{number}",
        "unofficial_currency": "USDC",
        "value_date": date(2026, 2, 1),
        "booked_at": datetime(2026, 2, 1, 9, 30, 0, 123456, tzinfo=UTC),
        "transacted_at": datetime(2026, 1, 31, 20, 15, tzinfo=UTC),
        "cleaned_description": "Café Zürich \N{HOT BEVERAGE}",
        "counterparty": Counterparty(
            name="Café Zürich",
            type=CounterpartyType.MERCHANT,
            identifiers=AccountIdentifiers(iban="CH9300762011623852957"),
        ),
        "merchant": Merchant(
            name="Café Zürich", external_id="m-1", website="cafe.example", category_code="5814"
        ),
        "payment_method": PaymentMethod.CARD,
        "payment_channel": "in store",
        "bank_transaction_code": "PMNT-CCRD-POSD",
        "reference": "tab\tnew\nline back\\slash 'quote' \"double\"",
        "check_number": "0001",
        "category": "eating_out",
        "provider_category": ProviderCategory(
            primary="FOOD_AND_DRINK", detailed="COFFEE", confidence="HIGH", version="2"
        ),
        "foreign_exchange": ForeignExchange(
            source_amount=Decimal("-9.99"), source_currency="CHF", rate=Decimal("1.0612345678")
        ),
        "running_balance": Decimal("1234567890123456.789"),
        "details": {"location": {"city": "Zürich", "lat": 47.3769}, "tags": ["a", "b\\u"]},
    }
    return transaction(number, **(values | named))


def account(number: int, **named: Any) -> Account:
    """Build a current account in euros, `acc-<number>`."""
    values: dict[str, Any] = {
        "external_id": f"acc-{number}",
        "name": f"Current account {number}",
        "type": AccountType.CHECKING,
        "provider_type": "depository",
        "currency": "EUR",
        "identifiers": AccountIdentifiers(masked_number=f"{number:04}"),
    }
    return Account.model_validate(values | named)


def balance(amount: str | Decimal, **named: Any) -> Balance:
    """Build the booked balance of account `acc-1`, in euros."""
    values: dict[str, Any] = {
        "account_external_id": "acc-1",
        "kind": BalanceKind.BOOKED,
        "provider_type": "current",
        "amount": Decimal(amount),
        "currency": "EUR",
    }
    return Balance.model_validate(values | named)


def link_request(
    customer_reference: str,
    *,
    renews: SecretStr | None = None,
    return_url: str | None = None,
    institution: str | None = None,
    now: datetime = datetime(2026, 3, 2, 9, 30, tzinfo=UTC),
) -> LinkRequest:
    """Build what a link begins with."""
    return LinkRequest(
        customer_reference=customer_reference,
        state=SecretStr("state-1"),
        now=now,
        renews=renews,
        institution_external_id=institution,
        return_url=return_url,
    )
