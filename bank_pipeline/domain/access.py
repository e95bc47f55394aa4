"""Who may do what over HTTP: keys of programs, each of one team. Pure."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import SecretStr

from bank_pipeline.domain.audit import Actor, ActorKind
from bank_pipeline.domain.ids import ApiKeyId, TeamId

PREFIX: Final = "bpk"
"""What every key begins with, so that scanners for leaked secrets can know it."""

_SECRET_BYTES: Final = 32
_SHAPE: Final = re.compile(rf"{PREFIX}_([0-9a-f]{{32}})_([A-Za-z0-9_-]{{43}})")


class KeyScope(StrEnum):
    """What a key allows: READ to look at everything of its team, MANAGE to change it, too."""

    READ = "read"
    MANAGE = "manage"


@dataclass(frozen=True)
class Principal:
    """Whose key it is, and what it allows."""

    key_id: ApiKeyId
    team_id: TeamId
    scope: KeyScope

    @property
    def actor(self) -> Actor:
        """Whom the audit log names for what is done with the key."""
        return Actor(ActorKind.API_KEY, self.key_id)

    def may(self, scope: KeyScope) -> bool:
        """Say whether the key allows this."""
        return scope is KeyScope.READ or self.scope is KeyScope.MANAGE


@dataclass(frozen=True)
class ApiKey:
    """A key as it is kept: its secret by digest alone."""

    id: ApiKeyId
    team_id: TeamId
    name: str
    scope: KeyScope
    digest: bytes
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    def opens_with(self, secret: SecretStr) -> bool:
        """Compare in constant time. A revoked key opens nothing."""
        is_equal = hmac.compare_digest(digest_of(secret), self.digest)
        return is_equal and self.revoked_at is None


def new_secret() -> SecretStr:
    """Make the secret part of a key: 256 random bits, so that a plain digest protects it."""
    return SecretStr(secrets.token_urlsafe(_SECRET_BYTES))


def digest_of(secret: SecretStr) -> bytes:
    """Return what is stored of a secret."""
    return hashlib.sha256(secret.get_secret_value().encode()).digest()


def to_token(key_id: ApiKeyId, secret: SecretStr) -> SecretStr:
    """Return the key as a program sends it."""
    return SecretStr(f"{PREFIX}_{key_id.replace('-', '')}_{secret.get_secret_value()}")


def id_of(token: SecretStr) -> ApiKeyId:
    """Return the id of a key of ours."""
    found = parse_token(token)
    assert found is not None, "a key that `to_token` made"
    return found[0]


def parse_token(token: SecretStr) -> tuple[ApiKeyId, SecretStr] | None:
    """Take a key apart; None when it is none."""
    found = _SHAPE.fullmatch(token.get_secret_value())
    if found is None:
        return None
    plain = found[1]
    parts = (plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:])
    return ApiKeyId("-".join(parts)), SecretStr(found[2])
