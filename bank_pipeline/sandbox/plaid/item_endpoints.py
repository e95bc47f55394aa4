"""
The endpoints around Items and their tokens, and the one for webhook keys.

Source: https://plaid.com/docs/api/items/
"""

from collections.abc import Mapping
from typing import Any, Final

from bank_pipeline.sandbox.plaid.item_json import item_to_json, item_with_consent, status_of
from bank_pipeline.sandbox.plaid.shapes import Shape, Text
from bank_pipeline.sandbox.plaid.simulator import Call, Endpoint
from bank_pipeline.sandbox.plaid.vocabulary import words

_REASONS: Final = words(
    """
    FRAUD_FIRST_PARTY FRAUD_FALSE_IDENTITY FRAUD_ABUSE FRAUD_OTHER CONNECTION_IS_NON_FUNCTIONAL
    OTHER
    """
)
_NOTE_LONGEST: Final = 512
_TOKEN: Final = Text(required=True)


def get(call: Call) -> dict[str, Any]:
    """Describe the Item and how its updates go; a broken one too."""
    return {
        "item": item_with_consent(call.plaid, call.item),
        "status": status_of(call.plaid, call.item),
    }


def remove(call: Call) -> dict[str, Any]:
    """End the Item; its token is dead from now on."""
    call.item.removed = True
    return {}


def invalidate_access_token(call: Call) -> dict[str, Any]:
    """Replace the access token at once."""
    return {"new_access_token": call.plaid.items.rotate(call.item)}


def update_webhook(call: Call) -> dict[str, Any]:
    """Send the Item's webhooks elsewhere, or nowhere; the new address is told."""
    call.item.webhook = call.body.get("webhook")
    extra = {"error": None, "new_webhook_url": call.item.webhook}
    call.plaid.announcer.send(call.item, "ITEM", "WEBHOOK_UPDATE_ACKNOWLEDGED", extra, call.now)
    return {"item": item_to_json(call.plaid, call.item)}


def get_key(call: Call) -> dict[str, Any]:
    """Show a key that signs webhooks."""
    return {"key": call.plaid.keys.public_key(call.body["key_id"])}


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "/item/get": Endpoint(get, Shape({"access_token": _TOKEN}), works_when_broken=True),
    "/item/remove": Endpoint(
        remove,
        Shape(
            {
                "access_token": _TOKEN,
                "reason_code": Text(choices=_REASONS),
                "reason_note": Text(longest=_NOTE_LONGEST),
            }
        ),
        works_when_broken=True,
    ),
    "/item/access_token/invalidate": Endpoint(
        invalidate_access_token, Shape({"access_token": _TOKEN}), works_when_broken=True
    ),
    "/item/webhook/update": Endpoint(
        update_webhook,
        Shape({"access_token": _TOKEN, "webhook": Text(nullable=True, url=True)}),
        works_when_broken=True,
    ),
    "/webhook_verification_key/get": Endpoint(get_key, Shape({"key_id": _TOKEN})),
}
