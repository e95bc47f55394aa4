"""
Plaid's own test endpoints under `/sandbox/`.

Source: https://plaid.com/docs/api/sandbox/
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from bank_pipeline.sandbox.plaid import dynamic_user
from bank_pipeline.sandbox.plaid.errors import item_error_json, plaid_error
from bank_pipeline.sandbox.plaid.items import NewItem
from bank_pipeline.sandbox.plaid.link import consent_of, open_accounts
from bank_pipeline.sandbox.plaid.shapes import (
    Anything,
    Day,
    Many,
    Number,
    Shape,
    Text,
    Whole,
)
from bank_pipeline.sandbox.plaid.simulator import Call, Endpoint
from bank_pipeline.sandbox.plaid.vocabulary import PRODUCTS, words
from bank_pipeline.sandbox.wire import moment_text

_DAYS_USUAL: Final = 90
_CREATED_MAX: Final = 10
_WEEK: Final = timedelta(days=7)
_TOKEN: Final = Text(required=True)


def create_public_token(call: Call) -> dict[str, Any]:
    """
    Link a login of the institution without Link.

    `options.override_username` names one of the world's logins, by id or username; any other
    name means the institution's first, who moves there if nobody has.
    """
    login_id = _login_of(call)
    options = call.options
    products = call.body["initial_products"]
    item = call.plaid.items.create(
        NewItem(
            login_id=login_id,
            institution_id=call.body["institution_id"],
            account_ids=open_accounts(call.plaid, login_id),
            products=products,
            consented_products=products,
            webhook=options.get("webhook"),
            days_requested=_days_of(options.get("transactions") or {}, call.now.date()),
            consent=consent_of(call.plaid, call.body["institution_id"]),
            dynamic=options.get("override_username") == dynamic_user.USERNAME,
        ),
        call.now,
    )
    return {"public_token": call.plaid.items.new_public_token(item, call.now)}


def reset_login(call: Call) -> dict[str, Any]:
    """Let the login of an Item expire."""
    call.plaid.announcer.break_item(call.item, "ITEM_LOGIN_REQUIRED", call.now)
    return {"reset_login": True}


def fire_webhook(call: Call) -> dict[str, Any]:
    """Send a webhook of the wished code, true or not. What it tells of does not happen."""
    code = call.body["webhook_code"]
    kind, extra = _made_up(call, code)
    kind = call.body.get("webhook_type") or kind
    if not call.plaid.announcer.send(call.item, kind, code, extra, call.now):
        raise plaid_error("SANDBOX_WEBHOOK_INVALID")
    return {"webhook_fired": True}


def create_transactions(call: Call) -> dict[str, Any]:
    """Write transactions for a dynamic user."""
    if not call.item.dynamic:
        raise plaid_error(
            "INVALID_FIELD", f"transactions can be created for {dynamic_user.USERNAME} only"
        )
    for wanted in call.body["transactions"]:
        dynamic_user.create(call.plaid.world, call.item, wanted, call.now)
    call.plaid.announcer.look_at(call.item, call.now)
    return {}


_FIREABLE: Final = words(
    """
    DEFAULT_UPDATE NEW_ACCOUNTS_AVAILABLE SMS_MICRODEPOSITS_VERIFICATION AUTHORIZATION_GRANTED
    USER_PERMISSION_REVOKED USER_ACCOUNT_REVOKED PENDING_DISCONNECT RECURRING_TRANSACTIONS_UPDATE
    LOGIN_REPAIRED SYNC_UPDATES_AVAILABLE PRODUCT_READY ERROR
    """
)

ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "/sandbox/public_token/create": Endpoint(
        create_public_token,
        Shape(
            {
                "institution_id": _TOKEN,
                "initial_products": Many(Text(choices=PRODUCTS), required=True, some=True),
                "user_token": Anything(),
                "user_id": Anything(),
                "options": Shape(
                    {
                        "webhook": Text(url=True),
                        "override_username": Text(nullable=True),
                        "override_password": Text(nullable=True),
                        "transactions": Shape(
                            {
                                "start_date": Day(),
                                "end_date": Day(),
                                "days_requested": Whole(1, 730),
                            }
                        ),
                        "statements": Anything(),
                        "income_verification": Anything(),
                    }
                ),
            }
        ),
    ),
    "/sandbox/item/reset_login": Endpoint(
        reset_login, Shape({"access_token": _TOKEN}), works_when_broken=True
    ),
    "/sandbox/item/fire_webhook": Endpoint(
        fire_webhook,
        Shape(
            {
                "access_token": _TOKEN,
                "webhook_type": Text(),
                "webhook_code": Text(required=True, choices=_FIREABLE),
            }
        ),
        works_when_broken=True,
    ),
    "/sandbox/transactions/create": Endpoint(
        create_transactions,
        Shape(
            {
                "access_token": _TOKEN,
                "transactions": Many(
                    Shape(
                        {
                            "date_transacted": Day(required=True),
                            "date_posted": Day(required=True),
                            "amount": Number(required=True),
                            "description": Text(required=True),
                            "iso_currency_code": Text(),
                        }
                    ),
                    required=True,
                    some=True,
                    most=_CREATED_MAX,
                ),
            }
        ),
    ),
}


def _login_of(call: Call) -> str:
    bank = call.plaid.institutions.get(call.body["institution_id"])
    if bank is None:
        raise plaid_error("INVALID_INSTITUTION")
    logins = [one for one in call.plaid.world.logins.values() if one.bank_id == bank.id]
    if not logins:
        return call.plaid.world.add_login(bank.id).id
    name = call.options.get("override_username")
    return next((one.id for one in logins if name in (one.id, one.username)), logins[0].id)


def _days_of(asked: Mapping[str, Any], today: date) -> int:
    if "days_requested" in asked:
        return int(asked["days_requested"])
    if "start_date" in asked:
        return min(730, max(1, (today - date.fromisoformat(asked["start_date"])).days))
    return _DAYS_USUAL


def _made_up(call: Call, code: str) -> tuple[str, dict[str, Any]]:
    account_ids = [one.account_id for one in call.item.active_grants()]
    stage = call.item.feed.stage
    extras: dict[str, tuple[str, dict[str, Any]]] = {
        "DEFAULT_UPDATE": ("TRANSACTIONS", {"error": None, "new_transactions": 0}),
        "RECURRING_TRANSACTIONS_UPDATE": ("TRANSACTIONS", {"account_ids": account_ids}),
        "SYNC_UPDATES_AVAILABLE": (
            "TRANSACTIONS",
            {"initial_update_complete": stage >= 1, "historical_update_complete": stage >= 2},  # noqa: PLR2004
        ),
        "NEW_ACCOUNTS_AVAILABLE": ("ITEM", {"error": None}),
        "USER_PERMISSION_REVOKED": (
            "ITEM",
            {"error": item_error_json(plaid_error("USER_PERMISSION_REVOKED"))},
        ),
        "USER_ACCOUNT_REVOKED": ("ITEM", {"account_id": next(iter(account_ids), "")}),
        "PENDING_DISCONNECT": (
            "ITEM",
            {
                "reason": "INSTITUTION_TOKEN_EXPIRATION",
                "disconnect_time": moment_text(call.now + _WEEK),
            },
        ),
        "ERROR": ("ITEM", {"error": item_error_json(plaid_error("ITEM_LOGIN_REQUIRED"))}),
        "PRODUCT_READY": ("INCOME", {"error": None}),
        "SMS_MICRODEPOSITS_VERIFICATION": ("AUTH", {"error": None}),
        "AUTHORIZATION_GRANTED": ("AUTH", {"error": None}),
    }
    return extras.get(code, ("ITEM", {}))
