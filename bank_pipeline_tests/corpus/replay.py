"""A table of transactions in memory: answers are applied to it by the domain's own rules."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bank_pipeline.domain.changes import ChangePlan, plan_changes
from bank_pipeline.domain.ids import TransactionId
from bank_pipeline.domain.looks import Look, plan_looks
from bank_pipeline.domain.stored import StoredTransaction
from bank_pipeline.domain.transaction import Transaction, TransactionDelta, TransactionStatus
from bank_pipeline.domain.window import DateWindow


@dataclass
class Table:
    """What a sync would have stored. `rows` keeps what is gone, as the database does."""

    rows: dict[TransactionId, Transaction] = field(default_factory=dict)
    gone: set[TransactionId] = field(default_factory=set)

    @property
    def live(self) -> list[Transaction]:
        """Return the rows that count: neither removed nor vanished."""
        return [row for key, row in self.rows.items() if key not in self.gone]

    def apply(self, delta: TransactionDelta) -> int:
        """Apply one update whole; return how many rows are new."""
        plan = plan_changes(self._stored(), delta)
        self._write(plan)
        return len(plan.inserts)

    def _write(self, plan: ChangePlan) -> None:
        for transaction in plan.inserts:
            self.rows[TransactionId(f"row-{len(self.rows):04}")] = transaction
        for update in plan.updates:
            self.rows[update.id] = update.transaction
            self.gone.discard(update.id)
        self.gone |= {*plan.removals, *plan.vanished, *plan.overdue}
        for rename in plan.renames:
            row = self.rows[rename.id]
            self.rows[rename.id] = row.model_copy(update={"external_id": rename.after})

    def apply_window(
        self, shown: Sequence[Transaction], *, account: str, covered: DateWindow | None
    ) -> int:
        """Apply one answer about some dates; return how many rows are new."""
        plan = plan_looks(self._stored(), [Look(account, tuple(shown), covered)])
        self._write(plan)
        return len(plan.inserts)

    def id_of(self, account: str, external_id: str) -> TransactionId | None:
        """Return our id of the live row that goes by a provider's id."""
        return next(
            (
                key
                for key, row in self.rows.items()
                if (row.account_external_id, row.external_id) == (account, external_id)
                and key not in self.gone
            ),
            None,
        )

    def _stored(self) -> Iterable[StoredTransaction]:
        return [
            StoredTransaction(
                id=key,
                account_external_id=row.account_external_id,
                external_id=row.external_id,
                pending_external_id=row.pending_external_id,
                status=self._status(key, row),
                content_hash=row.content_hash,
                is_removed=key in self.gone,
                amount=row.amount,
                currency=row.currency,
                transaction_date=row.transaction_date,
                booking_date=row.booking_date,
                description=row.description,
            )
            for key, row in self.rows.items()
        ]

    def _status(self, key: TransactionId, row: Transaction) -> TransactionStatus:
        is_vanished = key in self.gone and row.status is TransactionStatus.PENDING
        return TransactionStatus.VANISHED if is_vanished else row.status
