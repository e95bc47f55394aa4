"""Complaints 24 and 25: what people said is theirs, and every row can say where it came from."""

from decimal import Decimal
from typing import Final

from bank_pipeline.storage.raw_payloads import load_raw_payloads
from bank_pipeline.sync.explain import explain
from bank_pipeline.sync.undo import undo
from bank_pipeline_tests.complaints.conftest import PutOn
from bank_pipeline_tests.complaints.scene import CHECKING, DAY, Scene
from bank_pipeline_tests.vaults import VAULT

SHOWN: Final = "SELECT transaction_id::text, note, is_hidden FROM analytics.transactions ORDER BY 1"


def test_24_edits_and_deletions_of_people_outlive_all_that_the_bank_does(anywhere: Scene) -> None:
    """
    Notes were lost, rows that people had deleted came back, and an edited row came twice.

    actual#5327, actual#2024, actual#8390, actual#8708, actual#2289, buckets#338, buckets#626,
    buckets#746, brafdlog/caspion#625, Budget#230, MattFaz/actuali#418.
    """
    scene = anywhere.customer()
    scene.buy("-60.00", "Rent", days_ago=1)
    unwanted = scene.buy("-3.00", "Unwanted", days_ago=1)
    waiting = scene.hold("-9.00", "Taxi")
    scene.link().sync()
    for row in scene.rows():
        is_hidden = row.amount == Decimal("-3.00")
        scene.annotate(row, f"said of {row.id}", is_hidden=is_hidden)
    said = scene.ask(SHOWN)
    assert len(said) == 3

    scene.stage.pass_time(DAY)
    scene.world.book(waiting.id)
    scene.world.change(unwanted.id, amount=Decimal("-3.10"))
    scene.sync()
    scene.world.remove(unwanted.id)
    scene.next_day()
    scene.world.restore(unwanted.id)
    scene.next_day()
    scene.stage.consent(scene.login, renews=scene.connection)
    scene.next_day()

    own = [row for row in scene.ask(SHOWN) if row[1]]
    assert own == said
    assert scene.differences() == []


def test_24_a_sync_that_brings_nothing_new_writes_nothing(anywhere: Scene) -> None:
    """
    Every sync rewrote every row, and with it what people had changed since.

    actual#2024, actual#8708.
    """
    scene = anywhere.customer()
    scene.buy("-60.00", "Rent", days_ago=1)
    scene.link().sync()
    for row in scene.rows():
        scene.annotate(row, "mine")
    before = scene.stage.versions()
    scene.sync()

    assert scene.stage.versions() == before


def test_25_every_row_names_the_sync_and_the_answer_that_made_it(anywhere: Scene) -> None:
    """
    Nobody could tell what an import had done, nor look at what the bank had really said.

    firefly#2164, accounted#1672, firefly#9162, 2manyvcos/enable-actual#16,
    agigante80/Actual-sync#100.
    """
    scene = anywhere.customer()
    scene.buy("-60.13", "Rent", days_ago=1)
    scene.link()
    first = scene.sync()
    scene.buy("-7.29", "Bakery")
    second = scene.next_day()

    made = scene.ask("SELECT amount, first_sync_run_id::text FROM bank.transactions ORDER BY 1")
    assert made == [
        (Decimal("-60.13"), first.sync_run_id),
        (Decimal("-7.29"), second.sync_run_id),
    ]
    with scene.stage.context.engine.connect() as db:
        for run, amount in ((first, b"60.13"), (second, b"7.29")):
            assert any(
                amount in one.body for one in load_raw_payloads(db, run.sync_run_id, vault=VAULT)
            )
    last = scene.stage.last_run(scene.connection)
    assert (last.outcome, last.reason) == ("synced", "schedule")
    assert last.counts["transactions"]["inserted"] == 1


def test_25_another_provider_takes_over_and_history_stays(put_on: PutOn) -> None:
    """
    The provider closed, and years of history were to be left behind or imported twice.

    firefly#11070, actual#5445, adept/gocardless-to-csv#4, OCA#867, Budget#319,
    invoiceninja/invoiceninja#11373.
    """
    scene = put_on("gocardless").customer()
    for days_ago in range(6):
        scene.buy(f"-{days_ago + 1}.00", f"Shop {days_ago}", days_ago=days_ago)
    scene.link().sync()
    ids = scene.ids()
    assert len(ids) == 6

    other = put_on("enable_banking")
    other.login, other.connection = scene.login, scene.connection
    bank = "DE:Sparkasse Müritz-Öchtringen"
    state = other.consent(bank, CHECKING, renews=scene.connection)
    assert state.connection_ids == (scene.connection,)
    other.buy("-9.00", "After")
    other.next_day()

    assert ids < other.ids()
    amounts = [row.amount for row in other.rows() if row.amount is not None]
    assert sorted(-amount for amount in amounts) == [1, 2, 3, 4, 5, 6, 9]
    assert other.differences() == []


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
