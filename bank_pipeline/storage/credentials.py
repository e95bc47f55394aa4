"""
Secrets at rest: AES-256-GCM, each bound to the row it belongs to.

A ciphertext says which key made it, so that keys can be exchanged one after the other, and
does not open in another connection's row. Secrets are never in a message or a repr.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr
from sqlalchemy.dialects.postgresql import insert

from bank_pipeline.config import Settings
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import NotFoundError, SecretError, SetupError
from bank_pipeline.storage.belonging import team_of_connection
from bank_pipeline.storage.keys import FILE_NAME, KEY_BYTES, load_key_file, parse_keys
from bank_pipeline.storage.tables import (
    consents_to_end,
    credentials,
    next_consents,
    notification_targets,
)

_FORMAT: Final = b"\x01"  # first byte of a ciphertext: nonce of 12 bytes, then text and tag
_NONCE_BYTES: Final = 12
_KEY_ID_BYTES: Final = 8


@dataclass(frozen=True)
class Sealed:
    """An encrypted text and the id of the key that opens it."""

    ciphertext: bytes
    key_id: str


class Vault:
    """
    Encrypts with its first key, decrypts with any.

    A key's id is derived from the key, so that ids cannot be mixed up. Encryption and
    fingerprints use keys of their own, derived from the same one.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        assert keys, "a vault has a key"
        assert all(len(key) == KEY_BYTES for key in keys), "keys have 32 bytes"
        self._ciphers = {
            _derive(key, "id")[:_KEY_ID_BYTES].hex(): AESGCM(_derive(key, "encryption"))
            for key in keys
        }
        self._fingerprint_key = _derive(keys[0], "fingerprint")
        self.key_id = next(iter(self._ciphers))
        """Of the key that encrypts."""

    def __repr__(self) -> str:
        return f"Vault(key_id={self.key_id!r})"

    @property
    def key_ids(self) -> frozenset[str]:
        """Return the ids of all keys it can decrypt with."""
        return frozenset(self._ciphers)

    def encrypt(self, plaintext: SecretStr, bound_to: str) -> Sealed:
        """Encrypt; it opens only with the same `bound_to`, such as its connection's id."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        text = plaintext.get_secret_value().encode()
        body = self._ciphers[self.key_id].encrypt(nonce, text, _context(bound_to))
        return Sealed(_FORMAT + nonce + body, self.key_id)

    def decrypt(self, sealed: Sealed, bound_to: str) -> SecretStr:
        """
        Open a text that was encrypted with one of our keys and this `bound_to`.

        Raises:
            SecretError: another key, another row, or an altered text.
        """
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise SecretError(f"The secret of {bound_to} needs key {sealed.key_id}: not ours")
        nonce = sealed.ciphertext[1 : 1 + _NONCE_BYTES]
        if not sealed.ciphertext.startswith(_FORMAT) or len(nonce) < _NONCE_BYTES:
            raise SecretError(f"The secret of {bound_to} is not in a format we write")
        body = sealed.ciphertext[1 + _NONCE_BYTES :]
        try:
            return SecretStr(cipher.decrypt(nonce, body, _context(bound_to)).decode())
        except InvalidTag:
            raise SecretError(
                f"The secret of {bound_to} does not open: altered, or moved from another row"
            ) from None

    def fingerprint(self, text: str) -> bytes:
        """
        Return 32 bytes by which to find a secret again without storing it.

        Depends on the first key: after a change of keys, older fingerprints match nothing.
        """
        return hmac.digest(self._fingerprint_key, text.encode(), "sha256")


def load_vault(settings: Settings) -> Vault:
    """
    Open the vault with the keys configured, or those in the state folder, made on first use.

    Raises:
        SetupError: a key is malformed, or its file is readable by others.
    """
    configured = settings.encryption_key
    if configured is None:
        return Vault(load_key_file(settings.state_dir))
    return Vault(parse_keys(configured.get_secret_value(), "BANK_PIPELINE_ENCRYPTION_KEY"))


def check_key(engine: sa.Engine, vault: Vault) -> None:
    """
    Make sure that every stored credential has its key, before anything is encrypted anew.

    Raises:
        SetupError: a key is missing, such as after its file was deleted.
    """
    with engine.connect() as db:
        missing = load_missing_keys(db, vault)
    if missing:
        raise SetupError(
            f"{sum(missing.values())} stored credentials were encrypted with "
            f"key {', '.join(sorted(missing))}, which is missing (present: {vault.key_id}): "
            f"restore the file {FILE_NAME} or BANK_PIPELINE_ENCRYPTION_KEY from a backup. Without "
            "it these connections must be linked again"
        )


def load_missing_keys(db: sa.Connection, vault: Vault) -> dict[str, int]:
    """Return the ids of keys that something was sealed with and that are not here, with counts."""
    every = sa.union_all(
        *(
            sa.select(table.c.key_id).where(table.c.key_id.is_not(None))
            for table in (credentials, next_consents, consents_to_end, notification_targets)
        )
    ).subquery()
    query = sa.select(every.c.key_id, sa.func.count()).group_by(every.c.key_id)
    counts = {str(key_id): int(count) for key_id, count in db.execute(query)}
    return {key_id: count for key_id, count in counts.items() if key_id not in vault.key_ids}


def store_credential(
    db: sa.Connection,
    connection_id: ConnectionId,
    secret: SecretStr,
    vault: Vault,
    now: datetime,
) -> None:
    """Write the connection's secret, in place of an earlier one."""
    sealed = vault.encrypt(secret, connection_id)
    row = {"ciphertext": sealed.ciphertext, "key_id": sealed.key_id, "updated_at": now}
    belonging = {"connection_id": connection_id, "team_id": team_of_connection(connection_id)}
    statement = insert(credentials).values(**belonging, **row)
    db.execute(statement.on_conflict_do_update(index_elements=["connection_id"], set_=row))


def load_credential(db: sa.Connection, connection_id: ConnectionId, vault: Vault) -> SecretStr:
    """
    Read and open the connection's secret.

    Raises:
        NotFoundError: it has none: never linked, or disconnected.
        SecretError: it does not open.
    """
    query = sa.select(credentials.c.ciphertext, credentials.c.key_id)
    row = db.execute(query.where(credentials.c.connection_id == connection_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"Connection {connection_id} has no stored credential")
    return vault.decrypt(Sealed(bytes(row.ciphertext), row.key_id), connection_id)


def delete_credential(db: sa.Connection, connection_id: ConnectionId) -> bool:
    """Forget the connection's secret; return whether there was one."""
    statement = sa.delete(credentials).where(credentials.c.connection_id == connection_id)
    return db.execute(statement.returning(credentials.c.connection_id)).one_or_none() is not None


def _derive(key: bytes, purpose: str) -> bytes:
    return hmac.digest(key, f"bank_pipeline {purpose}".encode(), hashlib.sha256)


def _context(bound_to: str) -> bytes:
    return f"bank_pipeline credential of {bound_to}".encode()
