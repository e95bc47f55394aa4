"""
Transactions: reading just enough to compare.

`load_stored` and `load_looked_at` bring identity and hash of the rows an update may mean; the
plan is made in `domain.changes`, and `storage.transaction_writes` writes it. An unchanged update
writes nothing at all, where `ON CONFLICT DO UPDATE` would lock and log every row it meets.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from struct import unpack
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.days import day_before
from bank_pipeline.domain.ids import AccountId, ConnectionId, TransactionId
from bank_pipeline.domain.matching import RETIRED_PREFIX
from bank_pipeline.domain.stored import Key, StoredTransaction
from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.domain.unchanged import HASH_BYTES
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.storage.copying import driver_of
from bank_pipeline.storage.tables import accounts, transactions

LOOK_UP_COST: Final = 3  # looking one row up costs as much as reading three in passing


@dataclass(frozen=True)
class TransactionCounts:
    """Rows of one connection; `removed` includes those that vanished."""

    live: int
    removed: int


def load_stored(
    db: sa.Connection, *, account_ids: Mapping[str, AccountId], keys: Collection[Key] | None
) -> list[StoredTransaction]:
    """
    Load at least the rows that an update may mean, removed ones too.

    `keys` are (account external id, external id) pairs; rows answer to their present id
    and to the one they had while pending. None loads every row of the accounts. So do keys
    that are many beside the rows there are: reading in passing is cheaper than looking up.
    """
    known = None if keys is None else [key for key in keys if key[0] in account_ids]
    if not account_ids or known == []:
        return []
    ids = [*account_ids.values()]
    if known is None or _is_fewer_than(db, ids, len(known) * LOOK_UP_COST):
        return _load_rows(db, _OF_ACCOUNTS, {"accounts": ids})
    keyed = {
        "accounts": [account_ids[account] for account, _ in known],
        "names": [external_id for _, external_id in known],
    }
    rows = _load_rows(db, _OF_KEYS, keyed)
    return [*{row.id: row for row in rows}.values()]  # a row may answer to two of the keys


def load_looked_at(
    db: sa.Connection,
    *,
    account_ids: Mapping[str, AccountId],
    keys: Collection[Key],
    days: Mapping[str, DateWindow],
    pending_before: timedelta,
) -> list[StoredTransaction]:
    """
    Load at least the rows that answers by dates may mean, removed ones too, at one go.

    Those are the rows of `keys`, as in `load_stored`, and the rows of `days`, which are by
    account external id; besides, whatever is pending, and what ended unbooked up to
    `pending_before` earlier.
    """
    asked = {account_ids[name]: window for name, window in days.items() if name in account_ids}
    known = [key for key in keys if key[0] in account_ids]
    if not asked and not known:
        return []
    ids = [*account_ids.values()]
    if known and _is_fewer_than(db, ids, len(known) * LOOK_UP_COST):
        return _load_rows(db, _OF_ACCOUNTS, {"accounts": ids})
    parameters = {
        "days_of": [*asked],
        "firsts": [window.first for window in asked.values()],
        "lasts": [window.last for window in asked.values()],
        "pending_since": [day_before(one.first, pending_before) for one in asked.values()],
    }
    rows = _load_rows(db, _OF_DAYS, parameters)
    found = {row.id: row for row in rows}
    names = {row.key for row in rows}
    left = [key for key in known if key not in names]
    for row in load_stored(db, account_ids=account_ids, keys=left):
        found.setdefault(row.id, row)
    return [*found.values()]


def load_ended(
    db: sa.Connection, *, account_ids: Mapping[str, AccountId], days: DateWindow
) -> list[StoredTransaction]:
    """
    Load the rows of these days that ended: a new one may be one of them.

    Those are rows paid on these days that ended unbooked, and those booked on them that the bank
    took back.
    """
    parameters = {"accounts": [*account_ids.values()], "first": days.first, "last": days.last}
    return _load_rows(db, _ENDED, parameters)


def load_oldest_pending(
    db: sa.Connection, account_ids: Collection[AccountId]
) -> dict[AccountId, date]:
    """Load the day on which the oldest open pending row of each account was paid."""
    day = sa.func.min(transactions.c.transaction_date)
    query = (
        sa.select(transactions.c.account_id, day)
        .where(
            transactions.c.account_id.in_(account_ids),
            transactions.c.status == TransactionStatus.PENDING,
            transactions.c.booking_date.is_(None),
            transactions.c.removed_at.is_(None),
        )
        .group_by(transactions.c.account_id)
    )
    return {AccountId(row[0]): row[1] for row in db.execute(query) if row[1] is not None}


def load_pending_before(
    db: sa.Connection, days: Mapping[AccountId, date]
) -> tuple[TransactionId, ...]:
    """Load the pending rows of these accounts that were paid, or first told, before their day."""
    if not days:
        return ()
    given = {"accounts": [*days], "days": [*days.values()]}
    return tuple(TransactionId(row.id) for row in db.execute(PENDING_BEFORE, given))


PENDING_BEFORE: Final = sa.text("""
    SELECT t.id::text FROM bank.transactions t
    JOIN unnest(CAST(:accounts AS uuid[]), CAST(:days AS date[])) AS given (account_id, day)
        USING (account_id)
    WHERE t.status = 'pending' AND t.booking_date IS NULL AND t.removed_at IS NULL
        AND coalesce(t.transaction_date, CAST(t.created_at AT TIME ZONE 'UTC' AS date)) < given.day
    ORDER BY t.id
""")


def load_live_hashes(
    db: sa.Connection, *, account_ids: Mapping[str, AccountId]
) -> dict[bytes, str]:
    """
    Load the content hash of every live row, with its account's external id.

    For updates so big that comparing hashes first spares reading the rows they repeat. A row
    that lost its name to another one is not as it was told any more, whatever its hash says.
    """
    names = {id_: external_id for external_id, id_ in account_ids.items()}
    hashes: dict[bytes, str] = {}
    given = {"accounts": [*names], "length": HASH_BYTES, "retired": RETIRED_PREFIX}
    with driver_of(db).cursor(binary=True) as cursor:
        for account_id, joined in cursor.execute(_LIVE_HASHES, given):
            each = unpack(f"{HASH_BYTES}s" * (len(joined) // HASH_BYTES), joined)
            hashes |= dict.fromkeys(each, names[account_id])
    return hashes


def load_transaction_counts(db: sa.Connection, connection_id: ConnectionId) -> TransactionCounts:
    """Count the rows of one connection."""
    live = sa.func.count().filter(transactions.c.removed_at.is_(None))
    removed = sa.func.count().filter(transactions.c.removed_at.is_not(None))
    query = sa.select(live, removed).join(accounts, accounts.c.id == transactions.c.account_id)
    row = db.execute(query.where(accounts.c.connection_id == connection_id)).one()
    return TransactionCounts(row[0], row[1])


_SELECT: Final = """
    SELECT t.id::text, a.external_id, t.external_id, t.pending_external_id, t.status,
           t.content_hash, t.removed_at IS NOT NULL, t.amount, t.currency, t.transaction_date,
           t.booking_date, t.description, t.running_balance,
           t.duplicate_decision IS NOT DISTINCT FROM 'drop'
"""
_OF_ACCOUNTS: Final = f"""
    {_SELECT} FROM bank.transactions t JOIN bank.accounts a ON a.id = t.account_id
    WHERE t.account_id = ANY(%(accounts)s::uuid[])
"""
_OF_KEYS: Final = " UNION ALL ".join(
    f"""
    {_SELECT} FROM unnest(%(accounts)s::uuid[], %(names)s::text[]) AS key (account_id, name)
    JOIN bank.transactions t ON t.account_id = key.account_id AND t.{column} = key.name
    JOIN bank.accounts a ON a.id = t.account_id
    """
    for column in ("external_id", "pending_external_id")
)
_OF_DAYS: Final = " UNION ALL ".join(  # in two, so that each finds its index
    f"""
    {_SELECT}
    FROM unnest(%(days_of)s::uuid[], %(firsts)s::date[], %(lasts)s::date[],
                %(pending_since)s::date[])
         AS asked (account_id, first_day, last_day, pending_since)
    JOIN bank.transactions t ON t.account_id = asked.account_id AND {is_asked_for}
    JOIN bank.accounts a ON a.id = t.account_id
    """
    for is_asked_for in (
        "t.booking_date BETWEEN asked.first_day AND asked.last_day",
        """t.booking_date IS NULL
           AND (t.removed_at IS NULL OR t.transaction_date >= asked.pending_since)""",
    )
)
_ENDED: Final = " UNION ALL ".join(  # in two, as above
    f"""
    {_SELECT} FROM bank.transactions t JOIN bank.accounts a ON a.id = t.account_id
    WHERE t.account_id = ANY(%(accounts)s::uuid[]) AND {is_ended}
    """
    for is_ended in (
        """t.status = 'vanished' AND t.booking_date IS NULL
           AND t.transaction_date BETWEEN %(first)s AND %(last)s""",
        """t.status = 'booked' AND t.removed_at IS NOT NULL
           AND t.booking_date BETWEEN %(first)s AND %(last)s""",
    )
)
# One value for each account: a million values would cost more than all else. Whatever leaves rows
# out stands beside the aggregate, where it does not mislead the planner about how many are left.
_LIVE_HASHES: Final = """
    SELECT account_id::text, coalesce(string_agg(content_hash, '') FILTER (
        WHERE octet_length(content_hash) = %(length)s AND NOT starts_with(external_id, %(retired)s)
    ), '')
    FROM bank.transactions
    WHERE account_id = ANY(%(accounts)s::uuid[]) AND removed_at IS NULL
    GROUP BY account_id
"""
_COUNT: Final = """
    SELECT count(*) FROM (
        SELECT FROM bank.transactions WHERE account_id = ANY(%(accounts)s::uuid[]) LIMIT %(limit)s
    ) AS counted
"""
_STATUSES: Final = {status.value: status for status in TransactionStatus}


def _is_fewer_than(db: sa.Connection, account_ids: Sequence[AccountId], limit: int) -> bool:
    """Say whether these accounts have fewer rows than `limit`, without counting beyond it."""
    with driver_of(db).cursor() as cursor:
        row = cursor.execute(_COUNT, {"accounts": [*account_ids], "limit": limit}).fetchone()
    assert row is not None, "count returns a row"
    return bool(row[0] < limit)


def _load_rows(
    db: sa.Connection, query: str, parameters: Mapping[str, Any]
) -> list[StoredTransaction]:
    """Read straight from the driver, in binary: SQLAlchemy's rows would double the time."""
    with driver_of(db).cursor(binary=True, row_factory=_stored_factory) as cursor:
        return cursor.execute(query, parameters).fetchall()


def _stored_factory(_: object) -> Callable[[Sequence[Any]], StoredTransaction]:
    return _to_stored


def _to_stored(values: Sequence[Any]) -> StoredTransaction:
    id_, account, external_id, pending_external_id, status, *rest = values
    return StoredTransaction(
        id_, account, external_id, pending_external_id, _STATUSES[status], *rest
    )
