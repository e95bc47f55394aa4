"""Exchange the keys that seal what is stored, while everything goes on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.audit import Actor, AuditAction
from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.transitions import Transition
from bank_pipeline.errors import NotFoundError, RefusedError, SetupError
from bank_pipeline.storage.audit import insert_audit
from bank_pipeline.storage.connections import apply_transition, lock_connection
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.encryption_keys import list_keys, register_key, retire_key
from bank_pipeline.storage.keys import FileKeys, KeySource, key_id_of, new_key
from bank_pipeline.storage.lost_keys import forget_sealed, load_unopenable
from bank_pipeline.storage.notices import insert_stop_notice
from bank_pipeline.storage.sealed_columns import SEALED, SealedColumn, count_sealed, reseal_batch
from bank_pipeline.sync.context import SyncContext

_PASSES_MAX: Final = 5  # what is still sealed with an older key then is so by a process that runs

Told = Callable[[int, int], None]
"""Is told how much is done, and of how much."""


@dataclass(frozen=True)
class Rotation:
    """
    What a change of keys came to. `key_id` is the key that seals.

    `unopened` names what does not open, and was left as it is. `left` counts what is sealed with
    other keys all the same, by key: sealed meanwhile, by processes that seal with those.
    """

    key_id: str
    resealed_count: int
    unopened: tuple[str, ...]
    left: Mapping[str, int]


def rotate_keys(context: SyncContext, *, tell: Told) -> Rotation:
    """
    Seal everything anew that an older key sealed, in small transactions, beside all that runs.

    Broken off it goes on where it was when it is run again; several at once share the work; when
    there is nothing to do it writes nothing but that it was asked to. Keys of which it is made
    known that they are no more are opened a last time here: afterwards they may be retired.
    """
    work = _Work(context, tell)
    for number in range(_PASSES_MAX):
        for column in SEALED:
            work.reseal(column, waits=number > 0)
        if not work.count_left():
            break
    with context.engine.begin() as db:
        key_id, count = context.vault.key_id, work.done
        _note(db, context.actor, key_id, "rotated", now=context.clock(), count=count)
    return Rotation(
        key_id=context.vault.key_id,
        resealed_count=work.done,
        unopened=tuple(sorted(work.unopened)),
        left=work.load_left() if work.count_left() else {},
    )


def add_key(context: SyncContext, source: KeySource) -> str:
    """
    Put a new key first in the key file, and return its id.

    The database is told of it before: from the moment it is in the file, processes that run
    seal with it.

    Raises:
        SetupError: the keys are not in a file of ours to change.
    """
    if not isinstance(source, FileKeys):
        raise SetupError(
            f"The keys are in {source.name}, which only you can change. Put a new one (`openssl "
            "rand -base64 32`) behind the others first, everywhere; when all processes have it, "
            "put it in front of them, everywhere; then `bank-pipeline keys rotate`"
        )
    key = new_key()
    with context.engine.begin() as db:
        register_key(db, key_id_of(key), now=context.clock())
        _note(db, context.actor, key_id_of(key), "added", now=context.clock())
    source.put_first(key)
    return key_id_of(key)


def retire_old_key(context: SyncContext, source: KeySource, key_id: str) -> bool:
    """
    Let a key seal nothing any more, and take it out of the key file; return whether it was there.

    Where the keys are in no file, taking it away is the operator's. Safe to repeat.

    Raises:
        NotFoundError: there is no such key.
        RefusedError: it is the one that seals, or something is sealed with it.
    """
    with context.engine.connect() as db:
        known = {one.id: one for one in list_keys(db, context.vault)}
    if key_id not in known:
        raise NotFoundError(f"no key {key_id}; see `bank-pipeline keys list`")
    if known[key_id].is_first:
        raise RefusedError(f"key {key_id} is the one that seals: put another one before it first")
    if known[key_id].sealed_count:
        listed = ", ".join(f"{count} {kind}" for kind, count in known[key_id].sealed.items())
        raise RefusedError(
            f"key {key_id} is needed to open {listed}: `bank-pipeline keys rotate` first"
        )
    now = context.clock()
    with context.engine.begin() as db:
        register_key(db, key_id, now=now)  # one that never sealed may not begin to, either
        retire_key(db, key_id, now=now)
        _note(db, context.actor, key_id, "retired", now=now)
    return isinstance(source, FileKeys) and source.take_out(key_id)


def _note(
    db: sa.Connection, actor: Actor, key_id: str, what: str, *, now: datetime, count: int = 0
) -> None:
    changed = AuditAction.KEYS_CHANGED
    insert_audit(db, changed, actor=actor, now=now, key_id=key_id, what=what, count=count)


@dataclass(frozen=True)
class Lost:
    """What was given up with a lost key, by kind, and how many connections that revoked."""

    key_id: str
    forgotten: Mapping[str, int]
    connections_count: int


def forget_lost_key(
    engine: sa.Engine, vault: Vault, key_id: str, *, actor: Actor, now: datetime
) -> Lost:
    """
    Give up everything that a lost key has sealed, so that the rest can go on.

    Rows of accounts and of money stay. Connections whose credential is lost are revoked, and their
    teams told: whoever connects the bank again goes on with them, where their accounts can be
    told. Their consents at the provider run until they end there; nobody here can end them.

    Raises:
        NotFoundError: nothing here was sealed with such a key.
        RefusedError: the key is not lost.
    """
    if vault.knows(key_id):
        raise RefusedError(f"key {key_id} is here and opens what it sealed: nothing is lost")
    with engine.begin() as db:
        connection_ids = load_unopenable(db, key_id)
        stopped = [lock_connection(db, one) for one in connection_ids]
        forgotten = forget_sealed(db, key_id)
        if not retire_key(db, key_id, now=now):
            raise NotFoundError(f"no key {key_id} is in use here")
        for connection in stopped:
            lost = Transition(
                ConnectionStatus.REVOKED, "its credential was lost with its key", None, 0
            )
            apply_transition(db, connection, lost, sync_run_id=None, now=now)
            insert_stop_notice(db, connection.id, now=now)
        _note(db, actor, key_id, "lost", now=now, count=len(connection_ids))
    return Lost(key_id, forgotten, len(connection_ids))


class _Work:
    """How far a change of keys has come."""

    def __init__(self, context: SyncContext, tell: Told) -> None:
        self._context = context
        self._tell = tell
        self.done = 0
        self.unopened: set[str] = set()
        self._all = self.count_left()

    def reseal(self, column: SealedColumn, *, waits: bool) -> None:
        """Seal anew what is in one column."""
        after: object = None
        while True:
            try:
                with self._context.engine.begin() as db:
                    batch = reseal_batch(db, column, self._context.vault, after=after, waits=waits)
            except sa.exc.OperationalError:  # somebody holds a row for longer than one waits
                return
            self.done += batch.resealed
            self.unopened.update(batch.unopened)
            if batch.last is None:
                return
            after = batch.last
            self._all = max(self._all, self.done)
            self._tell(self.done, self._all)

    def load_left(self) -> dict[str, int]:
        """Count what is sealed with other keys than the first, by key."""
        with self._context.engine.connect() as db:
            counts = count_sealed(db)
        first = self._context.vault.key_id
        return {id_: sum(kinds.values()) for id_, kinds in counts.items() if id_ != first}

    def count_left(self) -> int:
        """Count the same, without what does not open."""
        return sum(self.load_left().values()) - len(self.unopened)
