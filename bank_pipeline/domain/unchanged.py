"""The short way for a big update that mostly repeats what we hold. Pure."""

from collections.abc import Mapping

from bank_pipeline.domain.transaction import TransactionDelta

Hashes = Mapping[str, Mapping[str, bytes]]
"""account external id -> external id -> content hash, of live rows."""


def without_unchanged(delta: TransactionDelta, hashes: Hashes) -> tuple[TransactionDelta, int]:
    """
    Leave out the upserts that are stored as they are; return the rest, and how many were left out.

    The rest may be planned alone: an unchanged row stays in the delta where another entry
    names it, as removed or as the pending row that it books. Not for a reconcile, which
    must see everything that was shown.
    """
    named = delta.removed | {
        (t.account_external_id, t.pending_external_id)
        for t in delta.upserts
        if t.pending_external_id is not None
    }
    nothing: Mapping[str, bytes] = {}
    rest = tuple(
        t
        for t in delta.upserts
        if (stored := hashes.get(t.account_external_id, nothing).get(t.external_id)) is None
        or stored != t.content_hash
        or (t.account_external_id, t.external_id) in named
    )
    return delta.model_copy(update={"upserts": rest}), len(delta.upserts) - len(rest)
