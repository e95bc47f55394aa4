"""
Transactions: read just enough to compare, write only what differs.

`load_stored` brings identity and hash of the rows an update may mean; the plan is made in
`domain.changes`; `apply_plan` writes it. An unchanged update writes nothing at all, where
`ON CONFLICT DO UPDATE` would lock and log every row it meets. The caller holds the
connection's lock, so nobody else writes these rows; should it be lost, unique keys and row
counts notice, and the whole write is taken back.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import sqlalchemy as sa
from pydantic_core import to_json as to_json_bytes
from sqlalchemy.dialects.postgresql import ARRAY, JSON, UUID

from bank_pipeline.domain.changes import ChangePlan, Key, StoredTransaction, Update
from bank_pipeline.domain.ids import AccountId, ConnectionId, SyncRunId, TeamId, TransactionId
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import ConcurrentSyncError
from bank_pipeline.storage.copying import copy_rows, driver_of
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.revisions import Changes, insert_revisions, to_changes, to_json
from bank_pipeline.storage.rows import BANK_COLUMNS, JSON_COLUMNS, to_values
from bank_pipeline.storage.tables import accounts, transactions

UPDATE_BATCH: Final = 5_000  # rows per UPDATE: bounds the statement's memory on both sides
LOOK_UP_COST: Final = 3  # looking one row up costs as much as reading three in passing

_OWN_COLUMNS: Final = (
    "id",
    "team_id",
    "account_id",
    "first_sync_run_id",
    "last_sync_run_id",
    "created_at",
    "updated_at",
    "content_hash",
)
_UPDATED_COLUMNS: Final = (
    *BANK_COLUMNS,
    "content_hash",
    "last_sync_run_id",
    "updated_at",
    "removed_at",
)


@dataclass(frozen=True)
class AppliedCounts:
    """Rows that a plan wrote, and the revisions that tell of the changed ones."""

    inserted: int = 0
    updated: int = 0
    removed: int = 0
    vanished: int = 0
    revised: int = 0


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


def load_stored_in(
    db: sa.Connection,
    *,
    account_ids: Mapping[str, AccountId],
    windows: Mapping[str, DateWindow],
) -> list[StoredTransaction]:
    """
    Load the live rows of some dates of each account, pending ones by the day they were paid.

    `windows` are by account external id; an account without one has no rows in the answer.
    """
    asked = {account_ids[name]: window for name, window in windows.items() if name in account_ids}
    if not asked:
        return []
    parameters = {
        "accounts": [*asked],
        "firsts": [window.first for window in asked.values()],
        "lasts": [window.last for window in asked.values()],
    }
    return _load_rows(db, _OF_DATES, parameters)


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


def load_live_hashes(
    db: sa.Connection, *, account_ids: Mapping[str, AccountId]
) -> dict[str, dict[str, bytes]]:
    """
    Load the content hash of every live row, by account and external id.

    For updates so big that comparing hashes first spares reading the rows they repeat.
    """
    hashes: dict[str, dict[str, bytes]] = {}
    with driver_of(db).cursor(binary=True) as cursor:
        for external_id, account_id in account_ids.items():
            cursor.execute(_LIVE_HASHES, {"account": account_id})
            hashes[external_id] = dict(cursor.fetchall())
    return hashes


def apply_plan(
    db: sa.Connection,
    plan: ChangePlan,
    *,
    team_id: TeamId,
    account_ids: Mapping[str, AccountId],
    sync_run_id: SyncRunId,
    now: datetime,
) -> AppliedCounts:
    """
    Write a plan: changed and restored rows, ended ones, then new ones.

    In this order, because a new row may take an external id that a changed one gives up.
    Every change of a stored row leaves a revision.

    Raises:
        ConcurrentSyncError: the rows are not those that the plan was made from.
    """
    writer = _Writer(db, sync_run_id, now)
    updated = sum(writer.update(batch) for batch in _batches(plan.updates))
    removed = writer.end(plan.removals, vanished=False)
    vanished = writer.end(plan.vanished, vanished=True)
    stamp = (sync_run_id, sync_run_id, now.isoformat(), now.isoformat())
    rows = (
        _to_inserted(transaction, team_id, account_ids[transaction.account_external_id], stamp)
        for transaction in plan.inserts
    )
    columns = (*_OWN_COLUMNS, *BANK_COLUMNS)
    inserted = copy_rows(db, transactions, columns, rows) if plan.inserts else 0
    return AppliedCounts(inserted, updated, removed, vanished, writer.revised_count)


def load_transaction_counts(db: sa.Connection, connection_id: ConnectionId) -> TransactionCounts:
    """Count the rows of one connection."""
    live = sa.func.count().filter(transactions.c.removed_at.is_(None))
    removed = sa.func.count().filter(transactions.c.removed_at.is_not(None))
    query = sa.select(live, removed).join(accounts, accounts.c.id == transactions.c.account_id)
    row = db.execute(query.where(accounts.c.connection_id == connection_id)).one()
    return TransactionCounts(row[0], row[1])


class _Writer:
    """The writes that leave a revision, inside one open database transaction."""

    def __init__(self, db: sa.Connection, sync_run_id: SyncRunId, now: datetime) -> None:
        self._db = db
        self._stamp: dict[str, Any] = {"last_sync_run_id": sync_run_id, "updated_at": now}
        self._sync_run_id = sync_run_id
        self._now = now
        self.revised_count = 0

    def update(self, updates: Sequence[Update]) -> int:
        """Give stored rows their new content, and put them back among the live ones."""
        after = {update.id: self._to_updated(update.transaction) for update in updates}
        assert len(after) == len(updates), "a plan names no row twice"
        before = _load_contents(self._db, [*after])
        _check_count(len(before), len(after))
        rows = json.dumps([{"id": id_, **row} for id_, row in after.items()], default=to_json)
        _check_count(self._db.execute(_UPDATE, {"rows": rows}).rowcount, len(after))
        self._revise((id_, to_changes(row, after[id_])) for id_, row in before.items())
        return len(after)

    def end(self, ids: Sequence[TransactionId], *, vanished: bool) -> int:
        """Remove live rows, reversibly; those that never booked, as vanished."""
        if not ids:
            return 0
        values: dict[str, Any] = {"removed_at": self._now}
        changes: dict[str, tuple[Any, Any]] = {"removed_at": (None, to_json(self._now))}
        are_meant = [transactions.c.id == _ANY_ID, transactions.c.removed_at.is_(None)]
        if vanished:
            values["status"] = TransactionStatus.VANISHED
            changes["status"] = (TransactionStatus.PENDING, TransactionStatus.VANISHED)
            are_meant.append(transactions.c.status == TransactionStatus.PENDING)
        statement = sa.update(transactions).where(*are_meant).values(values | self._stamp)
        _check_count(self._db.execute(statement, {"ids": [*ids]}).rowcount, len(ids))
        self._revise((id_, changes) for id_ in ids)
        return len(ids)

    def _to_updated(self, transaction: Transaction) -> dict[str, Any]:
        content = dict(zip(BANK_COLUMNS, to_values(transaction), strict=True))
        own = {"content_hash": transaction.content_hash, "removed_at": None}
        return content | own | self._stamp

    def _revise(self, changes: Iterable[tuple[TransactionId, Changes]]) -> None:
        self.revised_count += insert_revisions(
            self._db, changes, sync_run_id=self._sync_run_id, now=self._now
        )


_ANY_ID: Final = sa.any_(sa.bindparam("ids", type_=ARRAY(UUID(as_uuid=False))))


def _build_update() -> sa.Update:
    """Build the UPDATE of many rows out of one parameter, an array of JSON objects."""
    columns = [sa.column(name, transactions.c[name].type) for name in ("id", *_UPDATED_COLUMNS)]
    array = sa.cast(sa.bindparam("rows", type_=sa.Text), JSON)
    given = sa.func.json_to_recordset(array).table_valued(*columns, name="given")
    rows = given.render_derived(with_types=True)
    values = {name: rows.c[name] for name in _UPDATED_COLUMNS}
    return sa.update(transactions).where(transactions.c.id == rows.c.id).values(values)


_UPDATE: Final = _build_update()


def _load_contents(
    db: sa.Connection, ids: Sequence[TransactionId]
) -> dict[TransactionId, dict[str, Any]]:
    """Load what revisions record, and lock the rows until the transaction ends."""
    columns = [transactions.c[name] for name in (*BANK_COLUMNS, "content_hash", "removed_at")]
    query = sa.select(transactions.c.id, *columns).where(transactions.c.id == _ANY_ID)
    rows = db.execute(query.with_for_update(), {"ids": [*ids]}).mappings()
    return {row["id"]: {column.name: row[column.name] for column in columns} for row in rows}


def _to_inserted(
    transaction: Transaction, team_id: TeamId, account_id: AccountId, stamp: tuple[str, ...]
) -> tuple[Any, ...]:
    """Return the values of a new row; times and JSON as text, which the driver copies faster."""
    values = to_values(transaction)
    return (
        new_id(),
        team_id,
        account_id,
        *stamp,
        transaction.content_hash,
        *values[:_TIMES_FROM],
        *[None if day is None else day.isoformat() for day in values[_TIMES_FROM:_TIMES_TO]],
        *values[_TIMES_TO:_JSON_FROM],
        *[
            None if document is None else to_json_bytes(document).decode()
            for document in values[_JSON_FROM:]
        ],
    )


_TIMES_FROM: Final = BANK_COLUMNS.index("booking_date")
_TIMES_TO: Final = BANK_COLUMNS.index("transacted_at") + 1
_JSON_FROM: Final = len(BANK_COLUMNS) - len(JSON_COLUMNS)


_SELECT: Final = """
    SELECT t.id::text, a.external_id, t.external_id, t.pending_external_id, t.status,
           t.content_hash, t.removed_at IS NOT NULL, t.amount, t.currency, t.transaction_date,
           t.booking_date, t.description
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
_OF_DATES: Final = " UNION ALL ".join(  # in two, so that each finds its index
    f"""
    {_SELECT}
    FROM unnest(%(accounts)s::uuid[], %(firsts)s::date[], %(lasts)s::date[])
         AS asked (account_id, first_day, last_day)
    JOIN bank.transactions t ON t.account_id = asked.account_id AND t.removed_at IS NULL
         AND {day} BETWEEN asked.first_day AND asked.last_day
    JOIN bank.accounts a ON a.id = t.account_id
    """
    for day in ("t.booking_date", "t.booking_date IS NULL AND t.transaction_date")
)
_LIVE_HASHES: Final = """
    SELECT external_id, content_hash FROM bank.transactions
    WHERE account_id = %(account)s AND removed_at IS NULL
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


def _batches(updates: Sequence[Update]) -> Iterator[Sequence[Update]]:
    for start in range(0, len(updates), UPDATE_BATCH):
        yield updates[start : start + UPDATE_BATCH]


def _check_count(found: int, wanted: int) -> None:
    if found != wanted:
        raise ConcurrentSyncError(
            f"{wanted - found} of {wanted} transactions were changed by others"
        )
