"""Complaints 9 and 10: days that nobody asked for, and years that the bank did not give."""

from contextlib import suppress
from decimal import Decimal

import pytest

from bank_pipeline.domain.connection import ConnectionStatus, HistoryStage
from bank_pipeline.errors import ProviderError, TransientError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline_tests.complaints.scene import DAY, Scene, late_by


def test_09_an_outage_longer_than_any_usual_window_leaves_no_gap(by_dates: Scene) -> None:
    """
    After twelve days of failure only the last few days were asked for.

    OCA#883, firefly#8856, firefly#9165, securo#72, accounted#2165, buckets#1004,
    frappe/erpnext#22000.
    """
    scene = by_dates.customer()
    scene.buy("-60.00", "Rent")
    scene.link().sync()
    covered = "SELECT max(last_day) FROM bank.account_coverage"
    reached = scene.value(covered)
    scene.fail(FaultKind.HTTP_STATUS, status=503, times=None)
    for number in range(1, 13):
        scene.stage.pass_time(DAY)
        scene.buy(f"-{number}.00", f"Shop {number}")
        if number % 4 == 0:
            with pytest.raises(TransientError):
                scene.sync(SyncReason.SCHEDULE)
    assert scene.value(covered) == reached  # nobody claims what nobody read

    scene.stage.heal()
    scene.next_day()

    assert len(scene.rows()) == 13
    assert scene.value(covered) == scene.stage.sandbox.clock.now().date()
    assert scene.value("SELECT count(*) FROM bank.account_coverage") == 1
    assert scene.differences() == []


def test_09_a_row_that_is_booked_weeks_late_is_found(by_dates: Scene) -> None:
    """
    The bank showed a row weeks after its date, and nobody looked there any more.

    securo#72, securo#374.
    """
    scene = by_dates.customer()
    late_by(scene, 25)
    scene.next_day()

    assert scene.rows(amount=Decimal("-7.00"))
    assert scene.differences() == []


def test_09_a_row_older_than_every_daily_look_is_found_within_a_week(gocardless: Scene) -> None:
    """
    Rows that a bank showed a month and a half after their date never came.

    securo#374, securo#72.
    """
    scene = gocardless.customer()
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


@pytest.mark.parametrize(
    ("institution", "days"),
    [
        ("PT:Santander Totta", 60),
        ("SE:Swedbank", 120),
        ("DE:N26", 89),
    ],
)
def test_10_the_longest_history_that_the_bank_gives_is_found_and_remembered(
    enable_banking: Scene, institution: str, days: int
) -> None:
    """
    A refused period ended the import, or everybody got the shortest one.

    maybe#2415, dvankley/firefly-plaid-connector-2#111, plaid/plaid-node#636, sure#789,
    sure#1262, sure#2989, letehaha#318, actual#7799.
    """
    bank_id = "fr-soleil" if institution.startswith("PT") else "de-mueritz"
    scene = enable_banking.customer(bank_id)
    for days_ago in (10, days - 1, days + 20):
        scene.buy(f"-{days_ago}.00", days_ago=days_ago)
    scene.link(institution=institution).sync(SyncReason.INITIAL)
    assert len(scene.rows()) == 2
    assert scene.differences() == []

    later = scene.another().customer(bank_id)
    later.buy("-6.00")
    later.buy("-5.00", days_ago=days - 1)
    later.link(institution=institution)
    before = scene.stage.calls()
    later.sync(SyncReason.INITIAL)

    asked = later.stage.account_id(later.connection, later.account())
    assert (scene.stage.calls() - before)["transactions", asked] == 1
    assert later.differences() == []


@pytest.mark.parametrize(
    ("institution", "outage"),
    [
        ("PT:Santander Totta", 45),  # gives 60 days, and says so of none
        ("SE:Swedbank", 100),  # gives 120, and says from when on
        ("IT:Banco BPM", 70),  # gives 89 once the consent is no longer fresh
    ],
)
def test_10_of_a_refused_period_comes_what_the_bank_gives(
    enable_banking: Scene, institution: str, outage: int
) -> None:
    """
    The bank called the period too long, and nothing came at all.

    sure#789, sure#2989, actual#7799, letehaha#318.
    """
    scene = enable_banking.customer("de-mueritz" if institution.startswith("SE") else "fr-soleil")
    scene.buy("-60.00", "Rent")
    scene.link(institution=institution).sync()
    scene.stage.pass_time(outage * DAY)
    for days_ago in (0, 10, 40):
        scene.buy(f"-{days_ago + 1}.00", days_ago=days_ago)
    scene.sync(SyncReason.SCHEDULE)

    assert scene.held().status is ConnectionStatus.ACTIVE
    assert len(scene.rows()) == 4


def test_10_an_error_that_is_no_refusal_shortens_no_history(enable_banking: Scene) -> None:
    """
    A short outage was taken for a refused period, and the years before were never asked for.

    accounted#2202.
    """
    scene = enable_banking.customer()
    scene.buy("-400.00", days_ago=400)
    scene.link()
    scene.fail("ASPSP_ERROR", times=None)
    with pytest.raises(TransientError):
        scene.sync(SyncReason.INITIAL)
    scene.stage.heal()
    scene.next_day()

    assert len(scene.rows()) == 1
    assert scene.value("SELECT refused_beyond_days FROM bank.connections") is None
    assert scene.differences() == []


def test_10_a_refusal_of_dates_that_the_bank_gave_before_loses_none_of_them(
    enable_banking: Scene,
) -> None:
    """
    Once, in the middle of what it always gives, the bank called the period too long.

    accounted#2202. And what was learned from it is not believed for ever.
    """
    scene = enable_banking.customer()
    scene.buy("-400.00", days_ago=400)
    scene.buy("-5.00")
    scene.link().sync(SyncReason.INITIAL)
    for number in range(1, 6):
        scene.stage.pass_time(8 * DAY)
        scene.buy(f"-{number}.00")
    scene.fail("WRONG_TRANSACTIONS_PERIOD")
    for _ in range(2):
        with suppress(ProviderError):
            scene.sync(SyncReason.SCHEDULE)
        scene.stage.pass_time(DAY)

    assert len(scene.rows()) == 7
    assert scene.differences() == []
    learned = "SELECT refused_beyond_days FROM bank.connections"
    assert scene.value(learned) == 60
    scene.next_day(30)
    assert scene.value(learned) is None  # asked once more, and given


def test_10_history_is_called_complete_when_the_provider_has_handed_over_all(
    plaid: Scene,
) -> None:
    """
    The first thirty days came, and everybody thought that these were all.

    maybe#2415, sure#1801.
    """
    scene = plaid.customer()
    scene.buy("-60.00", days_ago=500)
    scene.buy("-5.00", days_ago=3)
    scene.link().sync()

    assert scene.held().history_stage is HistoryStage.COMPLETE
    assert len(scene.rows()) == 2
    assert scene.differences() == []


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
