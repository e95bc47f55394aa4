"""
One update of Plaid's change feed as net changes. Pure.

Apply it whole or not at all: the halves of one change may sit on different pages, in
either order.

Source: https://plaid.com/docs/api/products/transactions/#transactionssync
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.balance import Balance
from bank_pipeline.domain.connection import HistoryStage, ProviderStatus
from bank_pipeline.domain.stored import Key, key_of
from bank_pipeline.domain.transaction import Transaction, TransactionDelta
from bank_pipeline.providers.answers import ChangedPage, fold_pages
from bank_pipeline.providers.exact_json import is_storable
from bank_pipeline.providers.plaid.schemas import (
    PlaidAccount,
    PlaidItem,
    PlaidItemAnswer,
    PlaidRemoved,
    PlaidSyncPage,
    PlaidTransaction,
)
from bank_pipeline.providers.plaid.transform import (
    to_account,
    to_balances,
    to_status,
    to_transaction,
)
from bank_pipeline.providers.rows import Rows

_STAGES: Final = {
    "NOT_READY": HistoryStage.AWAITING_INITIAL,
    "INITIAL_UPDATE_COMPLETE": HistoryStage.INITIAL,
    "HISTORICAL_UPDATE_COMPLETE": HistoryStage.COMPLETE,
}


def to_stage(status: str | None, *, next_cursor: str) -> HistoryStage:
    """
    Say how much history has arrived.

    An unknown status is not a complete history. Without a cursor nothing has arrived.
    """
    by_default = HistoryStage.INITIAL if next_cursor else HistoryStage.AWAITING_INITIAL
    return _STAGES.get(status or "", by_default)


def to_delta(pages: Iterable[PlaidSyncPage], rows: Rows) -> TransactionDelta:
    """Fold all pages of one update; the last word on each transaction wins."""
    return fold_pages(to_page(page, rows) for page in pages)


def to_page(page: PlaidSyncPage, rows: Rows) -> ChangedPage:
    """
    Translate one page by itself; within it, removals come last.

    What is wrong with its rows is in `rows`, too.
    """
    known = len(rows.quarantined)
    upserts: dict[Key, Transaction] = {}
    unread: set[Key] = set()
    for raw in (*page.added, *page.modified):
        transaction = rows.read(raw, PlaidTransaction, to_transaction, id_key="transaction_id")
        if transaction is None:
            name = _raw_key(raw)
            if is_storable([*name]):
                unread.add(name)
            continue
        key = key_of(transaction)
        upserts.pop(key, None)
        upserts[key] = transaction
    removed: set[Key] = set()
    for raw in page.removed:
        removed_key = rows.read(raw, PlaidRemoved, _removed_key, id_key="transaction_id")
        if removed_key is not None:
            upserts.pop(removed_key, None)
            removed.add(removed_key)
    delta = TransactionDelta.model_construct(
        upserts=tuple(upserts.values()), removed=frozenset(removed)
    )
    return ChangedPage(delta, frozenset(unread), tuple(rows.quarantined[known:]))


def to_accounts(raws: Iterable[Any], rows: Rows) -> tuple[tuple[Account, ...], tuple[Balance, ...]]:
    """Read accounts with their balances; the last word on each account wins."""
    last: dict[str, tuple[Account, tuple[Balance, ...]]] = {}
    for raw in raws:
        read = rows.read(raw, PlaidAccount, _account_with_balances, id_key="account_id")
        if read is not None:
            last[read[0].external_id] = read
    accounts = tuple(account for account, _ in last.values())
    return accounts, tuple(balance for _, balances in last.values() for balance in balances)


def to_item_status(raw: Any, rows: Rows) -> ProviderStatus | None:  # noqa: ANN401 - as parsed
    """Read the Item that comes with other data; None when it is missing or quarantined."""
    if raw is None:
        return None
    return rows.read(raw, PlaidItem, _status, id_key="item_id")


def _status(raw: PlaidItem, _unreadable: Mapping[str, Any]) -> ProviderStatus:
    return to_status(PlaidItemAnswer(item=raw))


def _account_with_balances(
    raw: PlaidAccount, _unreadable: Mapping[str, Any]
) -> tuple[Account, tuple[Balance, ...]]:
    account = to_account(raw)
    return account, to_balances(raw, account)


def _removed_key(raw: PlaidRemoved, _unreadable: Mapping[str, Any]) -> Key:
    return raw.account_id, raw.transaction_id


def _raw_key(raw: Any) -> Key:  # noqa: ANN401 - one parsed row, of any shape
    if not isinstance(raw, dict):
        return "", ""
    return str(raw.get("account_id")), str(raw.get("transaction_id"))
