"""What holds for transactions whatever updates come, in whatever order."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bank_pipeline.domain.ids import TransactionId
from bank_pipeline.domain.transaction import Transaction, TransactionDelta, TransactionStatus
from bank_pipeline.domain.unchanged import without_unchanged
from bank_pipeline.storage.revisions import load_revisions, to_json
from bank_pipeline.storage.rows import BANK_COLUMNS
from bank_pipeline.storage.transactions import load_live_hashes
from bank_pipeline_tests.builders import full_transaction, transaction
from bank_pipeline_tests.storage.linked import apply, link, plan
from bank_pipeline_tests.storage.test_transactions import rows_of

Row = dict[str, Any]
_FIXTURES_ARE_SHARED = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)

_CHANGES = st.builds(
    lambda number, is_pending, amount, text, is_full: (
        full_transaction if is_full else transaction
    )(
        number,
        status=TransactionStatus.PENDING if is_pending else TransactionStatus.BOOKED,
        amount=amount,
        description=text,
        booking_date=None if is_pending else date(2026, 1, 1 + number),
        pending_external_id=None if is_pending else f"txn-{number + 10}",
    ),
    st.integers(1, 4),
    st.booleans(),
    st.none() | st.decimals(min_value=-(10**6), max_value=10**6, places=4),
    st.sampled_from(["a", "b\\N", "\\.", "ü\t\n\\"]),
    st.booleans(),
)
_UPDATES = st.lists(
    st.tuples(
        st.lists(_CHANGES, max_size=4, unique_by=lambda t: t.external_id),
        st.frozensets(st.integers(1, 14).map(lambda n: ("acc-1", f"txn-{n}")), max_size=3),
    ),
    min_size=1,
    max_size=5,
)


@_FIXTURES_ARE_SHARED
@given(updates=_UPDATES)
def test_applying_an_update_twice_changes_nothing_more(
    engine: sa.Engine,
    now: datetime,
    updates: list[tuple[list[Transaction], frozenset[tuple[str, str]]]],
) -> None:
    """Whatever came before, the second time of the same update is empty."""
    with engine.connect() as db:
        linked = link(db, now)
        for upserts, gone in updates:
            removed = gone - {("acc-1", t.external_id) for t in upserts}
            apply(db, linked, *upserts, removed=removed, now=now)
            assert plan(db, linked, *upserts, removed=removed).is_empty


@_FIXTURES_ARE_SHARED
@given(updates=_UPDATES)
def test_leaving_out_unchanged_rows_first_gives_the_same_plan(
    engine: sa.Engine,
    now: datetime,
    updates: list[tuple[list[Transaction], frozenset[tuple[str, str]]]],
) -> None:
    """The short way for big updates differs in nothing but what it costs."""
    with engine.connect() as db:
        linked = link(db, now)
        for upserts, gone in updates:
            removed = gone - {("acc-1", t.external_id) for t in upserts}
            hashes = load_live_hashes(db, account_ids=linked.account_ids)
            delta = TransactionDelta(upserts=tuple(upserts), removed=removed)
            rest, left_out_count = without_unchanged(delta, hashes)
            short = plan(db, linked, *rest.upserts, removed=removed)
            whole = plan(db, linked, *upserts, removed=removed)
            settled_count = whole.unchanged_count + whole.superseded_count
            assert replace(whole, unchanged_count=0, superseded_count=0) == replace(
                short, unchanged_count=0, superseded_count=0
            )
            assert settled_count == short.unchanged_count + short.superseded_count + left_out_count
            apply(db, linked, *upserts, removed=removed, now=now)


@_FIXTURES_ARE_SHARED
@given(updates=_UPDATES)
def test_revisions_replayed_backwards_give_the_rows_as_they_were(
    engine: sa.Engine,
    now: datetime,
    updates: list[tuple[list[Transaction], frozenset[tuple[str, str]]]],
) -> None:
    """After any updates, undoing each row's revisions gives the row as it was first stored."""
    columns = (*BANK_COLUMNS, "content_hash", "removed_at")
    with engine.connect() as db:
        linked = link(db, now)
        first: dict[str, Row] = {}
        for number, (upserts, gone) in enumerate(updates):
            removed = gone - {("acc-1", t.external_id) for t in upserts}
            apply(db, linked, *upserts, removed=removed, now=now + timedelta(days=number))
            for id_, row in rows_of(db).items():
                first.setdefault(id_, {name: to_json(row[name]) for name in columns})
        for id_, row in rows_of(db).items():
            replayed = {name: to_json(row[name]) for name in columns}
            for revision in reversed(load_revisions(db, TransactionId(id_))):
                for name, (old, new) in revision.changes.items():
                    assert replayed[name] == new
                    replayed[name] = old
            assert replayed == first[id_]
