"""Complaints 18 and 25, what replay and undo add: old rows are read anew, a run is taken back."""

from decimal import Decimal

from bank_pipeline.sandbox.ledger import Party
from bank_pipeline.sync.explain import explain
from bank_pipeline.sync.renormalise import renormalise
from bank_pipeline.sync.undo import undo
from bank_pipeline_tests.complaints.scene import Scene


def test_18_a_better_reading_repairs_old_rows_without_a_call(by_dates: Scene) -> None:
    """
    A rule was mended, and only rows of later syncs knew.

    actual#7799, actual#3907.
    """
    scene = by_dates.customer()
    scene.buy("-3.00", "Blue Cup 4711", party=Party("Blue Cup", "merchant"))
    scene.link().sync()
    named = "SELECT counterparty_name, merchant_name FROM analytics.transactions"
    right = scene.ask(named)
    with scene.stage.context.engine.begin() as db:  # as an older transform had read it
        db.exec_driver_sql(
            "UPDATE bank.transactions SET counterparty_name = 'NOBODY', content_hash = 'old'"
        )
    before = sum(scene.stage.calls().values())
    renormalise(scene.stage.context, scene.connection, since=None, applies=True)

    assert scene.ask(named) == right
    assert sum(scene.stage.calls().values()) == before
    assert scene.differences() == []


def test_25_a_run_is_taken_back_and_brought_again(anywhere: Scene) -> None:
    """
    An import went wrong, and its rows had to be deleted by hand, one by one.

    firefly#2164, accounted#1672, buckets#365, letehaha#89, actual#7580.
    """
    scene = anywhere.customer()
    scene.buy("-60.00", "Rent", days_ago=1)
    scene.link().sync()
    ids = scene.ids()
    scene.buy("-7.00", "Bakery")
    report = scene.next_day()
    undo(scene.stage.context, report.sync_run_id, discards_annotations=False)
    assert scene.ids() == ids
    assert scene.value("SELECT count(*) FROM bank.transactions") == 1  # no tombstone stays

    scene.next_day()
    assert {row.amount for row in scene.rows()} == {Decimal("-60.00"), Decimal("-7.00")}
    assert ids < scene.ids()
    assert scene.differences() == []


def test_25_a_row_is_traced_to_what_the_bank_sent(anywhere: Scene) -> None:
    """
    Nobody could say where a row had come from.

    firefly#9162, agigante80/Actual-sync#100.
    """
    scene = anywhere.customer()
    scene.buy("-60.13", "Rent")
    scene.link()
    report = scene.sync()
    [row] = scene.rows()
    told = explain(scene.stage.context, row.id)

    assert told.first.run is not None
    assert told.first.run.id == report.sync_run_id
    assert told.first.record is not None
    assert "60.13" in told.first.record.text
