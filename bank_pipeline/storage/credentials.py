"""
Secrets at rest: AES-256-GCM, each bound to the row it belongs to.

A ciphertext says which key made it, so that keys can be exchanged one after the other, and
does not open in another row. Secrets are never in a message or a repr.
"""

import hmac
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
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
from bank_pipeline.storage.keys import KEY_BYTES, KeySource, derive, key_id_of, open_source
from bank_pipeline.storage.tables import credentials

_FORMAT: Final = b"\x01"  # first byte of a ciphertext: nonce of 12 bytes, then text and tag
_NONCE_BYTES: Final = 12
_DIGEST_BYTES: Final = 16
_ANNOUNCED_AGAIN_AFTER_S: Final = 60.0
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sealed:
    """An encrypted text and the id of the key that opens it."""

    ciphertext: bytes
    key_id: str


@dataclass(frozen=True)
class _Ring:
    """The keys at one moment: the one that seals, and all that open."""

    key_id: str
    ciphers: Mapping[str, AESGCM] = field(repr=False)

    @classmethod
    def of(cls, keys: Sequence[bytes]) -> "_Ring":
        assert keys, "a vault has a key"
        assert all(len(key) == KEY_BYTES for key in keys), "keys have 32 bytes"
        ciphers = {key_id_of(key): AESGCM(derive(key, "encryption")) for key in keys}
        return cls(next(iter(ciphers)), MappingProxyType(ciphers))


class Vault:
    """
    Seals with its first key, opens with any. Safe to share between threads.

    With a `source` it follows it: keys are read again when the source may have changed, and
    when something is to be opened whose key is not there. What could once be opened still can.

    Fingerprints have a key of their own, which outlives the others: see `adopt`. Until then it
    is derived from the first key, as it is in an installation that is new.
    """

    def __init__(self, keys: Sequence[bytes], *, source: KeySource | None = None) -> None:
        self._ring = _Ring.of(keys)
        self._source = source
        self._announce: Callable[[str], bool] = _no_announcement
        self._fingerprint_key = derive(keys[0], "fingerprint")
        self._reading = threading.Lock()
        self._announce_at: float | None = None

    def __repr__(self) -> str:
        return f"Vault(key_id={self.key_id!r})"

    @property
    def key_id(self) -> str:
        """Return the id of the key that seals."""
        self._follow(is_needed=False)
        return self._ring.key_id

    @property
    def key_ids(self) -> frozenset[str]:
        """Return the ids of all keys it can open with."""
        self._follow(is_needed=False)
        return frozenset(self._ring.ciphers)

    def knows(self, key_id: str) -> bool:
        """Say whether it can open what this key sealed, looking for new keys if it cannot."""
        if key_id not in self._ring.ciphers:
            self._follow(is_needed=True)
        return key_id in self._ring.ciphers

    def seal(self, content: bytes, bound_to: str) -> Sealed:
        """Encrypt; it opens only with the same `bound_to`, which names its row."""
        self._follow(is_needed=False)
        ring = self._ring
        nonce = secrets.token_bytes(_NONCE_BYTES)
        body = ring.ciphers[ring.key_id].encrypt(nonce, content, _context(bound_to))
        return Sealed(_FORMAT + nonce + body, ring.key_id)

    def unseal(self, sealed: Sealed, bound_to: str) -> bytes:
        """
        Open what was sealed with one of our keys and this `bound_to`.

        Raises:
            SecretError: another key, another row, or an altered text.
        """
        if not self.knows(sealed.key_id):
            raise SecretError(f"The secret of {bound_to} needs key {sealed.key_id}: not ours")
        nonce = sealed.ciphertext[1 : 1 + _NONCE_BYTES]
        if not sealed.ciphertext.startswith(_FORMAT) or len(nonce) < _NONCE_BYTES:
            raise SecretError(f"The secret of {bound_to} is not in a format we write")
        body = sealed.ciphertext[1 + _NONCE_BYTES :]
        try:
            return self._ring.ciphers[sealed.key_id].decrypt(nonce, body, _context(bound_to))
        except InvalidTag:
            raise SecretError(
                f"The secret of {bound_to} does not open: altered, or moved from another row"
            ) from None

    def encrypt(self, plaintext: SecretStr, bound_to: str) -> Sealed:
        """Seal a text; it opens only with the same `bound_to`, such as its connection's id."""
        return self.seal(plaintext.get_secret_value().encode(), bound_to)

    def decrypt(self, sealed: Sealed, bound_to: str) -> SecretStr:
        """
        Open a text that was encrypted with one of our keys and this `bound_to`.

        Raises:
            SecretError: another key, another row, or an altered text.
        """
        return SecretStr(self.unseal(sealed, bound_to).decode())

    def fingerprint(self, text: str) -> bytes:
        """Return 32 bytes by which to find a secret again without storing it."""
        return hmac.digest(self._fingerprint_key, text.encode(), "sha256")

    def to_keyed(self, digest: bytes) -> bytes:
        """
        Return a digest that only we can compute, for contents that others could guess.

        Whoever knows all of an answer but an account's number would find that by trying.
        """
        return hmac.digest(self._fingerprint_key, digest, "sha256")[:_DIGEST_BYTES]

    @property
    def fingerprint_key(self) -> SecretStr:
        """Return the key of fingerprints, to be sealed and stored."""
        return SecretStr(self._fingerprint_key.hex())

    def adopt(self, fingerprint_key: SecretStr, announce: Callable[[str], bool]) -> None:
        """
        Take what an installation has stored: the key of its fingerprints.

        `announce` tells it of another key that is to seal from now on, and says whether it may.
        """
        self._fingerprint_key = bytes.fromhex(fingerprint_key.get_secret_value())
        self._announce = announce

    def _follow(self, *, is_needed: bool) -> None:
        """
        Read the keys again if that may help; whatever fails, those at hand stay.

        Whoever needs another key waits for a thread that reads them already: the source has been
        looked at then, and the keys are not here yet.
        """
        source = self._source
        if source is None or not (is_needed or self._may_help(source, is_needed=False)):
            return
        with self._reading:
            if not self._may_help(source, is_needed=is_needed):
                return
            try:
                found = _Ring.of(source.read())
            except SetupError as error:
                _log.error("keys cannot be read again, so those at hand go on: %s", error)
                return
            held = self._ring
            ciphers = MappingProxyType({**held.ciphers, **found.ciphers})
            self._ring = _Ring(held.key_id, ciphers)  # opens at once; seals when it is announced
            may_seal = found.key_id == held.key_id or self._announce(found.key_id)
            self._announce_at = None if may_seal else time.monotonic() + _ANNOUNCED_AGAIN_AFTER_S
            if may_seal:
                self._ring = _Ring(found.key_id, ciphers)

    def _may_help(self, source: KeySource, *, is_needed: bool) -> bool:
        """Say whether the source has other keys, or one that could not be announced is due."""
        due_at = self._announce_at
        is_due = due_at is not None and time.monotonic() >= due_at
        return is_due or source.may_have_changed(is_needed=is_needed)


def load_vault(settings: Settings) -> Vault:
    """
    Open the vault with the keys configured, or those in the state folder, made on first use.

    Raises:
        SetupError: the keys cannot be had, or one is malformed; the message says what to do.
    """
    source = open_source(settings)
    return Vault(source.read(), source=source)


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


def _no_announcement(_: str) -> bool:
    return True


def _context(bound_to: str) -> bytes:
    return f"bank_pipeline credential of {bound_to}".encode()
