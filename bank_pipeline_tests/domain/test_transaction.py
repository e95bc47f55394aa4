"""A fingerprint is equal if and only if all that the provider said is equal."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from bank_pipeline.domain.account import AccountIdentifiers
from bank_pipeline.domain.transaction import (
    Counterparty,
    ForeignExchange,
    Merchant,
    Transaction,
    TransactionStatus,
)


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


def test_the_fingerprint_of_a_row_stays_what_it_is() -> None:
    """It is stored: another value for the same row would have every row written once more."""
    full = transaction(
        amount=Decimal("-1234.5600"),
        transacted_at=datetime(2026, 3, 5, 12, 30, tzinfo=UTC),
        counterparty=Counterparty(
            name="Café €", identifiers=AccountIdentifiers(iban="DE89370400440532013000")
        ),
        foreign_exchange=ForeignExchange(source_amount=Decimal("1E+2"), rate=Decimal("0.1")),
        details={"b": [1, 2.5, None, True], "a": {"ü": "\u2028"}},
    )

    assert transaction().content_hash.hex() == "b93ec1b8f5a377ebd13f935ef0ba9487"
    assert full.content_hash.hex() == "edadb042ac95513a58954bc220befa9c"


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
