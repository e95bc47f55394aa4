"""
The audit log and its chain.

Whoever acts inserts an entry in the transaction of what they do: one small row, and nobody waits
for anybody. One sealer at a time chains what was committed, in short transactions of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.audit import (
    Actor,
    ActorKind,
    AuditAction,
    AuditEntry,
    Seal,
    check_details,
    seal,
)
from bank_pipeline.domain.audit_proof import SealedEntry
from bank_pipeline.storage.tables import accounts, audit_log, audit_seals, transactions

SEALED_AT_ONCE: Final = 1_000  # entries per transaction: about 0.1 s
LOOKED_BACK: Final = 50_000
"""Entries may be committed late, but none after so many others: only a proof looks further."""

SEALED_WITHIN: Final = timedelta(minutes=10)
"""A sensor seals every minute; what waits for longer is worth a look."""

_READ_AT_ONCE: Final = 2_000
_LOCK: Final = 5_402_117_336_108_245_593  # any number, the same in every process


@dataclass(frozen=True)
class AuditFilter:
    """Which entries to list; None: all."""

    team_id: str | None = None
    connection_id: str | None = None
    action: AuditAction | None = None
    actor: ActorKind | None = None
    since: datetime | None = None


def insert_audit(
    db: sa.Connection,
    action: AuditAction,
    *,
    actor: Actor,
    now: datetime,
    team_id: str | None = None,
    connection_id: str | None = None,
    **details: int | bool | str | None,
) -> None:
    """
    Write who did what, in the transaction of what was done.

    `details` are counts, ids and words of ours: never a name or a bank's text.
    """
    row = {
        "at": now,
        "actor_kind": actor.kind.value,
        "actor_id": actor.id,
        "action": action.value,
        "team_id": team_id,
        "connection_id": connection_id,
        "details": check_details(details),
    }
    db.execute(_INSERT, row)


def insert_row_audit(
    db: sa.Connection,
    action: AuditAction,
    *,
    actor: Actor,
    now: datetime,
    account_id: str | None = None,
    transaction_id: str | None = None,
) -> None:
    """
    Write what somebody decided about one account, or one transaction, and so about its team.

    The id is that of a row which is there: the decision has found it.
    """
    if transaction_id is not None:
        account_id = db.scalar(
            sa.select(transactions.c.account_id).where(transactions.c.id == transaction_id)
        )
    owner = db.execute(
        sa.select(accounts.c.team_id, accounts.c.connection_id).where(accounts.c.id == account_id)
    ).one_or_none()
    insert_audit(
        db,
        action,
        actor=actor,
        now=now,
        team_id=owner.team_id if owner else None,
        connection_id=owner.connection_id if owner else None,
        account_id=account_id,
        transaction_id=transaction_id,
    )


def seal_entries(db: sa.Connection, *, now: datetime, looks_back: int | None) -> int | None:
    """
    Chain entries that are not yet, in the order of their numbers; return how many.

    At most `SEALED_AT_ONCE`, for a transaction of its own. `looks_back`: how many seals back one
    that was committed late is looked for; None: everywhere. Returns None while another process
    is at it.
    """
    if not db.scalar(sa.text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}):
        return None
    head = load_head(db)
    after = 0
    if head is not None and looks_back is not None:
        after = db.scalar(_ENTRY_OF, {"number": head.number - looks_back}) or 0
    rows = db.execute(_UNSEALED, {"after": after, "limit": SEALED_AT_ONCE}).all()
    seals: list[Seal] = []
    for row in rows:
        head = seal(head, _to_entry(row), sealed_at=now)
        seals.append(head)
    if seals:
        db.execute(sa.insert(audit_seals), [_to_row(one) for one in seals])
    return len(seals)


def load_head(db: sa.Connection) -> Seal | None:
    """Load the newest seal; None: nothing is sealed."""
    query = sa.select(audit_seals).order_by(audit_seals.c.number.desc()).limit(1)
    row = db.execute(query).one_or_none()
    return None if row is None else _to_seal(row)


def read_chain(db: sa.Connection) -> Iterator[SealedEntry]:
    """Read all seals in their order, each with its entry, a few at a time."""
    streaming = db.execution_options(stream_results=True, yield_per=_READ_AT_ONCE)
    for row in streaming.execute(_CHAIN):
        yield SealedEntry(_to_seal(row), None if row.id is None else _to_entry(row))


def list_audit(db: sa.Connection, which: AuditFilter, *, limit: int) -> list[AuditEntry]:
    """List entries, the newest first."""
    columns = audit_log.c
    wanted = {
        columns.team_id: which.team_id,
        columns.connection_id: which.connection_id,
        columns.action: which.action,
        columns.actor_kind: which.actor,
    }
    query = sa.select(audit_log).where(
        *(column == value for column, value in wanted.items() if value is not None)
    )
    if which.since is not None:
        query = query.where(columns.at >= which.since)
    return [_to_entry(row) for row in db.execute(query.order_by(columns.id.desc()).limit(limit))]


def load_unsealed_late(db: sa.Connection, *, now: datetime) -> tuple[int, datetime | None]:
    """Load how many entries should be sealed by now and are not, and since when; None: none."""
    count, oldest = load_unsealed(db)
    return (count, oldest) if oldest is not None and oldest < now - SEALED_WITHIN else (0, None)


def load_unsealed(db: sa.Connection) -> tuple[int, datetime | None]:
    """Load how many entries are not sealed, as far back as a sealer looks, and since when."""
    head = load_head(db)
    after = 0
    if head is not None:
        after = db.scalar(_ENTRY_OF, {"number": head.number - LOOKED_BACK}) or 0
    row = db.execute(_WAITING, {"after": after}).one()
    return int(row.waiting), row.oldest


def _to_entry(row: sa.Row[Any]) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=row.at,
        actor=Actor(ActorKind(row.actor_kind), row.actor_id),
        action=AuditAction(row.action),
        team_id=row.team_id,
        connection_id=row.connection_id,
        details=row.details,
    )


def _to_seal(row: sa.Row[Any]) -> Seal:
    return Seal(row.number, row.entry_id, row.sealed_at, bytes(row.digest), bytes(row.hash))


def _to_row(one: Seal) -> dict[str, Any]:
    return {
        "number": one.number,
        "entry_id": one.entry_id,
        "sealed_at": one.sealed_at,
        "digest": one.digest,
        "hash": one.hash,
    }


_INSERT: Final = sa.insert(audit_log)
_ENTRY_OF: Final = sa.select(audit_seals.c.entry_id).where(
    audit_seals.c.number == sa.bindparam("number")
)
_IS_UNSEALED: Final = sa.and_(
    audit_log.c.id > sa.bindparam("after"),
    ~sa.exists().where(audit_seals.c.entry_id == audit_log.c.id),
)
_UNSEALED: Final = (
    sa.select(audit_log)
    .where(_IS_UNSEALED)
    .order_by(audit_log.c.id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)
_WAITING: Final = sa.select(
    sa.func.count().label("waiting"), sa.func.min(audit_log.c.at).label("oldest")
).where(_IS_UNSEALED)
_CHAIN: Final = (
    sa.select(audit_seals, audit_log)
    .outerjoin(audit_log, audit_log.c.id == audit_seals.c.entry_id)
    .order_by(audit_seals.c.number)
)
