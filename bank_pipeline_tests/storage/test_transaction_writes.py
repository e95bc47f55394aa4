"""Plans in which names move, flags are written, and what a look loads."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.changes import ChangePlan, Rename, Update
from bank_pipeline.domain.ids import SyncRunId, TransactionId
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import ConcurrentSyncError
from bank_pipeline.storage import transaction_writes
from bank_pipeline.storage import transactions as storage
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.revisions import load_revisions
from bank_pipeline.storage.tables import transactions
from bank_pipeline.storage.transaction_writes import apply_plan
from bank_pipeline_tests.builders import pending, transaction
from bank_pipeline_tests.storage.linked import Linked, apply, link
from bank_pipeline_tests.storage.test_transactions import only_row, rows_of


def test_names_are_swapped_across_batches(
    db: sa.Connection, linked: Linked, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ring of names, a row to each statement: checked when all is written, and at once after."""
    monkeypatch.setattr(transaction_writes, "UPDATE_BATCH", 1)
    rows = [transaction(number) for number in range(1, 5)]
    apply(db, linked, *rows, now=now)
    ids = {row["external_id"]: TransactionId(id_) for id_, row in rows_of(db).items()}
    ring = [
        row.model_copy(update={"external_id": f"txn-{n % 4 + 1}"}) for n, row in enumerate(rows, 1)
    ]
    updates = tuple(Update(ids[f"txn-{n}"], row) for n, row in enumerate(ring, 1))

    _write(db, linked, ChangePlan(updates=updates, swaps_names=True), now)

    swapped = {id_: row["external_id"] for id_, row in rows_of(db).items()}
    assert swapped == {ids[f"txn-{n}"]: f"txn-{n % 4 + 1}" for n in range(1, 5)}
    with pytest.raises(sa.exc.IntegrityError):
        db.execute(sa.update(transactions).values(external_id="one for all"))


def test_a_name_that_is_there_twice_in_the_end_is_refused(engine: sa.Engine, now: datetime) -> None:
    with engine.begin() as db:
        linked = link(db, now)
        apply(db, linked, transaction(1), transaction(2), now=now)
        ids = {row["external_id"]: TransactionId(id_) for id_, row in rows_of(db).items()}
    taken = ChangePlan(updates=(Update(ids["txn-1"], transaction(2)),), swaps_names=True)

    with pytest.raises(ConcurrentSyncError), engine.begin() as db:
        _write(db, linked, taken, now)


def test_a_row_that_gives_its_name_up_tells_so(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    apply(db, linked, transaction(1), now=now)
    id_ = TransactionId(only_row(db)["id"])
    plan_ = ChangePlan(
        inserts=(transaction(1, amount=Decimal(-9)),),
        renames=(Rename(id_, "txn-1", f"retired-{id_}"),),
        swaps_names=True,
        suspects={("acc-1", "txn-1"): id_},
    )

    _write(db, linked, plan_, now)

    rows = rows_of(db)
    assert rows[id_]["external_id"] == f"retired-{id_}"
    [new] = [row for key, row in rows.items() if key != id_]
    assert (new["external_id"], new["suspected_duplicate_of"]) == ("txn-1", id_)
    [revision] = load_revisions(db, id_)
    assert revision.changes == {"external_id": ("txn-1", f"retired-{id_}")}


def test_looks_load_what_they_may_mean_and_nothing_twice(
    db: sa.Connection, linked: Linked, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name or by day, removed rows too; what is pending always, what vanished for some days."""
    monkeypatch.setattr(storage, "LOOK_UP_COST", 0)
    rows = [transaction(number) for number in (1, 2, 30, 31, 60)]
    apply(db, linked, *rows, pending(5), pending(6), pending(28), now=now)
    gone = {("acc-1", "txn-31"), ("acc-1", "txn-6"), ("acc-1", "txn-28")}
    apply(db, linked, removed=frozenset(gone), now=now)

    found = storage.load_looked_at(
        db,
        account_ids=linked.account_ids,
        keys={("acc-1", "txn-1"), ("acc-1", "txn-30"), ("acc-9", "txn-2")},
        days={"acc-1": DateWindow(first=date(2026, 1, 31), last=date(2026, 2, 1))},
        pending_before=timedelta(days=8),
    )

    names = [row.external_id for row in found]
    assert sorted(names) == ["txn-1", "txn-28", "txn-30", "txn-31", "txn-5"]


def test_looks_at_the_first_day_of_all_can_be_loaded(db: sa.Connection, linked: Linked) -> None:
    first = DateWindow(first=date.min, last=date(2026, 2, 1))
    loaded = storage.load_looked_at(
        db,
        account_ids=linked.account_ids,
        keys=(),
        days={"acc-1": first},
        pending_before=timedelta(days=8),
    )
    assert loaded == []


def _write(db: sa.Connection, linked: Linked, plan_: ChangePlan, now: datetime) -> None:
    apply_plan(
        db,
        plan_,
        team_id=linked.connection.team_id,
        account_ids=linked.account_ids,
        sync_run_id=SyncRunId(new_id()),
        now=now,
    )
