"""What people decided of rows, while their banks go on."""

from datetime import timedelta
from decimal import Decimal
from typing import Final

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.storage.duplicates import drop_duplicate, keep_duplicate
from bank_pipeline.sync.undo import undo
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.lookback import last_run_id
from bank_pipeline_tests.sync.staging import staged

DAY: Final = timedelta(days=1)
COFFEE: Final = Decimal("-4.50")

stage = staged(CASES)


def test_what_its_bank_took_back_while_it_was_dropped_goes_after_it_is_kept(stage: Stage) -> None:
    """Also where no usual answer tells of its day any more, or a feed has told it already."""
    connection = kept_after_its_bank_took_it_back(stage)

    stage.sync(connection)

    assert stage.live(amount=COFFEE) == []
    assert stage.differences(connection) == []


def test_a_sync_that_read_the_whole_history_comes_again_after_an_undo(stage: Stage) -> None:
    """A feed that goes on from its cursor would not tell again what only a replay had shown."""
    connection = kept_after_its_bank_took_it_back(stage)
    stage.sync(connection)

    undo(stage.context, last_run_id(stage, connection), discards_annotations=False)

    assert len(stage.live(amount=COFFEE)) == 1
    stage.pass_time(DAY)
    stage.sync(connection)
    assert stage.differences(connection) == []


def kept_after_its_bank_took_it_back(stage: Stage) -> ConnectionId:
    """Have a person drop a row, its bank take it back, and the person bring it back much later."""
    login, connection = stage.linked()
    account = stage.account(login)
    entry = stage.world.add_booked(account, COFFEE)
    stage.sync(connection)
    [row] = stage.live(amount=COFFEE)
    with stage.context.engine.begin() as db:
        drop_duplicate(db, row.id, now=stage.context.clock())
    stage.world.remove(entry.id)
    stage.pass_time(DAY)
    stage.sync(connection)
    stage.pass_time(60 * DAY)
    stage.world.add_booked(account, Decimal(-7))
    stage.sync(connection)
    with stage.context.engine.begin() as db:
        keep_duplicate(db, row.id, now=stage.context.clock())
    assert len(stage.live(amount=COFFEE)) == 1
    stage.pass_time(DAY)
    return connection
