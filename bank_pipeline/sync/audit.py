"""Chain the audit log, prove it, and write into it what syncs do."""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.audit import Actor, AuditAction, dagster_actor
from bank_pipeline.domain.audit_proof import ChainProof, Problem
from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.ids import ConnectionId, TeamId
from bank_pipeline.storage.audit import (
    LOOKED_BACK,
    SEALED_AT_ONCE,
    insert_audit,
    load_head,
    read_chain,
    seal_entries,
)
from bank_pipeline.storage.sync_runs import SyncOutcome
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.started import StartedSync

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class AuditProof:
    """
    Whether the log is as it was written.

    `head`: the newest hash, to be noted elsewhere; None while nothing is sealed. `problems`: the
    first of them. `problems_count`: how many there are.
    """

    is_whole: bool
    sealed_count: int
    head: str | None
    head_number: int | None
    problems_count: int
    problems: tuple[Problem, ...]


def seal_audit(context: SyncContext, *, looks_back: int | None = LOOKED_BACK) -> int:
    """
    Chain what was written since, in short transactions; return how many entries.

    Safe to call at any time, by anybody: one at a time does it, and a crash loses nothing. The
    new head is also logged, so that it is known outside the database.
    """
    total = 0
    while True:
        with context.engine.begin() as db:
            count = seal_entries(db, now=context.clock(), looks_back=looks_back)
            head = load_head(db) if count else None
        if head is not None:
            _log.info("audit sealed", extra={"number": head.number, "head": head.hash.hex()})
        total += count or 0
        if (count or 0) < SEALED_AT_ONCE:
            return total


def verify_audit(context: SyncContext, *, expected: str | None = None) -> AuditProof:
    """
    Chain what waits, and look at every entry and seal; `expected` is a head noted earlier.

    What cannot be seen: newest entries that were deleted before they were sealed, and, without
    `expected`, a chain that was cut off at its end or made anew as a whole.
    """
    seal_audit(context, looks_back=None)
    proof = ChainProof(None if expected is None else bytes.fromhex(expected))
    with context.engine.connect() as db:
        db.execute(sa.text("SET LOCAL statement_timeout = 0"))  # it reads all that there is
        proof.look(read_chain(db))
    head = proof.head
    return AuditProof(
        is_whole=proof.problems_count == 0,
        sealed_count=proof.sealed_count,
        head=None if head is None else head.hash.hex(),
        head_number=None if head is None else head.number,
        problems_count=proof.problems_count,
        problems=tuple(proof.problems),
    )


def note(
    context: SyncContext,
    db: sa.Connection,
    action: AuditAction,
    team_id: TeamId | None,
    connection_id: ConnectionId | None = None,
    /,
    **details: int | bool | str | None,
) -> None:
    """Write what somebody does now, in the transaction in which they do it; None: to no team."""
    insert_audit(
        db,
        action,
        actor=context.actor,
        now=context.clock(),
        team_id=team_id,
        connection_id=connection_id,
        **details,
    )


def note_act(
    context: SyncContext,
    db: sa.Connection,
    action: AuditAction,
    connection: Connection,
    **details: int | bool | str | None,
) -> None:
    """Write what somebody does to a connection."""
    note(context, db, action, connection.team_id, connection.id, **details)


def actor_of(context: SyncContext, dagster_run_id: str | None) -> Actor:
    """Return who syncs: the run that it is part of, else whoever the context acts for."""
    return context.actor if dagster_run_id is None else dagster_actor(dagster_run_id)


def note_synced(
    db: sa.Connection,
    started: StartedSync,
    *,
    outcome: SyncOutcome,
    now: datetime,
    **details: int | bool | str | None,
) -> None:
    """Write that a sync ended: one entry for all it did, its reading of the credential included."""
    connection = started.connection
    insert_audit(
        db,
        AuditAction.SYNCED,
        actor=started.actor,
        now=now,
        team_id=connection.team_id,
        connection_id=connection.id,
        sync_run_id=started.id,
        reason=started.request.reason.value,
        outcome=outcome,
        **details,
    )
