"""Tell where a row came from: what it was, which syncs changed it, and what the provider sent."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.ids import AccountId, ConnectionId, SyncRunId, TransactionId
from bank_pipeline.domain.reading import Lineage
from bank_pipeline.domain.transaction import Transaction
from bank_pipeline.errors import NotFoundError, SecretError
from bank_pipeline.providers.base import ProviderClient
from bank_pipeline.providers.exact_json import dump_json, parse_json
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.raw_payloads import StoredAnswer
from bank_pipeline.storage.revisions import Changes, load_revisions
from bank_pipeline.storage.row_facts import RowFacts, load_row_facts
from bank_pipeline.storage.sync_runs import SyncRun, load_lineage, load_sync_run
from bank_pipeline.storage.undoing import RENORMALISE
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.replay import ReadAgain, Record, read_again

GONE: Final = "the providers' answers are kept for a limited time, and this one's is over"
NOT_RECORDED: Final = "this sync is older than the record of which answers it applied"
READ_ANEW: Final = "this run asked no provider: it read anew what another sync had brought"
NOT_FOUND: Final = "the answers of this sync are kept, but no record in them gives this row"
NOT_READ: Final = "today's transform cannot read the answers of this sync any more"
NOT_OPENED: Final = "what is kept of the answers of this sync does not open: it was altered"
SWITCHED_OFF: Final = "the provider is switched off here, so its answers cannot be read"
_BOOKKEEPING: Final = frozenset({"content_hash"})


@dataclass(frozen=True)
class RawRecord:
    """What a provider sent of one row, as JSON text, and by which call."""

    operation: str
    request_id: str | None
    received_at: datetime
    text: str


@dataclass(frozen=True)
class Origin:
    """One sync that wrote the row. `record` is None for the reason in `why_none`."""

    run: SyncRun | None
    record: RawRecord | None
    why_none: str | None


@dataclass(frozen=True)
class Step:
    """One change of the row: when, by which sync or by a person, why, and from what to what."""

    at: datetime
    sync_run_id: SyncRunId | None
    reason: str | None
    changes: Changes


@dataclass(frozen=True)
class Explanation:
    """Everything that can be told of one row. `last` is None where nothing changed since."""

    transaction_id: TransactionId
    connection_id: ConnectionId
    now: dict[str, Any]
    steps: tuple[Step, ...]
    first: Origin
    last: Origin | None


def explain(context: SyncContext, transaction_id: str) -> Explanation:
    """
    Trace one row back to the syncs and the raw records that made it.

    Raises:
        NotFoundError: there is no such row.
    """
    with context.engine.connect() as db:
        facts = load_row_facts(db, transaction_id)
        connection = load_connection(db, facts.connection_id)
        revisions = load_revisions(db, facts.id)
        finder = _Finder(db, context, connection, facts)
        steps = tuple(
            Step(one.at, one.sync_run_id, one.reason or _reason(db, one.sync_run_id), seen)
            for one in revisions
            if (seen := _visible(one.changes))
        )
        is_changed = facts.last_sync_run_id != facts.first_sync_run_id
        names = _names(facts, [one.changes for one in revisions])
        return Explanation(
            transaction_id=facts.id,
            connection_id=connection.id,
            now=facts.columns,
            steps=steps,
            first=finder.origin(facts.first_sync_run_id, names),
            last=finder.origin(facts.last_sync_run_id, names) if is_changed else None,
        )


@dataclass(frozen=True)
class _Finder:
    """Looks for the record of one row in the answers of a sync."""

    db: sa.Connection
    context: SyncContext
    connection: Connection
    facts: RowFacts

    def origin(self, sync_run_id: SyncRunId, names: frozenset[str]) -> Origin:
        """Return a sync, and the record in its answers that gave the row."""
        try:
            run = load_sync_run(self.db, sync_run_id)
        except NotFoundError:
            return Origin(None, None, NOT_RECORDED)
        kept = None if run.reason == RENORMALISE else load_lineage(self.db, sync_run_id)
        if kept is None:
            return Origin(run, None, _why_not_kept(run))
        lineage = Lineage.of_json(kept)
        provider = self.context.providers.get(lineage.provider or self.connection.provider)
        if provider is None:
            return Origin(run, None, SWITCHED_OFF)
        reads = list(self._read(provider, lineage))
        record = self._find(reads, names)
        if record is not None:
            return Origin(run, record, None)
        failures = {read.failure for read in reads if read.failure is not None}
        if failures:
            is_altered = SecretError.__name__ in failures
            return Origin(run, None, NOT_OPENED if is_altered else NOT_READ)
        return Origin(run, None, GONE if any(r.records is None for r in reads) else NOT_FOUND)

    def _read(self, provider: ProviderClient, lineage: Lineage) -> Iterable[ReadAgain]:
        return read_again(
            self.db,
            provider,
            self.connection.id,
            lineage,
            vault=self.context.vault,
            told_apart=_as_named,
        )

    def _find(self, reads: Sequence[ReadAgain], names: frozenset[str]) -> RawRecord | None:
        for fits in (lambda row: row.external_id in names, self._has_its_content):
            for read in reversed(reads):
                record = next(
                    (
                        one
                        for one in read.records or ()
                        if one.account_id == self.facts.account_id
                        and one.raw is not None
                        and fits(one.transaction)
                    ),
                    None,
                )
                if record is not None:
                    return _to_record(record, read.answers)
        return None

    def _has_its_content(self, row: Transaction) -> bool:
        """Say whether a row that goes by another name is the one: some are renamed when stored."""
        names = ("amount", "currency", "booking_date", "transaction_date", "description")
        return all(getattr(row, name) == self.facts.columns[name] for name in names)


def _why_not_kept(run: SyncRun) -> str:
    if run.reason == RENORMALISE:
        return READ_ANEW
    return GONE if run.outcome != "failed" else NOT_RECORDED


def _to_record(record: Record, answers: Sequence[StoredAnswer]) -> RawRecord:
    answer = next((one for one in answers if _holds(one, record.raw)), answers[-1])
    return RawRecord(
        operation=answer.operation.partition("?")[0],
        request_id=answer.request_id,
        received_at=answer.received_at,
        text=dump_json(record.raw),
    )


def _holds(answer: StoredAnswer, raw: object) -> bool:
    """Say whether an answer has this record somewhere in it."""
    try:
        waiting: list[Any] = [parse_json(answer.body)]
    except ValueError:
        return False
    while waiting:
        value = waiting.pop()
        if value == raw:
            return True
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return False


def _names(facts: RowFacts, changes: Iterable[Changes]) -> frozenset[str]:
    """Return every name that the row ever had at the provider."""
    names = {facts.columns["external_id"], facts.columns["pending_external_id"]}
    for change in changes:
        names |= set(change.get("external_id", ()))
    return frozenset(name for name in names if name)


def _visible(changes: Changes) -> Changes:
    return {name: pair for name, pair in changes.items() if name not in _BOOKKEEPING}


def _reason(db: sa.Connection, sync_run_id: SyncRunId | None) -> str | None:
    if sync_run_id is None:
        return None
    try:
        return load_sync_run(db, sync_run_id).reason
    except NotFoundError:
        return None


def _as_named(_: AccountId, rows: tuple[Transaction, ...]) -> tuple[Transaction, ...]:
    return rows
