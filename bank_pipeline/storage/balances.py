"""Balances: append-only snapshots, one where a bank's word differs from its last."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID, distinct_on

from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.ids import AccountId, SyncRunId
from bank_pipeline.storage.tables import balances

_CONTENT: Final = ("kind", "amount", "is_credit_limit_included")
_Series = tuple[str, str, str | None, str | None]
"""(account id, provider type, currency, unofficial currency): what one series observes."""


@dataclass(frozen=True)
class StoredBalance:
    """One snapshot: debt is negative; `as_of` is the bank's word, `observed_at` ours."""

    account_id: AccountId
    kind: BalanceKind
    provider_type: str
    amount: Decimal
    currency: str | None
    unofficial_currency: str | None
    as_of: datetime | None
    as_of_date: date | None
    is_credit_limit_included: bool | None
    observed_at: datetime


def save_balances(
    db: sa.Connection,
    connection: Connection,
    answered: Sequence[Balance],
    *,
    account_ids: Mapping[str, AccountId],
    sync_run_id: SyncRunId,
    now: datetime,
) -> int:
    """
    Append the balances that differ from the last of their series; return how many.

    A series is one type in one currency of one account, because an account may hold
    several currencies. A newer time on the same balance is no difference, else every quiet
    day would add rows. A balance that the bank left out stays what it was, with its date.
    """
    known = [balance for balance in answered if balance.account_external_id in account_ids]
    series = [_to_series(balance, account_ids) for balance in known]
    newest = _load_newest(db, frozenset(series))
    rows: list[dict[str, Any]] = []
    for key, balance in zip(series, known, strict=True):
        content = tuple(getattr(balance, name) for name in _CONTENT)
        if newest.get(key) != content:
            newest[key] = content
            rows.append(_to_row(balance, key[0], connection, sync_run_id, now))
    if rows:
        db.execute(sa.insert(balances), rows)
    return len(rows)


def load_latest_balances(
    db: sa.Connection, account_ids: Collection[AccountId]
) -> list[StoredBalance]:
    """Load the newest snapshot of each series of these accounts."""
    series = (
        balances.c.account_id,
        balances.c.provider_type,
        balances.c.currency,
        balances.c.unofficial_currency,
    )
    query = (
        sa.select(*(balances.c[field.name] for field in fields(StoredBalance)))
        .where(balances.c.account_id.in_(account_ids))
        .ext(distinct_on(*series))
        .order_by(*series, balances.c.observed_at.desc(), balances.c.id.desc())
    )
    return [
        StoredBalance(**{**row, "kind": BalanceKind(row["kind"])})
        for row in db.execute(query).mappings()
    ]


def _to_series(balance: Balance, account_ids: Mapping[str, AccountId]) -> _Series:
    account_id = account_ids[balance.account_external_id]
    return (account_id, balance.provider_type, balance.currency, balance.unofficial_currency)


def _to_row(
    balance: Balance, account_id: str, connection: Connection, sync_run_id: SyncRunId, now: datetime
) -> dict[str, Any]:
    return balance.model_dump(exclude={"account_external_id"}) | {
        "team_id": connection.team_id,
        "account_id": account_id,
        "observed_at": now,
        "sync_run_id": sync_run_id,
    }


# One index look-up per series: the cost does not grow with the years of history.
_NEWEST: Final = sa.text(
    """
    SELECT series.*, newest.*
    FROM unnest(
        CAST(:accounts AS uuid[]), CAST(:types AS text[]), CAST(:currencies AS text[]),
        CAST(:unofficial AS text[])
    ) AS series (account_id, provider_type, currency, unofficial_currency)
    CROSS JOIN LATERAL (
        SELECT b.kind, b.amount, b.is_credit_limit_included FROM bank.balances b
        WHERE b.account_id = series.account_id AND b.provider_type = series.provider_type
        AND b.currency IS NOT DISTINCT FROM series.currency
        AND b.unofficial_currency IS NOT DISTINCT FROM series.unofficial_currency
        ORDER BY b.observed_at DESC, b.id DESC
        LIMIT 1
    ) AS newest
    """
).columns(sa.column("account_id", UUID(as_uuid=False)))


def _load_newest(db: sa.Connection, series: Collection[_Series]) -> dict[_Series, tuple[Any, ...]]:
    if not series:
        return {}
    names = ("accounts", "types", "currencies", "unofficial")
    parameters = dict(zip(names, map(list, zip(*series, strict=True)), strict=True))
    return {
        (row.account_id, row.provider_type, row.currency, row.unofficial_currency): tuple(
            getattr(row, name) for name in _CONTENT
        )
        for row in db.execute(_NEWEST, parameters)
    }
