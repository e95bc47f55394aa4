"""Of each row the newest word that the archive has; what may have been said otherwise is out."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Final

from bank_pipeline.domain.ids import AccountId, SyncRunId
from bank_pipeline.domain.reading import Lineage, Reading
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.sync.archive_view import ArchiveView
from bank_pipeline.sync.replay import ReadAgain, Record
from bank_pipeline_tests.builders import pending, transaction

ACCOUNT: Final = AccountId("019a0000-0000-7000-8000-000000000001")
RUNS: Final = [SyncRunId(f"run-{number}") for number in range(3)]
JANUARY: Final = DateWindow(first=date(2026, 1, 1), last=date(2026, 1, 31))
FEED: Final = Reading(answers=())
WINDOW: Final = Reading(answers=(), account_external_id="acc-1", window=JANUARY, covered=JANUARY)


def shows(reading: Reading, *rows: object, removed: tuple[str, ...] = ()) -> ReadAgain:
    records = tuple(Record(ACCOUNT, row, None) for row in rows)  # type: ignore[arg-type]
    gone = frozenset((ACCOUNT, name) for name in removed)
    return ReadAgain(reading, ACCOUNT, records, removed=gone)


def seen(*reads: ReadAgain) -> dict[str, str]:
    """Return the live rows by their names, with the run that had the last word."""
    view = ArchiveView()
    for run, read in zip(RUNS, reads, strict=False):
        view.add(run, read)
    return {name: shown.sync_run_id for (_, name), shown in view.live.items()}


def test_the_newest_word_counts() -> None:
    changed = transaction(1, amount=Decimal(-9))
    assert seen(shows(FEED, transaction(1), transaction(2)), shows(FEED, changed)) == {
        "txn-1": "run-1",
        "txn-2": "run-0",
    }


def test_what_a_feed_took_back_or_booked_is_gone() -> None:
    booked = transaction(2, pending_external_id="txn-1")
    assert seen(
        shows(FEED, pending(1), transaction(3)), shows(FEED, booked, removed=("txn-3",))
    ) == {"txn-2": "run-1"}


def test_a_replay_denies_what_it_does_not_show() -> None:
    again = replace(FEED, is_replay=True)
    assert seen(shows(FEED, transaction(1), transaction(2)), shows(again, transaction(1))) == {
        "txn-1": "run-1"
    }


def test_a_window_denies_its_dates_alone() -> None:
    old = transaction(3, booking_date=date(2025, 12, 1))
    assert seen(
        shows(WINDOW, transaction(1), transaction(2), old), shows(WINDOW, transaction(1))
    ) == {"txn-1": "run-1", "txn-3": "run-0"}


def test_an_answer_that_broke_off_denies_nothing() -> None:
    broken = replace(WINDOW, covered=None)
    assert seen(shows(WINDOW, transaction(1)), shows(broken)) == {"txn-1": "run-0"}


def test_an_answer_that_is_gone_takes_what_it_may_have_changed() -> None:
    old = transaction(3, booking_date=date(2025, 12, 1))
    lost = ReadAgain(WINDOW, ACCOUNT, None)
    assert seen(shows(WINDOW, transaction(1), old), lost) == {"txn-3": "run-0"}
    assert seen(shows(FEED, transaction(1)), ReadAgain(FEED, None, None)) == {}


def test_a_lineage_is_read_as_it_was_written() -> None:
    feed = Reading((("transactions/sync", b"\x00\xff"),), cursor_before="c", is_replay=True)
    window = replace(WINDOW, answers=(("a?b=c", b"1"), ("a", b"2")), is_first=True)
    lineage = Lineage({"acc-1": ACCOUNT}, (feed, window))

    assert Lineage.of_json(lineage.to_json()) == lineage
    assert Lineage.of_json(Lineage({"acc-1": ACCOUNT}, ()).to_json()).readings == ()
