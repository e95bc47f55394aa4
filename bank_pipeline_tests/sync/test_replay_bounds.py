"""What is kept for looking back is altered, or stands for nothing any more: the rest goes on."""

from datetime import timedelta
from decimal import Decimal
from typing import Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import RefusedError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.explain import GONE, NOT_OPENED, explain
from bank_pipeline.sync.prune import prune
from bank_pipeline.sync.renormalise import renormalise
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline.sync.undo import plan_undo, undo
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.staging import staged, staged_at

DAY: Final = timedelta(days=1)
AMOUNT: Final = Decimal("-41.70")
ALTERED: Final = "UPDATE bank.raw_payloads SET body = body || '\\x00' WHERE sync_run_id = :run"
UNTRUE: Final = (
    "UPDATE bank.transactions SET check_number = 'wrong', content_hash = '\\x00' WHERE id = :id"
)

stage = staged(CASES)
teller = staged_at(Provider.TELLER)
gocardless = staged_at(Provider.GOCARDLESS)


def execute(context: SyncContext, statement: str, **bound: str) -> None:
    with context.engine.begin() as db:
        db.execute(sa.text(statement), bound)


def with_a_row(stage: Stage) -> tuple[ConnectionId, str]:
    """Link a login with a row of a day later; return the connection and our id of the row."""
    login, connection = stage.linked()
    stage.pass_time(DAY)
    stage.world.add_booked(stage.account(login), AMOUNT, description="Blue Cup")
    stage.sync(connection, SyncReason.SCHEDULE)
    [row] = stage.live(amount=AMOUNT)
    return connection, row.id


def test_without_the_archive_it_is_said_plainly(stage: Stage) -> None:
    """Retention takes the answers; the row and its history stay."""
    connection, row = with_a_row(stage)
    stage.pass_time(40 * DAY)
    prune(stage.context, retention=30 * DAY)

    told = explain(stage.context, row)

    assert told.first.run is not None
    assert (told.first.record, told.first.why_none) == (None, GONE)
    found = renormalise(stage.context, connection, since=None, applies=False)
    assert found.is_empty
    with pytest.raises(RefusedError, match="kept as long as"):
        plan_undo(stage.context, told.first.run.id)


def test_what_a_replay_took_from_an_undone_sync_is_ascribed_to_one_that_counts(
    gocardless: Stage,
) -> None:
    """A quiet sync showed the row last. Without it, a still better transform mends it again."""
    connection, row = with_a_row(gocardless)
    first = gocardless.last_run(connection).id
    gocardless.pass_time(DAY)
    gocardless.sync(connection)
    quiet = gocardless.last_run(connection).id
    execute(gocardless.context, UNTRUE, id=row)
    renormalise(gocardless.context, connection, since=None, applies=True)
    assert explain(gocardless.context, row).last is not None

    undo(gocardless.context, quiet, discards_annotations=False)

    writers = "SELECT last_sync_run_id::text FROM bank.transactions WHERE id = :id"
    assert gocardless.query(writers, id=row) == [(first,)]
    execute(gocardless.context, UNTRUE, id=row)
    found = renormalise(gocardless.context, connection, since=None, applies=True)
    assert [one.transaction_id for one in found.changed] == [row]


def test_an_answer_that_does_not_open_keeps_no_history_from_being_told(stage: Stage) -> None:
    connection, row = with_a_row(stage)
    execute(stage.context, ALTERED, run=stage.last_run(connection).id)

    told = explain(stage.context, row)

    assert told.now["amount"] == AMOUNT
    assert (told.first.record, told.first.why_none) == (None, NOT_OPENED)


def test_an_answer_that_does_not_open_leaves_other_answers_to_be_replayed(teller: Stage) -> None:
    """It is counted by name; what later answers show is mended all the same."""
    connection, row = with_a_row(teller)
    [first, *_] = teller.query("SELECT id::text FROM bank.sync_runs ORDER BY started_at")
    execute(teller.context, ALTERED, run=first[0])
    execute(teller.context, UNTRUE, id=row)

    found = renormalise(teller.context, connection, since=None, applies=True)

    assert found.failed == {"SecretError": 1}
    assert [one.transaction_id for one in found.changed] == [row]


def test_an_unfit_row_that_does_not_open_leaves_the_rest_to_be_replayed(teller: Stage) -> None:
    login, connection = teller.linked()
    teller.pass_time(DAY)
    for amount in (AMOUNT, Decimal("-1.10")):
        teller.world.add_booked(teller.account(login), amount)
    teller.fail(teller.case.transactions, FaultKind.NULL_VALUE, key=teller.case.row_key, times=1)
    teller.sync(connection)
    execute(teller.context, "UPDATE bank.quarantine SET raw_ciphertext = raw_ciphertext || '\\x00'")
    [row] = teller.live()
    execute(teller.context, UNTRUE, id=row.id)

    found = renormalise(teller.context, connection, since=None, applies=True)

    assert [one.transaction_id for one in found.changed] == [row.id]
