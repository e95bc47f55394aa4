"""
What one sync wrote, and how to take it back. The caller holds the connection's lock.

Rows that it inserted are deleted, and what it changed is put back from the revisions. That
leaves revisions, too: they are only ever added to.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.ids import SyncRunId, TeamId, TransactionId
from bank_pipeline.storage.revisions import Changes, insert_revisions
from bank_pipeline.storage.rows import BANK_COLUMNS
from bank_pipeline.storage.tables import (
    accounts,
    balance_rules,
    balances,
    transaction_revisions,
    transactions,
)

RENORMALISE: Final = "renormalise"
UNDO: Final = "undo"
"""Reasons of runs that ask no provider."""


@dataclass(frozen=True)
class WrittenRows:
    """
    The rows that one run wrote and that are there.

    `changes` are those of each changed row as the run began and ended, column -> (from, to).
    `annotated` are inserted rows of which people said something.
    """

    inserted: frozenset[TransactionId]
    changes: Mapping[TransactionId, Changes]
    balances_count: int
    annotated: frozenset[TransactionId]


def load_written(db: sa.Connection, sync_run_id: SyncRunId) -> WrittenRows:
    """Load what a run wrote."""
    run = {"run": sync_run_id}
    inserted = frozenset(TransactionId(id_) for id_ in db.execute(_INSERTED, run).scalars())
    changes: dict[TransactionId, dict[str, tuple[Any, Any]]] = {}
    for id_, revision in db.execute(_REVISIONS, run):
        if id_ not in inserted:  # the newest comes first: of several, from the oldest's from
            known = changes.setdefault(TransactionId(id_), {})
            for column, (old, new) in revision.items():
                known[column] = (old, known.get(column, (None, new))[1])
    annotated = db.scalars(sa.text(_INSERTED.text + _SAID), run)
    is_its = balances.c.sync_run_id == sync_run_id
    count = db.execute(sa.select(sa.func.count()).where(is_its)).scalar_one()
    return WrittenRows(inserted, changes, count, frozenset(map(TransactionId, annotated)))


def lock_inserted(db: sa.Connection, sync_run_id: SyncRunId) -> None:
    """Keep people from saying anything of the rows that a run inserted, until they are gone."""
    db.execute(sa.text(f"{_INSERTED.text} FOR UPDATE OF t"), {"run": sync_run_id})


def load_writers_since(
    db: sa.Connection,
    run_ids: Sequence[SyncRunId],
    written: WrittenRows,
    new_accounts: Sequence[str],
) -> set[SyncRunId]:
    """
    Return those of these runs that changed the same rows.

    Or that wrote into accounts which are new with the run, and go with it; or that gave another
    row a name which one of these would take back.
    """
    rows = [*written.inserted, *written.changes]
    runs = [*run_ids]
    names = [
        pairs["external_id"][0] for pairs in written.changes.values() if "external_id" in pairs
    ]
    found = set(
        db.scalars(
            sa.select(transaction_revisions.c.sync_run_id).where(
                transaction_revisions.c.transaction_id == sa.any_(_ids(rows)),
                transaction_revisions.c.sync_run_id.in_(runs),
            )
        )
    )
    for column, table in (
        (transactions.c.first_sync_run_id, transactions),
        (
            balances.c.sync_run_id,
            balances,
        ),
    ):
        query = sa.select(column).where(table.c.account_id.in_(new_accounts), column.in_(runs))
        found |= set(db.scalars(query))
    for pair in db.execute(_NAMED_SO, {"ids": [*written.changes], "names": names}):
        found |= {*pair} & {*runs}
    return {SyncRunId(one) for one in found}


def load_oldest_day(db: sa.Connection, written: WrittenRows) -> date | None:
    """Return the oldest day of the rows that a run wrote, or that it changed."""
    is_its = transactions.c.id == sa.any_(_ids([*written.inserted, *written.changes]))
    day = sa.func.coalesce(transactions.c.booking_date, transactions.c.transaction_date)
    oldest: date | None = db.scalar(sa.select(sa.func.min(day)).where(is_its))
    return oldest


def load_unread_count(db: sa.Connection, written: WrittenRows, reopened: Sequence[str]) -> int:
    """Count the rows that a run wrote in accounts that are closed or left out by now."""
    is_its = transactions.c.id == sa.any_(_ids([*written.inserted, *written.changes]))
    is_closed = accounts.c.closed_at.is_not(None) & accounts.c.id.not_in(reopened)
    is_unread = is_closed | accounts.c.excluded_at.is_not(None)
    query = sa.select(sa.func.count()).where(is_its, is_unread)
    own = accounts.c.id == transactions.c.account_id
    return db.execute(query.select_from(transactions.join(accounts, own))).scalar_one()


def load_decided_accounts(db: sa.Connection, account_ids: Sequence[str]) -> list[str]:
    """Return those of these accounts of which people decided something."""
    has_rule = sa.exists().where(balance_rules.c.account_id == accounts.c.id)
    query = sa.select(accounts.c.id).where(
        accounts.c.id == sa.any_(_ids(account_ids)),
        accounts.c.excluded_at.is_not(None) | has_rule,
    )
    return sorted(db.scalars(query))


def take_back(
    db: sa.Connection,
    sync_run_id: SyncRunId,
    written: WrittenRows,
    *,
    team_id: TeamId,
    undone_by: SyncRunId,
    now: datetime,
) -> None:
    """Delete what a run inserted, and put back what it changed."""
    is_inserted = transactions.c.id == sa.any_(_ids([*written.inserted]))
    db.execute(transactions.delete().where(is_inserted))
    db.execute(balances.delete().where(balances.c.sync_run_id == sync_run_id))
    if written.changes:
        _put_back(db, written.changes, team_id=team_id, undone_by=undone_by, now=now)
    db.execute(_NOT_ITS_WORD, {"run": sync_run_id, "reasons": [UNDO, RENORMALISE]})
    db.execute(_CALLS_NOT_HERE, {"run": sync_run_id})


def _put_back(
    db: sa.Connection,
    changes: Mapping[TransactionId, Changes],
    *,
    team_id: TeamId,
    undone_by: SyncRunId,
    now: datetime,
) -> None:
    ids = [*changes]
    # Names first out of the way: of two rows one may take back what the other goes by.
    renamed = [id_ for id_, columns in changes.items() if "external_id" in columns]
    db.execute(_SET_ASIDE, {"ids": renamed})
    rows = [
        {"id": id_, "was": {column: old for column, (old, _) in pairs.items()}}
        for id_, pairs in changes.items()
    ]
    db.execute(_PUT_BACK, {"rows": json.dumps(rows)})
    db.execute(_WRITERS, {"ids": ids, "reasons": [UNDO, RENORMALISE]})
    back = {
        id_: {column: (new, old) for column, (old, new) in pairs.items() if new != old}
        for id_, pairs in changes.items()
    }
    insert_revisions(db, back.items(), team_id=team_id, sync_run_id=undone_by, now=now)


def _ids(ids: Sequence[str]) -> sa.ColumnElement[Any]:
    return sa.cast(sa.literal([*ids], sa.ARRAY(sa.Text)), sa.ARRAY(sa.UUID(as_uuid=False)))


_IN_CONNECTION: Final = """
    SELECT a.id FROM bank.accounts a JOIN bank.sync_runs r ON r.connection_id = a.connection_id
    WHERE r.id = :run
"""
_INSERTED: Final = sa.text(
    f"""
    SELECT CAST(t.id AS text) FROM bank.transactions t
    WHERE t.first_sync_run_id = :run AND t.account_id IN ({_IN_CONNECTION})
    """  # noqa: S608 - our own names, here and below
)
_SAID: Final = """
    AND (t.duplicate_decision IS NOT NULL OR EXISTS
        (SELECT FROM bank.transaction_annotations a WHERE a.transaction_id = t.id))
"""
_NAMED_SO: Final = sa.text(
    """
    SELECT CAST(other.first_sync_run_id AS text), CAST(other.last_sync_run_id AS text)
    FROM bank.transactions other
    WHERE other.external_id = ANY(CAST(:names AS text[]))
    AND other.id <> ALL(CAST(:ids AS uuid[]))
    AND other.account_id IN
        (SELECT account_id FROM bank.transactions WHERE id = ANY(CAST(:ids AS uuid[])))
    """
)
_REVISIONS: Final = sa.text(
    f"""
    SELECT CAST(v.transaction_id AS text), v.changes FROM bank.transaction_revisions v
    JOIN bank.transactions t ON t.id = v.transaction_id
    WHERE v.sync_run_id = :run AND t.account_id IN ({_IN_CONNECTION}) ORDER BY v.id DESC
    """  # noqa: S608
)

_REVISED: Final = (*BANK_COLUMNS, "content_hash", "removed_at")
_COLUMNS: Final = ", ".join(_REVISED)
_SET_ASIDE: Final = sa.text(
    "UPDATE bank.transactions SET external_id = 'undo ' || id WHERE id = ANY(CAST(:ids AS uuid[]))"
)
_PUT_BACK: Final = sa.text(
    f"""
    UPDATE bank.transactions t SET ({_COLUMNS}) = (
        SELECT {_COLUMNS} FROM jsonb_populate_record(t, given.was)
    )
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (id uuid, was jsonb)
    WHERE t.id = given.id
    """  # noqa: S608
)
_NEWEST: Final = """
    SELECT v.sync_run_id, v.at FROM bank.transaction_revisions v
    JOIN bank.sync_runs r ON r.id = v.sync_run_id
    WHERE v.transaction_id = {id} AND r.undone_at IS NULL AND r.reason <> ALL(:reasons)
    ORDER BY v.id DESC LIMIT 1
"""
_WRITERS: Final = sa.text(
    f"""
    UPDATE bank.transactions t SET
        last_sync_run_id = coalesce(newest.sync_run_id, t.first_sync_run_id),
        updated_at = coalesce(newest.at, t.created_at)
    FROM unnest(CAST(:ids AS uuid[])) AS given (id)
    LEFT JOIN LATERAL ({_NEWEST.format(id="given.id")}) AS newest ON true
    WHERE t.id = given.id
    """  # noqa: S608
)
_NOT_ITS_WORD: Final = sa.text(
    f"""
    UPDATE bank.transactions t SET last_sync_run_id = coalesce(
        (SELECT newest.sync_run_id FROM ({_NEWEST.format(id="t.id")}) AS newest),
        t.first_sync_run_id
    )
    WHERE t.last_sync_run_id = :run AND t.account_id IN ({_IN_CONNECTION})
    """  # noqa: S608
)
"""Rows that a replay took from a run's answers: the run has no say in them any more."""
_CALLS_NOT_HERE: Final = sa.text(
    """
    UPDATE bank.provider_calls c SET outcome = 'answered'
    FROM bank.sync_runs r
    WHERE r.id = :run AND c.connection_id = r.connection_id AND c.outcome = 'applied'
    AND c.called_at BETWEEN r.started_at AND r.ended_at
    """
)
"""What these calls brought is not in the tables any more, so a repetition makes them again."""
