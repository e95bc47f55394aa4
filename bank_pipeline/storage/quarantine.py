"""Quarantine: rows that do not fit, kept with their text, sealed, until somebody resolves them."""

import hashlib
import json
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Protocol

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.dialects.postgresql import insert

from bank_pipeline.domain.ids import ConnectionId, SyncRunId
from bank_pipeline.errors import NotFoundError, SecretError
from bank_pipeline.storage.belonging import OF_GIVEN, team_of_connection
from bank_pipeline.storage.credentials import Sealed, Vault
from bank_pipeline.storage.sealed_columns import unfit_row
from bank_pipeline.storage.tables import quarantine

ORPHANED: Final = "transaction of an unlisted account"
"""Rows set aside until the provider lists their account; their text is a domain value's JSON."""


class UnfitRow(Protocol):
    """A row that does not fit (`providers.base.QuarantinedRow`)."""

    @property
    def operation(self) -> str:
        """What was asked when it came."""

    @property
    def external_id(self) -> str | None:
        """The provider's id of it, where one can be read."""

    @property
    def raw(self) -> str:
        """Its text, as it came."""

    @property
    def reason(self) -> str:
        """Which rule it breaks; never a value."""


@dataclass(frozen=True)
class ListedQuarantine:
    """One unresolved row without its text. `reason` is safe to show."""

    id: int
    connection_id: ConnectionId
    operation: str
    external_id: str | None
    reason: str
    at: datetime


@dataclass(frozen=True)
class OpenQuarantine(ListedQuarantine):
    """One unresolved row with its text: `raw` is bank data, and not safe to show."""

    raw: str


def save_quarantined(
    db: sa.Connection,
    connection_id: ConnectionId,
    rows: Sequence[UnfitRow],
    *,
    vault: Vault,
    sync_run_id: SyncRunId,
    now: datetime,
) -> int:
    """
    Keep rows that do not fit; return how many were not open already.

    The same row is kept once. One that was resolved and comes again is open again.
    """
    given = {vault.to_keyed(_digest(row)): row for row in rows}
    if not given:
        return 0
    already_open = sa.select(quarantine.c.digest).where(
        quarantine.c.connection_id == connection_id,
        quarantine.c.digest.in_(given),
        quarantine.c.resolved_at.is_(None),
    )
    known = {bytes(digest) for digest in db.scalars(already_open)}
    new = [
        {
            "connection_id": connection_id,
            OF_GIVEN: connection_id,
            "sync_run_id": sync_run_id,
            "operation": row.operation,
            "external_id": row.external_id,
            "reason": row.reason,
            "account_external_id": _account_of(row),
            "digest": digest,
            "at": now,
            **_seal(row, unfit_row(connection_id, digest), vault),
        }
        for digest, row in given.items()
        if digest not in known
    ]
    if new:
        team_id = team_of_connection(sa.bindparam(OF_GIVEN))
        statement = insert(quarantine).values(team_id=team_id)
        again = {name: statement.excluded[name] for name in ("sync_run_id", "reason", "at")}
        db.execute(
            statement.on_conflict_do_update(
                index_elements=["connection_id", "digest"],
                set_={**again, "resolved_at": None, "resolved_by": None},
            ),
            new,
        )
    return len(new)


def set_resolved(db: sa.Connection, quarantine_id: int, *, now: datetime) -> bool:
    """Mark one row as dealt with by a person; return whether it was open."""
    statement = sa.update(quarantine).where(
        quarantine.c.id == quarantine_id, quarantine.c.resolved_at.is_(None)
    )
    return db.execute(statement.values(resolved_at=now)).rowcount == 1


def set_landed(
    db: sa.Connection, ids: Collection[int], *, sync_run_id: SyncRunId, now: datetime
) -> int:
    """Mark rows as dealt with because a replay could read them; return how many were open."""
    statement = sa.update(quarantine).where(
        quarantine.c.id.in_(ids), quarantine.c.resolved_at.is_(None)
    )
    return db.execute(statement.values(resolved_at=now, resolved_by=sync_run_id)).rowcount


def reopen_resolved_by(db: sa.Connection, sync_run_id: SyncRunId) -> int:
    """Open again what a run resolved, because that run is taken back; return how many."""
    statement = sa.update(quarantine).where(quarantine.c.resolved_by == sync_run_id)
    return db.execute(statement.values(resolved_at=None, resolved_by=None)).rowcount


def set_orphans_resolved(
    db: sa.Connection,
    connection_id: ConnectionId,
    accounts: Collection[str],
    *,
    sync_run_id: SyncRunId,
    now: datetime,
) -> int:
    """
    Mark the waiting rows of these accounts (external ids) as dealt with; return how many.

    Their accounts are held by now, and the whole history, which is being written, has the rows.
    """
    statement = sa.update(quarantine).where(
        *_is_orphan_of(connection_id), quarantine.c.account_external_id.in_(accounts)
    )
    return db.execute(statement.values(resolved_at=now, resolved_by=sync_run_id)).rowcount


def load_quarantined(db: sa.Connection, quarantine_id: int, *, vault: Vault) -> OpenQuarantine:
    """
    Load one unresolved row with its text.

    Raises:
        NotFoundError: there is none of this id, or it is resolved.
        SecretError: its text does not open.
    """
    query = sa.select(quarantine).where(
        quarantine.c.id == quarantine_id, quarantine.c.resolved_at.is_(None)
    )
    row = db.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFoundError(f"no open quarantined row {quarantine_id}")
    return _to_open(row, vault)


def list_open_quarantine(
    db: sa.Connection, *, connection_id: ConnectionId | None, limit: int
) -> list[ListedQuarantine]:
    """List unresolved rows of one connection, or with None of all, oldest first; opens no text."""
    return [ListedQuarantine(**_listed(row)) for row in _unresolved(db, connection_id, limit=limit)]


def load_open_quarantine(
    db: sa.Connection, *, connection_id: ConnectionId | None, limit: int, vault: Vault
) -> list[OpenQuarantine]:
    """Load the same with their texts, without those whose text does not open."""
    found: list[OpenQuarantine] = []
    for row in _unresolved(db, connection_id, limit=limit):
        with suppress(SecretError):
            found.append(_to_open(row, vault))
    return found


def _unresolved(
    db: sa.Connection, connection_id: ConnectionId | None, *, limit: int
) -> Sequence[sa.RowMapping]:
    query = sa.select(quarantine).where(quarantine.c.resolved_at.is_(None))
    if connection_id is not None:
        query = query.where(quarantine.c.connection_id == connection_id)
    return db.execute(query.order_by(quarantine.c.id).limit(limit)).mappings().all()


def _is_orphan_of(connection_id: ConnectionId) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        quarantine.c.connection_id == connection_id,
        quarantine.c.operation == ORPHANED,
        quarantine.c.resolved_at.is_(None),
    )


def _seal(row: UnfitRow, bound_to: str, vault: Vault) -> dict[str, object]:
    sealed = vault.encrypt(SecretStr(row.raw), bound_to)
    return {"raw_ciphertext": sealed.ciphertext, "raw_key_id": sealed.key_id}


def _to_open(row: sa.RowMapping, vault: Vault) -> OpenQuarantine:
    sealed = Sealed(bytes(row["raw_ciphertext"]), row["raw_key_id"])
    bound_to = unfit_row(row["connection_id"], bytes(row["digest"]))
    raw = vault.decrypt(sealed, bound_to).get_secret_value()
    return OpenQuarantine(**_listed(row), raw=raw)


def _listed(row: sa.RowMapping) -> dict[str, Any]:
    return {one.name: row[one.name] for one in fields(ListedQuarantine)}


def _account_of(row: UnfitRow) -> str | None:
    """Return the account that an orphan waits for; other texts need not be JSON at all."""
    if row.operation != ORPHANED:
        return None
    account: str = json.loads(row.raw)["account_external_id"]
    return account


def _digest(row: UnfitRow) -> bytes:
    text = f"{row.operation}\0{row.raw}".encode()
    return hashlib.blake2b(text, digest_size=16).digest()
