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
    named = {t.pending_external_id for t in delta.upserts}  # whose account is not asked: rather
    named |= {external_id for _, external_id in delta.removed}  # one row more than one too few
    held = hashes.get
    rest = tuple(
        [  # a list first: a generator would take turns with the tuple for each of the many rows
            t
            for t in delta.upserts
            if held(t.content_hash) != t.account_external_id or t.external_id in named
        ]
    )
    return delta.model_copy(update={"upserts": rest}), len(delta.upserts) - len(rest)
