"""The short way for a big update that mostly repeats what we hold. Pure."""

from collections.abc import Mapping
from typing import Final

from bank_pipeline.domain.transaction import TransactionDelta

HASH_BYTES: Final = 16
Hashes = Mapping[bytes, str]
"""
Content hash -> account external id, of live rows that bear the name they were last told by.

A hash covers the row's account and name, so it finds the row by itself. The account is held
against the update's all the same: one that goes by a new name leaves its old name to another.
"""


def without_unchanged(delta: TransactionDelta, hashes: Hashes) -> tuple[TransactionDelta, int]:
    """
    Leave out the upserts that are stored as they are; return the rest, and how many were left out.

    The rest may be planned alone: an unchanged row stays in the delta where another entry
    names it, as removed or as the pending row that it books. Not for a reconcile, which
    must see everything that was shown.
    """
    if not hashes:
        return delta, 0  # nothing is there, and no fingerprint has to be made to know it
    held, upserts = hashes.get, delta.upserts
    rest = [t for t in upserts if held(t.content_hash) != t.account_external_id]
    # Names without their accounts: rather one row more than a pair for each of many.
    removed: set[str | None] = {name for _, name in delta.removed}
    named = removed | {t.pending_external_id for t in rest}
    if named and not named.isdisjoint([t.external_id for t in upserts]):
        # A row that stays names others in its turn, so that here everybody counts.
        named = removed | {t.pending_external_id for t in upserts}
        rest = [
            t
            for t in upserts
            if held(t.content_hash) != t.account_external_id or t.external_id in named
        ]
    return delta.model_copy(update={"upserts": tuple(rest)}), len(upserts) - len(rest)
