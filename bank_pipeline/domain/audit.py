"""Who did what to whose data, and the chain that shows when such an entry was changed. Pure."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

Details = Mapping[str, int | bool | str | None]
"""Counts, ids and words of ours: never a name, an account number or a bank's text."""

GENESIS: Final = bytes(32)
"""What the first seal follows."""

_PLAIN: Final = re.compile(r"[\w.:@+-]{1,100}", re.ASCII)


class ActorKind(StrEnum):
    """What kind of somebody acted."""

    CLI = "cli"
    API_KEY = "api_key"
    LINK = "link"
    DAGSTER = "dagster"
    SYSTEM = "system"


@dataclass(frozen=True)
class Actor:
    """
    Who acted.

    `id`: the operator's login at the command line, an API key's id, what a link that was sent
    is for, or the run of Dagster's.
    """

    kind: ActorKind
    id: str | None = None

    def __post_init__(self) -> None:
        assert self.id is None or _PLAIN.fullmatch(self.id), "an id, in plain characters"


SYSTEM: Final = Actor(ActorKind.SYSTEM)
"""Nobody in particular: what a process does by itself."""


class AuditAction(StrEnum):
    """What was done."""

    LINKED = "linked"
    RENEWED = "renewed"
    SYNCED = "synced"
    CREDENTIAL_READ = "credential_read"
    CONSENT_ENDED = "consent_ended"
    DISCONNECTED = "disconnected"
    ACCOUNTS_CHOSEN = "accounts_chosen"
    ACCOUNT_DECIDED = "account_decided"
    ROWS_UNDONE = "rows_undone"
    ROWS_REPLAYED = "rows_replayed"
    ROWS_DECIDED = "rows_decided"
    SETTINGS_CHANGED = "settings_changed"
    KEYS_CHANGED = "keys_changed"
    TEAM_MADE = "team_made"
    API_KEY_MADE = "api_key_made"
    API_KEY_REVOKED = "api_key_revoked"
    TARGET_SET = "target_set"
    TARGET_REMOVED = "target_removed"
    LOGIN_MADE = "login_made"
    LOGIN_REMOVED = "login_removed"
    EXPORTED = "exported"
    ERASE_ASKED = "erase_asked"
    ERASED = "erased"


@dataclass(frozen=True)
class AuditEntry:
    """One thing that was done."""

    id: int
    at: datetime
    actor: Actor
    action: AuditAction
    team_id: str | None
    connection_id: str | None
    details: Details


@dataclass(frozen=True)
class Seal:
    """What fixes one entry, and by its hash all entries before it."""

    number: int
    entry_id: int
    sealed_at: datetime
    digest: bytes
    hash: bytes


def check_details(details: Details) -> dict[str, int | bool | str | None]:
    """Return the details as they are stored; text that is more than an id or a word is a bug."""
    for value in details.values():
        assert not isinstance(value, str) or _PLAIN.fullmatch(value), "ids, counts and plain words"
    return dict(details)


def to_actor_id(text: str) -> str:
    """Return a login's name in the characters that an actor's id may have."""
    return re.sub(r"[^\w.:@+-]", "_", text, flags=re.ASCII)[:100] or "unknown"


def dagster_actor(run_id: str) -> Actor:
    """Return a run of Dagster's."""
    return Actor(ActorKind.DAGSTER, run_id)


def digest_of(entry: AuditEntry) -> bytes:
    """
    Return what stands for an entry: equal for equal entries, and for no others.

    The form is for ever: another one would break the chain at all entries before it.
    """
    values = (
        entry.id,
        entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        entry.actor.kind.value,
        entry.actor.id,
        entry.action.value,
        entry.team_id,
        entry.connection_id,
        dict(entry.details),
    )
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).digest()


def seal(previous: Seal | None, entry: AuditEntry, *, sealed_at: datetime) -> Seal:
    """Return the seal of an entry that follows another seal, None: the first one."""
    number = 1 if previous is None else previous.number + 1
    digest = digest_of(entry)
    before = GENESIS if previous is None else previous.hash
    return Seal(
        number=number,
        entry_id=entry.id,
        sealed_at=sealed_at,
        digest=digest,
        hash=chain_hash(before, entry.id, sealed_at=sealed_at, digest=digest),
    )


def chain_hash(before: bytes, entry_id: int, *, sealed_at: datetime, digest: bytes) -> bytes:
    """Return the hash that fixes an entry and, by the hash before it, all up to here."""
    moment = sealed_at.astimezone(UTC).isoformat(timespec="microseconds")
    return hashlib.sha256(b"|".join((before, f"{entry_id}|{moment}".encode(), digest))).digest()
