"""The short way for a big update that mostly repeats what we hold. Pure."""

from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from operator import ne
from typing import Final

from bank_pipeline.domain.transaction import Transaction, TransactionDelta

HASH_BYTES: Final = 16
_BATCH: Final = 1_000
Hashes = Mapping[bytes, str]
"""
Content hash -> account external id, of live rows that bear the name they were last told by.

A hash covers the row's account and name, so it finds the row by itself. The account is held
against the update's all the same: one that goes by a new name leaves its old name to another.
"""


class Fingerprints:
    """The content hashes of an update's rows, made as far as there is time while others work."""

    def __init__(self, rows: Sequence[Transaction]) -> None:
        self._rows = rows
        self.hashes: list[bytes] = []
        self.accounts: list[str] = []

    def make(self, *, is_over: Callable[[], bool] = lambda: False) -> None:
        """Make those that are not made yet, a batch at a time, until there is no time left."""
        while len(self.hashes) < len(self._rows) and not is_over():
            batch = self._rows[len(self.hashes) : len(self.hashes) + _BATCH]
            self.hashes += [row.content_hash for row in batch]
            self.accounts += [row.account_external_id for row in batch]


def without_unchanged(
    delta: TransactionDelta, hashes: Hashes, made: Fingerprints | None = None
) -> tuple[TransactionDelta, int]:
    """
    Leave out the upserts that are stored as they are; return the rest, and how many were left out.

    The rest may be planned alone: an unchanged row stays in the delta where another entry
    names it, as removed or as the pending row that it books. Not for a reconcile, which
    must see everything that was shown. `made` are fingerprints of the upserts, perhaps of a part.
    """
    if not hashes:
        return delta, 0  # nothing is there, and no fingerprint has to be made to know it
    upserts = delta.upserts
    made = made or Fingerprints(upserts)
    made.make()
    # Whole lists at once, for a million rows: a look at each by itself takes five times as long.
    differs = [*map(ne, map(hashes.get, made.hashes), made.accounts)]
    rest = [*compress(upserts, differs)]
    # Names without their accounts: rather one row more than a pair for each of many.
    removed: set[str | None] = {name for _, name in delta.removed}
    named = removed | {t.pending_external_id for t in rest}
    if named and not named.isdisjoint([t.external_id for t in upserts]):
        # A row that stays names others in its turn, so that here everybody counts.
        named = removed | {t.pending_external_id for t in upserts}
        both = zip(upserts, differs, strict=True)
        rest = [t for t, is_other in both if is_other or t.external_id in named]
    return delta.model_copy(update={"upserts": tuple(rest)}), len(upserts) - len(rest)
