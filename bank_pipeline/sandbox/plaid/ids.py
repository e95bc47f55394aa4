"""
Plaid's identifiers: opaque, case-sensitive, 37 characters; tokens with their environment in them.

Ids of accounts and transactions are derived, so that the feed and the truth arrive at the same
one without sharing code; tokens, Items and requests are drawn from a seed. Thread-safe.
"""

import hashlib
import string
import threading
import uuid
from random import Random
from typing import Final

_ALPHABET: Final = string.digits + string.ascii_letters
_ID_LENGTH: Final = 37
_REQUEST_ID_LENGTH: Final = 15


class Mint:
    """Draw new tokens and ids; the same seed draws the same ones in the same order."""

    def __init__(self, seed: int) -> None:
        self._dice = Random(f"plaid {seed}")
        self._lock = threading.Lock()

    def token(self, kind: str) -> str:
        """Return a new `access`, `public` or `link` token."""
        return f"{kind}-sandbox-{self.uuid()}"

    def uuid(self) -> str:
        """Return a new random UUID."""
        with self._lock:
            return str(uuid.UUID(int=self._dice.getrandbits(128), version=4))

    def item_id(self) -> str:
        """Return a new id of an Item."""
        return self._draw(_ID_LENGTH)

    def request_id(self) -> str:
        """Return a new id of a request: 15 letters and digits."""
        return self._draw(_REQUEST_ID_LENGTH)

    def _draw(self, length: int) -> str:
        with self._lock:
            return "".join(self._dice.choices(_ALPHABET, k=length))


def derive_account_id(item_id: str, world_account_id: str, generation: int) -> str:
    """Return an account's id in an Item; each time it is granted anew it has another."""
    return _derive("account", item_id, world_account_id, str(generation))


def derive_transaction_id(account_id: str, entry_id: str, *, pending: bool) -> str:
    """Return a transaction's id; it has another one while pending than when posted."""
    return _derive("transaction", account_id, entry_id, "pending" if pending else "posted")


def derive_entity_id(name: str) -> str:
    """Return the id of a merchant."""
    return _derive("entity", name)


def _derive(*words: str) -> str:
    rest = int.from_bytes(hashlib.sha256("\x1f".join(words).encode()).digest())
    letters = []
    for _ in range(_ID_LENGTH):
        rest, index = divmod(rest, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "".join(letters)
