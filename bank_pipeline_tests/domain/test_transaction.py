"""A fingerprint is equal if and only if all that the provider said is equal."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from bank_pipeline.domain.transaction import Merchant, Transaction, TransactionStatus


def transaction(**fields: Any) -> Transaction:
    defaults: dict[str, Any] = {
        "account_external_id": "a",
        "external_id": "t",
        "status": TransactionStatus.BOOKED,
        "amount": Decimal("-72.1"),
        "currency": "USD",
        "booking_date": date(2026, 3, 5),
        "description": "COFFEE",
        "details": {"location": {"city": "Poway"}},
    }
    return Transaction(**(defaults | fields))


def test_one_amount_spelt_twice_is_one_content() -> None:
    assert transaction(amount=Decimal("-72.10")).content_hash == transaction().content_hash


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": Decimal("-72.11")},
        {"amount": None},
        {"currency": None},
        {"status": TransactionStatus.PENDING},
        {"booking_date": None},
        {"description": "coffee"},
        {"merchant": Merchant(name="Cafe")},
        {"details": {"location": {"city": "San Diego"}}},
        {"details": {}},
        {"pending_external_id": "p"},
        {"check_number": "1"},
    ],
)
def test_any_difference_is_another_content(fields: dict[str, Any]) -> None:
    assert transaction(**fields).content_hash != transaction().content_hash


@pytest.mark.parametrize("fields", [{"currency": "usd"}, {"external_id": ""}, {"amount": "NaN"}])
def test_what_cannot_be_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        transaction(**fields)


def test_a_transaction_is_a_value() -> None:
    with pytest.raises(ValidationError):
        transaction().amount = Decimal(1)  # type: ignore[misc]  # the very thing to refuse
