"""Rows that came under other ids are found by what no bank changes, one to one."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.changes import StoredTransaction
from bank_pipeline.domain.ids import TransactionId
from bank_pipeline.domain.looks import Look, plan_looks
from bank_pipeline.domain.moving import find_moved, match_moved
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline_tests.builders import transaction

DAY = timedelta(days=1)
FIRST = date(2026, 3, 2)


def stored(row: Transaction, own_id: str) -> StoredTransaction:
    return StoredTransaction(
        id=TransactionId(own_id),
        account_external_id=row.account_external_id,
        external_id=f"old-{own_id}",
        pending_external_id=None,
        status=row.status,
        content_hash=b"",
        is_removed=False,
        amount=row.amount,
        currency=row.currency,
        transaction_date=row.transaction_date,
        booking_date=row.booking_date,
        description=row.description,
    )


def paid(name: str, amount: str, day: int, text: str = "Shop", **more: Any) -> Transaction:
    values = {"booking_date": FIRST + day * DAY, "transaction_date": FIRST + day * DAY} | more
    return transaction(1, external_id=name, amount=Decimal(amount), description=text, **values)


def pending(name: str, amount: str, day: int) -> Transaction:
    return paid(name, amount, day, status=TransactionStatus.PENDING, booking_date=None)


def test_words_and_dates_may_differ_by_a_day() -> None:
    held = [stored(paid("old", "-5", 1, "REWE SAGT DANKE"), "a"), stored(paid("old", "-7", 1), "b")]
    shown = [paid("x", "-5", 2, "Kartenzahlung Rewe"), paid("y", "-7", 0, "Rent")]
    assert match_moved(held, shown, slack=DAY) == {"a": "x", "b": "y"}
    assert match_moved(held, shown, slack=timedelta(0)) == {}


def test_twins_stay_twins_and_a_shift_of_all_days_crosses_none() -> None:
    held = [stored(paid("old", "-5", day), f"{n}") for n, day in enumerate((0, 1, 1, 2))]
    shown = [paid(f"x{n}", "-5", day + 1) for n, day in enumerate((0, 1, 1, 2))]
    assert match_moved(held, shown, slack=DAY) == {"0": "x0", "1": "x1", "2": "x2", "3": "x3"}


def test_texts_tell_equal_payments_of_a_day_apart() -> None:
    held = [
        stored(paid("old", "-5", 0, "Bakery Blum"), "a"),
        stored(paid("old", "-5", 0, "Metro"), "b"),
    ]
    shown = [paid("x", "-5", 0, "METRO ticket"), paid("y", "-5", 0, "blum bakery")]
    assert match_moved(held, shown, slack=DAY) == {"a": "y", "b": "x"}


def test_words_of_the_other_bank_mislead_nobody_about_which_of_two_it_was() -> None:
    """Its words may sort otherwise than ours: notes of the one would go to the other."""
    held = [
        stored(paid("old", "-5", 0, "Netto"), "a"),
        stored(paid("old", "-5", 0, "Shell"), "b"),
        stored(paid("old", "-5", 0, "Zoo"), "c"),
    ]
    shown = [paid("x", "-5", 0, "Card 0412 Shell"), paid("y", "-5", 0, "Netto Berlin")]
    assert match_moved(held[:2], shown, slack=DAY) == {"a": "y", "b": "x"}
    assert match_moved(held, shown, slack=DAY) == {"a": "y", "b": "x"}, "the third is not told"
    told = [*shown, paid("z", "-5", 0, "Airport")]
    assert match_moved(held[:2], told, slack=DAY) == {"a": "y", "b": "x"}


def test_equal_amounts_of_two_currencies_are_both_found() -> None:
    held = [
        stored(paid("old", "-5", 0, "Alpha", currency="USD"), "a"),
        stored(paid("old", "-5", 0, "Beta", currency="EUR"), "b"),
    ]
    shown = [
        paid("x", "-5", 0, "Card 0412", currency="EUR"),
        paid("y", "-5", 0, "Payment", currency="USD"),
    ]
    assert match_moved(held, shown, slack=DAY) == {"a": "y", "b": "x"}


def test_what_was_pending_may_have_booked_meanwhile() -> None:
    held = [stored(pending("old", "-5", 0), "a"), stored(pending("old", "-6", 0), "b")]
    shown = [paid("x", "-5", 3, "Otherwise worded"), pending("y", "-6", 0)]
    assert match_moved(held, shown, slack=DAY) == {"a": "x", "b": "y"}


def test_another_currency_is_another_row() -> None:
    held = [stored(paid("old", "-5", 0, currency="USD"), "a")]
    assert match_moved(held, [paid("x", "-5", 0)], slack=DAY) == {}


def test_names_that_another_provider_gives_to_other_rows_prove_nothing() -> None:
    """Both count the rows of a day, and the other one begins elsewhere."""
    held = [
        replace(stored(paid("old", "-5", 1, "REWE SAGT DANKE"), "a"), external_id="1"),
        replace(stored(paid("old", "-7", 1, "Miete"), "b"), external_id="2"),
    ]
    shown = (paid("1", "-7", 1, "Rent"), paid("2", "-5", 1, "Kartenzahlung"))
    covered = DateWindow(first=FIRST - 5 * DAY, last=FIRST + 5 * DAY)
    look = Look(held[0].account_external_id, shown, covered, moved_by=DAY)
    plan = plan_looks(held, [look])
    assert {update.id: update.transaction.external_id for update in plan.updates} == {
        "a": "2",
        "b": "1",
    }
    assert (plan.inserts, plan.removals, plan.renames) == ((), (), ())


def dropped(row: StoredTransaction) -> StoredTransaction:
    return replace(row, is_removed=True, is_dropped=True)


def test_what_people_dropped_takes_what_the_live_rows_leave() -> None:
    copy, kept = (stored(paid("old", "-5", 1), own_id) for own_id in ("a", "b"))
    both = [dropped(copy), kept]
    name = kept.account_external_id
    shown = [paid("x", "-5", 1), paid("y", "-5", 1)]
    assert find_moved(both, shown, slack=DAY) == {(name, "x"): kept, (name, "y"): both[0]}
    assert find_moved(both, shown[:1], slack=DAY) == {(name, "x"): kept}


def test_what_the_bank_took_back_has_not_moved() -> None:
    gone = replace(stored(paid("old", "-5", 1), "a"), is_removed=True)
    assert find_moved([gone], [paid("x", "-5", 1)], slack=DAY) == {}


def test_what_people_dropped_stays_away_whatever_words_another_provider_has() -> None:
    held = [
        dropped(stored(paid("old", "-5", 1, "REWE SAGT DANKE"), "a")),
        stored(paid("old", "-7", 1, "Miete"), "b"),
    ]
    look = Look(
        account=held[0].account_external_id,
        rows=(paid("x", "-5", 2, "Kartenzahlung"), paid("y", "-7", 1, "Rent")),
        covered=DateWindow(first=FIRST - 5 * DAY, last=FIRST + 5 * DAY),
        moved_by=DAY,
    )
    plan = plan_looks(held, [look])
    assert [update.id for update in plan.updates] == ["a", "b"]
    assert not plan.inserts


_ROWS = st.lists(st.tuples(st.sampled_from(["-5", "-7", "3"]), st.integers(0, 6)), max_size=9)


@given(_ROWS, st.lists(st.sampled_from([0, 1]), min_size=9, max_size=9), st.randoms())
def test_rows_shown_again_within_a_day_are_all_found_in_any_order(
    rows: list[tuple[str, int]], shifts: list[int], order: Any
) -> None:
    held = [stored(paid("old", amount, day), f"{n}") for n, (amount, day) in enumerate(rows)]
    shown = [
        paid(f"x{n}", amount, day + shift, "Else")
        for n, ((amount, day), shift) in enumerate(zip(rows, shifts, strict=False))
    ]
    moved = match_moved(held, shown, slack=DAY)
    assert len(moved) == len(set(moved.values())) == len(rows)
    by_name = {one.external_id: one for one in shown}
    for row in held:
        assert by_name[moved[row.id]].amount == row.amount
    order.shuffle(held)
    order.shuffle(shown)
    assert len(match_moved(held, shown, slack=DAY)) == len(rows)
