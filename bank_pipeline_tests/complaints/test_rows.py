"""Complaints 1 to 12: rows that were lost, doubled, overwritten or counted though no money."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
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
from bank_pipeline_tests.complaints.conftest import PutOn
from bank_pipeline_tests.complaints.scene import CHECKING, DAY, Odd, Scene
from bank_pipeline_tests.sync.ground import Ground, gateway_over, ground_over, sandbox_server

NAMELESS: Final = (
    Odd("gocardless", "LABORALKUTXA_CLPEES2M", "fr-soleil"),
    Odd("enable_banking", "DE:Namenlose Bank", "de-mueritz"),
)
ODD_IDS: Final = (
    Odd("gocardless", "COOPERATIVE_RETAIL_CPBKGB22", "gb-meridian"),  # one id for all rows
    Odd("gocardless", "BELFIUS_GKCCBEBB", "fr-soleil"),  # one id for all rows of a day
    Odd("gocardless", "ING_INGBROBU", "de-mueritz"),  # NOTPROVIDED
    Odd("gocardless", "NATIONWIDE_NAIAGB21", "gb-meridian"),  # made of sign, date and amount
    Odd("gocardless", "LABORALKUTXA_CLPEES2M", "fr-soleil"),  # blanks
    Odd("enable_banking", "LU:Banque Changeante", "fr-soleil"),  # another one at every look
    Odd("enable_banking", "DE:Doppelbank", "de-mueritz"),  # those of another account
)
BOTH: Final = (CHECKING, AccountKind.SAVINGS)


@pytest.mark.parametrize("bank", NAMELESS, ids=str)
def test_01_equal_purchases_at_a_bank_without_ids_are_as_many_as_it_shows(
    put_on: PutOn, bank: Odd
) -> None:
    """
    Two real purchases, equal in all that the bank tells, became one row.

    sure#3497, actual#8221, firefly#9098, securo#886, Budget#276, Nicolas-Barriere/moulax#103.
    """
    scene = put_on(bank.provider).customer(bank.bank_id)
    first = scene.buy("-3.20", "Tram")
    scene.world.add_twin(first.id)
    scene.buy("-3.20", "Tram", days_ago=1)
    scene.link(institution=bank.institution).sync()
    three = scene.ids()
    assert len(three) == 3

    third = scene.world.add_twin(first.id)
    scene.sync()
    assert len(scene.ids()) == 4
    assert three < scene.ids()
    four = scene.ids()
    report = scene.next_day()
    assert (report.transactions.inserted, report.transactions.removed) == (0, 0)
    assert scene.ids() == four
    scene.world.remove(third.id)
    scene.sync()

    assert len(scene.ids()) == 3
    assert scene.differences() == []


def test_02_a_row_told_twice_is_one_and_two_that_nothing_tells_apart_are_two(
    anywhere: Scene,
) -> None:
    """
    One movement was delivered twice and stored twice; in other software, one of two was dropped.

    sure#954, actual#2519, actual#2539, actual#7799.
    """
    scene = anywhere.customer()
    one = scene.buy("-9.10", "Interest")
    scene.link()
    scene.fail(FaultKind.DUPLICATE_ROWS)
    scene.sync()
    assert len(scene.rows()) == 1

    scene.world.add_twin(one.id)
    scene.next_day()

    assert len(scene.rows()) == 2
    assert scene.differences() == []


@pytest.mark.parametrize("bank", ODD_IDS, ids=str)
def test_03_ids_that_are_none_never_overwrite_history(put_on: PutOn, bank: Odd) -> None:
    """
    Ids that were blank, repeated, counted anew or made of the date overwrote older rows.

    actual#8701, actual#7799, actual#2495, securo#911.
    """
    scene = put_on(bank.provider).customer(bank.bank_id)
    for number in range(1, 4):
        scene.buy(f"-{number}.10", f"Shop {number}", days_ago=4 - number)
    scene.buy("-1.10", "Shop 1")
    scene.link(institution=bank.institution).sync()
    seen = {row.id: (row.amount, row.description) for row in scene.rows(status="booked")}

    for number in range(2):
        scene.buy(f"-{7 + number}.00", f"Stall {number}", days_ago=2)  # late, among the others
        scene.next_day()

    now = {row.id: (row.amount, row.description) for row in scene.rows(status="booked")}
    assert len(seen) == 4
    assert len(now) == 6
    assert {key: now[key] for key in seen} == seen
    overwritten = "SELECT count(*) FROM bank.transaction_revisions WHERE changes ? 'amount'"
    assert scene.value(overwritten) == 0
    assert scene.differences() == []


def test_04_a_pending_row_becomes_the_booked_one_and_keeps_what_was_said_of_it(
    anywhere: Scene,
) -> None:
    """
    The pending row and the booked one both stayed, under two ids and in other words.

    sure#395, sure#1470, sure#3306, letehaha#643, DAdjadj/bridge-bank#17,
    tim-smart/actualbudget-sync#39, plaid/support#116, actual#8830.
    """
    scene = anywhere.customer()
    scene.buy("-60.00", "Rent", days_ago=1)
    scene.link().sync()
    first = scene.hold("-3.20", "20.05 Tram City", linked=False)
    scene.world.add_twin(first.id)
    scene.sync()
    before = {row.id: row for row in scene.rows(amount=Decimal("-3.20"))}
    assert [row.status for row in before.values()] == ["pending", "pending"]
    for row in before.values():
        scene.annotate(row, f"said of {row.id}")

    scene.stage.pass_time(DAY)
    scene.world.book(first.id, description="Tram City", original_description="TRAM CITY")
    scene.sync()

    after = {row.id: row.status for row in scene.rows(amount=Decimal("-3.20"))}
    assert after.keys() == before.keys()
    assert sorted(after.values()) == ["booked", "pending"]
    noted = scene.ask("SELECT transaction_id::text, note FROM analytics.transactions")
    assert {row[0]: row[1] for row in noted if row[1]} == {key: f"said of {key}" for key in before}
    assert scene.differences() == []


def test_04_a_pending_row_shown_beside_its_booked_one_is_not_a_second_payment(
    enable_banking: Scene,
) -> None:
    """
    For two days the bank shows both.

    sure#1470, letehaha#643.
    """
    scene = enable_banking.customer("de-mueritz")
    entry = scene.hold("-18.00", "Cinema")
    scene.link(institution="DE:Doppelbank").sync()
    [before] = scene.rows(amount=Decimal("-18.00"))

    scene.stage.pass_time(DAY)
    scene.world.book(entry.id)
    for _ in range(3):
        scene.sync()
        [after] = scene.rows(amount=Decimal("-18.00"))
        assert (after.id, after.status) == (before.id, "booked")
        scene.stage.pass_time(DAY)
    assert scene.differences() == []


def test_05_a_pending_row_that_is_shown_no_more_leaves_the_sum_and_may_come_back(
    gocardless: Scene,
) -> None:
    """
    A payment that failed stayed pending for weeks, or was deleted and lost when it came back.

    sure#1667, monetr#1679, monetr#1709.
    """
    scene = gocardless.customer()
    scene.buy("-60.00", "Rent")
    scene.link()
    scene.next_day(8)
    scene.hold("-35.00", "Refused card payment")
    scene.sync()
    [pending] = scene.rows(status="pending")

    scene.fail(FaultKind.STALE_DATA)  # whole, and from before it
    scene.next_day()
    stored = "SELECT status FROM bank.transactions WHERE id = :id"
    shown = "SELECT sum(amount) FROM analytics.transactions"
    assert scene.value(stored, id=pending.id) == "vanished"
    assert scene.value(shown) == Decimal("-60.00")
    scene.next_day()

    assert [row.id for row in scene.rows(status="pending")] == [pending.id]
    assert scene.value(shown) == Decimal("-95.00")
    assert scene.differences() == []


def test_06_holds_are_pending_and_what_was_planned_or_refused_is_no_money(
    enable_banking: Scene,
) -> None:
    """
    A card hold was booked, a declined payment imported, a future one counted.

    sure#2883, actual#1812, firefly#9978.
    """
    scene = enable_banking.customer("de-mueritz")
    scene.buy("-60.00", "Rent")
    scene.hold("-35.00", "Hotel")
    scene.link(institution="DE:Doppelbank").sync()

    stored = scene.ask("SELECT status, count(*) FROM bank.transactions GROUP BY 1")
    statuses = {row[0]: row[1] for row in stored}
    counted = scene.ask("SELECT status, amount FROM analytics.transactions ORDER BY amount")
    assert counted == [("booked", Decimal("-60.00")), ("pending", Decimal("-35.00"))]
    assert statuses.keys() >= {"scheduled", "cancelled", "rejected"}
    assert scene.differences() == []


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
