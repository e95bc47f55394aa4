"""
Which keys are in use here: told before they seal, looked for at the start, retired in the end.

Everything sealed refers to its key's row (`in_use_id`), so the database itself refuses what was
sealed with a key that nobody told of, or that was retired.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bank_pipeline.errors import RefusedError, SetupError
from bank_pipeline.storage.credentials import Sealed, Vault
from bank_pipeline.storage.keys import FILE_NAME, VARIABLE
from bank_pipeline.storage.sealed_columns import count_sealed, data_key
from bank_pipeline.storage.tables import data_keys, encryption_keys

_FINGERPRINTS: Final = "fingerprints"
_LOCK: Final = 0x6B657973  # "keys" in ASCII: one process at a time looks what keys there are
_HASTE: Final = sa.text("SET LOCAL lock_timeout = '500ms'")


@dataclass(frozen=True)
class KeyState:
    """
    One key. `sealed` counts what it has sealed, by kind; `is_here`: this process has it.

    `added_at` is None of a key that has not sealed anything yet.
    """

    id: str
    is_first: bool
    is_here: bool
    sealed_count: int
    sealed: Mapping[str, int]
    added_at: datetime | None
    retired_at: datetime | None


def open_vault(engine: sa.Engine, vault: Vault, *, now: datetime) -> None:
    """
    Make a vault ready for what is stored here, before anything is sealed with it.

    Raises:
        SetupError: a key is missing or was retired, such as after its file was deleted; nothing
            is written.
    """
    with engine.begin() as db:
        db.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        _check_keys(db, vault)
        if not register_key(db, vault.key_id, now=now):
            raise SetupError(
                f"Key {vault.key_id} was retired, so it may seal nothing any more, and it is the "
                "first one here: put a newer key before it"
            )
        stored = db.execute(sa.select(data_keys).where(_IS_FINGERPRINTS)).one_or_none()
        if stored is None:
            fingerprint_key = vault.fingerprint_key
            store_fingerprint_key(db, vault)
        else:
            sealed = Sealed(bytes(stored.ciphertext), stored.key_id)
            fingerprint_key = vault.decrypt(sealed, data_key(_FINGERPRINTS))

    def announce(key_id: str) -> bool:
        try:
            with engine.begin() as db:
                return register_key(db, key_id, now=now)
        except (sa.exc.DBAPIError, sa.exc.TimeoutError):  # or no connection is free
            return False

    vault.adopt(fingerprint_key, announce)


def check_key(engine: sa.Engine, vault: Vault) -> None:
    """
    Make sure that everything sealed has its key; writes nothing.

    Raises:
        SetupError: a key is missing, such as after its file was deleted.
    """
    with engine.connect() as db:
        _check_keys(db, vault)


def load_missing_keys(db: sa.Connection, vault: Vault) -> dict[str, dict[str, int]]:
    """Return what keys have sealed that are not here: {key id: {kind: count}}."""
    in_use = encryption_keys.c.in_use_id
    known = db.scalars(sa.select(in_use).where(in_use.is_not(None)).order_by(in_use))
    strange = [key_id for key_id in known if not vault.knows(key_id)]
    return count_sealed(db, strange) if strange else {}


def register_key(db: sa.Connection, key_id: str, *, now: datetime) -> bool:
    """Tell of a key that is to seal; return whether it may: False when it was retired."""
    row = {"id": key_id, "in_use_id": key_id, "added_at": now}
    retired_at = sa.select(encryption_keys.c.retired_at).where(encryption_keys.c.id == key_id)
    known = db.execute(retired_at).one_or_none()
    if known is None:
        db.execute(insert(encryption_keys).on_conflict_do_nothing(), row)
        known = db.execute(retired_at).one()
    return known.retired_at is None


def store_fingerprint_key(db: sa.Connection, vault: Vault) -> None:
    """Keep the key of fingerprints, so that they outlive the key that seals today."""
    sealed = vault.encrypt(vault.fingerprint_key, data_key(_FINGERPRINTS))
    row = {"purpose": _FINGERPRINTS, "ciphertext": sealed.ciphertext, "key_id": sealed.key_id}
    db.execute(insert(data_keys).values(row).on_conflict_do_nothing())


def list_keys(db: sa.Connection, vault: Vault) -> list[KeyState]:
    """List the keys that are here and those that were ever in use, the first one first."""
    first, here = vault.key_id, vault.key_ids
    counts = count_sealed(db)
    told = {row.id: row for row in db.execute(sa.select(encryption_keys))}
    states = [
        KeyState(
            id=key_id,
            is_first=key_id == first,
            is_here=key_id in here,
            sealed_count=sum(counts.get(key_id, {}).values()),
            sealed=counts.get(key_id, {}),
            added_at=told[key_id].added_at if key_id in told else None,
            retired_at=told[key_id].retired_at if key_id in told else None,
        )
        for key_id in here | told.keys()
    ]
    return sorted(states, key=lambda one: (not one.is_first, one.retired_at is not None, one.id))


def retire_key(db: sa.Connection, key_id: str, *, now: datetime) -> bool:
    """
    Let a key seal nothing any more; return whether it could until now.

    Raises:
        RefusedError: something is sealed with it, or just being sealed.
    """
    db.execute(_HASTE)  # whoever seals with it just now goes first
    retired = (
        sa.update(encryption_keys)
        .where(encryption_keys.c.in_use_id == key_id)
        .values(in_use_id=None, retired_at=now)
    )
    try:
        return db.execute(retired).rowcount == 1
    except (sa.exc.IntegrityError, sa.exc.OperationalError):
        raise RefusedError(
            f"something is sealed with key {key_id} still, or again: `bank-pipeline keys rotate` "
            "first. Where that does not help, a process that runs seals with it: restart it"
        ) from None


def _check_keys(db: sa.Connection, vault: Vault) -> None:
    missing = load_missing_keys(db, vault)
    if not missing:
        return
    kinds: dict[str, int] = {}
    for counts in missing.values():
        for kind, count in counts.items():
            kinds[kind] = kinds.get(kind, 0) + count
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    raise SetupError(
        f"What is stored was sealed with key {', '.join(sorted(missing))}, which is missing "
        f"({listed}; present: {vault.key_id}). Restore the file {FILE_NAME} or what {VARIABLE} "
        "held from a backup. Nothing was changed; without the key these must be forgotten, and "
        "the connections linked again: docs/operations.md, `When a key is lost`"
    )


_IS_FINGERPRINTS: Final = data_keys.c.purpose == _FINGERPRINTS
