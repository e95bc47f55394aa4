"""
GoCardless's identifiers: UUIDs, and ids of transactions that banks and GoCardless give.

Those of accounts and transactions are derived, so that answers and truth arrive at the same one
without sharing code; the others are drawn from a seed.
"""

import hashlib
import threading
import uuid
from random import Random


class Mint:
    """Draw new ids; the same seed draws the same ones in the same order. Thread-safe."""

    def __init__(self, seed: int) -> None:
        self._dice = Random(f"gocardless {seed}")
        self._lock = threading.Lock()

    def uuid(self) -> str:
        """Return a new random UUID."""
        with self._lock:
            return str(uuid.UUID(int=self._dice.getrandbits(128), version=4))


def derive_account_id(seed: int, requisition_id: str, world_account_id: str) -> str:
    """Return an account's id, which is another one in each requisition."""
    text = digest("account", str(seed), requisition_id, world_account_id)
    return str(uuid.UUID(hex=text, version=4))


def derive_internal_id(account_id: str, entry_id: str) -> str:
    """Return GoCardless's own id of a booked transaction: 32 hexadecimal digits."""
    return digest("internal", account_id, entry_id)


def derive_bank_id(entry_id: str, *, pending: bool) -> str:
    """Return the bank's id of a transaction: 40 hexadecimal digits, others while pending."""
    state = "pending" if pending else "booked"
    return digest("bank", entry_id, state) + digest("bank2", entry_id, state)[:8]


def digest(*words: str) -> str:
    """Return 32 hexadecimal digits that depend on the words alone."""
    return hashlib.blake2b("\x1f".join(words).encode(), digest_size=16).hexdigest()
