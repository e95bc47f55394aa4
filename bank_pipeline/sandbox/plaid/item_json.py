"""An Item as the API shows it."""

from datetime import timedelta
from typing import Any, Final

from bank_pipeline.sandbox.plaid.errors import item_error_json
from bank_pipeline.sandbox.plaid.items import Item
from bank_pipeline.sandbox.plaid.readiness import Stage
from bank_pipeline.sandbox.plaid.simulator import Plaid
from bank_pipeline.sandbox.plaid.vocabulary import SUPPORTED_PRODUCTS
from bank_pipeline.sandbox.wire import moment_text, optional_moment_text

_SCOPES: Final = {
    "transactions": "transactions",
    "auth": "account_routing_number",
    "identity": "contact_info",
}


def item_to_json(plaid: Plaid, item: Item) -> dict[str, Any]:
    """Describe an Item, as all endpoints but `/item/get` do."""
    return {
        "auth_method": None,
        "available_products": sorted(SUPPORTED_PRODUCTS - set(item.products)),
        "billed_products": sorted(item.products),
        "consent_expiration_time": optional_moment_text(item.consent_ends_at),
        "error": None if item.error is None else item_error_json(item.error),
        "institution_id": item.institution_id,
        "institution_name": plaid.institutions[item.institution_id].name,
        "item_id": item.item_id,
        "products": sorted(item.products),
        "update_type": "background",
        "webhook": item.webhook,
    }


def item_with_consent(plaid: Plaid, item: Item) -> dict[str, Any]:
    """Describe an Item as `/item/get` does, with what its owner agreed to."""
    consented = sorted({*item.products, *item.consented_products})
    return {
        **item_to_json(plaid, item),
        "consented_data_scopes": ["account_balance_info"]
        + [_SCOPES[one] for one in consented if one in _SCOPES],
        "consented_products": consented,
        "consented_use_cases": ["Track and manage your finances"],
        "created_at": moment_text(item.created_at),
    }


def status_of(plaid: Plaid, item: Item) -> dict[str, Any]:
    """Describe when an Item was last updated, without success, and last announced."""
    told = item.announced
    sent = None
    if told.sent_at is not None:
        sent = {"code_sent": told.code_sent, "sent_at": moment_text(told.sent_at)}
    return {
        "investments": None,
        "last_webhook": sent,
        "transactions": _transactions_status(plaid, item),
    }


def _transactions_status(plaid: Plaid, item: Item) -> dict[str, Any] | None:
    now = plaid.clock.now()
    ready = item.transactions
    if ready is None or ready.stage(now) is Stage.NOT_READY:
        return None
    updated = now if item.error_at is None else item.error_at - timedelta(seconds=1)
    return {
        "last_failed_update": optional_moment_text(None if item.error_at is None else now),
        "last_successful_update": moment_text(max(updated, ready.initial_at)),
    }
