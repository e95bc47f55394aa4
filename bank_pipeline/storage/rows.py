"""Between a transaction and the bank-given columns of its row: one list, in one order. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from bank_pipeline.domain.transaction import (
    Counterparty,
    ForeignExchange,
    Merchant,
    ProviderCategory,
    Transaction,
)

JSON_COLUMNS: Final = ("counterparty_identifiers", "details")

BANK_COLUMNS: Final = (
    "external_id",
    "pending_external_id",
    "status",
    "amount",
    "currency",
    "unofficial_currency",
    "booking_date",
    "value_date",
    "transaction_date",
    "booked_at",
    "transacted_at",
    "description",
    "cleaned_description",
    "counterparty_name",
    "counterparty_type",
    "merchant_name",
    "merchant_external_id",
    "merchant_website",
    "merchant_category_code",
    "payment_method",
    "payment_channel",
    "bank_transaction_code",
    "reference",
    "check_number",
    "category",
    "provider_category_primary",
    "provider_category_detailed",
    "provider_category_confidence",
    "provider_category_version",
    "source_amount",
    "source_currency",
    "exchange_rate",
    "running_balance",
    *JSON_COLUMNS,
)
"""Everything a provider may change. What people say of a transaction is in no such column."""

_NOBODY: Final = Counterparty(name="")
_NO_MERCHANT: Final = Merchant()
_NO_CATEGORY: Final = ProviderCategory(primary="")
_NO_EXCHANGE: Final = ForeignExchange()


def to_values(transaction: Transaction) -> tuple[Any, ...]:
    """
    Return the values of `BANK_COLUMNS`, in their order; JSON columns, the last, as mappings.

    A plain tuple, because it is built for every row of a first load.
    """
    counterparty = transaction.counterparty or _NOBODY
    merchant = transaction.merchant or _NO_MERCHANT
    category = transaction.provider_category or _NO_CATEGORY
    exchange = transaction.foreign_exchange or _NO_EXCHANGE
    return (
        transaction.external_id,
        transaction.pending_external_id,
        transaction.status,
        transaction.amount,
        transaction.currency,
        transaction.unofficial_currency,
        transaction.booking_date,
        transaction.value_date,
        transaction.transaction_date,
        transaction.booked_at,
        transaction.transacted_at,
        transaction.description,
        transaction.cleaned_description,
        counterparty.name or None,
        counterparty.type,
        merchant.name,
        merchant.external_id,
        merchant.website,
        merchant.category_code,
        transaction.payment_method,
        transaction.payment_channel,
        transaction.bank_transaction_code,
        transaction.reference,
        transaction.check_number,
        transaction.category,
        category.primary or None,
        category.detailed,
        category.confidence,
        category.version,
        exchange.source_amount,
        exchange.source_currency,
        exchange.rate,
        transaction.running_balance,
        _to_identifiers(transaction.counterparty),
        dict(transaction.details),
    )


def _to_identifiers(counterparty: Counterparty | None) -> Mapping[str, str] | None:
    if counterparty is None or not counterparty.identifiers.model_fields_set:
        return None
    return {name: value for name, value in counterparty.identifiers if value is not None} or None
