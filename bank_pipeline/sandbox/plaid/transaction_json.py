"""
A transaction as Plaid shows it. Pure.

`amount` is positive when money leaves the account, on every type of account.
Source: https://plaid.com/docs/api/products/transactions/#transactionssync
"""

from dataclasses import dataclass
from typing import Any, Final

from bank_pipeline.sandbox.ledger import Entry, EntryState, Party
from bank_pipeline.sandbox.plaid.ids import derive_entity_id
from bank_pipeline.sandbox.plaid.readiness import plaid_date
from bank_pipeline.sandbox.plaid.sync_feed import Row
from bank_pipeline.sandbox.plaid.vocabulary import category_of, words
from bank_pipeline.sandbox.wire import optional_moment_text

_COUNTERPARTY_TYPES: Final = words(
    """
    merchant financial_institution payment_app marketplace payment_terminal income_source
    """
)
_ENRICHED: Final = words("merchant marketplace payment_app")
_ICONS: Final = "https://plaid-category-icons.plaid.com/PFC_"
_KINDS: Final = {"online": "digital", "in store": "place", "other": "unresolved"}
_NO_PAYMENT: Final[dict[str, str | None]] = dict.fromkeys(
    ["by_order_of", "payee", "payer", "payment_method", "payment_processor", "ppd_id", "reason"]
)
_NO_PLACE: Final[dict[str, str | None]] = dict.fromkeys(
    ["address", "lat", "lon", "postal_code", "region", "store_number"]
)


@dataclass(frozen=True)
class Style:
    """What a request asked transactions to look like."""

    original_description: bool = False
    category_version: str = "v2"
    counterparty_ibans: bool = False


def transaction_to_json(row: Row, style: Style) -> dict[str, Any]:
    """Describe a transaction."""
    entry = row.entry
    primary, detailed = category_of(entry.category, style.category_version)
    return {
        "account_id": row.account_id,
        "account_owner": None,
        "amount": entry.amount.copy_negate(),
        "authorized_date": entry.transaction_date.isoformat(),
        "authorized_datetime": optional_moment_text(entry.occurred_at),
        "category": None,
        "category_id": None,
        "check_number": entry.check_number,
        "counterparties": _counterparties(entry.party, style),
        "date": plaid_date(entry).isoformat(),
        "datetime": optional_moment_text(entry.occurred_at) if is_pending(entry) else None,
        "iso_currency_code": entry.currency,
        "location": {**_NO_PLACE, "city": entry.city, "country": entry.country},
        "logo_url": None,
        "merchant_category_code": None,
        "merchant_entity_id": _merchant(entry.party, "entity"),
        "merchant_name": _merchant(entry.party, "name"),
        "name": entry.description,
        "original_description": entry.original_description if style.original_description else None,
        "payment_channel": entry.channel,
        "payment_meta": {**_NO_PAYMENT, "reference_number": entry.reference},
        "pending": is_pending(entry),
        "pending_transaction_id": row.pending_transaction_id,
        "personal_finance_category": {
            "confidence_level": "HIGH",
            "detailed": detailed,
            "primary": primary,
            "version": style.category_version,
        },
        "personal_finance_category_icon_url": f"{_ICONS}{primary}.png",
        "running_balance": None,
        "transaction_code": None,
        "transaction_id": row.transaction_id,
        "transaction_type": _KINDS.get(entry.channel, "unresolved"),
        "unofficial_currency_code": entry.unofficial_currency,
        "website": None if entry.party is None else entry.party.website,
    }


def is_pending(entry: Entry) -> bool:
    """Whether the bank has not booked it yet."""
    return entry.state is EntryState.PENDING


def _merchant(party: Party | None, what: str) -> str | None:
    if party is None or party.kind not in _ENRICHED:
        return None
    return derive_entity_id(party.name) if what == "entity" else party.name


def _counterparties(party: Party | None, style: Style) -> list[dict[str, Any]]:
    if party is None or party.kind not in _COUNTERPARTY_TYPES:
        return []
    shown: dict[str, Any] = {
        "confidence_level": "VERY_HIGH",
        "entity_id": derive_entity_id(party.name),
        "logo_url": None,
        "name": party.name,
        "type": party.kind,
        "website": party.website,
    }
    if party.iban is not None and style.counterparty_ibans:
        international = {"iban": party.iban, "bic": None}
        shown["account_numbers"] = {"bacs": None, "international": international}
    return [shown]
