"""Complaints 9 and 10, what deeper looks and kept gaps add: rows of long ago, and seen gaps."""

from contextlib import suppress
from decimal import Decimal

import pytest

from bank_pipeline.errors import ProviderError, TransientError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline_tests.complaints.scene import DAY, Scene, late_by


def test_09_a_row_older_than_every_daily_look_is_found_within_a_week(by_dates: Scene) -> None:
    """
    Rows that a bank showed a month and a half after their date never came.

    securo#374, securo#72.
    """
    scene = by_dates.customer()
    late_by(scene, 45)
    for _ in range(8):
        scene.next_day()

    assert scene.rows(amount=Decimal("-7.00"))
    assert scene.differences() == []


def test_09_days_that_nobody_read_are_shown_until_they_are(by_dates: Scene) -> None:
    """
    An outage left a gap, and nothing said so.

    firefly#8856, accounted#2165.
    """
    scene = by_dates.customer()
    scene.buy("-60.00", "Rent")
    scene.link().sync()
    scene.fail(FaultKind.HTTP_STATUS, status=503, times=None)
    scene.stage.pass_time(12 * DAY)
    with pytest.raises(TransientError):
        scene.sync(SyncReason.SCHEDULE)
    today = scene.stage.sandbox.clock.now().date()
    shown = "SELECT kind, last_day FROM analytics.account_gaps"
    with scene.stage.context.engine.connect() as db:
        db.exec_driver_sql(f"SET bank_pipeline.today = '{today}'")
        gaps = db.exec_driver_sql(shown).all()
        db.exec_driver_sql("RESET bank_pipeline.today")
    assert [tuple(row) for row in gaps] == [("behind", today)]

    scene.stage.heal()
    scene.next_day()
    today = scene.stage.sandbox.clock.now().date()
    with scene.stage.context.engine.connect() as db:
        db.exec_driver_sql(f"SET bank_pipeline.today = '{today}'")
        assert db.exec_driver_sql(shown).all() == []
        db.exec_driver_sql("RESET bank_pipeline.today")


def test_10_one_refusal_of_dates_that_the_bank_gave_before_shortens_nothing(
    enable_banking: Scene,
) -> None:
    """
    Once, in the middle of what it always gives, the bank called the period too long.

    accounted#2202.
    """
    scene = enable_banking.customer()
    scene.buy("-60.00", "Rent", days_ago=300)
    scene.link().sync(SyncReason.INITIAL)
    for number in range(1, 4):
        scene.next_day(2)
        scene.buy(f"-{number}.00")
    scene.fail("WRONG_TRANSACTIONS_PERIOD")
    for _ in range(2):
        with suppress(ProviderError):
            scene.sync(SyncReason.SCHEDULE)
        scene.stage.pass_time(DAY)

    assert scene.value("SELECT refused_beyond_days FROM bank.connections") is None
    assert scene.differences() == []
