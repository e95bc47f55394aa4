"""Complaints 7 to 12: rows that never came, or came twice because two asked for them."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import ConnectionStatus, HistoryStage
from bank_pipeline.errors import BusyError, ProviderError, TransientError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.sync.reports import SyncReason, SyncReport
from bank_pipeline_tests.complaints.scene import CHECKING, DAY, Scene, late_by
from bank_pipeline_tests.sync.ground import Ground, gateway_over, ground_over, sandbox_server

BOTH: Final = (CHECKING, AccountKind.SAVINGS)


def test_07_changes_removals_and_their_return_reach_the_row_and_leave_the_edits(
    plaid: Scene,
) -> None:
    """
    Modified and removed rows were ignored; a removed one that returned was a new row.

    monetr#144, monetr#973, monetr#1270, plaid/support#267,
    opencollective/opencollective-api#10707.
    """
    scene = plaid.customer()
    entry = scene.hold("-20.00", "Fuel")
    other = scene.buy("-7.00", "Bakery")
    scene.link().sync()
    ids = scene.ids()
    for row in scene.rows():
        scene.annotate(row, f"said of {row.id}")

    scene.world.book(entry.id, amount=Decimal("-61.37"))  # one id is removed, another added
    scene.world.change(other.id, amount=Decimal("-7.50"))
    scene.next_day()
    assert {row.amount for row in scene.rows()} == {Decimal("-61.37"), Decimal("-7.50")}
    assert scene.ids() == ids
    scene.world.remove(other.id)
    scene.next_day()
    assert len(scene.rows()) == 1
    assert scene.differences() == []
    scene.world.restore(other.id)
    scene.next_day()

    assert scene.ids() == ids
    noted = scene.ask("SELECT transaction_id::text, note FROM analytics.transactions")
    assert {tuple(row) for row in noted} == {(key, f"said of {key}") for key in ids}
    assert scene.differences() == []


def test_08_data_that_change_while_they_are_paged_are_read_again_from_the_start(
    plaid: Scene,
) -> None:
    """
    A mutation during the pages lost rows, or left a cursor from which nothing ever came.

    webhookdb/webhookdb#480, monetr#2454, monetr#3126.
    """
    scene = plaid.customer()
    for number in range(1, 601):
        scene.buy(f"-{number}")
    scene.link()
    scene.fail(FaultKind.MUTATION, after=1, times=2)
    scene.sync()

    assert len(scene.rows()) == 600
    assert scene.differences() == []


def test_08_a_cursor_that_is_not_ours_is_replaced_by_a_whole_replay(plaid: Scene) -> None:
    """
    A cursor of another access token failed for ever; what was taken back meanwhile stayed.

    webhookdb/webhookdb#646, TomorrowIdeas/plaid-sdk-php#70, monetr#3126.
    """
    scene = plaid.customer()
    scene.buy("-2.00", days_ago=1)
    gone = scene.buy("-1.00")
    scene.link().sync()
    other = scene.another().customer()
    other.buy("-8.00")
    other.link().sync()
    with scene.stage.context.engine.begin() as db:
        db.exec_driver_sql(
            "UPDATE bank.connections SET cursor = %s WHERE id = %s",
            (other.held().cursor, scene.connection),
        )
    scene.world.remove(gone.id)
    scene.buy("-3.00")
    scene.next_day()

    assert scene.differences() == []
    assert other.differences() == []
    assert len(scene.rows()) == 3
    assert scene.held().status is ConnectionStatus.ACTIVE


def test_08_pages_without_an_end_are_a_failure_and_move_no_cursor(plaid: Scene) -> None:
    """
    A cap on pages ended the loop, and what was read by then was reported as all.

    elizaOS/eliza#21739.
    """
    scene = plaid.customer()
    scene.buy("-2.00")
    scene.link().sync()
    cursor = scene.held().cursor
    scene.buy("-3.00")
    scene.fail(FaultKind.ENDLESS_PAGES, times=None)
    with pytest.raises(ProviderError):
        scene.sync()

    held = scene.held()
    assert (held.cursor, held.status) == (cursor, ConnectionStatus.ERROR)
    assert held.next_attempt_at is not None
    assert len(scene.rows()) == 1
    scene.stage.heal()
    scene.next_day()
    assert scene.differences() == []


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


@pytest.mark.parametrize("days", [5, 60])
def test_10_a_refusal_of_dates_that_the_bank_gave_before_loses_none_of_them(
    enable_banking: Scene, days: int
) -> None:
    """
    Once, in the middle of what it always gives, the bank called the period too long.

    accounted#2202.
    """
    scene = enable_banking.customer()
    scene.buy("-400.00", days_ago=400)
    scene.buy("-5.00")
    scene.link().sync(SyncReason.INITIAL)
    for number in range(1, 6):
        scene.stage.pass_time(days * DAY / 5)
        scene.buy(f"-{number}.00")
    scene.fail("WRONG_TRANSACTIONS_PERIOD")
    for _ in range(2):
        with suppress(ProviderError):
            scene.sync(SyncReason.SCHEDULE)
        scene.stage.pass_time(DAY)

    assert len(scene.rows()) == 7
    assert scene.differences() == []


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


def test_11_one_row_that_cannot_be_read_stops_no_other(anywhere: Scene) -> None:
    """
    A row without a payee ended the whole import, of all accounts.

    actual-server#532, actual#2179.
    """
    scene = anywhere.customer()
    for kind in BOTH:
        scene.buy("-1.00", "One", kind)
        scene.buy("-2.00", "Two", kind)
    scene.link(*BOTH)
    scene.fail(FaultKind.MISSING_KEY, key=scene.stage.case.row_key)
    report = scene.sync()

    assert report.quarantined_count == 1
    assert len(scene.rows()) == 3
    [(reason, raw)] = scene.ask("SELECT reason, raw FROM bank.quarantine")
    assert scene.stage.case.row_key in reason
    assert raw


@pytest.mark.parametrize(
    ("institution", "bank_id"),
    [
        ("ES:ImaginV2", "fr-soleil"),
        ("ES:Cajamar", "fr-soleil"),
        ("DE:Trade Republic", "de-mueritz"),
    ],
)
def test_11_booked_rows_land_where_a_bank_refuses_to_tell_pending_ones(
    enable_banking: Scene, institution: str, bank_id: str
) -> None:
    """
    The pending list was refused, and the booked rows went with it.

    sure#3076, whisper#653.
    """
    scene = enable_banking.customer(bank_id)
    scene.buy("-1.00", "One")
    scene.link(institution=institution).sync()

    assert scene.held().status is ConnectionStatus.ACTIVE
    assert len(scene.rows()) == 1


def test_12_syncs_at_once_do_the_work_once(anywhere: Scene) -> None:
    """
    Two runs at once inserted everything twice.

    letehaha#594.
    """
    scene = anywhere.customer()
    for number in range(1, 21):
        scene.buy(f"-{number}.00")
    scene.link()

    def run(_: int) -> SyncReport | BusyError:
        try:
            return scene.sync()
        except BusyError as error:
            return error

    with ThreadPoolExecutor(4) as pool:
        outcomes = [*pool.map(run, range(4))]

    assert any(isinstance(one, SyncReport) for one in outcomes)
    assert len(scene.rows()) == 20
    assert scene.differences() == []


def test_12_a_burst_of_webhooks_asks_for_one_sync(
    engine: sa.Engine, vault: Vault, tmp_path: Path
) -> None:
    """
    Each webhook started a run of its own.

    letehaha#594.
    """
    with ExitStack() as stack:
        sandbox = stack.enter_context(sandbox_server())
        ground: Ground = stack.enter_context(ground_over(sandbox, engine, vault, tmp_path))
        ground, _ = stack.enter_context(gateway_over(ground))
        connection = ground.link_ready()
        ground.sync(connection)
        for number in range(1, 6):
            ground.world.add_booked("acc-1-1", Decimal(-number))
            ground.sandbox.settle()
        assert ground.waiting() == [connection]
        ground.sync(connection, SyncReason.WEBHOOK)

        assert ground.waiting() == []
        assert ground.differences(connection) == []
