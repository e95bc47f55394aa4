"""Whether balances go with rows: where each series stands, and every difference there was."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bank_pipeline.domain.ids import AccountId
from bank_pipeline.domain.roll_forward import Checkpoint, Difference, DifferenceState
from bank_pipeline.storage.belonging import OF_GIVEN, team_of_account
from bank_pipeline.storage.columns import is_any_id
from bank_pipeline.storage.tables import balance_checkpoints, balance_checks

Series = tuple[AccountId, str, str]
"""(account id, provider type, currency code or ''), as in `balance_series`."""

_POINT: Final = tuple(field.name for field in fields(Checkpoint))
_DIFFERENCE: Final = tuple(field.name for field in fields(Difference))
_KEYS: Final = ("account_id", "provider_type", "currency_code")


@dataclass(frozen=True)
class StoredDifference:
    """A difference and the number of its row."""

    id: int
    difference: Difference


@dataclass(frozen=True)
class RowsAsked:
    """Booked rows to sum: those of a series from one day to another, and those after it."""

    series: Series
    first: date
    last: date


@dataclass(frozen=True)
class RowsSummed:
    """
    Sums of booked rows. `has_rows`: there are any at all.

    `is_known`: each row has an amount, all in one currency; else a sum is none.
    """

    rows_sum: Decimal
    later_sum: Decimal
    has_rows: bool
    is_known: bool


@dataclass(frozen=True)
class ListedDifference:
    """A difference as an operator sees it."""

    id: int
    connection_id: str
    institution_name: str | None
    account_id: str
    account_name: str
    provider_type: str
    currency: str | None
    expected: Decimal
    told: Decimal
    difference: Decimal
    first_day: date
    last_day: date
    state: str
    opened_at: datetime
    confirmed_at: datetime | None
    resolved_at: datetime | None


def load_checkpoints(
    db: sa.Connection, account_ids: Collection[AccountId]
) -> dict[Series, Checkpoint]:
    """Load where the series of these accounts stand."""
    return {
        (AccountId(row.account_id), row.provider_type, row.currency_code): Checkpoint(
            **{name: getattr(row, name) for name in _POINT}
        )
        for row in db.execute(_POINTS, {"ids": [*account_ids]})
    }


def save_checkpoint(db: sa.Connection, series: Series, checkpoint: Checkpoint) -> None:
    """Write where a series stands."""
    values = {name: getattr(checkpoint, name) for name in _POINT}
    key = dict(zip(_KEYS, series, strict=True)) | {OF_GIVEN: series[0]}
    db.execute(_SAVE_POINT, key | values)


def forget_checkpoints(db: sa.Connection, account_id: AccountId) -> None:
    """Begin anew with an account, because its balances are read another way from now on."""
    is_this = balance_checkpoints.c.account_id == account_id
    db.execute(sa.delete(balance_checkpoints).where(is_this))


def load_unresolved(
    db: sa.Connection, account_ids: Collection[AccountId]
) -> dict[Series, list[StoredDifference]]:
    """Load the differences that are not resolved, oldest first."""
    found: dict[Series, list[StoredDifference]] = defaultdict(list)
    for row in db.execute(_UNRESOLVED, {"ids": [*account_ids]}):
        code = row.currency or row.unofficial_currency or ""
        values = {name: getattr(row, name) for name in _DIFFERENCE}
        difference = Difference(**values | {"state": DifferenceState(row.state)})
        series = (AccountId(row.account_id), row.provider_type, code)
        found[series].append(StoredDifference(row.id, difference))
    return found


def save_differences(
    db: sa.Connection,
    series: Series,
    *,
    currency: str | None,
    unofficial_currency: str | None,
    before: Sequence[StoredDifference],
    after: Sequence[Difference],
) -> None:
    """
    Write what a check made of a series' differences.

    One is the same as before when it was opened at the same time; what differs is written.
    """
    ids = {one.difference.opened_at: one for one in before}
    for difference in after:
        values = {name: getattr(difference, name) for name in _DIFFERENCE}
        known = ids.get(difference.opened_at)
        if known is None:
            team_id = team_of_account(series[0])
            owner = {"account_id": series[0], "team_id": team_id, "provider_type": series[1]}
            codes = {"currency": currency, "unofficial_currency": unofficial_currency}
            db.execute(sa.insert(balance_checks).values(**owner, **codes, **values))
        elif known.difference != difference:
            is_this = balance_checks.c.id == known.id
            db.execute(sa.update(balance_checks).where(is_this).values(values))


def load_row_sums(db: sa.Connection, asked: Sequence[RowsAsked]) -> dict[Series, RowsSummed]:
    """
    Sum live booked rows of some days of each series, in its own currency.

    A row without a currency counts: an account of several has it on every row. So does every
    row where the balance names no currency, as long as the rows agree on one.
    """
    if not asked:
        return {}
    parameters: Mapping[str, Any] = {
        "numbers": [*range(len(asked))],
        "accounts": [one.series[0] for one in asked],
        "codes": [one.series[2] for one in asked],
        "firsts": [one.first for one in asked],
        "lasts": [one.last for one in asked],
    }
    return {
        asked[row.number].series: RowsSummed(
            row.rows_sum,
            row.later_sum,
            has_rows=row.rows_count > 0,
            is_known=row.unknown_count == 0 and row.codes_count < 2,  # noqa: PLR2004 - that differ
        )
        for row in db.execute(_SUMS, parameters)
    }


def list_differences(
    db: sa.Connection, *, states: Collection[DifferenceState] = (DifferenceState.CONFIRMED,)
) -> list[ListedDifference]:
    """List differences in these states, by connection and account, oldest first."""
    query = sa.text(
        "SELECT balance_check_id AS id, connection_id::text, institution_name, account_id::text, "
        "account_name, provider_type, coalesce(currency, unofficial_currency) AS currency, "
        "expected, told, difference, first_day, last_day, state, opened_at, confirmed_at, "
        "resolved_at FROM analytics.balance_checks WHERE state = ANY(:states) "
        "ORDER BY connection_id, account_id, balance_check_id"
    )
    rows = db.execute(query, {"states": [state.value for state in states]}).mappings()
    return [ListedDifference(**row) for row in rows]


def load_account_of(db: sa.Connection, check_id: int) -> AccountId | None:
    """Load the account that a difference is of; None where there is no such difference."""
    query = sa.select(balance_checks.c.account_id).where(balance_checks.c.id == check_id)
    found: AccountId | None = db.scalar(query)
    return found


def is_open(db: sa.Connection, check_id: int) -> bool:
    """Say whether a difference is one of which no check is sure yet."""
    is_this = (balance_checks.c.id == check_id) & (balance_checks.c.state == DifferenceState.OPEN)
    return db.scalar(sa.select(sa.exists().where(is_this))) is True


def set_resolved(db: sa.Connection, check_id: int, *, now: datetime) -> bool:
    """Note that a person has dealt with a difference; say whether there was one to deal with."""
    found = db.execute(
        sa.update(balance_checks)
        .where(balance_checks.c.id == check_id, balance_checks.c.resolved_at.is_(None))
        .values(state=DifferenceState.RESOLVED, resolved_at=now)
    )
    return found.rowcount > 0


_POINTS: Final = sa.select(balance_checkpoints).where(is_any_id(balance_checkpoints.c.account_id))
_point: Final = insert(balance_checkpoints).values(team_id=team_of_account(sa.bindparam(OF_GIVEN)))
_SAVE_POINT: Final = _point.on_conflict_do_update(
    index_elements=[*_KEYS], set_={name: _point.excluded[name] for name in _POINT}
)
_UNRESOLVED: Final = (
    sa.select(balance_checks)
    .where(
        is_any_id(balance_checks.c.account_id),
        balance_checks.c.state != DifferenceState.RESOLVED,
    )
    .order_by(balance_checks.c.id)
)
_SUMS: Final = sa.text(
    """
    SELECT asked.number,
           coalesce(sum(t.amount) FILTER (WHERE t.day <= asked.last_day), 0) AS rows_sum,
           coalesce(sum(t.amount) FILTER (WHERE t.day > asked.last_day), 0) AS later_sum,
           count(t.id) AS rows_count,
           count(t.id) FILTER (WHERE t.amount IS NULL) AS unknown_count,
           count(DISTINCT t.code) AS codes_count
    FROM unnest(
        CAST(:numbers AS int[]), CAST(:accounts AS uuid[]), CAST(:codes AS text[]),
        CAST(:firsts AS date[]), CAST(:lasts AS date[])
    ) AS asked (number, account_id, code, first_day, last_day)
    LEFT JOIN LATERAL (
        SELECT b.id, b.amount, coalesce(b.currency, b.unofficial_currency) AS code,
               coalesce(b.booking_date, b.value_date, b.transaction_date) AS day
        FROM bank.transactions b
        WHERE b.account_id = asked.account_id AND b.removed_at IS NULL AND b.status = 'booked'
          AND (b.booking_date >= asked.first_day
               OR (b.booking_date IS NULL
                   AND coalesce(b.value_date, b.transaction_date) >= asked.first_day))
    ) t ON asked.code IN ('', coalesce(t.code, asked.code))
    GROUP BY asked.number
    """
)
