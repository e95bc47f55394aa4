"""Of two rows told twice a bank that tells changes takes back one, whichever a person dropped."""

from decimal import Decimal
from typing import Final

import pytest

from bank_pipeline.storage.duplicates import drop_duplicate
from bank_pipeline.storage.sync_runs import load_sync_runs
from bank_pipeline.sync.undo import undo
from bank_pipeline_tests.sync.ground import CHECKING, Ground

COFFEE: Final = Decimal("-4.50")

pytestmark = pytest.mark.usefixtures("every_way")


@pytest.mark.parametrize("taken_back", [(0,), (1,), (0, 1), (1, 0)])
def test_what_is_left_at_the_bank_is_live(ground: Ground, taken_back: tuple[int, ...]) -> None:
    """It was gone altogether where the bank took back the one that a person had kept."""
    told = [ground.world.add_booked(CHECKING, COFFEE, description="Blue Bottle") for _ in range(2)]
    ground.world.add_booked(CHECKING, Decimal(-7), description="Anchor")
    connection = ground.link_ready()
    copy, kept = (row for row in ground.rows() if row.amount == COFFEE)
    with ground.engine.begin() as db:
        drop_duplicate(db, copy.id, now=ground.context.clock())
    left = 2
    for number in taken_back:
        ground.world.remove(told[number].id)
        ground.sync(connection)
        left -= 1
        if left:
            assert [row.id for row in ground.rows() if row.amount == COFFEE] == [kept.id]
    ground.sync(connection)

    live = [row.id for row in ground.rows() if row.amount == COFFEE]
    assert live == [kept.id] * left
    assert ground.differences(connection) == []
    versions = ground.rows()
    ground.sync(connection)
    assert ground.rows() == versions


def test_what_took_the_place_of_a_dropped_row_gives_it_back_in_an_undo(ground: Ground) -> None:
    told = [ground.world.add_booked(CHECKING, COFFEE, description="Blue Bottle") for _ in range(2)]
    connection = ground.link_ready()
    copy, kept = ground.rows()
    with ground.engine.begin() as db:
        drop_duplicate(db, copy.id, now=ground.context.clock())
    ground.world.remove(told[1].id)
    ground.sync(connection)
    assert [row.external_id for row in ground.rows()] == [copy.external_id]
    with ground.engine.connect() as db:
        [run] = load_sync_runs(db, connection, limit=1)

    undo(ground.context, run.id, discards_annotations=False)

    names = {row.id: row.external_id for row in (*ground.rows(), *ground.rows(removed=True))}
    assert names == {copy.id: copy.external_id, kept.id: kept.external_id}
    ground.sync(connection)
    assert [row.id for row in ground.rows()] == [kept.id]
    assert ground.differences(connection) == []
