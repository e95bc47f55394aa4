"""Balances: append-only snapshots, one where a bank's word differs from its last."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.ids import AccountId, SyncRunId, TeamId
from bank_pipeline.storage.columns import is_any_id
from bank_pipeline.storage.tables import balance_series, balances

_CONTENT: Final = ("kind", "amount", "is_credit_limit_included")
_Series = tuple[str, str, str]
"""(account id, provider type, currency code or ''): what one series observes."""


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


@dataclass(frozen=True)
class _Newest:
    """The newest snapshot of one series, and whether the last whole answer had it."""

    balance_id: int
    content: tuple[Any, ...]
    is_shown: bool


def save_balances(
    db: sa.Connection,
    connection: Connection,
    answered: Sequence[Balance],
    *,
    account_ids: Mapping[str, AccountId],
    sync_run_id: SyncRunId,
    now: datetime,
    whole: Collection[str] = (),
) -> int:
    """
    Append the balances that differ from the last of their series; return how many.

    A series is one type in one currency of one account, because an account may hold
    several currencies. A newer time on the same balance is no difference, else every quiet
    day would add rows. A balance that the bank left out stays what it was, with its date.

    `whole` are the accounts (external ids) of which this is all that the bank tells: what it
    left out of them is shown no more. A credit limit is, because some tell it only once.
    """
    known = [balance for balance in answered if balance.account_external_id in account_ids]
    series = [_to_series(balance, account_ids) for balance in known]
    newest = _load_newest(db, {AccountId(key[0]) for key in series})
    rows: list[dict[str, Any]] = []
    changed: list[_Series] = []
    seen = {key: one.content for key, one in newest.items()}
    for key, balance in zip(series, known, strict=True):
        content = tuple(getattr(balance, name) for name in _CONTENT)
        if seen.get(key) != content:
            seen[key] = content
            rows.append(_to_row(balance, key[0], connection, sync_run_id, now))
            changed.append(key)
    ids = _insert(db, rows)
    again = {key: newest[key].balance_id for key in series if key in newest}
    told = again | dict(zip(changed, ids, strict=True))
    shown_whole = {account_ids[one] for one in whole if one in account_ids}
    _save_series(db, newest, told, whole=shown_whole, team_id=connection.team_id)
    return len(rows)


def load_latest_balances(
    db: sa.Connection, account_ids: Collection[AccountId]
) -> list[StoredBalance]:
    """Load the newest snapshot of each series of these accounts."""
    query = (
        sa.select(*(balances.c[field.name] for field in fields(StoredBalance)))
        .join(balance_series, balance_series.c.balance_id == balances.c.id)
        .where(balance_series.c.account_id.in_(account_ids))
        .order_by(balances.c.account_id, balances.c.provider_type, balances.c.currency)
    )
    return [
        StoredBalance(**{**row, "kind": BalanceKind(row["kind"])})
        for row in db.execute(query).mappings()
    ]


def rebuild_series(db: sa.Connection, account_ids: Collection[AccountId]) -> None:
    """
    Find the newest snapshots anew: for whoever deleted some, or gave them to another account.

    A series that was shown stays so; one that comes back to light is.
    """
    db.execute(_REBUILD, {"accounts": [*account_ids]})


def code_of(balance: Balance) -> str:
    """Return what a series is known by, of its currency: a code, or nothing."""
    return balance.currency or balance.unofficial_currency or ""


def _to_series(balance: Balance, account_ids: Mapping[str, AccountId]) -> _Series:
    return (account_ids[balance.account_external_id], balance.provider_type, code_of(balance))


def _to_row(
    balance: Balance, account_id: str, connection: Connection, sync_run_id: SyncRunId, now: datetime
) -> dict[str, Any]:
    return balance.model_dump(exclude={"account_external_id"}) | {
        "team_id": connection.team_id,
        "account_id": account_id,
        "observed_at": now,
        "sync_run_id": sync_run_id,
    }


def _insert(db: sa.Connection, rows: Sequence[dict[str, Any]]) -> list[int]:
    if not rows:
        return []
    statement = sa.insert(balances).returning(balances.c.id, sort_by_parameter_order=True)
    return [*db.execute(statement, rows).scalars()]


def _load_newest(db: sa.Connection, account_ids: Collection[AccountId]) -> dict[_Series, _Newest]:
    if not account_ids:
        return {}
    return {
        (row.account_id, row.provider_type, row.currency_code): _Newest(
            row.balance_id, tuple(getattr(row, name) for name in _CONTENT), row.is_shown
        )
        for row in db.execute(_NEWEST, {"ids": [*account_ids]})
    }


def _save_series(
    db: sa.Connection,
    before: Mapping[_Series, _Newest],
    told: Mapping[_Series, int],
    *,
    whole: Collection[AccountId],
    team_id: TeamId,
) -> None:
    """Write where it changed which snapshot is the newest of a series, and which are shown."""
    shown = [
        (*key, balance_id, True)
        for key, balance_id in told.items()
        if (one := before.get(key)) is None or one.balance_id != balance_id or not one.is_shown
    ]
    hidden = [
        (*key, one.balance_id, False)
        for key, one in before.items()
        if one.is_shown
        and key not in told
        and key[0] in whole
        and one.content[0] != BalanceKind.CREDIT_LIMIT
    ]
    _upsert_series(db, [*shown, *hidden], team_id=team_id)


def _upsert_series(db: sa.Connection, rows: Iterable[tuple[Any, ...]], *, team_id: TeamId) -> None:
    values = [dict(zip(_SERIES, row, strict=True)) | {"team_id": team_id} for row in rows]
    if values:
        db.execute(_UPSERT, values)


_SERIES: Final = ("account_id", "provider_type", "currency_code", "balance_id", "is_shown")
_new_series: Final = insert(balance_series)
_UPSERT: Final = _new_series.on_conflict_do_update(
    index_elements=[balance_series.c[name] for name in _SERIES[:3]],
    set_={name: _new_series.excluded[name] for name in _SERIES[3:]},
)
_NEWEST: Final = (
    sa.select(balance_series, *(balances.c[name] for name in _CONTENT))
    .join(balances, balances.c.id == balance_series.c.balance_id)
    .where(is_any_id(balance_series.c.account_id))
)
_WHOLE_SERIES: Final = (
    sa.select(
        *(c for c in balances.c if c.name not in {"team_id", "sync_run_id"}),
        balance_series.c.is_shown,
    )
    .join(balance_series, balance_series.c.balance_id == balances.c.id)
    .where(is_any_id(balance_series.c.account_id))
)
_REBUILD: Final = sa.text(
    """
    INSERT INTO bank.balance_series AS s
        (account_id, team_id, provider_type, currency_code, balance_id, is_shown)
    SELECT DISTINCT ON (b.account_id, b.provider_type, code) b.account_id, b.team_id,
           b.provider_type, code, b.id, true
    FROM bank.balances b
    CROSS JOIN LATERAL (SELECT coalesce(b.currency, b.unofficial_currency, '') AS code) AS c
    WHERE b.account_id = ANY(CAST(:accounts AS uuid[]))
    ORDER BY b.account_id, b.provider_type, code, b.observed_at DESC, b.id DESC
    ON CONFLICT (account_id, provider_type, currency_code)
    DO UPDATE SET balance_id = excluded.balance_id
    WHERE s.balance_id <> excluded.balance_id
    """
)


def series_by_account(
    db: sa.Connection, account_ids: Collection[AccountId]
) -> dict[AccountId, list[Any]]:
    """Load the newest snapshot of each series with whether it is shown, by account."""
    found: dict[AccountId, list[Any]] = defaultdict(list)
    for row in db.execute(_WHOLE_SERIES, {"ids": [*account_ids]}):
        found[AccountId(row.account_id)].append(row)
    return found
