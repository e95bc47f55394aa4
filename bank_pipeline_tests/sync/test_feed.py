"""What a change feed tells, piece by piece, of an account that goes by another id."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import pytest

from bank_pipeline.domain.connection import HistoryStage, Provider
from bank_pipeline.domain.ids import ConnectionId, SyncRunId
from bank_pipeline.domain.transaction import Transaction, TransactionDelta
from bank_pipeline.providers.answers import AccountsAnswer, ChangesAnswer
from bank_pipeline.storage.accounts import load_stored_accounts, rename_accounts
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.sync.feed import write_feed
from bank_pipeline.sync.fetch import Fetched
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline.sync.started import StartedSync
from bank_pipeline_tests.builders import transaction
from bank_pipeline_tests.sync.ground import CHECKING, Ground

COFFEE: Final = Decimal("-4.50")
TEA: Final = Decimal("-3.25")
OTHER: Final = "another id"


@dataclass(frozen=True)
class Feed:
    """Tells of one account under another id, as Plaid would."""

    ground: Ground
    connection_id: ConnectionId

    def write(
        self, rows: Iterable[Transaction], *, cursor: str | None, stage: HistoryStage
    ) -> None:
        """Write an update."""
        accounts = AccountsAnswer((), (), is_complete=False, status=None)
        delta = TransactionDelta(upserts=tuple(rows), removed=frozenset())
        changes = ChangesAnswer(
            delta=delta,
            cursor_before=cursor,
            cursor_after="later",
            stage=stage,
            accounts=accounts,
            calls_count=1,
            pages_count=1,
        )
        context = self.ground.context
        with self.ground.engine.begin() as db:
            started = StartedSync(
                id=SyncRunId(new_id()),
                request=SyncRequest(self.connection_id, SyncReason.SCHEDULE),
                connection=self.ground.connection(self.connection_id),
                planned_attempt_at=None,
                known_account_ids=frozenset(),
                awaited_account_ids=frozenset(),
                newest_event_id=0,
                started_at=context.clock(),
            )
            write_feed(
                db,
                started,
                Fetched(accounts, changes, must_reconcile=False, calls_count=1),
                changes,
                held=load_stored_accounts(db, self.connection_id, vault=context.vault).held,
                now=context.clock(),
                set_aside=lambda _: None,
            )


@pytest.mark.parametrize(
    ("cursor", "stage"), [(None, HistoryStage.INITIAL), ("before", HistoryStage.COMPLETE)]
)
def test_an_account_whose_history_comes_in_pieces_is_not_doubled(
    ground: Ground, cursor: str | None, stage: HistoryStage
) -> None:
    for amount in (COFFEE, TEA):
        ground.world.add_booked(CHECKING, amount)
    connection = ground.link_ready()
    names = {ground.account_id(connection, CHECKING): OTHER}
    before = [row.id for row in ground.rows()]
    with ground.engine.begin() as db:
        rename_accounts(db, connection, names, moved_from=Provider.PLAID)
    day = ground.world.today(CHECKING)
    coffee, tea = (
        transaction(
            1,
            account_external_id=OTHER,
            external_id=f"new {amount}",
            amount=amount,
            currency="USD",
            booking_date=day,
            transaction_date=day,
        )
        for amount in (COFFEE, TEA)
    )
    feed = Feed(ground, connection)

    feed.write([tea], cursor=cursor, stage=stage)
    feed.write([coffee, tea], cursor=None, stage=HistoryStage.COMPLETE)

    assert [row.id for row in ground.rows()] == before
    assert {row.external_id for row in ground.rows()} == {coffee.external_id, tea.external_id}
    assert ground.query("SELECT 1 FROM bank.accounts WHERE moved_from IS NOT NULL") == []
