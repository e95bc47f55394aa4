"""What an answer by dates denies, and which rows go on under another id."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.changes import ChangePlan, StoredTransaction, missing_keys
from bank_pipeline.domain.transaction import Transaction, TransactionDelta, TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline_tests.domain.test_changes import DAY, PENDING, Ledger, movement

MARCH = DateWindow(first=date(2026, 3, 1), last=date(2026, 3, 31))


def look(ledger: Ledger, shown: Sequence[Transaction], covered: DateWindow = MARCH) -> ChangePlan:
    """Apply a complete answer of `covered` dates."""
    missing = missing_keys(ledger.rows.values(), shown, account="a", covered=covered)
    return ledger.apply(TransactionDelta(upserts=tuple(shown), removed=missing))


def live(ledger: Ledger) -> list[StoredTransaction]:
    return [row for row in ledger.rows.values() if not row.is_removed]


def missing(stored: Sequence[StoredTransaction], shown: Sequence[Transaction]) -> set[str]:
    found = missing_keys(stored, shown, account="a", covered=MARCH)
    return {external_id for _, external_id in found}


def stored(*rows: Transaction) -> list[StoredTransaction]:
    ledger = Ledger()
    ledger.apply(TransactionDelta(upserts=rows, removed=frozenset()))
    return [*ledger.rows.values()]


def test_a_row_that_a_complete_answer_of_its_dates_does_not_show_is_gone() -> None:
    held = stored(movement("x"), movement("y", amount="-9"))
    assert missing(held, [movement("y", amount="-9")]) == {"x"}


def test_rows_of_other_dates_and_accounts_are_not_judged() -> None:
    april, other = movement("z", day=date(2026, 4, 1)), movement("x", account="b")
    assert missing(stored(april, other), [movement("y")]) == set()


def test_an_answer_without_booked_rows_denies_pending_ones_only() -> None:
    """Banks send the booked and the pending rows apart, and one list may fail alone."""
    held = stored(movement("booked"), movement("held", PENDING, amount="-7"))
    assert missing(held, []) == {"held"}
    assert missing(held, [movement("new", PENDING, amount="-8")]) == {"held"}


@pytest.mark.parametrize(
    "status", [one for one in TransactionStatus if one is not TransactionStatus.BOOKED]
)
def test_only_a_booked_row_shows_that_the_list_of_booked_ones_did_not_fail(
    status: TransactionStatus,
) -> None:
    held = stored(movement("booked"))
    assert missing(held, [movement("standing order", status, amount="-50")]) == set()


def test_a_row_that_was_shown_but_could_not_be_read_is_not_gone() -> None:
    held = stored(movement("x"), movement("y", amount="-9"))
    kept = missing_keys(
        held, [movement("z", amount="-1")], account="a", covered=MARCH, unread={"x"}
    )
    assert {external_id for _, external_id in kept} == {"y"}
    nameless = missing_keys(
        held, [movement("z", amount="-1")], account="a", covered=MARCH, unread={None}
    )
    assert nameless == frozenset()


def test_a_booked_row_under_another_id_keeps_our_id() -> None:
    ledger = Ledger()
    look(ledger, [movement("one-look", description="Coffee  Corner")])
    plan = look(ledger, [movement("another-look", description="Coffee Corner")])
    assert (plan.inserts, plan.removals, len(plan.updates)) == ((), (), 1)


def test_another_day_amount_or_text_is_another_row() -> None:
    for other in (
        movement("b", day=DAY + timedelta(days=1)),
        movement("b", amount="-4.21"),
        movement("b", description="Tea House"),
    ):
        ledger = Ledger()
        look(ledger, [movement("a")])
        plan = look(ledger, [other])
        assert (len(plan.inserts), len(plan.removals)) == (1, 1)


contents = st.tuples(st.integers(0, 3), st.sampled_from(["-4", "-5"]), st.sampled_from("ab"))


@given(st.lists(st.lists(contents, min_size=1, max_size=8), min_size=1, max_size=4), st.data())
def test_however_a_bank_names_its_rows_we_hold_as_many_as_it_shows(
    looks: list[list[tuple[int, str, str]]], data: st.DataObject
) -> None:
    """Every look under other ids: the same rows, and those that stay or return keep our ids."""
    ledger = Ledger()
    before: Counter[tuple[int, str, str]] = Counter()
    ever: Counter[tuple[int, str, str]] = Counter()  # the most that was shown at once
    for number, shown in enumerate(looks):
        names = data.draw(st.permutations(range(len(shown))))
        rows = [
            movement(
                f"{number}-{name}",
                amount=amount,
                description=f"Shop {text}",
                day=DAY + timedelta(days=day),
            )
            for name, (day, amount, text) in zip(names, shown, strict=True)
        ]
        plan = look(ledger, rows)
        now = Counter(shown)
        assert len(live(ledger)) == len(shown)
        assert len(plan.updates) == (now & ever).total()
        assert len(plan.inserts) == (now - ever).total()
        assert len(plan.removals) == (before - now).total()
        before, ever = now, ever | now
