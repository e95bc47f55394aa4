"""
What `user_transactions_dynamic` does at each refresh, written into the world.

Source: https://plaid.com/docs/sandbox/user-custom/#testing-transactions
"""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.sandbox.ledger import AccountKind, EntryState
from bank_pipeline.sandbox.plaid.errors import plaid_error
from bank_pipeline.sandbox.plaid.items import Item
from bank_pipeline.sandbox.world import World

USERNAME: Final = "user_transactions_dynamic"
_NEW_PENDINGS: Final = (Decimal("-4.33"), Decimal("-89.4"), Decimal("12.345678"))
_STEP: Final = Decimal("1.00")
_BACK: Final = timedelta(days=14)


def move_on(world: World, item: Item) -> None:
    """Book all pendings, add $1.00 to the oldest transaction shown, and bring new pendings."""
    shown = item.feed.rows()
    for row in shown:
        if world.entry(row.entry.id).state is EntryState.PENDING:
            world.book(row.entry.id)
    booked = [row for row in shown if row.entry.state is EntryState.BOOKED]
    if booked:
        oldest = world.entry(booked[-1].entry.id)
        world.change(oldest.id, amount=oldest.amount - _STEP)
    account_id = _checking(world, item)
    for number, amount in enumerate(_NEW_PENDINGS, start=1):
        world.add_pending(account_id, amount, description=f"DYNAMIC PURCHASE {number}")


def create(world: World, item: Item, wanted: dict[str, Any], now: datetime) -> None:
    """Write one transaction as `/sandbox/transactions/create` asks; its amount is Plaid's."""
    transacted = date.fromisoformat(wanted["date_transacted"])
    posted = date.fromisoformat(wanted["date_posted"])
    today = now.date()
    if transacted > posted or not today - _BACK <= posted <= today:
        raise plaid_error(
            "INVALID_FIELD",
            "date_posted must be within the last 14 days and not before date_transacted",
        )
    account_id = _checking(world, item)
    world.add_booked(
        account_id,
        -Decimal(wanted["amount"]),
        description=wanted["description"],
        original_description=wanted["description"],
        transaction_date=transacted,
        booking_date=posted,
        currency=wanted.get("iso_currency_code", world.accounts[account_id].currency),
    )


def _checking(world: World, item: Item) -> str:
    ids = [grant.world_account_id for grant in item.active_grants()]
    if not ids:
        raise plaid_error("NO_ACCOUNTS")
    checking = [one for one in ids if world.accounts[one].kind is AccountKind.CHECKING]
    return (checking or ids)[0]
