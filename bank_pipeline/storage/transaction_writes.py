"""
Writing transactions: a plan, and only what differs.

`domain.changes` makes the plan from what `storage.transactions` read. The caller holds the
connection's lock, so nobody else writes these rows; should it be lost, unique keys and row
counts notice, and the whole write is taken back.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from pydantic_core import to_json as to_json_bytes

from bank_pipeline.domain.changes import ChangePlan, Rename, Update
from bank_pipeline.domain.ids import AccountId, SyncRunId, TeamId, TransactionId
from bank_pipeline.domain.stored import key_of
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline.errors import ConcurrentSyncError
from bank_pipeline.storage.columns import given_rows, is_any_id
from bank_pipeline.storage.copying import copy_rows
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.revisions import Changes, insert_revisions, to_changes, to_json
from bank_pipeline.storage.rows import BANK_COLUMNS, JSON_COLUMNS, to_values
from bank_pipeline.storage.tables import transactions

UPDATE_BATCH: Final = 5_000  # rows per UPDATE: bounds the statement's memory on both sides
OVERDUE: Final = "overdue"
"""Why a pending row vanished that no answer reaches any more."""
_NAMES_KEY: Final = "bank.transactions_account_id_external_id_key"
DROP: Final = "drop"
"""What a person decided of a row that is another one told twice."""

_OWN_COLUMNS: Final = (
    "id",
    "team_id",
    "account_id",
    "first_sync_run_id",
    "last_sync_run_id",
    "created_at",
    "updated_at",
    "content_hash",
    "suspected_duplicate_of",
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
    writer = _Writer(db, team_id, sync_run_id, now)
    with _names_checked_at_the_end(db) if plan.swaps_names else nullcontext():
        updated = sum(writer.update(batch) for batch in _batches(plan.updates))
        writer.rename(plan.renames)
        removed = writer.end(plan.removals, vanished=False)
        vanished = writer.end(plan.vanished, vanished=True)
        vanished += writer.end(plan.overdue, vanished=True, reason=OVERDUE)
        stamp = (sync_run_id, sync_run_id, now.isoformat(), now.isoformat())
        suspects = plan.suspects
        rows = (
            _to_inserted(
                transaction,
                team_id,
                account_ids[transaction.account_external_id],
                stamp,
                suspects.get(key_of(transaction)) if suspects else None,
            )
            for transaction in plan.inserts
        )
        columns = (*_OWN_COLUMNS, *BANK_COLUMNS)
        inserted = copy_rows(db, transactions, columns, rows) if plan.inserts else 0
    return AppliedCounts(inserted, updated, removed, vanished, writer.revised_count)


@contextmanager
def _names_checked_at_the_end(db: sa.Connection) -> Iterator[None]:
    """
    Let rows take over each other's names, statement by statement, and check them all at last.

    Raises:
        ConcurrentSyncError: a name is there twice, so somebody else wrote after we looked.
    """
    db.execute(sa.text(f"SET CONSTRAINTS {_NAMES_KEY} DEFERRED"))
    yield
    try:
        db.execute(sa.text(f"SET CONSTRAINTS {_NAMES_KEY} IMMEDIATE"))
    except sa.exc.IntegrityError:
        raise ConcurrentSyncError("two transactions of one account have one name") from None


class _Writer:
    """The writes that leave a revision, inside one open database transaction."""

    def __init__(
        self, db: sa.Connection, team_id: TeamId, sync_run_id: SyncRunId, now: datetime
    ) -> None:
        self._db = db
        self._team_id = team_id
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
        for id_, row in before.items():
            if row.pop("duplicate_decision") == DROP:
                after[id_]["removed_at"] = row["removed_at"]  # a person's word: it stays away
        rows = json.dumps([{"id": id_, **row} for id_, row in after.items()], default=to_json)
        _check_count(self._db.execute(_UPDATE, {"rows": rows}).rowcount, len(after))
        self._revise((id_, to_changes(row, after[id_])) for id_, row in before.items())
        return len(after)

    def rename(self, renames: Sequence[Rename]) -> None:
        """Take names away from rows, because others bear them now."""
        if not renames:
            return
        names = {"ids": [one.id for one in renames], "names": [one.after for one in renames]}
        result = self._db.execute(_RENAME, names | self._stamp)
        _check_count(result.rowcount, len(renames))
        self._revise((one.id, {"external_id": (one.before, one.after)}) for one in renames)

    def end(
        self, ids: Sequence[TransactionId], *, vanished: bool, reason: str | None = None
    ) -> int:
        """Remove live rows, reversibly; those that never booked, as vanished."""
        if not ids:
            return 0
        values: dict[str, Any] = {"removed_at": self._now}
        changes: dict[str, tuple[Any, Any]] = {"removed_at": (None, to_json(self._now))}
        are_meant = [is_any_id(transactions.c.id), transactions.c.removed_at.is_(None)]
        if vanished:
            values["status"] = TransactionStatus.VANISHED
            changes["status"] = (TransactionStatus.PENDING, TransactionStatus.VANISHED)
            are_meant.append(transactions.c.status == TransactionStatus.PENDING)
        statement = sa.update(transactions).where(*are_meant).values(values | self._stamp)
        _check_count(self._db.execute(statement, {"ids": [*ids]}).rowcount, len(ids))
        self._revise(((id_, changes) for id_ in ids), reason=reason)
        return len(ids)

    def _to_updated(self, transaction: Transaction) -> dict[str, Any]:
        content = dict(zip(BANK_COLUMNS, to_values(transaction), strict=True))
        own = {"content_hash": transaction.content_hash, "removed_at": None}
        return content | own | self._stamp

    def _revise(
        self, changes: Iterable[tuple[TransactionId, Changes]], *, reason: str | None = None
    ) -> None:
        self.revised_count += insert_revisions(
            self._db,
            changes,
            team_id=self._team_id,
            sync_run_id=self._sync_run_id,
            now=self._now,
            reason=reason,
        )


def _build_update() -> sa.Update:
    """Build the UPDATE of many rows out of one parameter, an array of JSON objects."""
    rows = given_rows(transactions, ("id", *_UPDATED_COLUMNS))
    values = {name: rows.c[name] for name in _UPDATED_COLUMNS}
    return sa.update(transactions).where(transactions.c.id == rows.c.id).values(values)


_UPDATE: Final = _build_update()
_RENAME: Final = sa.text(
    "UPDATE bank.transactions t SET external_id = given.name, "
    "last_sync_run_id = :last_sync_run_id, updated_at = :updated_at "
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:names AS text[])) AS given (id, name) "
    "WHERE t.id = given.id"
)


_CONTENT_COLUMNS: Final = (*BANK_COLUMNS, "content_hash", "removed_at", "duplicate_decision")
_CONTENTS: Final = (
    sa.select(transactions.c.id, *(transactions.c[name] for name in _CONTENT_COLUMNS))
    .where(is_any_id(transactions.c.id))
    .with_for_update()
)


def _load_contents(
    db: sa.Connection, ids: Sequence[TransactionId]
) -> dict[TransactionId, dict[str, Any]]:
    """Load what revisions record, and lock the rows until the transaction ends."""
    rows = db.execute(_CONTENTS, {"ids": [*ids]})
    return {row[0]: dict(zip(_CONTENT_COLUMNS, row[1:], strict=True)) for row in rows}


def _to_inserted(
    transaction: Transaction,
    team_id: TeamId,
    account_id: AccountId,
    stamp: tuple[str, ...],
    suspected_duplicate_of: TransactionId | None,
) -> tuple[Any, ...]:
    """Return the values of a new row; times and JSON as text, which the driver copies faster."""
    values = to_values(transaction)
    return (
        new_id(),
        team_id,
        account_id,
        *stamp,
        transaction.content_hash,
        suspected_duplicate_of,
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


def _batches(updates: Sequence[Update]) -> Iterator[Sequence[Update]]:
    for start in range(0, len(updates), UPDATE_BATCH):
        yield updates[start : start + UPDATE_BATCH]


def _check_count(found: int, wanted: int) -> None:
    if found != wanted:
        raise ConcurrentSyncError(
            f"{wanted - found} of {wanted} transactions were changed by others"
        )
