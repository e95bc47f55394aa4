"""Rows of accounts that go by another id now: found by content, under the names they have now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.changes import StoredTransaction
from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.ids import AccountId, TransactionId
from bank_pipeline.domain.moving import match_moved
from bank_pipeline.domain.transaction import Transaction, TransactionDelta
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.providers.answers import WindowAnswer
from bank_pipeline.storage.accounts import load_moved
from bank_pipeline.storage.transactions import load_stored, load_stored_in

A_DAY: Final = timedelta(days=1)
_NONE: Final = timedelta(0)


@dataclass(frozen=True)
class Moved:
    """
    What one answer says of rows whose account has moved.

    `rows` are stored rows under their new names; their hash is emptied, so that the name is
    written even where all else is equal. `accounts` are those that have arrived now, and `slack`
    by how much the dates of another provider may differ in them.
    """

    rows: tuple[StoredTransaction, ...]
    accounts: frozenset[str]
    slack: Mapping[str, timedelta]
    gone_names: frozenset[tuple[str, str]]

    @classmethod
    def of_windows(
        cls,
        db: sa.Connection,
        connection: Connection,
        answers: Sequence[WindowAnswer],
        told: Mapping[str, DateWindow],
        account_ids: Mapping[str, AccountId],
    ) -> "Moved":
        """Find the rows of the accounts that were read by windows."""
        slack = _slack_of(db, connection)
        wider = {
            name: DateWindow(first=window.first - slack[name], last=window.last + slack[name])
            for name, window in told.items()
            if name in slack
        }
        if not wider:
            return _NOTHING_MOVED
        held = load_stored_in(db, account_ids=account_ids, windows=wider)
        shown = [row for one in answers for row in one.transactions]
        return _found(db, held, shown, {name: slack[name] for name in wider}, account_ids)

    @classmethod
    def of_changes(
        cls,
        db: sa.Connection,
        connection: Connection,
        delta: TransactionDelta,
        account_ids: Mapping[str, AccountId],
    ) -> "Moved":
        """Find the rows of the accounts that a change feed told of."""
        slack = _slack_of(db, connection)
        told = {row.account_external_id for row in delta.upserts}
        arrived = {name: one for name, one in slack.items() if name in told}
        if not arrived:
            return _NOTHING_MOVED
        ids = {name: account_ids[name] for name in arrived}
        held = [row for row in load_stored(db, account_ids=ids, keys=None) if not row.is_removed]
        return _found(db, held, delta.upserts, arrived, account_ids)

    def renamed(self, stored: Iterable[StoredTransaction]) -> list[StoredTransaction]:
        """Return stored rows, those that moved under their new names."""
        by_id = {row.id: row for row in self.rows}
        return [by_id.get(row.id, row) for row in stored]

    def judged(self, account: str, covered: DateWindow) -> DateWindow:
        """Return the dates whose rows an answer denies: not the edge, where dates may differ."""
        first = covered.first + self.slack.get(account, _NONE)
        return DateWindow(first=min(first, covered.last), last=covered.last)

    def without_gone_names(self, delta: TransactionDelta) -> TransactionDelta:
        """Leave out removals of names that nothing goes by any more."""
        return delta.model_copy(update={"removed": delta.removed - self.gone_names})


_NOTHING_MOVED: Final = Moved((), frozenset(), {}, frozenset())


def _slack_of(db: sa.Connection, connection: Connection) -> dict[str, timedelta]:
    return {
        name: _NONE if provider is connection.provider else A_DAY
        for name, provider in load_moved(db, connection.id).items()
    }


def _found(
    db: sa.Connection,
    held: Iterable[StoredTransaction],
    shown: Sequence[Transaction],
    slack: Mapping[str, timedelta],
    account_ids: Mapping[str, AccountId],
) -> Moved:
    held = list(held)
    shown = [row for row in shown if row.account_external_id in slack]
    keys = {(row.account_external_id, row.external_id) for row in shown}
    taken = {row.key for row in load_stored(db, account_ids=account_ids, keys=keys)}
    names: dict[TransactionId, str] = {}
    for account, days in slack.items():
        names |= match_moved(
            [row for row in held if row.account_external_id == account and row.key not in keys],
            [
                row
                for row in shown
                if row.account_external_id == account and (account, row.external_id) not in taken
            ],
            slack=days,
        )
    moved = [row for row in held if row.id in names]
    return Moved(
        rows=tuple(
            replace(row, external_id=names[row.id], pending_external_id=None, content_hash=b"")
            for row in moved
        ),
        accounts=frozenset(slack),
        slack=slack,
        gone_names=frozenset(row.key for row in moved),
    )
