"""Transactions: written only where they differ, each change told by a revision."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.changes import ChangePlan, Update
from bank_pipeline.domain.ids import SyncRunId, TransactionId
from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.errors import ConcurrentSyncError
from bank_pipeline.storage import transactions as storage
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.revisions import load_revisions, to_json
from bank_pipeline.storage.rows import BANK_COLUMNS
from bank_pipeline.storage.tables import transaction_annotations, transactions
from bank_pipeline.storage.transaction_writes import AppliedCounts, apply_plan
from bank_pipeline.storage.transactions import (
    load_live_hashes,
    load_stored,
    load_transaction_counts,
)
from bank_pipeline_tests.builders import full_transaction, pending, transaction
from bank_pipeline_tests.storage.linked import Linked, apply, link

Row = dict[str, Any]


def rows_of(db: sa.Connection) -> dict[str, Row]:
    """Every stored row by its id."""
    return {row["id"]: dict(row) for row in db.execute(sa.select(transactions)).mappings()}


def only_row(db: sa.Connection) -> Row:
    """The one row there is."""
    (row,) = rows_of(db).values()
    return row


def test_a_new_row_holds_every_value_as_given(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Each field comes back exactly, amounts to the last digit and text with all its signs."""
    given_one = full_transaction(1, status=TransactionStatus.BOOKED)

    apply(db, linked, given_one, now=now)

    row = only_row(db)
    assert row["account_id"] == linked.account_ids["acc-1"]
    assert row["team_id"] == linked.connection.team_id
    assert row["running_balance"] == Decimal("1234567890123456.789")
    assert row["exchange_rate"] == Decimal("1.0612345678")
    assert row["reference"] == given_one.reference
    assert row["booked_at"] == datetime(2026, 2, 1, 9, 30, 0, 123456, tzinfo=UTC)
    assert row["counterparty_identifiers"] == {"iban": "CH9300762011623852957"}
    assert row["details"] == dict(given_one.details)
    assert row["content_hash"] == given_one.content_hash
    assert all(row[column] is not None for column in BANK_COLUMNS)
    assert row["removed_at"] is None
    assert row["created_at"] == row["updated_at"] == now


def test_what_a_bank_does_not_say_is_null(db: sa.Connection, linked: Linked, now: datetime) -> None:
    """An unknown amount and currency are NULL, and so is everything else left out."""
    apply(db, linked, transaction(1, amount=None, currency=None), now=now)

    row = only_row(db)
    said = {column for column in BANK_COLUMNS if row[column] is not None}
    assert said == {
        "external_id",
        "status",
        "booking_date",
        "transaction_date",
        "description",
        "details",
    }


def test_the_same_update_again_writes_nothing(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """No row version is made: the rows' own system columns stay as they were."""
    update = [full_transaction(1), pending(2), transaction(3)]
    apply(db, linked, *update, now=now)
    versions = sa.text("SELECT id, ctid::text, xmin::text FROM bank.transactions ORDER BY id")
    before = db.execute(versions).all()

    counts = apply(db, linked, *update, now=now + timedelta(days=1))

    assert counts == AppliedCounts()
    assert db.execute(versions).all() == before


def test_a_changed_row_keeps_its_id_and_tells_what_changed(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """The revision names the changed columns alone, with exact amounts and dates."""
    later = now + timedelta(hours=1)
    apply(db, linked, transaction(1, amount=Decimal("-1.10")), now=now)
    before = only_row(db)

    changed = transaction(1, amount=Decimal("-1.1000000001"), booking_date=date(2026, 3, 1))
    counts = apply(db, linked, changed, now=later)

    row = only_row(db)
    assert counts == AppliedCounts(updated=1, revised=1)
    assert row["id"] == before["id"]
    assert (row["created_at"], row["updated_at"]) == (now, later)
    (revision,) = load_revisions(db, row["id"])
    assert revision.at == later
    assert revision.sync_run_id == row["last_sync_run_id"] != row["first_sync_run_id"]
    assert revision.changes == {
        "amount": ("-1.1", "-1.1000000001"),
        "booking_date": ("2026-01-02", "2026-03-01"),
        "content_hash": (to_json(before["content_hash"]), to_json(row["content_hash"])),
    }


def test_a_pending_row_keeps_its_id_when_it_books_under_another_name(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """The booked entry takes the pending row over, and a replay of both changes nothing."""
    apply(db, linked, pending(1), now=now)
    pending_id = only_row(db)["id"]

    booked = transaction(2, pending_external_id="txn-1", amount=Decimal(-1))
    removed = frozenset({("acc-1", "txn-1")})
    counts = apply(db, linked, booked, removed=removed, now=now)
    again = apply(db, linked, booked, removed=removed, now=now)
    replayed = apply(db, linked, pending(1), booked, now=now)

    row = only_row(db)
    assert (counts, again, replayed) == (
        AppliedCounts(updated=1, revised=1),
        AppliedCounts(),
        AppliedCounts(),
    )
    assert (row["id"], row["external_id"], row["status"]) == (pending_id, "txn-2", "booked")
    (revision,) = load_revisions(db, row["id"])
    assert revision.changes["external_id"] == ("txn-1", "txn-2")
    assert revision.changes["status"] == ("pending", "booked")


def test_a_removed_row_stays_and_can_come_back(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Removal and return are one revision each; the row and its id survive."""
    apply(db, linked, transaction(1), now=now)
    removed = apply(db, linked, removed=frozenset({("acc-1", "txn-1")}), now=now)
    gone = only_row(db)

    restored = apply(db, linked, transaction(1), now=now)

    assert removed == AppliedCounts(removed=1, revised=1)
    assert gone["removed_at"] == now
    assert gone["status"] == "booked"
    assert restored == AppliedCounts(updated=1, revised=1)
    row = only_row(db)
    assert (row["id"], row["removed_at"]) == (gone["id"], None)
    assert [r.changes for r in load_revisions(db, row["id"])] == [
        {"removed_at": (None, now.isoformat())},
        {"removed_at": (now.isoformat(), None)},
    ]


def test_a_pending_row_that_ends_unbooked_vanishes_and_can_come_back(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Vanished is a status of its own, so that nobody takes it for a booked row taken back."""
    apply(db, linked, pending(1), now=now)

    vanished = apply(db, linked, removed=frozenset({("acc-1", "txn-1")}), now=now)
    gone = only_row(db)
    apply(db, linked, pending(1), now=now)

    assert vanished == AppliedCounts(vanished=1, revised=1)
    assert (gone["status"], gone["removed_at"]) == ("vanished", now)
    row = only_row(db)
    assert (row["id"], row["status"], row["removed_at"]) == (gone["id"], "pending", None)


def test_what_people_say_of_a_transaction_is_never_touched(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Change, removal and return leave category, note, tags and visibility as they are."""
    apply(db, linked, transaction(1), now=now)
    note = {
        "transaction_id": only_row(db)["id"],
        "team_id": linked.connection.team_id,
        "category": "mine",
        "note": "ask Ann",
        "tags": ["x"],
        "is_hidden": True,
        "updated_at": now,
    }
    db.execute(sa.insert(transaction_annotations).values(note))

    for _ in range(2):
        apply(db, linked, transaction(1, description="other", category="theirs"), now=now)
        apply(db, linked, removed=frozenset({("acc-1", "txn-1")}), now=now)

    assert dict(db.execute(sa.select(transaction_annotations)).mappings().one()) == note


def test_two_equal_purchases_are_two_rows(db: sa.Connection, linked: Linked, now: datetime) -> None:
    """Only the provider's id tells them apart, and that is enough."""
    apply(db, linked, transaction(1), transaction(1, external_id="txn-1b"), now=now)

    assert len(rows_of(db)) == 2


def test_equal_external_ids_in_two_accounts_are_two_rows(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """A provider's id counts within its account."""
    both = [transaction(1), transaction(1, account_external_id="acc-2")]
    apply(db, linked, *both, now=now)

    counts = apply(db, linked, *both, now=now)

    assert len(rows_of(db)) == 2
    assert counts == AppliedCounts()


def test_a_row_may_take_the_name_that_another_gives_up(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """In one plan a row is renamed and a new one takes its old name."""
    apply(db, linked, pending(1), now=now)
    row = only_row(db)
    renamed = transaction(2, pending_external_id="txn-1")

    plan_ = ChangePlan(inserts=(transaction(1),), updates=(Update(row["id"], renamed),))
    apply_plan(
        db,
        plan_,
        team_id=linked.connection.team_id,
        account_ids=linked.account_ids,
        sync_run_id=SyncRunId(new_id()),
        now=now,
    )

    names = {row["external_id"] for row in rows_of(db).values()}
    assert names == {"txn-1", "txn-2"}


@pytest.mark.parametrize(
    "stale",
    [
        ChangePlan(inserts=(transaction(1),)),
        ChangePlan(updates=(Update(TransactionId(new_id()), transaction(9)),)),
        ChangePlan(removals=(TransactionId(new_id()),)),
        ChangePlan(vanished=(TransactionId(new_id()),)),
    ],
    ids=["insert", "update", "removal", "vanished"],
)
def test_a_plan_made_from_other_rows_is_refused_whole(
    engine: sa.Engine, now: datetime, stale: ChangePlan
) -> None:
    """Should the lock be lost, neither a doubled nor a half-written update can be committed."""
    with engine.begin() as db:
        linked = link(db, now)
        apply(db, linked, transaction(1), now=now)

    with pytest.raises(ConcurrentSyncError), engine.begin() as db:
        apply_plan(
            db,
            stale,
            team_id=linked.connection.team_id,
            account_ids=linked.account_ids,
            sync_run_id=SyncRunId(new_id()),
            now=now,
        )

    with engine.connect() as db:
        assert only_row(db)["updated_at"] == now
        assert load_revisions(db, only_row(db)["id"]) == []


def test_a_refused_row_does_not_show_in_the_error(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Postgres quotes the offending row; our error must not."""
    broken = transaction(1, description="SECRET CLINIC").model_copy(update={"currency": "euro"})

    with pytest.raises(Exception, match="check constraint") as caught:
        apply(db, linked, broken, now=now)

    assert "SECRET" not in str(caught.value)


def test_a_stored_row_answers_to_its_present_and_its_pending_name(
    db: sa.Connection, linked: Linked, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked up by either key or by both, it is found once; other rows are not read."""
    monkeypatch.setattr(storage, "LOOK_UP_COST", 0)
    booked = transaction(2, pending_external_id="txn-1")
    apply(db, linked, booked, *(transaction(n) for n in range(10, 20)), now=now)

    for keys in (
        {("acc-1", "txn-1")},
        {("acc-1", "txn-2")},
        {("acc-1", "txn-1"), ("acc-1", "txn-2")},
    ):
        (row,) = load_stored(db, account_ids=linked.account_ids, keys=keys)
        assert (row.external_id, row.pending_external_id) == ("txn-2", "txn-1")
        assert row.content_hash == booked.content_hash


def test_keys_of_unknown_accounts_match_nothing(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """A key is a name within an account that we hold."""
    apply(db, linked, transaction(1), now=now)

    assert load_stored(db, account_ids=linked.account_ids, keys={("acc-9", "txn-1")}) == []
    assert load_stored(db, account_ids={}, keys=None) == []


def test_without_keys_every_row_is_loaded_removed_ones_too(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """A reconcile must know what is gone, or it would add it once more."""
    apply(db, linked, transaction(1), pending(2, account_external_id="acc-2"), now=now)
    apply(db, linked, removed=frozenset({("acc-1", "txn-1")}), now=now)

    stored = {row.key: row for row in load_stored(db, account_ids=linked.account_ids, keys=None)}

    assert {key: row.is_removed for key, row in stored.items()} == {
        ("acc-1", "txn-1"): True,
        ("acc-2", "txn-2"): False,
    }
    row = stored[("acc-2", "txn-2")]
    assert row.status is TransactionStatus.PENDING
    assert (row.amount, row.currency) == (Decimal(-2), "EUR")
    assert (row.transaction_date, row.booking_date) == (date(2026, 1, 3), None)
    assert load_transaction_counts(db, linked.connection.id) == storage.TransactionCounts(1, 1)


def test_another_connections_rows_are_never_loaded(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Equal external ids under another connection are other rows."""
    other = link(db, now, external_id="item-2")
    apply(db, other, transaction(1), now=now)

    assert load_stored(db, account_ids=linked.account_ids, keys=None) == []
    apply(db, linked, transaction(1), now=now)
    assert len(rows_of(db)) == 2


def test_hashes_are_those_of_live_rows_alone(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """A removed row is not there to be compared with: it must be restored."""
    kept, gone = transaction(1), transaction(2)
    apply(db, linked, kept, gone, now=now)
    apply(db, linked, removed=frozenset({("acc-1", "txn-2")}), now=now)

    hashes = load_live_hashes(db, account_ids=linked.account_ids)

    assert hashes == {kept.content_hash: "acc-1"}


def test_the_hash_of_a_row_that_lost_its_name_says_nothing(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """The name may be shown again: then it is not stored as it was told, though its hash is."""
    apply(db, linked, transaction(1), transaction(2), now=now)
    [first] = [id_ for id_, row in rows_of(db).items() if row["external_id"] == "txn-1"]
    retire = sa.text("UPDATE bank.transactions SET external_id = 'retired-' || id WHERE id = :id")
    db.execute(retire, {"id": first})

    hashes = load_live_hashes(db, account_ids=linked.account_ids)

    assert hashes == {transaction(2).content_hash: "acc-1"}


def test_a_hash_of_another_length_spoils_no_other(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Hashes are read joined together; one that is none of ours only has its row written."""
    apply(db, linked, transaction(1), transaction(2), now=now)
    spoil = "UPDATE bank.transactions SET content_hash = 'odd' WHERE external_id = 'txn-1'"
    db.execute(sa.text(spoil))

    hashes = load_live_hashes(db, account_ids=linked.account_ids)

    assert hashes == {transaction(2).content_hash: "acc-1"}
