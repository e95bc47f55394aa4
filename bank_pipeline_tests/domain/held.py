"""The table of transactions in memory: looks are applied to it as storage applies them."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from bank_pipeline.domain.changes import ChangePlan, plan_changes
from bank_pipeline.domain.ids import TransactionId
from bank_pipeline.domain.looks import Look, plan_looks
from bank_pipeline.domain.stored import StoredTransaction
from bank_pipeline.domain.transaction import Transaction, TransactionDelta, TransactionStatus
from bank_pipeline.domain.window import DateWindow


class Held:
    """Stored rows of account `a`; ids count from 1. `suspects` are flags that syncs wrote."""

    def __init__(self) -> None:
        self.rows: dict[TransactionId, StoredTransaction] = {}
        self.suspects: dict[TransactionId, TransactionId] = {}
        self.covered: tuple[DateWindow, ...] = ()

    def look(
        self, shown: Sequence[Transaction], covered: DateWindow | None, **named: Any
    ) -> ChangePlan:
        """Apply one answer of some dates, and remember what it covers."""
        plan = self.plan(shown, covered, **named)
        self.write(plan)
        if covered is not None:
            self.covered = (*self.covered, covered)
        return plan

    def plan(
        self, shown: Sequence[Transaction], covered: DateWindow | None, **named: Any
    ) -> ChangePlan:
        """Plan one answer."""
        given: dict[str, Any] = {"covered_before": self.covered, **named}
        return plan_looks(self.rows.values(), [Look("a", tuple(shown), covered, **given)])

    def feed(self, delta: TransactionDelta) -> ChangePlan:
        """Apply one update of a change feed."""
        plan = plan_changes(self.rows.values(), delta)
        self.write(plan)
        return plan

    def write(self, plan: ChangePlan) -> None:
        """Do what a plan says; names are checked at the end."""
        for update in plan.updates:
            self._put(update.id, update.transaction)
        for rename in plan.renames:
            assert self.rows[rename.id].external_id == rename.before
            self.rows[rename.id] = replace(self.rows[rename.id], external_id=rename.after)
        for id_ in plan.removals:
            assert not self.rows[id_].is_removed, "only live rows end"
            self.rows[id_] = replace(self.rows[id_], is_removed=True)
        for id_ in (*plan.vanished, *plan.overdue):
            assert self.rows[id_].status is TransactionStatus.PENDING
            self.rows[id_] = replace(
                self.rows[id_], is_removed=True, status=TransactionStatus.VANISHED
            )
        for transaction in plan.inserts:
            id_ = TransactionId(f"row-{len(self.rows) + 1:04}")
            self._put(id_, transaction)
            key = (transaction.account_external_id, transaction.external_id)
            if key in plan.suspects:
                self.suspects[id_] = plan.suspects[key]
        keys = [row.key for row in self.rows.values()]
        assert len(keys) == len({*keys}), "two rows of one name"

    def drop(self, id_: str) -> None:
        """Decide as a person that a row is another one told twice."""
        key = TransactionId(id_)
        self.rows[key] = replace(self.rows[key], is_removed=True, is_dropped=True)

    @property
    def live(self) -> list[StoredTransaction]:
        """Return what counts."""
        return [row for row in self.rows.values() if not row.is_removed]

    @property
    def names(self) -> dict[str, str]:
        """Return the live rows: our id by the bank's."""
        return {row.external_id: row.id for row in self.live}

    @property
    def amounts(self) -> dict[str, Decimal | None]:
        """Return the live rows: amount by our id."""
        return {row.id: row.amount for row in self.live}

    def _put(self, id_: TransactionId, row: Transaction) -> None:
        known = self.rows.get(id_)
        is_dropped = known is not None and known.is_dropped
        self.rows[id_] = StoredTransaction(
            id=id_,
            account_external_id=row.account_external_id,
            external_id=row.external_id,
            pending_external_id=row.pending_external_id,
            status=row.status,
            content_hash=row.content_hash,
            is_removed=is_dropped,
            amount=row.amount,
            currency=row.currency,
            transaction_date=row.transaction_date,
            booking_date=row.booking_date,
            description=row.description,
            running_balance=row.running_balance,
            is_dropped=is_dropped,
        )
