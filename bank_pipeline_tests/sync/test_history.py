"""What is learned of how far back a bank goes, and what is not."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import pytest

from bank_pipeline.domain.depth import Depth, Reach
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.providers.answers import WindowAnswer, WindowRequest
from bank_pipeline.providers.base import Capabilities
from bank_pipeline.sync.history import GIVEN_FOR, REFUSED_FOR, Horizon

NOW: Final = datetime(2026, 6, 16, 14, 30, tzinfo=UTC)
TODAY: Final = NOW.date()
CAN: Final = Capabilities(
    has_pending=True, has_webhooks=False, history_days_max=730, overlap_days=35, deep_days=89
)
COVERED: Final = (DateWindow(first=date(2024, 6, 16), last=TODAY - timedelta(days=1)),)


def days_ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def horizon(reach: Reach | None = None, **known: Any) -> Horizon:
    return Horizon(reach=reach or Reach(), capabilities=CAN, now=NOW, **known)


def request(days: int, *, is_first: bool = False) -> WindowRequest:
    return WindowRequest(DateWindow(first=days_ago(days), last=TODAY), is_first=is_first)


def answer(days: int) -> WindowAnswer:
    return WindowAnswer("acc-1", (), DateWindow(first=days_ago(days), last=TODAY))


def asked(one: Horizon) -> int:
    return (TODAY - one.plan(COVERED, None).window.first).days


def test_a_deep_pass_reads_as_far_as_the_bank_gives_without_another_refusal() -> None:
    deep = Reach(Depth.DEEP)
    assert asked(horizon()) == 36
    assert asked(horizon(deep)) == 89
    assert asked(horizon(deep, refused_beyond_days=60, refused_at=NOW)) == 60
    assert asked(horizon(deep, bank_days=45)) == 45
    assert asked(horizon(deep, refused_beyond_days=30, refused_at=NOW)) == 30


def test_what_was_refused_weeks_ago_is_tried_once() -> None:
    known: dict[str, Any] = {"refused_beyond_days": 30, "refused_at": NOW - REFUSED_FOR}
    one = horizon(Reach(Depth.DEEP), **known)
    assert asked(one) == 89
    assert asked(horizon(**known)) == 36, "a gap of old days would be tried, too"
    assert one.shorter(request(89), earliest=None) == request(30)
    one.note_answer(request(30), answer(30), is_cut=True)
    assert (one.refused_beyond_days, one.refused_at) == (30, NOW)
    assert asked(one) == 30, "no other account asks again"

    offered = horizon(Reach(Depth.DEEP), **known)
    offered.note_answer(request(60), answer(60), is_cut=True)
    assert offered.refused_beyond_days == 60, "it gave more than was known"
    offered.note_answer(request(45), answer(45), is_cut=True)
    assert offered.refused_beyond_days == 45, "its shortest account counts"

    other = horizon(Reach(Depth.DEEP), **known)
    other.note_answer(request(89), answer(89), is_cut=False)
    assert (other.refused_beyond_days, other.refused_at) == (None, None)


def test_a_backfill_asks_from_its_day_on_and_never_beyond_what_any_bank_gives() -> None:
    assert asked(horizon(Reach(Depth.BACKFILL, days_ago(400)), refused_beyond_days=60)) == 400
    assert asked(horizon(Reach(Depth.BACKFILL, days_ago(4000)))) == 730
    assert asked(horizon(Reach(Depth.BACKFILL, days_ago(3)))) == 36


def test_a_backfill_that_is_refused_goes_on_where_the_bank_is_known_to_answer() -> None:
    """The date that the bank offers goes before what we know, that before the ladder."""
    one = horizon(Reach(Depth.BACKFILL, days_ago(400)), refused_beyond_days=77)
    assert one.shorter(request(400), earliest=None) == request(77)
    assert one.shorter(request(400), earliest=days_ago(100)) == request(100)
    assert horizon().shorter(request(400), earliest=None) == request(365)


def test_a_refusal_within_what_the_bank_gave_lately_is_not_about_the_dates() -> None:
    known = horizon(given_days=89, given_at=NOW - timedelta(days=1))
    assert known.has_given(request(89))
    assert not known.has_given(request(90))
    assert not horizon(given_days=89, given_at=NOW - GIVEN_FOR * 2).has_given(request(89))
    assert not known.has_given(request(89, is_first=True))


def test_nothing_is_learned_before_a_shorter_history_was_given() -> None:
    one = horizon()
    one.shorter(request(365), earliest=None)
    before = one.refused_beyond_days
    one.note_answer(request(180), answer(180), is_cut=True)
    assert (before, one.refused_beyond_days) == (None, 180)
    assert (one.given_days, one.given_at) == (180, NOW)


@pytest.mark.parametrize(
    ("is_first", "is_fresh", "learned"),
    [(True, True, 89), (True, False, None), (False, True, None)],
)
def test_only_what_is_refused_right_after_a_consent_is_learned_of_the_bank(
    is_first: bool, is_fresh: bool, learned: int | None
) -> None:
    """One customer's late refusal must not shorten everybody's history."""
    one = horizon(is_consent_fresh=is_fresh)
    one.note_answer(request(89, is_first=is_first), answer(89), is_cut=True)
    assert one.learned_bank_days == learned
    assert one.refused_beyond_days == 89


def test_an_answer_that_covers_less_than_it_was_asked_for_is_a_refusal_without_words() -> None:
    """Else a gap before it would be asked for every day."""
    one = horizon()
    one.note_answer(request(200), answer(90), is_cut=False)
    assert (one.refused_beyond_days, one.given_days) == (90, 90)


def test_the_first_answer_of_a_young_account_says_nothing_of_the_bank() -> None:
    """It begins with the account's oldest row."""
    one = horizon()
    one.note_answer(request(730, is_first=True), answer(12), is_cut=False)
    assert (one.refused_beyond_days, one.given_days, one.learned_bank_days) == (None, None, None)


def test_a_bank_that_gives_again_what_it_refused_is_asked_for_it_again() -> None:
    one = horizon(refused_beyond_days=60)
    one.note_answer(request(300), answer(300), is_cut=False)
    assert one.refused_beyond_days is None
    one.note_answer(request(89), answer(89), is_cut=True)  # another account's word goes before
    one.note_answer(request(300), answer(300), is_cut=False)
    assert one.refused_beyond_days == 89
