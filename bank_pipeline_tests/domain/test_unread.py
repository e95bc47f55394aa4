"""Answers that hold a row which nobody can read, and which bears no id: it may be any row."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.identity import identified
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline_tests.domain.held import Held
from bank_pipeline_tests.domain.test_changes import DAY, PENDING, movement
from bank_pipeline_tests.domain.test_moved_ids import row

MARCH = DateWindow(first=date(2026, 3, 1), last=date(2026, 3, 31))
TOMORROW = DAY + timedelta(days=1)
ANY = frozenset({None})


def nameless(*rows: Transaction) -> tuple[Transaction, ...]:
    """Name rows as those of a bank that gives no ids."""
    return identified((None, one) for one in (row("-", "1", "Anchor", day=MARCH.first), *rows))


def hold(text: str = "Tram") -> Transaction:
    return movement("-", PENDING, amount="-5", description=text, day=DAY)


def tram(text: str = "Tram", *, day: date = TOMORROW) -> Transaction:
    return row("-", "-5", text, day=day)


def test_a_payment_is_booked_as_itself_beside_a_row_that_cannot_be_read() -> None:
    held = Held()
    held.look(nameless(hold("Tram 11:30")), MARCH, unread=ANY)
    for _ in range(2):
        held.look(nameless(tram()), MARCH, unread=ANY)
        assert [(one.id, one.status) for one in held.live if one.amount == -5] == [
            ("row-0002", TransactionStatus.BOOKED)
        ]


@pytest.mark.parametrize("later", [tram("Tram Linz"), tram(day=DAY)])
def test_a_booked_row_is_rewritten_as_itself_beside_a_row_that_cannot_be_read(
    later: Transaction,
) -> None:
    held = Held()
    held.look(nameless(tram()), MARCH)
    held.look(nameless(later), MARCH, unread=ANY)
    assert [one.id for one in held.live] == ["row-0001", "row-0002"]


def test_what_may_be_the_row_that_cannot_be_read_stays() -> None:
    held = Held()
    held.look(nameless(hold(), tram("Bus")), MARCH)
    assert held.look(nameless(row("-", "-5", "Cafe", day=MARCH.first)), MARCH, unread=ANY).inserts
    assert len(held.live) == 4


def test_what_may_be_the_row_that_cannot_be_read_becomes_no_other_purchase_of_its_day() -> None:
    held = Held()
    held.look(nameless(tram("Bus")), MARCH)
    held.look(nameless(tram("Cafe")), MARCH, unread=ANY)
    held.look(nameless(tram("Bus"), tram("Cafe")), MARCH)
    assert [one.description for one in held.live] == ["Anchor", "Bus", "Cafe"]


def told(*balances: str) -> tuple[Transaction, ...]:
    return nameless(*(row("-", "-5", "Tram", balance=one) for one in balances))


def by_balance(held: Held) -> dict[Decimal | None, str]:
    return {one.running_balance: one.id for one in held.live}


def test_of_two_equal_purchases_one_that_cannot_be_read_trades_no_place() -> None:
    held = Held()
    held.look(told("95", "90"), MARCH)
    before = by_balance(held)
    for balances, unread in ((["90"], ANY), (["95", "90"], frozenset()), (["95"], ANY)):
        held.look(told(*balances), MARCH, unread=unread)
        assert by_balance(held) == before
    held.look(told("90"), None)  # one page of two came
    assert by_balance(held) == before


def test_an_equal_purchase_that_is_told_first_takes_no_place() -> None:
    held = Held()
    for balances in (["95"], ["90", "95"], ["85", "90", "95"]):
        held.look(told(*balances), MARCH)
    assert by_balance(held) == {
        None: "row-0001",
        Decimal(95): "row-0002",
        Decimal(90): "row-0003",
        Decimal(85): "row-0004",
    }


@pytest.mark.parametrize("is_dropped", [True, False])
def test_what_is_gone_takes_no_live_rows_place_by_its_balance(is_dropped: bool) -> None:
    """The one that goes on has the balance that the other one had: a bank may state it anew."""
    held = Held()
    held.look(told("95", "90"), MARCH)
    if is_dropped:
        held.drop("row-0003")
    else:
        held.look(told("95"), MARCH)
    held.look(told("90"), MARCH)
    assert [one.id for one in held.live] == ["row-0001", "row-0002"]


def test_equal_purchases_keep_their_places_where_all_balances_change() -> None:
    held = Held()
    held.look(told("95", "90"), MARCH)
    names = held.names
    held.look(told("83", "78"), MARCH)
    assert held.names == names


@pytest.mark.parametrize(
    ("kind", "days", "is_over"),
    [
        (AccountType.CREDIT_CARD, 45, False),
        (AccountType.CREDIT_CARD, 46, True),
        (AccountType.CHECKING, 36, True),
        (AccountType.CHECKING, 35, False),
        (None, 36, False),
    ],
)
def test_nothing_is_pending_for_ever_for_a_row_that_can_never_be_read(
    kind: AccountType | None, days: int, is_over: bool
) -> None:
    held = Held()
    held.look(nameless(hold()), MARCH, unread=ANY)
    whole = DateWindow(first=MARCH.first, last=DAY + timedelta(days=days))
    shown = held.look(nameless(hold()), whole, unread=ANY, account_type=kind)
    assert shown.is_empty
    plan = held.look(nameless(), whole, unread=ANY, account_type=kind)
    assert plan.overdue == (("row-0002",) if is_over else ())
    held.look(nameless(hold()), whole, unread=ANY, account_type=kind)
    assert len(held.live) == 2
