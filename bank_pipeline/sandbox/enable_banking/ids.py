"""
Enable Banking's identifiers.

Those of accounts and transactions are derived, so that answers and the truth arrive at the same
one without sharing code; sessions, codes and keys are drawn from a seed. Thread-safe.
"""

import base64
import hashlib
import json
import threading
import uuid
from collections.abc import Sequence
from random import Random
from typing import Final

from bank_pipeline.sandbox.chance import dice

IBAN_PATH: Final = ("account", "account_id", "iban")
OTHER_PATH: Final = ("account", "account_id", "other", "identification")
_DIGITS: Final = 14


class Mint:
    """Draw new ids; the same seed draws the same ones in the same order."""

    def __init__(self, seed: int) -> None:
        self._dice = Random(f"enable_banking {seed}")
        self._lock = threading.Lock()

    def uuid(self) -> str:
        """Return a new random UUID."""
        with self._lock:
            return str(uuid.UUID(int=self._dice.getrandbits(128), version=4))

    def opaque(self) -> str:
        """Return a new text as continuation keys are: base64 of something."""
        return base64.urlsafe_b64encode(self.uuid().encode()).decode()


def derive_uid(session_id: str, world_account_id: str) -> str:
    """Return an account's id in one session; the next session knows it by another."""
    words = f"{session_id}\x1f{world_account_id}".encode()
    return str(uuid.UUID(bytes=hashlib.sha256(words).digest()[:16], version=4))


def derive_hash(path: Sequence[str], number: str) -> str:
    """
    Return the identification hash of an account number found at `path`.

    Equal in all sessions and for all users. It does not know the currency: wallets that share
    an IBAN share their hash.
    """
    named = base64.b64encode(json.dumps([path], indent=0).encode()).decode()
    hashed = base64.b64encode(hashlib.sha256(number.encode()).digest()).decode()
    return f"{named}.{hashed}"


def derive_reference(*words: object) -> str:
    """Return a bank's reference of an entry: digits, as archive numbers are."""
    number = int.from_bytes(hashlib.sha256("\x1f".join(map(str, words)).encode()).digest()[:8])
    return f"{number % 10**_DIGITS:0{_DIGITS}d}"


def derive_transaction_id(nonce: str, entry_key: str) -> str:
    """Return an id of a row that holds for one answer: each answer has another `nonce`."""
    hashed = hashlib.sha256(f"{nonce}\x1f{entry_key}".encode()).digest()[:18]
    return f"{nonce}.{base64.urlsafe_b64encode(hashed).decode()}"


def derive_psu_id_hash(application_id: str, psu_id: str) -> str:
    """Return the hash of a customer's id; it differs between applications."""
    hashed = hashlib.sha256(f"{application_id}\x1f{psu_id}".encode()).digest()
    return base64.b64encode(hashed).decode()


def derive_number(*words: object, length: int = 12) -> str:
    """Return digits that depend on the words alone, for account numbers without an IBAN."""
    rolled = dice(*words)
    return "".join(str(rolled.randrange(10)) for _ in range(length))
