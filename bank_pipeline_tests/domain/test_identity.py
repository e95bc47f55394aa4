from collections import Counter
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.changes import StoredTransaction
from bank_pipeline.domain.identity import (
    FINGERPRINT_PREFIX,
    UNIDENTIFIED,
    fingerprint,
    identified,
    told_apart,
)
from bank_pipeline.domain.transaction import Transaction, TransactionDelta, TransactionStatus
from bank_pipeline_tests.builders import pending, transaction
from bank_pipeline_tests.domain.test_changes import DAY, PENDING, Ledger, movement

rows = st.builds(
    lambda amount, day, text: transaction(
        1,
        external_id=UNIDENTIFIED,
        amount=Decimal(amount),
        booking_date=date(2026, 2, day),
        description=text,
    ),
    st.sampled_from(["-1", "-2.50", "3"]),
    st.integers(1, 4),
    st.sampled_from(["COFFEE", "coffee ", "BREAD"]),
)
ids = st.none() | st.sampled_from(["a", "b", "c"])


def names(pairs: list[tuple[str | None, Transaction]]) -> list[str]:
    return [row.external_id for row in identified(pairs)]


def test_two_equal_purchases_of_one_day_are_two_rows() -> None:
    coffee = transaction(1, external_id=UNIDENTIFIED)
    found = names([(None, coffee), (None, coffee)])
    assert len(set(found)) == 2
    assert all(name.startswith(FINGERPRINT_PREFIX) for name in found)


def test_an_id_that_stands_for_two_rows_is_none() -> None:
    one, other = transaction(1), transaction(2)
    found = names([("9998", one), ("9998", other), ("5", transaction(3))])
    assert "9998" not in found
    assert len(set(found)) == 3
    assert found[2] == "5"


def test_one_row_told_twice_under_its_id_is_one() -> None:
    assert names([("7", transaction(1)), ("7", transaction(1))]) == ["7"]


def test_of_a_pending_and_a_booked_row_with_one_id_the_booked_one_counts() -> None:
    for pair in ([pending(1), transaction(1)], [transaction(1), pending(1)]):
        [row] = identified([("7", row) for row in pair])
        assert row.booking_date is not None


def test_what_was_booked_is_money_though_it_is_told_as_cancelled_too() -> None:
    booked = transaction(1)
    cancelled = booked.model_copy(update={"status": TransactionStatus.CANCELLED})
    for pair in ([booked, cancelled], [cancelled, booked]):
        [row] = identified([("7", row) for row in pair])
        assert row.status is TransactionStatus.BOOKED


def test_a_row_has_the_same_name_under_another_account_id() -> None:
    here, there = transaction(1), transaction(1, account_external_id="acc-2", external_id="x")
    assert fingerprint(here) == fingerprint(there)


def held(row: Transaction) -> list[StoredTransaction]:
    ledger = Ledger()
    ledger.apply(TransactionDelta(upserts=(row,), removed=frozenset()))
    return [*ledger.rows.values()]


@pytest.mark.parametrize(
    "again",
    [
        movement("9998", amount="500"),
        movement("9998", amount="-25", day=DAY + timedelta(days=90)),
    ],
)
def test_an_id_that_comes_back_for_another_row_names_none(again: Transaction) -> None:
    """Else a bakery of June would be overwritten by a salary of September."""
    [told] = told_apart([again], held(movement("9998", amount="-10")))
    assert told.external_id.startswith(FINGERPRINT_PREFIX)
    assert told_apart([again], held(told)) == (again,)


@pytest.mark.parametrize(
    "again",
    [
        movement("1", amount="-10", day=DAY + timedelta(days=90)),
        movement("1", amount="-11"),
        movement("1", PENDING, amount="-11"),
    ],
)
def test_a_row_that_was_corrected_keeps_its_name(again: Transaction) -> None:
    assert told_apart([again], held(movement("1", amount="-10"))) == (again,)


@given(st.lists(st.tuples(ids, rows), max_size=12), st.randoms())
def test_names_are_unique_lose_no_row_and_do_not_depend_on_the_order(
    pairs: list[tuple[str | None, Transaction]], dice: object
) -> None:
    found = identified(pairs)
    assert len({row.external_id for row in found}) == len(found)

    shuffled = [*pairs]
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    again = identified(shuffled)
    assert {row.external_id: fingerprint(row) for row in again} == {
        row.external_id: fingerprint(row) for row in found
    }

    nameless = Counter(fingerprint(row) for external_id, row in pairs if external_id is None)
    kept = Counter(fingerprint(row) for row in found)
    assert all(kept[content] >= count for content, count in nameless.items())


@given(st.lists(rows, max_size=8), rows)
def test_a_row_that_comes_later_renames_none_of_those_before(
    told: list[Transaction], late: Transaction
) -> None:
    """Nothing that was stored under a name may find itself under another tomorrow."""
    before = {row.external_id: fingerprint(row) for row in identified([(None, r) for r in told])}
    after = {
        row.external_id: fingerprint(row) for row in identified([(None, r) for r in (*told, late)])
    }
    assert before.items() <= after.items()
    assert len(after) == len(before) + 1
