"""
What a sync tells its team, written in the transaction of what it tells of.

So a notice is there if and only if what it says is. A team that wants nothing costs nothing,
and a sync that has nothing to tell writes nothing.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.balance_choice import AccountFacts, ChosenBalance
from bank_pipeline.domain.connection import Connection, HistoryStage
from bank_pipeline.domain.notices import (
    FAILURES_BEFORE_NOTICE,
    STOPPED,
    NoticeKind,
    Wishes,
    is_news,
    to_digits,
)
from bank_pipeline.domain.stored import day_of
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline.domain.transitions import Transition
from bank_pipeline.storage.beginnings import failure_key
from bank_pipeline.storage.notices import Notice, insert_notices, insert_stop_notice
from bank_pipeline.sync.failures import classify
from bank_pipeline.sync.fetch import Fetched
from bank_pipeline.sync.started import StartedSync

SHOWN_MAX: Final = 20  # rows of one notice; how many more there are is said

_MONEY: Final = frozenset({TransactionStatus.BOOKED, TransactionStatus.PENDING})


@dataclass(frozen=True)
class BalanceChange:
    """What counts of an account now, and what counted before this sync, by kind."""

    account_external_id: str
    facts: AccountFacts
    before: Mapping[BalanceKind, ChosenBalance]
    after: ChosenBalance


@dataclass(frozen=True)
class News:
    """What one sync wrote that was not there: rows, and balances that count."""

    inserts: Sequence[Transaction] = ()
    balance_changes: Sequence[BalanceChange] = ()


def note_applied(
    db: sa.Connection,
    started: StartedSync,
    fetched: Fetched,
    transition: Transition,
    news: News,
    *,
    now: datetime,
) -> None:
    """
    Tell what a sync brought that its team wants to know, in the transaction that brought it.

    The first history is no news, nor that of an account that is new, nor rows of long ago.
    """
    if started.wishes is None:
        return
    told = [*_news_of(started, started.wishes, fetched, news, now)]
    if fetched.trouble is not None:
        told += _failures_of(started, fetched.trouble, transition, fetched, now)
    elif started.is_failure_told and _is_success(started, fetched):
        told.append(_recovered(started, fetched))
    _write(db, started, transition, told, now)


def is_worth_telling(started: StartedSync, row: Transaction, *, now: datetime) -> bool:
    """Say whether somebody may want to be told of a new row: not of a first history, nor of old."""
    connection = started.connection
    return (
        started.wishes is not None
        and connection.history_stage is HistoryStage.COMPLETE
        and row.status in _MONEY
        and is_news(day_of(row), last_success_at=connection.last_success_at, now=now)
    )


def note_failed(
    db: sa.Connection,
    started: StartedSync,
    error: Exception,
    transition: Transition,
    *,
    now: datetime,
) -> None:
    """Tell that a connection fails, if it did so often enough, or stopped."""
    if started.wishes is not None:
        told = [*_failures_of(started, error, transition, None, now)]
        _write(db, started, transition, told, now)


def _write(
    db: sa.Connection,
    started: StartedSync,
    transition: Transition,
    told: Sequence[Notice],
    now: datetime,
) -> None:
    wanted = started.wishes.kinds if started.wishes else frozenset()
    insert_notices(db, [one for one in told if one.kind in wanted], now=now)
    was_stopped = started.connection.status in STOPPED
    if transition.status in STOPPED and (
        not was_stopped or transition.status is not started.connection.status
    ):
        insert_stop_notice(db, started.connection.id, now=now)


def _news_of(
    started: StartedSync, wishes: Wishes, fetched: Fetched, news: News, now: datetime
) -> Iterator[Notice]:
    accounts = {one.external_id: one for one in fetched.accounts.accounts}
    yield from _low_balances(started, wishes, accounts, news.balance_changes, now)
    known = started.known_account_ids | {*fetched.renamed_accounts.values()}
    rows = [
        row
        for row in news.inserts
        if row.account_external_id in known and is_worth_telling(started, row, now=now)
    ]
    if rows:
        yield _new_transactions(started, accounts, rows)
    large = [row for row in rows if wishes.is_large(row.amount, _currency_of(row))]
    if large:
        yield _large_transactions(started, accounts, large)


def _new_transactions(
    started: StartedSync, accounts: Mapping[str, Account], rows: Sequence[Transaction]
) -> Notice:
    names = [*dict.fromkeys(row.account_external_id for row in rows)]
    per_account = [
        {
            **_describe(accounts.get(name)),
            "count": len(own := [row for row in rows if row.account_external_id == name]),
            "totals": _totals(own),
        }
        for name in names
    ]
    payload = {"count": len(rows), "accounts": per_account}
    return _notice(started, NoticeKind.NEW_TRANSACTIONS, started.id, payload)


def _totals(rows: Iterable[Transaction]) -> list[dict[str, str]]:
    """Sum up money in and out by currency; rows of an unknown amount or currency count only."""
    sums: dict[str, list[Decimal]] = {}
    for row in rows:
        currency = _currency_of(row)
        if currency is not None and row.amount is not None:
            ways = sums.setdefault(currency, [Decimal(0), Decimal(0)])
            ways[row.amount < 0] += row.amount
    return [
        {"currency": currency, "in": f"{ways[0]:f}", "out": f"{-ways[1]:f}"}
        for currency, ways in sorted(sums.items())
    ]


def _large_transactions(
    started: StartedSync, accounts: Mapping[str, Account], rows: Sequence[Transaction]
) -> Notice:
    ordered = sorted(rows, key=lambda row: (-abs(row.amount or Decimal(0)), row.external_id))
    shown = [
        {
            **_describe(accounts.get(row.account_external_id)),
            "amount": f"{row.amount:f}",
            "currency": _currency_of(row),
            "date": day.isoformat() if (day := day_of(row)) is not None else None,
            "is_pending": row.status is TransactionStatus.PENDING,
        }
        for row in ordered[:SHOWN_MAX]
    ]
    names = sorted(f"{row.account_external_id} {row.external_id}" for row in rows)
    key = f"{started.connection.id}:{_digest(names)}"
    payload = {"count": len(rows), "transactions": shown, "more": len(rows) - len(shown)}
    return _notice(started, NoticeKind.LARGE_TRANSACTION, key, payload)


def _low_balances(
    started: StartedSync,
    wishes: Wishes,
    accounts: Mapping[str, Account],
    changes: Sequence[BalanceChange],
    now: datetime,
) -> Iterator[Notice]:
    """
    Tell of balances that fell below their threshold, an account once a day at most.

    What can be spent counts where the bank tells it, else what is booked. Debt is no balance, and
    one that was told in another currency before fell from nothing that is known.
    """
    told = {(one.account_external_id, one.after.kind) for one in changes}
    for one in changes:
        name, kind = one.account_external_id, one.after.kind
        is_available = BalanceKind.AVAILABLE in one.before or (name, BalanceKind.AVAILABLE) in told
        decisive = BalanceKind.AVAILABLE if is_available else BalanceKind.BOOKED
        before, currency = one.before.get(kind), one.after.currency
        was = before.amount if before and before.currency == currency else None
        if kind is not decisive or one.facts.type.is_liability:
            continue
        if not wishes.has_fallen(was, one.after.amount, currency):
            continue
        payload = {
            **_describe(accounts.get(name)),
            "type": one.facts.type.value,
            "currency": currency,
            "kind": kind.value,
            "amount": f"{one.after.amount:f}",
            "threshold": f"{wishes.low_balances[currency or '']:f}",
        }
        key = f"{started.connection.id}:{_digest([name])}:{now.date().isoformat()}"
        yield _notice(started, NoticeKind.LOW_BALANCE, key, payload)


def _failures_of(
    started: StartedSync,
    error: Exception,
    transition: Transition,
    fetched: Fetched | None,
    now: datetime,
) -> Iterator[Notice]:
    """Tell that a connection fails, once from its last success to the next one."""
    kind, code = classify(error)
    is_told_elsewhere = kind.is_ours or kind.is_customers  # to the operator, or as a stop
    if is_told_elsewhere or transition.error_retries < FAILURES_BEFORE_NOTICE:
        return
    last, due = started.connection.last_success_at, transition.next_attempt_at
    payload = {
        "cause": kind.value,
        "code": code,
        "failures": transition.error_retries,
        "last_success_at": last.isoformat() if last else None,
        "next_attempt_at": due.isoformat() if due else None,
        "accounts": _outcomes(fetched) if fetched else [],
        "accounts_count": len(started.known_account_ids),
        "told_at": now.isoformat(),
    }
    yield _notice(started, NoticeKind.SYNC_FAILED, failure_key(started.connection), payload)


def _recovered(started: StartedSync, fetched: Fetched) -> Notice:
    last = started.connection.last_success_at
    payload = {
        "last_success_at": last.isoformat() if last else None,
        "accounts": _outcomes(fetched),
        "accounts_count": len(started.known_account_ids),
    }
    return _notice(started, NoticeKind.SYNC_RECOVERED, failure_key(started.connection), payload)


def _is_success(started: StartedSync, fetched: Fetched) -> bool:
    return fetched.was_asked and not started.request.is_part


def _outcomes(fetched: Fetched) -> list[dict[str, Any]]:
    """Say of each account how far it was read, or the class of why not."""
    accounts = {one.external_id: one for one in fetched.accounts.accounts}
    return [
        {
            **_describe(accounts.get(one.account_external_id)),
            "covered_to": None if one.covered is None else one.covered.last.isoformat(),
            "trouble": one.trouble,
        }
        for one in fetched.readings
    ]


def _describe(account: Account | None) -> dict[str, str | None]:
    """Say which account it is without naming anybody: a bank's own name of it may."""
    if account is None:
        return {"type": None, "currency": None, "digits": None}
    return {
        "type": account.type.value,
        "currency": account.currency or account.unofficial_currency,
        "digits": to_digits(account.identifiers.masked_number),
    }


def _notice(started: StartedSync, kind: NoticeKind, key: str, payload: Mapping[str, Any]) -> Notice:
    connection: Connection = started.connection
    whose = {"institution": connection.institution_name, "provider": connection.provider.value}
    return Notice(connection.team_id, kind, key, {**whose, **payload}, connection.id)


def _currency_of(row: Transaction) -> str | None:
    return row.currency or row.unofficial_currency


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:32]
