"""
What a pipeline that did everything right would hold now, in Plaid's ids.

Computed from the world's own truth, without the change log that feeds `/transactions/sync`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bank_pipeline.sandbox.ledger import AccountTruth, Entry, EntryState
from bank_pipeline.sandbox.plaid.ids import derive_transaction_id
from bank_pipeline.sandbox.plaid.items import Item
from bank_pipeline.sandbox.plaid.readiness import plaid_date
from bank_pipeline.sandbox.plaid.simulator import Plaid
from bank_pipeline.sandbox.plaid.sync_feed import Grant
from bank_pipeline.sandbox.wire import number_text, optional_number_text


def truth_of(plaid: Plaid, item: Item) -> dict[str, Any]:
    """
    Describe an Item's accounts and transactions as they should be known now.

    Money is text. `booked` and `available` are from the account holder's view, unlike Plaid's
    own balances: debt is negative. `amount` is Plaid's: positive is money out. An account that
    is not `listed` was withdrawn or closed; its transactions stand as they were last seen.
    """
    now = plaid.clock.now()
    return {
        "item_id": item.item_id,
        "login_id": item.login_id,
        "removed": item.removed,
        "error_code": None if item.error is None else item.error.code,
        "accounts": {grant.account_id: _account(plaid, item, grant, now) for grant in item.grants},
    }


def truths(plaid: Plaid) -> Sequence[dict[str, Any]]:
    """Describe all Items that were not removed."""
    return [truth_of(plaid, item) for item in plaid.items if not item.removed]


def _account(plaid: Plaid, item: Item, grant: Grant, now: datetime) -> dict[str, Any]:
    shown = plaid.world.truth(grant.world_account_id, grant.sees_until(now))
    account = shown.account
    is_open = account.closed_at is None or now < account.closed_at
    return {
        "world_account_id": account.id,
        "listed": grant.revoked_at is None and is_open,
        "kind": account.kind.value,
        "name": account.name,
        "mask": account.mask,
        "currency": account.currency,
        "unofficial_currency": account.unofficial_currency,
        "booked": optional_number_text(shown.booked),
        "available": optional_number_text(shown.available),
        "transactions": _transactions(plaid, item, grant, shown, now),
    }


def _transactions(
    plaid: Plaid, item: Item, grant: Grant, shown: AccountTruth, now: datetime
) -> dict[str, Any]:
    if item.transactions is None or not plaid.items.has_transactions(grant):
        return {}
    since = item.transactions.since(item.transactions.stage(grant.sees_until(now)))
    rows = (_transaction(grant, entry) for entry in shown.entries if plaid_date(entry) >= since)
    return {row["transaction_id"]: row for row in rows}


def _transaction(grant: Grant, entry: Entry) -> dict[str, Any]:
    pending = entry.state is EntryState.PENDING
    return {
        "transaction_id": derive_transaction_id(grant.account_id, entry.id, pending=pending),
        "entry_id": entry.id,
        "amount": number_text(entry.amount.copy_negate()),
        "iso_currency_code": entry.currency,
        "unofficial_currency_code": entry.unofficial_currency,
        "pending": pending,
        "date": plaid_date(entry).isoformat(),
        "authorized_date": entry.transaction_date.isoformat(),
        "name": entry.description,
    }
