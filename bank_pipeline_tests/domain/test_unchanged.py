"""The short way for big updates leaves out what is stored as it is, and nothing else."""

from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.transaction import Transaction, TransactionDelta, TransactionStatus
from bank_pipeline.domain.unchanged import HASH_BYTES, Fingerprints, without_unchanged


def row(account: str, name: str, text: str = "a", pending: str | None = None) -> Transaction:
    return Transaction(
        account_external_id=account,
        external_id=name,
        pending_external_id=pending,
        status=TransactionStatus.BOOKED,
        amount=Decimal(1),
        currency="EUR",
        booking_date=date(2026, 3, 5),
        description=text,
    )


_NAMES = st.sampled_from(["p", "q", "r", "s"])
_ROWS = st.lists(
    st.builds(
        row,
        st.sampled_from(["one", "two"]),
        _NAMES,
        st.sampled_from(["a", "b"]),
        st.none() | _NAMES,
    ),
    unique_by=lambda t: (t.account_external_id, t.external_id),
    max_size=8,
)


@given(stored=_ROWS, shown=_ROWS, removed=st.frozensets(st.tuples(st.just("one"), _NAMES)))
def test_only_rows_stored_as_they_are_that_nobody_names_are_left_out(
    stored: list[Transaction], shown: list[Transaction], removed: frozenset[tuple[str, str]]
) -> None:
    delta = TransactionDelta(upserts=tuple(shown), removed=removed)
    hashes = {one.content_hash: one.account_external_id for one in stored}

    rest, left_out_count = without_unchanged(delta, hashes)

    left_out = [one for one in shown if one not in rest.upserts]
    assert (len(left_out), rest.removed) == (left_out_count, removed)
    assert [one for one in shown if one in rest.upserts] == [*rest.upserts]
    named = {(one.account_external_id, one.pending_external_id) for one in rest.upserts} | removed
    assert all(one in stored for one in left_out)
    assert all((one.account_external_id, one.external_id) not in named for one in left_out)
    names = {one.pending_external_id for one in shown} | {name for _, name in removed}
    assert all(one in left_out for one in shown if one in stored and one.external_id not in names)


@given(stored=_ROWS, shown=_ROWS, times=st.sampled_from([1, 400]))
def test_fingerprints_that_were_made_meanwhile_change_nothing(
    stored: list[Transaction], shown: list[Transaction], times: int
) -> None:
    delta = TransactionDelta(upserts=tuple(shown) * times, removed=frozenset())
    hashes = {one.content_hash: one.account_external_id for one in stored}
    made, looks = Fingerprints(delta.upserts), iter([False, True])
    made.make(is_over=lambda: next(looks))

    assert without_unchanged(delta, hashes, made) == without_unchanged(delta, hashes)


def test_what_a_row_that_stays_names_stays_too() -> None:
    """Without its own entry the last one would seem to be booked away, and be removed."""
    unchanged = row("one", "p"), row("one", "q", pending="p")
    new = row("one", "r", pending="q")
    delta = TransactionDelta(upserts=(*unchanged, new), removed=frozenset())
    hashes = {one.content_hash: "one" for one in unchanged}

    assert without_unchanged(delta, hashes) == (delta, 0)


def test_a_row_of_an_account_that_bears_another_name_now_is_not_held_for_this_ones() -> None:
    """An account goes by a new name, and its old one by another account: so hashes are old."""
    shown = row("one", "p")
    delta = TransactionDelta(upserts=(shown,), removed=frozenset())

    rest, left_out_count = without_unchanged(delta, {shown.content_hash: "two"})

    assert (rest, left_out_count) == (delta, 0)


def test_a_hash_is_as_long_as_the_rows_are_read_by() -> None:
    assert len(row("one", "p").content_hash) == HASH_BYTES
