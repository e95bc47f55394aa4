"""An update is written whatever days its rows name."""

from datetime import UTC, date, datetime

import sqlalchemy as sa

from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.domain.transaction import TransactionDelta
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.sync.update import write_update
from bank_pipeline_tests.builders import transaction
from bank_pipeline_tests.storage.linked import link

NOW = datetime(2026, 3, 5, 9, 0, tzinfo=UTC)


def test_a_row_of_the_first_day_of_all_is_written_with_its_sibling(engine: sa.Engine) -> None:
    """There is no day before it on which it could have been paid."""
    rows = (transaction(1, booking_date=date.min), transaction(2))
    with engine.begin() as db:
        linked = link(db, NOW)
        written = write_update(
            db,
            TransactionDelta(upserts=rows, removed=frozenset()),
            team_id=linked.connection.team_id,
            account_ids=linked.account_ids,
            sync_run_id=SyncRunId(new_id()),
            now=NOW,
        )
    assert written.counts.inserted == 2
