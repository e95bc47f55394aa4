"""Complaints 7, 8, 11 and 12: rows that never came, or came twice as two asked for them."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.errors import BusyError, ProviderError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.sync.reports import SyncReason, SyncReport
from bank_pipeline_tests.complaints.scene import BOTH, Scene
from bank_pipeline_tests.sync.ground import Ground, gateway_over, ground_over, sandbox_server
from bank_pipeline_tests.vaults import load_unfit


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
    [unfit] = load_unfit(scene.stage.context.engine)
    assert scene.stage.case.row_key in unfit.reason
    assert unfit.raw


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
