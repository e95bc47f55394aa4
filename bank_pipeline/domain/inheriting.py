"""Of two rows told twice the bank takes back the other one than a person did. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from bank_pipeline.domain.changes import ChangePlan, Rename
from bank_pipeline.domain.ids import TransactionId
from bank_pipeline.domain.matching import loose_content
from bank_pipeline.domain.stored import StoredTransaction, key_of
from bank_pipeline.domain.transaction import TransactionDelta, TransactionStatus


@dataclass(frozen=True)
class Inherited:
    """A plan, and since when it is in doubt whether the bank still has what went on; else None."""

    plan: ChangePlan
    doubted_since: date | None


def with_heirs(
    plan: ChangePlan,
    delta: TransactionDelta,
    *,
    stored: Iterable[StoredTransaction],
    ended: Iterable[StoredTransaction],
) -> Inherited:
    """
    Have rows that the bank takes back go on as equal ones that people dropped, and it did not.

    The two exchange their names: what is left at the bank is the live row now. Nobody noted whether
    it took the dropped one back before; where `delta` does not show it, its whole history must.
    """
    removals, shown = {*plan.removals}, {key_of(row) for row in delta.upserts}
    written = {update.id for update in plan.updates} | {rename.id for rename in plan.renames}
    free = sorted(
        (
            row
            for row in ended
            if row.is_dropped and row.key not in delta.removed and row.id not in written
        ),
        key=lambda row: row.id,
    )
    renames: list[Rename] = []
    kept: set[TransactionId] = set()
    doubted: list[date] = []
    for row in stored:
        is_gone = row.id in removals
        heir = next((one for one in free if _is_equal(row, one)), None) if is_gone else None
        if heir is None:
            continue
        free.remove(heir)
        kept.add(row.id)
        renames.append(Rename(row.id, row.external_id, heir.external_id))
        renames.append(Rename(heir.id, heir.external_id, row.external_id))
        if heir.key not in shown and row.booking_date is not None:
            doubted.append(row.booking_date)
    if not kept:
        return Inherited(plan, None)
    plan = replace(
        plan,
        removals=tuple(id_ for id_ in plan.removals if id_ not in kept),
        renames=(*plan.renames, *renames),
        swaps_names=True,
    )
    return Inherited(plan, min(doubted, default=None))


def _is_equal(one: StoredTransaction, other: StoredTransaction) -> bool:
    return (
        {one.status, other.status} == {TransactionStatus.BOOKED}
        and one.account_external_id == other.account_external_id
        and one.currency == other.currency
        and loose_content(one) == loose_content(other)
    )
