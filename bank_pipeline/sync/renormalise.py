"""
Replay the archive through today's transforms, and bring stored rows to what they say now.

Asks no provider and moves no cursor. Rows are compared with the newest answer that showed them,
and only if no later sync changed them; what is gone stays gone, and nothing goes because of a
replay. New rows come of quarantined records alone, where they can be read by now.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.domain.changes import ChangePlan, StoredTransaction, Update, plan_changes
from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.identity import told_apart
from bank_pipeline.domain.ids import AccountId, ConnectionId, SyncRunId, TransactionId
from bank_pipeline.domain.reading import Lineage
from bank_pipeline.domain.stored import Key as StoredKey
from bank_pipeline.domain.stored import day_of
from bank_pipeline.domain.transaction import Transaction, TransactionDelta, TransactionStatus
from bank_pipeline.providers.exact_json import dump_json
from bank_pipeline.storage.accounts import load_account_ids, load_stored_accounts
from bank_pipeline.storage.connections import load_connection, lock_connection
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline.storage.quarantine import ORPHANED, load_open_quarantine, set_landed
from bank_pipeline.storage.revisions import Changes
from bank_pipeline.storage.standing import (
    load_differences,
    load_last_writers,
    load_made_by,
    set_last_writers,
)
from bank_pipeline.storage.sync_runs import (
    AppliedRun,
    SyncOutcome,
    finish_sync_run,
    load_applied_runs,
    start_sync_run,
)
from bank_pipeline.storage.transaction_writes import apply_plan
from bank_pipeline.storage.transactions import load_stored
from bank_pipeline.storage.undoing import RENORMALISE
from bank_pipeline.sync.archive_view import ArchiveView, Shown
from bank_pipeline.sync.audit import note_act
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.replay import Key, read_again

_PENDING: Final = TransactionStatus.PENDING
QUARANTINE_MAX: Final = 10_000  # open rows of one connection that a replay looks at


@dataclass(frozen=True)
class ChangedRow:
    """One stored row that today's transform reads otherwise."""

    transaction_id: TransactionId
    day: date | None
    changes: Changes


@dataclass(frozen=True)
class Renormalisation:
    """
    What a replay changes in one connection, or has changed: `sync_run_id` is the run then.

    `landed` are new rows, of records that were quarantined. `resolved_count` are quarantined
    records that are done with. `left_out_count` are entries of the archive that stand for no
    stored row: renamed since, or beyond what may be concluded. `unread_count` are answers that
    are not kept any more, `failed` what went wrong with those that are, by kind.
    """

    connection_id: ConnectionId
    provider: str
    institution_name: str | None
    answers_count: int
    rows_count: int
    changed: tuple[ChangedRow, ...]
    landed: tuple[Transaction, ...]
    resolved_count: int
    left_out_count: int
    unread_count: int
    failed: Mapping[str, int]
    sync_run_id: SyncRunId | None = None

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing to write."""
        return not (self.changed or self.landed or self.resolved_count)


def renormalise(
    context: SyncContext, connection_id: ConnectionId, *, since: date | None, applies: bool
) -> Renormalisation:
    """
    Replay what syncs begun on or after `since` applied (None: all that is kept).

    With `applies` it is written, in one transaction, as a run of its own; doing so again
    changes nothing.

    Raises:
        BusyError: the connection is being synced.
        SetupError: its provider is switched off, so there is no transform to be had.
        NotFoundError: there is no such connection.
    """
    if not applies:
        with context.engine.connect() as db:
            connection = load_connection(db, connection_id)
            return _Replay(db, context, connection, since).outcome()
    with connection_lock(context.engine, connection_id), context.engine.begin() as db:
        replay = _Replay(db, context, lock_connection(db, connection_id), since)
        outcome = replay.outcome()
        return outcome if outcome.is_empty else replay.write(outcome)


@dataclass
class _Replay:
    """One connection's archive beside its rows, inside one database transaction."""

    db: sa.Connection
    context: SyncContext
    connection: Connection
    since: date | None
    view: ArchiveView = field(default_factory=ArchiveView)
    answers_count: int = 0
    unread_count: int = 0
    failed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    plan: ChangePlan = field(default_factory=ChangePlan)
    writers: dict[Key, SyncRunId] = field(default_factory=dict)
    resolved: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        connection_id = self.connection.id
        self._runs = load_applied_runs(self.db, connection_id)
        self._account_ids = load_account_ids(self.db, connection_id)
        held = load_stored_accounts(self.db, connection_id, vault=self.context.vault)
        self._left_out = {held.held[name].id for name in held.excluded}  # they grow no more
        names = {id_: name for name, id_ in self._account_ids.items()}
        self._names: Mapping[AccountId, str] = names
        self._stored: dict[Key, StoredTransaction] = {}
        self._by_account: dict[AccountId, list[StoredTransaction]] = defaultdict(list)
        for row in load_stored(self.db, account_ids=self._account_ids, keys=None):
            account_id = self._account_ids[row.account_external_id]
            self._stored[account_id, row.external_id] = row
            self._by_account[account_id].append(row)
        rows = load_open_quarantine(
            self.db, connection_id=connection_id, limit=QUARANTINE_MAX, vault=self.context.vault
        )
        self._quarantined = {row.raw: row.id for row in rows if row.operation != ORPHANED}

    def outcome(self) -> Renormalisation:
        """Read the archive, and say what it changes."""
        for run in self._runs:
            if self.since is None or run.started_at.date() >= self.since:
                self._read(run)
        updates, landing, left_out = self._sorted()
        differences = load_differences(self.db, updates)
        updates = [one for one in updates if differences[one.id]]  # else only the hash is new
        landed = plan_changes(
            self._stored.values(),
            TransactionDelta(upserts=tuple(landing), removed=frozenset()),
            unshown=self._unshown(),
        )
        differences |= load_differences(self.db, landed.updates)
        both = (*updates, *landed.updates)
        self.plan = ChangePlan(inserts=landed.inserts, updates=both)
        return Renormalisation(
            connection_id=self.connection.id,
            provider=self.connection.provider,
            institution_name=self.connection.institution_name,
            answers_count=self.answers_count,
            rows_count=len(self.view.live),
            changed=tuple(
                ChangedRow(
                    one.id,
                    day_of(one.transaction),
                    differences[one.id],
                )
                for one in both
            ),
            landed=landed.inserts,
            resolved_count=len(self.resolved),
            left_out_count=left_out,
            unread_count=self.unread_count,
            failed=dict(self.failed),
        )

    def write(self, outcome: Renormalisation) -> Renormalisation:
        """Write what was found, as a run."""
        now = self.context.clock()
        run_id = start_sync_run(
            self.db, self.connection.id, reason=RENORMALISE, dagster_run_id=None, now=now
        )
        applied = apply_plan(
            self.db,
            self.plan,
            team_id=self.connection.team_id,
            account_ids=self._account_ids,
            sync_run_id=run_id,
            now=now,
        )
        writers = {one.id: self.writers[self._key(one.transaction)] for one in self.plan.updates}
        made = load_made_by(self.db, run_id)
        writers |= {id_: self.writers[key] for key, id_ in made.items()}
        set_last_writers(self.db, writers, made_by=run_id)
        set_landed(self.db, self.resolved, sync_run_id=run_id, now=now)
        written = {"inserted": applied.inserted, "updated": applied.updated, "removed": 0}
        counts = {"transactions": written, "resolved": len(self.resolved), "calls": 0}
        ending = SyncOutcome.RENORMALISED
        finish_sync_run(self.db, run_id, outcome=ending, counts=counts, lineage={}, now=now)
        note_act(
            self.context,
            self.db,
            AuditAction.ROWS_REPLAYED,
            self.connection,
            sync_run_id=run_id,
            inserted=applied.inserted,
            updated=applied.updated,
        )
        return replace(outcome, sync_run_id=run_id)

    def _read(self, run: AppliedRun) -> None:
        today, lineage = self.connection.provider, Lineage.of_json(run.lineage or {})
        provider = self.context.provider(today)
        if lineage.provider not in (None, today):  # before a switch
            before = self.context.providers.get(lineage.provider)
            if before is None:
                self.unread_count += len(lineage.readings)
                return
            provider = before
        for read in read_again(
            self.db,
            provider,
            self.connection.id,
            lineage,
            vault=self.context.vault,
            told_apart=self._told_apart,
        ):
            if read.failure is not None:
                self.failed[read.failure] += 1
            elif read.records is None:
                self.unread_count += 1
            else:
                self.answers_count += len(read.answers)
            self.view.add(run.id, read)

    def _sorted(self) -> tuple[list[Update], list[Transaction], int]:
        """Divide what the archive shows: stored rows that differ, records that land, the rest."""
        order = {run.id: place for place, run in enumerate(self._runs)}
        last_writers = load_last_writers(self.db, self.connection.id)
        updates: list[Update] = []
        landing: list[Transaction] = []
        left_out_count = 0
        for key, shown in self.view.live.items():
            row = shown.record.transaction.model_copy(
                update={"account_external_id": self._names[key[0]]}
            )
            quarantined_id = self._quarantined_id(shown)
            stored = self._stored.get(key)
            is_left_out = stored is None and key[0] in self._left_out
            if is_left_out or (stored is None and quarantined_id is None):
                left_out_count += 1
                continue
            if quarantined_id is not None:
                self.resolved.append(quarantined_id)
            self.writers[key] = shown.sync_run_id
            if stored is None:
                landing.append(row)
                continue
            newest = order.get(last_writers[stored.id], len(order))
            is_news = stored.content_hash != row.content_hash and not stored.is_removed
            if is_news and order[shown.sync_run_id] >= newest:
                updates.append(Update(stored.id, row))
        return updates, landing, left_out_count

    def _unshown(self) -> set[StoredKey]:
        """
        Return the pending rows that the archive shows no more: what lands may be their booking.

        They were kept because nobody could read it. One that is shown in other words now, as
        today's transform has them, is none of these.
        """
        live = self.view.live.items()
        rows = ((key, shown.record.transaction) for key, shown in live if key not in self._stored)
        worded = {(key[0], row.amount) for key, row in rows if row.status is _PENDING}
        return {
            row.key
            for key, row in self._stored.items()
            if row.status is _PENDING
            and not row.is_removed
            and key not in self.view.live
            and (key[0], row.amount) not in worded
        }

    def _quarantined_id(self, shown: Shown) -> int | None:
        if not self._quarantined or shown.record.raw is None:
            return None
        return self._quarantined.get(dump_json(shown.record.raw))

    def _told_apart(
        self, account_id: AccountId, rows: Sequence[Transaction]
    ) -> tuple[Transaction, ...]:
        return told_apart(rows, self._by_account[account_id])

    def _key(self, row: Transaction) -> Key:
        return (self._account_ids[row.account_external_id], row.external_id)
