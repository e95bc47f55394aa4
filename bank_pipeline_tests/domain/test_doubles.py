"""One row told twice, two equal rows, and what nobody can tell: each is kept for what it is."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.identity_rules import IdentityRules, RunningBalances
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline_tests.domain.held import Held
from bank_pipeline_tests.domain.test_changes import DAY, PENDING, movement
from bank_pipeline_tests.domain.test_moved_ids import MARCH, row

TRUSTED = IdentityRules(running_balances=RunningBalances.TRUSTED)
IGNORED = IdentityRules(running_balances=RunningBalances.IGNORED)
UNTIL_TODAY = DateWindow(first=MARCH.first, last=DAY)


def tram(name: str, balance: str | None = None, *, day: date = DAY) -> Transaction:
    return row(name, "-5", "Tram", day=day, balance=balance)


def count(held: Held) -> int:
    return sum(one.description == "Tram" for one in held.live)


def test_two_equal_purchases_that_are_shown_together_are_two_without_a_word() -> None:
    held = Held()
    for _ in range(3):
        held.look([tram("a"), tram("b")], MARCH)
    assert (count(held), held.suspects) == (2, {})


def test_equal_rows_with_different_balances_are_two() -> None:
    held = Held()
    held.look([tram("a", "95"), tram("b", "90"), row("c", "-7", "Cafe", balance="83")], MARCH)
    assert count(held) == 2


def test_one_row_under_two_ids_with_one_balance_is_one() -> None:
    cafe = row("c", "-7", "Cafe", balance="88")
    for names in (("ref-1", "ref-2"), ("ref-2", "ref-1")):
        held = Held()
        held.look([*(tram(name, "95") for name in names), cafe], MARCH)
        assert held.names.keys() == {"ref-1", "c"}
        held.look([tram("ref-2", "95"), cafe], MARCH)  # and whichever is left is that one
        assert held.names["ref-2"] == "row-0001"


def test_what_is_stored_under_one_of_the_two_ids_keeps_it() -> None:
    held, cafe = Held(), row("c", "-7", "Cafe", balance="88")
    held.look([tram("z", "95"), cafe], MARCH)
    plan = held.look([tram("a", "95"), tram("z", "95"), cafe], MARCH)
    assert plan.is_empty


def test_two_rows_that_are_stored_are_not_made_one_in_silence() -> None:
    held, cafe = Held(), row("c", "-7", "Cafe", balance="88")
    held.look([tram("a"), tram("b")], MARCH)
    held.look([tram("a", "95"), tram("b", "95"), cafe], MARCH)
    assert count(held) == 2


def test_a_purchase_its_refund_and_the_purchase_again_are_three_rows() -> None:
    """The balance after both purchases is the same, and rightly so."""
    held = Held()
    refund = row("b", "5", "Tram refund", balance="100")
    held.look([tram("a", "95"), refund, tram("c", "95")], MARCH)
    assert count(held) == 2


@pytest.mark.parametrize("constant", ["95", "0"])
def test_a_bank_that_writes_one_balance_on_all_rows_proves_nothing(constant: str) -> None:
    rows = [tram("a", constant), tram("b", constant), row("c", "-7", "Cafe", balance=constant)]
    for shown in (rows, rows[:2], [*rows, row("d", "5", "Refund", balance=constant)]):
        held = Held()
        held.look(shown, MARCH)
        assert count(held) == 2


def test_a_pair_alone_is_one_only_where_its_bank_is_known_to_count_right() -> None:
    for rules, expected in ((IdentityRules(), 2), (TRUSTED, 1), (IGNORED, 2)):
        held = Held()
        held.look([tram("a", "95"), tram("b", "95")], MARCH, rules=rules)
        assert count(held) == expected


def test_a_pair_alone_on_its_day_is_one_where_another_day_joins_it() -> None:
    held = Held()
    before = row("c", "-7", "Cafe", balance="100", day=DAY - timedelta(days=1))
    held.look([before, tram("a", "95"), tram("b", "95")], MARCH)
    assert count(held) == 1


YESTERDAY, TOMORROW = DAY - timedelta(days=1), DAY + timedelta(days=1)
START = row("start", "-1", "Start", balance="100", day=YESTERDAY)
REFUND = row("refund", "5", "Tram refund", balance="100")
BREAD = row("c", "-7", "Bread", balance="83", day=TOMORROW)
LATER = row("d", "12", "Wages", balance="95", day=TOMORROW + timedelta(days=1))
NOTHING = row("e", "0", "Card blocked", balance="90")


def test_a_balance_of_the_evening_on_every_row_of_a_day_makes_no_two_purchases_one() -> None:
    held = Held()
    held.look([START, tram("a", "90"), tram("b", "90"), BREAD], MARCH)
    assert (count(held), held.suspects) == (2, {})


@pytest.mark.parametrize("others", [[BREAD], [BREAD, LATER], [NOTHING], [NOTHING, BREAD]])
def test_balances_of_the_evening_prove_nothing_on_the_first_day_of_an_answer(
    others: list[Transaction],
) -> None:
    """Where the day began nobody tells, and the day after begins where its evening ended."""
    held = Held()
    held.look([tram("a", "90"), tram("b", "90"), *others], MARCH)
    assert (count(held), held.suspects) == (2, {})


def test_on_the_first_day_a_bank_is_believed_that_states_a_balance_for_each_row() -> None:
    held = Held()
    coffee = row("d", "-3", "Coffee", balance="80", day=TOMORROW)
    held.look([tram("a", "90"), tram("b", "90"), BREAD, coffee], MARCH)
    assert count(held) == 1


@pytest.mark.parametrize("day", [YESTERDAY, TOMORROW])
def test_a_refund_between_two_purchases_may_be_booked_on_a_day_beside_theirs(day: date) -> None:
    held = Held()
    refund = REFUND.model_copy(update={"booking_date": day})
    held.look([START, tram("a", "95"), refund, tram("b", "95")], MARCH)
    assert count(held) == 2


@pytest.mark.parametrize("day", [YESTERDAY, DAY])
def test_a_refund_without_a_balance_may_lie_between_two_purchases(day: date) -> None:
    held = Held()
    refund = REFUND.model_copy(update={"booking_date": day, "running_balance": None})
    held.look([START, tram("a", "95"), refund, tram("b", "95")], MARCH)
    assert count(held) == 2


def test_a_row_that_cannot_be_read_may_lie_between_two_purchases() -> None:
    held = Held()
    held.look([START, tram("a", "95"), tram("b", "95")], MARCH, unread=frozenset({"refund"}))
    assert count(held) == 2


def test_two_purchases_and_two_equal_refunds_are_four_rows_beside_a_fifth() -> None:
    """Neither pair can be two alone; both together can."""
    held = Held()
    refunds = [REFUND, REFUND.model_copy(update={"external_id": "refund-2"})]
    held.look(
        [tram("a", "95"), tram("b", "95"), *refunds, row("c", "-7", "Bread", balance="93")], MARCH
    )
    assert len(held.live) == 5


def test_of_three_equal_rows_around_a_refund_no_purchase_is_lost() -> None:
    held = Held()
    held.look([START, *(tram(name, "95") for name in "abc"), REFUND], MARCH)
    assert count(held) >= 2


def test_rows_that_are_told_twice_on_days_beside_each_other_are_one_each() -> None:
    held = Held()
    rows = [tram("a", "95"), tram("b", "90", day=TOMORROW)]
    again = [one.model_copy(update={"external_id": f"{one.external_id}-2"}) for one in rows]
    held.look([START, *rows, *again], MARCH)
    assert count(held) == 2


def test_a_row_without_a_day_that_is_told_twice_is_judged_by_its_like_alone() -> None:
    held = Held()
    rows = [tram("a", "95"), tram("b", "95"), row("c", "-7", "Cafe", balance="88")]
    held.look([START, *(one.model_copy(update={"booking_date": None}) for one in rows)], MARCH)
    assert count(held) == 1


def test_an_equal_row_that_comes_later_for_a_day_that_was_over_is_kept_and_flagged() -> None:
    held = Held()
    held.look([tram("a")], MARCH)
    held.look([tram("a"), tram("b")], MARCH)
    assert (count(held), held.suspects) == (2, {"row-0002": "row-0001"})
    held.look([tram("a"), tram("b")], MARCH)
    assert held.suspects == {"row-0002": "row-0001"}


@pytest.mark.parametrize(
    ("later", "covered"),
    [
        ([tram("a"), tram("b")], UNTIL_TODAY),  # the day went on
        ([tram("a"), row("b", "-5", "Cafe")], MARCH),
        ([tram("a"), row("b", "-6", "Tram")], MARCH),
        ([tram("a"), tram("b", day=DAY + timedelta(days=1))], MARCH),
        ([tram("b")], MARCH),  # its equal is gone: it is that one
    ],
)
def test_no_noise_is_made_about_what_is_usual(
    later: list[Transaction], covered: DateWindow
) -> None:
    held = Held()
    held.look([tram("a")], covered)
    held.look(later, covered)
    assert held.suspects == {}


def test_balances_that_differ_leave_no_doubt() -> None:
    for balance, rules, expected in (
        ("90", IdentityRules(), {}),
        ("90", IGNORED, {"row-0002": "row-0001"}),
        ("95", IdentityRules(), {"row-0002": "row-0001"}),
    ):
        held = Held()
        held.look([tram("a", "95")], MARCH, rules=rules)
        held.look([tram("a", "95"), tram("b", balance)], MARCH, rules=rules)
        assert held.suspects == expected


# --- pending rows -----------------------------------------------------------------------------


def hold(name: str, text: str = "Tram", *, amount: str = "-5", day: date = DAY) -> Transaction:
    return movement(name, PENDING, amount=amount, description=text, day=day)


ANCHOR = row("anchor", "1", "Anchor", day=date(2026, 3, 1))


def test_a_pending_row_that_settles_under_another_id_and_without_its_date_keeps_our_id() -> None:
    held = Held()
    held.look([ANCHOR, hold("p", "2026-03-02 Tram Lines")], MARCH)
    held.look([ANCHOR, row("b", "-5", "Tram Lines", day=DAY + timedelta(days=2))], MARCH)
    assert held.names["b"] == "row-0002"


def test_a_booking_may_come_an_answer_after_its_pending_row_went() -> None:
    held = Held()
    held.look([ANCHOR, hold("p")], MARCH)
    held.look([ANCHOR], MARCH)
    assert held.names.keys() == {"anchor"}
    held.look([ANCHOR, row("b", "-5", "Tram", day=DAY + timedelta(days=3))], MARCH)
    assert held.names["b"] == "row-0002"
    assert held.plan([row("b", "-5", "Tram", day=DAY + timedelta(days=3)), ANCHOR], MARCH).is_empty


def test_one_booking_takes_one_pending_row_and_what_ended_now_before_what_vanished() -> None:
    held = Held()
    held.look([ANCHOR, hold("p1"), hold("p2")], MARCH)
    held.look([ANCHOR, hold("p2")], MARCH)
    held.look([ANCHOR, row("b", "-5", "Tram")], MARCH)
    assert held.names["b"] == "row-0003"


def test_another_amount_is_another_payment_without_a_link_or_the_same_id() -> None:
    held = Held()
    held.look([ANCHOR, hold("p"), hold("same", "Fuel", amount="-100")], MARCH)
    held.look([ANCHOR, row("b", "-5.50", "Tram"), row("same", "-61.20", "Fuel")], MARCH)
    assert held.names["b"] == "row-0004"
    assert held.names["same"] == "row-0003"


def test_a_pending_row_that_is_named_anew_on_every_look_is_one_row() -> None:
    held = Held()
    for name in ("p1", "p2", "p3"):
        held.look([ANCHOR, hold(name)], MARCH)
    assert held.names["p3"] == "row-0002"
    assert len(held.rows) == 2


def test_a_pending_row_vanishes_and_comes_back_as_itself() -> None:
    held = Held()
    held.look([ANCHOR, hold("p")], MARCH)
    assert held.look([ANCHOR], MARCH).vanished == ("row-0002",)
    held.look([ANCHOR, hold("p")], MARCH)
    assert held.names["p"] == "row-0002"


@pytest.mark.parametrize(
    ("kind", "days", "is_over"),
    [
        (AccountType.CREDIT_CARD, 44, False),
        (AccountType.CREDIT_CARD, 46, True),
        (AccountType.CHECKING, 36, True),
        (AccountType.CHECKING, 34, False),
        (None, 36, False),
    ],
)
def test_what_no_answer_reaches_any_more_is_not_pending_for_ever(
    kind: AccountType | None, days: int, is_over: bool
) -> None:
    held = Held()
    held.look([ANCHOR, hold("p")], MARCH)
    today = DAY + timedelta(days=days)
    recent = DateWindow(first=today - timedelta(days=10), last=today)
    plan = held.look([row("new", "-1", "New", day=today)], recent, account_type=kind)
    assert plan.overdue == (("row-0002",) if is_over else ())
    again = held.look([row("new", "-1", "New", day=today), hold("p")], recent, account_type=kind)
    assert held.names["p"] == "row-0002"
    assert len(again.updates) == int(is_over)


def test_an_answer_that_broke_off_ends_nothing_however_old() -> None:
    held = Held()
    held.look([ANCHOR, hold("p")], MARCH)
    later = row("new", "-1", "New", day=DAY + timedelta(days=200))
    assert not held.look([later], None).overdue


# --- what is announced ------------------------------------------------------------------------


def announced(name: str, day: date) -> Transaction:
    told = row(name, "-49.90", "Standing order", day=day)
    return told.model_copy(update={"status": TransactionStatus.SCHEDULED})


@pytest.mark.parametrize("name", ["same", "another"])
def test_an_announced_row_is_booked_under_our_id_when_its_day_comes(name: str) -> None:
    held, day = Held(), DAY + timedelta(days=5)
    before = DateWindow(first=DAY, last=DAY)
    held.look([ANCHOR, announced("same", day)], before)
    after = DateWindow(first=DAY, last=day + timedelta(days=1))
    held.look([row(name, "-49.90", "Standing order", day=day), ANCHOR], after)
    [booked] = [one for one in held.live if one.amount == Decimal("-49.90")]
    assert (booked.id, booked.status) == ("row-0002", TransactionStatus.BOOKED)
