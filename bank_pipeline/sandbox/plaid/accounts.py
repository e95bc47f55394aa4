"""
Accounts and balances as Plaid shows them, and the two endpoints for them.

Source: https://plaid.com/docs/api/accounts/, https://plaid.com/docs/api/products/balance/
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountTruth, BankAccount
from bank_pipeline.sandbox.plaid.errors import plaid_error
from bank_pipeline.sandbox.plaid.item_json import item_to_json
from bank_pipeline.sandbox.plaid.shapes import Many, Shape, Text
from bank_pipeline.sandbox.plaid.simulator import Call, Endpoint
from bank_pipeline.sandbox.plaid.sync_feed import Grant
from bank_pipeline.sandbox.plaid.vocabulary import ACCOUNT_TYPES, OWED_KINDS
from bank_pipeline.sandbox.wire import moment_text

_STALE_BY: Final = timedelta(days=3)


def get(call: Call) -> dict[str, Any]:
    """List the Item's accounts with their balances."""
    grants = _wanted(call)
    return {
        "accounts": accounts_to_json(call, grants),
        "item": item_to_json(call.plaid, call.item),
    }


def get_balance(call: Call) -> dict[str, Any]:
    """List the Item's accounts with balances fetched from the bank this moment."""
    body = get(call)
    for account in body["accounts"]:
        account["balances"]["last_updated_datetime"] = moment_text(call.now)
    return body


def accounts_to_json(call: Call, grants: Sequence[Grant]) -> list[dict[str, Any]]:
    """Describe granted accounts, without those that their bank has closed."""
    moment = call.now
    if call.fault is not None and call.fault.kind is FaultKind.STALE_DATA:
        moment -= _STALE_BY
    accounts = call.plaid.world.accounts
    return [
        _to_json(grant, call.plaid.world.truth(grant.world_account_id, moment))
        for grant in grants
        if is_listed(accounts[grant.world_account_id], call.now)
    ]


def is_listed(account: BankAccount, now: datetime) -> bool:
    """Whether the bank still shows the account."""
    return account.closed_at is None or now < account.closed_at


def balances_of(truth: AccountTruth) -> tuple[Decimal | None, Decimal | None]:
    """
    Return `available` and `current`.

    Debt is positive in `current`; `available` is what can be spent everywhere.
    """
    booked = truth.booked
    if booked is not None and truth.account.kind in OWED_KINDS:
        booked = booked.copy_negate()
    return truth.available, booked


def link_account(account: BankAccount, account_id: str) -> dict[str, Any]:
    """Describe an account as a Link session's result does."""
    kind, subtype = ACCOUNT_TYPES[account.kind]
    return {
        "class_type": None,
        "id": account_id,
        "mask": account.mask,
        "name": account.name,
        "subtype": subtype,
        "type": kind,
        "verification_status": None,
    }


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "/accounts/get": Endpoint(
        get,
        Shape(
            {
                "access_token": Text(required=True),
                "options": Shape({"account_ids": Many(Text())}),
            }
        ),
    ),
    "/accounts/balance/get": Endpoint(
        get_balance,
        Shape(
            {
                "access_token": Text(required=True),
                "options": Shape(
                    {"account_ids": Many(Text()), "min_last_updated_datetime": Text()}
                ),
            }
        ),
    ),
}


def _wanted(call: Call) -> Sequence[Grant]:
    asked = call.options.get("account_ids")
    if asked is not None:
        return [call.item.grant_of(account_id) for account_id in asked]
    grants = call.item.active_grants()
    if not grants:
        raise plaid_error("NO_ACCOUNTS")
    return grants


def _to_json(grant: Grant, truth: AccountTruth) -> dict[str, Any]:
    account = truth.account
    kind, subtype = ACCOUNT_TYPES[account.kind]
    available, current = balances_of(truth)
    return {
        "account_id": grant.account_id,
        "balances": {
            "available": available,
            "current": current,
            "iso_currency_code": account.currency,
            "limit": account.credit_limit,
            "unofficial_currency_code": account.unofficial_currency,
        },
        "holder_category": "business" if account.business else "personal",
        "mask": account.mask,
        "name": account.name,
        "official_name": account.official_name,
        "subtype": subtype,
        "type": kind,
    }
