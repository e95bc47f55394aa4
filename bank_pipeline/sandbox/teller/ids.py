"""
Teller's identifiers: a prefix and 21 lower-case letters and digits.

Ids of accounts and transactions are derived, so that answers and the truth arrive at the same
one without sharing code; tokens and enrollments are drawn from a seed. Thread-safe.
"""

import hashlib
import string
import threading
from functools import lru_cache
from random import Random
from typing import Final

from bank_pipeline.sandbox.chance import dice
from bank_pipeline.sandbox.ledger import Entry, EntryState

_ALPHABET: Final = string.digits + string.ascii_lowercase
_ID_LENGTH: Final = 21
_TOKEN_LENGTH: Final = 13
_KEPT: Final = 50_000  # ids of a year: an account's list is made of all of them at every reading


class Mint:
    """Draw new tokens and ids; the same seed draws the same ones in the same order."""

    def __init__(self, seed: int) -> None:
        self._dice = Random(f"teller {seed}")
        self._lock = threading.Lock()

    def token(self, environment: str) -> str:
        """Return a new access token, whose beginning tells the sandbox from real banks."""
        prefix = "test_token_" if environment == "sandbox" else "token_"
        return prefix + self._draw(_TOKEN_LENGTH)

    def new(self, prefix: str) -> str:
        """Return a new id, such as `enr_...` for `enr`."""
        return f"{prefix}_{self._draw(_ID_LENGTH)}"

    def _draw(self, length: int) -> str:
        with self._lock:
            return "".join(self._dice.choices(_ALPHABET, k=length))


def derive_account_id(enrollment_id: str, world_account_id: str) -> str:
    """Return an account's id, which it keeps as long as its enrollment is there."""
    return derive("acc", enrollment_id, world_account_id)


def derive_transaction_id(account_id: str, entry: Entry, new_id_share: float) -> str:
    """Return a transaction's id; most keep the one of their pending time when they post."""
    can_be_new = entry.state is not EntryState.PENDING
    share = new_id_share if entry.linked else 1.0  # one that is not linked always gets another
    return _transaction_id(account_id, entry.id, share if can_be_new else 0.0)


@lru_cache(_KEPT)
def _transaction_id(account_id: str, entry_id: str, new_id_share: float) -> str:
    is_new = dice("teller", account_id, entry_id).random() < new_id_share
    return derive("txn", account_id, entry_id, "posted" if is_new else "first")


def derive(prefix: str, *words: str) -> str:
    """Return the id that always comes of these words."""
    rest = int.from_bytes(hashlib.sha256("\x1f".join((prefix, *words)).encode()).digest())
    letters = []
    for _ in range(_ID_LENGTH):
        rest, index = divmod(rest, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return f"{prefix}_{''.join(letters)}"
