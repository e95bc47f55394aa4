"""What an update means for stored rows: each promise of the planner, by example and by property."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from bank_pipeline.domain.changes import (
    ChangePlan,
    StoredTransaction,
    plan_changes,
    to_reconciling,
)
from bank_pipeline.domain.ids import TransactionId
from bank_pipeline.domain.transaction import Transaction, TransactionDelta, TransactionStatus

DAY = date(2026, 3, 2)
PENDING, BOOKED = TransactionStatus.PENDING, TransactionStatus.BOOKED


def movement(
    external_id: str,
    status: TransactionStatus = BOOKED,
    *,
    amount: str = "-4.20",
    pending: str | None = None,
    description: str = "Coffee Corner",
    day: date = DAY,
    account: str = "a",
) -> Transaction:
    return Transaction(
        account_external_id=account,
        external_id=external_id,
        pending_external_id=pending,
        status=status,
        amount=Decimal(amount),
        currency="EUR",
        booking_date=day if status is BOOKED else None,
        transaction_date=day,
        description=description,
    )


def delta(upserts: Iterable[Transaction] = (), removed: Iterable[str] = ()) -> TransactionDelta:
    return TransactionDelta(
        upserts=tuple(upserts), removed=frozenset(("a", external_id) for external_id in removed)
    )


class Ledger:
    """A table in memory that does what a plan says, as storage does in Postgres."""

    def __init__(self) -> None:
        self.rows: dict[TransactionId, StoredTransaction] = {}

    def apply(self, change: TransactionDelta) -> ChangePlan:
        plan = plan_changes(self.rows.values(), change)
        for transaction in plan.inserts:
            self._put(TransactionId(f"row-{len(self.rows) + 1}"), transaction)
        for update in plan.updates:
            self._put(update.id, update.transaction)
        for row_id in plan.removals:
            self.rows[row_id] = replace(self.rows[row_id], is_removed=True)
        for row_id in plan.vanished:
            self.rows[row_id] = replace(
                self.rows[row_id], is_removed=True, status=TransactionStatus.VANISHED
            )
        return plan

    def _put(self, row_id: TransactionId, transaction: Transaction) -> None:
        self.rows[row_id] = StoredTransaction(
            id=row_id,
            account_external_id=transaction.account_external_id,
            external_id=transaction.external_id,
            pending_external_id=transaction.pending_external_id,
            status=transaction.status,
            content_hash=transaction.content_hash,
            is_removed=False,
            amount=transaction.amount,
            currency=transaction.currency,
            transaction_date=transaction.transaction_date,
            booking_date=transaction.booking_date,
            description=transaction.description,
        )

    @property
    def live(self) -> dict[str, TransactionId]:
        return {row.external_id: row.id for row in self.rows.values() if not row.is_removed}


def test_a_pending_row_keeps_our_id_when_it_books_under_another_id() -> None:
    ledger = Ledger()
    ledger.apply(delta([movement("p1", PENDING)]))
    plan = ledger.apply(delta([movement("b1", amount="-4.90", pending="p1")], removed=["p1"]))
    assert ledger.live == {"b1": "row-1"}
    assert (plan.inserts, plan.removals, plan.vanished) == ((), (), ())


def test_the_booked_half_may_arrive_an_update_after_the_removal_of_the_pending_half() -> None:
    ledger = Ledger()
    ledger.apply(delta([movement("p1", PENDING)]))
    ledger.apply(delta(removed=["p1"]))
    assert ledger.live == {}
    ledger.apply(delta([movement("b1", pending="p1")]))
    assert ledger.live == {"b1": "row-1"}


def test_a_booked_row_whose_link_the_provider_lost_is_matched_by_content() -> None:
    ledger = Ledger()
    ledger.apply(delta([movement("p1", PENDING, description="COFFEE CORNER 0815")]))
    ledger.apply(delta([movement("b1", day=DAY + timedelta(days=3))], removed=["p1"]))
    assert ledger.live == {"b1": "row-1"}


def test_which_of_two_equal_bookings_continues_a_pending_row_does_not_depend_on_the_telling() -> (
    None
):
    outcomes = []
    for booked in (["b1", "b2"], ["b2", "b1"]):
        ledger = Ledger()
        ledger.apply(delta([movement("p1", PENDING)]))
        ledger.apply(delta([movement(external_id) for external_id in booked], removed=["p1"]))
        outcomes.append(ledger.live["b1"])
    assert outcomes == ["row-1", "row-1"]


def test_one_booked_row_takes_one_pending_row() -> None:
    ledger = Ledger()
    ledger.apply(delta([movement("p1", PENDING), movement("p2", PENDING)]))
    plan = ledger.apply(delta([movement("b1")], removed=["p1", "p2"]))
    assert ledger.live == {"b1": "row-1"}
    assert plan.vanished == ("row-2",)


def test_content_does_not_match_another_amount_another_text_or_a_later_week() -> None:
    for booked in (
        movement("b1", amount="-4.21"),
        movement("b1", description="Hardware Store"),
        movement("b1", day=DAY + timedelta(days=9)),
    ):
        ledger = Ledger()
        ledger.apply(delta([movement("p1", PENDING)]))
        plan = ledger.apply(delta([booked], removed=["p1"]))
        assert (len(plan.inserts), plan.vanished) == (1, ("row-1",))


def test_texts_without_a_common_word_are_no_evidence_of_the_same_payment() -> None:
    for pending_text, booked_text in (("12345", "RENT"), ("", "RENT"), ("12345", "67890")):
        ledger = Ledger()
        ledger.apply(delta([movement("p1", PENDING, description=pending_text)]))
        ledger.apply(delta([movement("b1", description=booked_text)], removed=["p1"]))
        assert ledger.live == {"b1": "row-2"}


def test_a_pending_entry_that_booked_as_two_is_history_while_either_stays() -> None:
    for taken_back in ("b1", "b2"):
        ledger = Ledger()
        ledger.apply(delta([movement("p1", PENDING)]))
        both = [movement("b1", pending="p1"), movement("b2", pending="p1")]
        ledger.apply(delta(both, removed=["p1"]))
        ledger.apply(delta(removed=[taken_back]))
        plan = ledger.apply(delta([movement("p1", PENDING)]))
        assert plan.superseded_count == 1


def test_a_pending_row_that_never_books_vanishes_and_comes_back_as_itself() -> None:
    ledger = Ledger()
    ledger.apply(delta([movement("p1", PENDING)]))
    assert ledger.apply(delta(removed=["p1"])).vanished == ("row-1",)
    assert ledger.rows[TransactionId("row-1")].status is TransactionStatus.VANISHED
    ledger.apply(delta([movement("p1", PENDING)]))
    assert ledger.live == {"p1": "row-1"}


def test_a_removed_booked_row_comes_back_as_itself() -> None:
    ledger = Ledger()
    ledger.apply(delta([movement("b1")]))
    assert ledger.apply(delta(removed=["b1"])).removals == ("row-1",)
    ledger.apply(delta([movement("b1")]))
    assert ledger.live == {"b1": "row-1"}


def test_a_removed_booked_row_comes_back_as_itself_under_another_id() -> None:
    """After a new link every id is another one, and what the bank shows again, too."""
    ledger = Ledger()
    ledger.apply(delta([movement("b1")]))
    ledger.apply(delta(removed=["b1"]))
    ledger.apply(delta([movement("c1")]))
    assert ledger.live == {"c1": "row-1"}


def test_a_new_row_is_a_removed_one_only_where_all_is_equal() -> None:
    ledger = Ledger()
    ledger.apply(delta([movement("b1")]))
    ledger.apply(delta(removed=["b1"]))
    others = [
        movement("c1", amount="-4.30"),
        movement("c2", description="Tea Corner"),
        movement("c3", day=DAY + timedelta(days=1)),
    ]
    ledger.apply(delta(others))
    assert "row-1" not in ledger.live.values()
    ledger.apply(delta([movement("c4"), movement("c5")]))
    assert [*ledger.live.values()].count(TransactionId("row-1")) == 1
    assert len(ledger.live) == 5


def test_a_first_update_with_a_pending_entry_and_what_booked_it_has_one_row_of_both() -> None:
    ledger = Ledger()
    shown = [movement("p1", PENDING), movement("b1", pending="p1"), movement("b2", pending="p2")]
    plan = ledger.apply(delta(shown))
    assert {*ledger.live} == {"b1", "b2"}
    assert plan.superseded_count == 1


def test_a_pending_id_that_a_booked_row_took_over_is_history() -> None:
    ledger = Ledger()
    ledger.apply(delta([movement("p1", PENDING)]))
    ledger.apply(delta([movement("b1", pending="p1")], removed=["p1"]))
    plan = ledger.apply(delta([movement("p1", PENDING)]))
    assert plan.is_empty
    assert plan.superseded_count == 1


def test_a_booking_taken_back_makes_its_row_pending_again() -> None:
    ledger = Ledger()
    ledger.apply(delta([movement("p1", PENDING)]))
    ledger.apply(delta([movement("b1", pending="p1")], removed=["p1"]))
    ledger.apply(delta([movement("p1", PENDING)], removed=["b1"]))
    assert ledger.live == {"p1": "row-1"}


def test_a_pending_row_that_is_superseded_but_was_never_announced_removed_does_not_stay() -> None:
    ledger = Ledger()
    ledger.apply(delta([movement("p1", PENDING), movement("b1")]))
    ledger.apply(delta([movement("b1", pending="p1")]))
    assert ledger.live == {"b1": "row-2"}


def test_removal_of_an_unknown_row_is_nothing() -> None:
    assert Ledger().apply(delta(removed=["ghost"])).is_empty


def test_the_same_id_in_two_accounts_is_two_rows() -> None:
    ledger = Ledger()
    ledger.apply(delta([movement("1"), movement("1", account="b")]))
    assert len(ledger.rows) == 2


def test_a_modification_without_a_difference_is_no_change() -> None:
    ledger = Ledger()
    ledger.apply(delta([movement("b1", amount="-4.20")]))
    plan = ledger.apply(delta([movement("b1", amount="-4.2000")]))
    assert plan.is_empty
    assert plan.unchanged_count == 1


def test_a_replay_after_a_lost_cursor_removes_what_it_does_not_show() -> None:
    ledger = Ledger()
    old = DAY - timedelta(days=400)
    ledger.apply(
        delta(
            [movement("old", day=old), movement("b1"), movement("b2"), movement("c", account="b")]
        )
    )
    replay = delta([movement("b1", day=DAY - timedelta(days=1))])
    plan = ledger.apply(to_reconciling(replay, ledger.rows.values(), accounts={"a"}))
    assert plan.removals == ("row-3",)
    assert set(ledger.live) == {"old", "b1", "c"}


def test_a_replay_does_not_remove_what_it_showed_but_could_not_be_read() -> None:
    ledger = Ledger()
    ledger.apply(delta([movement("b1"), movement("b2")]))
    replay = delta([movement("b1")])
    for unread in ({"b2"}, {None}):
        rows = ledger.rows.values()
        assert not to_reconciling(replay, rows, accounts={"a"}, unread=unread).removed


def test_an_empty_replay_denies_nothing() -> None:
    ledger = Ledger()
    ledger.apply(delta([movement("b1")]))
    plan = ledger.apply(to_reconciling(delta(), ledger.rows.values(), accounts={"a"}))
    assert plan.is_empty


# --- properties: random lives of payments, told as a provider tells them -----------------------

Step = tuple[str, int]
_lives = st.lists(
    st.sampled_from(["books", "books_unlinked", "vanishes", "stays", "booked_only", "taken_back"]),
    min_size=1,
    max_size=8,
)


def tell(lives: Sequence[str]) -> list[TransactionDelta]:
    """Three updates: what appears, what becomes of it, and what is taken back."""
    appears, becomes, ends = [], [], []
    gone: list[str] = []
    taken: list[str] = []
    for number, life in enumerate(lives):
        pending, booked = f"p{number}", f"b{number}"
        link = pending if life in ("books", "taken_back") else None
        if life == "booked_only":
            appears.append(movement(booked))
            continue
        appears.append(movement(pending, PENDING))
        if life == "stays":
            continue
        gone.append(pending)
        if life != "vanishes":
            becomes.append(movement(booked, pending=link))
        if life == "taken_back":
            taken.append(booked)
            ends.append(movement(booked, pending=link))
    return [delta(appears), delta(becomes, gone), delta(removed=taken), delta(ends)]


def expected(lives: Sequence[str]) -> set[str]:
    pending_only = {f"p{n}" for n, life in enumerate(lives) if life == "stays"}
    booked = {f"b{n}" for n, life in enumerate(lives) if life not in ("stays", "vanishes")}
    return pending_only | booked


@given(_lives)
@settings(max_examples=200, deadline=None)
def test_any_life_ends_in_exactly_the_rows_that_the_bank_shows(lives: list[str]) -> None:
    ledger = Ledger()
    for update in tell(lives):
        ledger.apply(update)
    assert set(ledger.live) == expected(lives)
    assert len(ledger.live) == sum(not row.is_removed for row in ledger.rows.values())


@given(_lives, st.data())
@settings(max_examples=200, deadline=None)
def test_replaying_updates_from_any_point_changes_nothing(
    lives: list[str], data: st.DataObject
) -> None:
    ledger = Ledger()
    updates = tell(lives)
    for update in updates:
        ledger.apply(update)
    before = dict(ledger.live)
    for update in updates[data.draw(st.integers(0, len(updates) - 1)) :]:
        ledger.apply(update)
    assert set(ledger.live) == set(before)
    linked = {f"b{n}" for n, life in enumerate(lives) if life != "books_unlinked"}
    assert {k: v for k, v in ledger.live.items() if k in linked} == {
        k: v for k, v in before.items() if k in linked
    }


@given(_lives)
@settings(max_examples=100, deadline=None)
def test_planning_an_applied_update_again_gives_an_empty_plan(lives: list[str]) -> None:
    ledger = Ledger()
    for update in tell(lives):
        ledger.apply(update)
        assert plan_changes(ledger.rows.values(), update).is_empty


@given(_lives, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_order_of_rows_within_an_update_does_not_matter(
    lives: list[str], random: object
) -> None:
    straight, shuffled = Ledger(), Ledger()
    for update in tell(lives):
        straight.apply(update)
        upserts = list(update.upserts)
        random.shuffle(upserts)  # type: ignore[attr-defined]
        shuffled.apply(update.model_copy(update={"upserts": tuple(upserts)}))
    assert set(straight.live) == set(shuffled.live)


@given(st.integers(2, 6))
def test_equal_purchases_stay_as_many_rows_as_the_bank_shows(count: int) -> None:
    ledger = Ledger()
    for _ in range(2):
        ledger.apply(delta([movement(f"b{number}") for number in range(count)]))
    assert len(ledger.live) == count
