"""What a sync writes: after any change at the bank, our rows are the bank's, and still ours."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from bank_pipeline.sandbox.banks import Offer
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline_tests.sync.ground import (
    CARD,
    CHECKING,
    READY,
    SAVINGS,
    SYNC,
    Ground,
)

pytestmark = pytest.mark.usefixtures("every_way")

COFFEE = Decimal("-4.50")
DAY = timedelta(days=1)


def test_a_modified_entry_changes_its_row_and_keeps_its_id(ground: Ground) -> None:
    entry = ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link_ready()
    before = ground.row(amount=COFFEE)

    ground.world.change(entry.id, amount=Decimal("-4.95"), description="Café")
    report = ground.sync(connection)

    assert ground.row(amount=Decimal("-4.95")).id == before.id
    assert (report.transactions.updated, report.transactions.inserted) == (1, 0)
    assert ground.differences(connection) == []


def test_a_removed_entry_is_removed_softly(ground: Ground) -> None:
    entry = ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link_ready()
    before = ground.row(amount=COFFEE)

    ground.world.remove(entry.id)
    report = ground.sync(connection)

    assert ground.rows() == []
    [removed] = ground.rows(removed=True)
    assert (removed.id, removed.status) == (before.id, "booked")
    assert report.transactions.removed == 1
    assert ground.differences(connection) == []


def test_a_restored_entry_returns_to_its_row(ground: Ground) -> None:
    entry = ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link_ready()
    before = ground.row(amount=COFFEE)
    ground.world.remove(entry.id)
    ground.sync(connection)

    ground.world.restore(entry.id)
    ground.sync(connection)

    assert ground.row(amount=COFFEE).id == before.id
    assert ground.rows(removed=True) == []
    assert ground.differences(connection) == []


@pytest.mark.parametrize("linked", [True, False], ids=["linked", "unlinked"])
def test_a_pending_entry_keeps_its_row_when_it_books(ground: Ground, linked: bool) -> None:
    """With Plaid's link, and without it where amount and text tell."""
    entry = ground.world.add_pending(CHECKING, COFFEE, description="Blue Cup", linked=linked)
    connection = ground.link_ready()
    before = ground.row(status="pending")

    ground.pass_time(DAY)
    ground.world.book(entry.id)
    ground.sync(connection)

    after = ground.row(status="booked")
    assert after.id == before.id
    assert after.external_id != before.external_id
    assert len(ground.rows()) == 1
    assert ground.differences(connection) == []


def test_a_hold_keeps_its_row_when_it_books_at_another_amount(ground: Ground) -> None:
    entry = ground.world.add_pending(CARD, Decimal(-100), description="Fuel")
    connection = ground.link_ready()
    before = ground.row(status="pending")

    ground.world.book(entry.id, amount=Decimal("-61.37"))
    ground.sync(connection)

    assert ground.row(amount=Decimal("-61.37")).id == before.id
    assert len(ground.rows()) == 1
    assert ground.differences(connection) == []


def test_an_unlinked_booking_at_another_amount_is_a_new_row_and_the_hold_vanishes(
    ground: Ground,
) -> None:
    """Nothing ties the two together: neither is lost, and neither is counted twice."""
    entry = ground.world.add_pending(CARD, Decimal(-100), description="Fuel", linked=False)
    connection = ground.link_ready()
    before = ground.row(status="pending")

    ground.world.book(entry.id, amount=Decimal("-61.37"))
    ground.sync(connection)

    assert ground.row(amount=Decimal("-61.37")).id != before.id
    [vanished] = ground.rows(removed=True)
    assert (vanished.id, vanished.status) == (before.id, "vanished")
    assert ground.differences(connection) == []


def test_a_posting_in_two_updates_keeps_its_row(ground: Ground) -> None:
    """The pending half changes in one update and books in the next, with a sync between."""
    entry = ground.world.add_pending(CHECKING, COFFEE, description="Blue Cup")
    connection = ground.link_ready()
    before = ground.row(status="pending")

    ground.world.change(entry.id, amount=Decimal(-5))
    ground.sync(connection)
    assert ground.row(status="pending").id == before.id
    ground.world.book(entry.id, amount=Decimal("-5.10"))
    ground.sync(connection)

    assert [row.id for row in ground.rows()] == [before.id]
    assert ground.differences(connection) == []


def test_halves_of_postings_on_different_pages_belong_together(ground: Ground) -> None:
    """Removals come before or after all else; with 600 postings they fill other pages."""
    entries = [
        ground.world.add_pending(CHECKING, Decimal(-number), description=f"Shop {number}")
        for number in range(1, 601)
    ]
    connection = ground.link_ready()
    before = {row.amount: row.id for row in ground.rows()}

    for entry in entries:
        ground.world.book(entry.id)
    report = ground.sync(connection)

    assert report.pages_count > 2
    assert {row.amount: row.id for row in ground.rows()} == before
    assert ground.rows(removed=True) == []
    assert ground.differences(connection) == []


def test_a_pending_entry_that_ends_unbooked_vanishes(ground: Ground) -> None:
    entry = ground.world.add_pending(CHECKING, COFFEE)
    connection = ground.link_ready()

    ground.world.vanish(entry.id)
    ground.sync(connection)

    assert ground.rows() == []
    assert [row.status for row in ground.rows(removed=True)] == ["vanished"]
    assert ground.differences(connection) == []


@pytest.mark.parametrize("state", ["booked", "pending"])
def test_equal_purchases_stay_as_many_as_the_bank_shows(ground: Ground, state: str) -> None:
    add = ground.world.add_booked if state == "booked" else ground.world.add_pending
    entry = add(CHECKING, COFFEE, description="Blue Cup")
    ground.world.add_twin(entry.id)
    connection = ground.link_ready()
    assert len(ground.rows()) == 2

    ground.world.add_twin(entry.id)
    ground.sync(connection)
    ground.sync(connection)

    assert [row.amount for row in ground.rows()] == [COFFEE] * 3
    assert ground.differences(connection) == []


def test_unlinked_twins_book_one_to_one(ground: Ground) -> None:
    """Of three equal pending coffees two book and one vanishes: two rows keep their ids."""
    first = ground.world.add_pending(CHECKING, COFFEE, description="Blue Cup", linked=False)
    twins = [first, ground.world.add_twin(first.id), ground.world.add_twin(first.id)]
    connection = ground.link_ready()
    before = {row.id for row in ground.rows()}

    ground.world.book(twins[0].id)
    ground.world.book(twins[1].id)
    ground.world.vanish(twins[2].id)
    ground.sync(connection)

    live, ended = ground.rows(), ground.rows(removed=True)
    assert {row.id for row in live} | {row.id for row in ended} == before
    assert (len(live), len(ended)) == (2, 1)
    assert ground.differences(connection) == []


def test_a_change_that_changes_nothing_writes_nothing(ground: Ground) -> None:
    entry = ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link_ready()
    before = ground.rows()

    ground.world.touch(entry.id)
    report = ground.sync(connection)

    assert ground.rows() == before
    assert report.transactions.unchanged == 1
    assert ground.count("transaction_revisions") == 0


def test_late_and_scheduled_entries_land_on_the_banks_dates(ground: Ground) -> None:
    connection = ground.link_ready()
    late, scheduled = date(2026, 1, 15), date(2026, 4, 1)

    ground.world.add_booked(CHECKING, COFFEE, booking_date=late, transaction_date=late)
    ground.world.add_booked(CHECKING, COFFEE, booking_date=scheduled)
    ground.sync(connection)

    stored = ground.query("SELECT booking_date FROM bank.transactions ORDER BY 1")
    assert [row[0] for row in stored] == [late, scheduled]
    assert ground.differences(connection) == []


def test_amounts_are_exact_in_every_currency(ground: Ground) -> None:
    """Yen have no cents, dinars three digits, coins eight; fuel has fractions of a cent."""
    exact = {
        "acc-3-1": ("-1.23456", "GBP", None),
        "acc-3-2": ("-152300", "JPY", None),
        "acc-3-3": ("-410.125", "KWD", None),
        "acc-3-4": ("-0.00000001", None, "BTC"),
    }
    for account, (amount, *_) in exact.items():
        ground.world.add_booked(account, Decimal(amount))
    connection = ground.link_ready("login-3")

    stored = {(str(row.amount), row.currency, row.unofficial_currency) for row in ground.rows()}

    assert {(Decimal(amount), *names) for amount, *names in stored} == {
        (Decimal(amount), *names) for amount, *names in exact.values()
    }
    assert ground.differences(connection) == []


def test_an_account_without_a_currency_has_none_invented(ground: Ground) -> None:
    ground.link_ready("login-3")

    [isa] = ground.query(
        "SELECT a.currency, a.unofficial_currency, b.currency, b.amount FROM bank.accounts a"
        " JOIN bank.balances b ON b.account_id = a.id AND b.kind = 'booked'"
        " WHERE a.name = 'Stocks & Shares ISA'"
    )

    assert isa == (None, None, None, Decimal("15220.4375"))


def test_debt_is_negative_and_unknown_balances_are_absent(ground: Ground) -> None:
    ground.link_ready()

    stored = ground.query(
        "SELECT name, booked_balance, available_balance, credit_limit FROM analytics.accounts"
        " WHERE name IN ('Anchor Rewards Card', 'Home Mortgage') ORDER BY name"
    )

    assert stored[0] == (
        "Anchor Rewards Card",
        Decimal("-312.4"),
        Decimal("7187.6"),
        Decimal(7500),
    )
    assert stored[1] == ("Home Mortgage", Decimal("-284310.77"), None, None)


def test_what_people_say_of_a_transaction_outlives_every_sync(ground: Ground) -> None:
    """Pending, booked at another amount, removed, restored: the note stays with the row."""
    entry = ground.world.add_pending(CHECKING, COFFEE, description="Blue Cup")
    connection = ground.link_ready()
    ground.execute(
        "INSERT INTO bank.transaction_annotations (transaction_id, team_id, category, note, tags,"
        " is_hidden, updated_at)"
        " SELECT id, team_id, 'treats', 'with Ana', '{work}', true, now() FROM bank.transactions"
    )
    said = ground.query("SELECT * FROM bank.transaction_annotations")

    ground.world.book(entry.id, amount=Decimal(-5))
    ground.sync(connection)
    ground.world.remove(entry.id)
    ground.sync(connection)
    ground.world.restore(entry.id)
    ground.sync(connection)

    assert ground.query("SELECT * FROM bank.transaction_annotations") == said
    [seen] = ground.query("SELECT category, note, tags, is_hidden FROM analytics.transactions")
    assert seen == ("treats", "with Ana", ["work"], True)


def test_every_change_of_a_row_is_kept(ground: Ground) -> None:
    entry = ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link_ready()

    ground.world.change(entry.id, amount=Decimal("-4.95"))
    report = ground.sync(connection)

    [revision] = ground.query("SELECT sync_run_id::text, changes FROM bank.transaction_revisions")
    assert revision[0] == report.sync_run_id
    assert [Decimal(value) for value in revision[1]["amount"]] == [COFFEE, Decimal("-4.95")]


def test_a_closed_account_is_closed_and_its_rows_stay(ground: Ground) -> None:
    ground.world.add_booked(SAVINGS, COFFEE)
    ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link_ready()

    ground.world.close_account(SAVINGS)
    report = ground.sync(connection)

    closed = ground.query("SELECT name FROM bank.accounts WHERE closed_at IS NOT NULL")
    assert [row[0] for row in closed] == ["High-Yield Savings"]
    assert report.accounts.removed == 1
    assert len(ground.rows()) == 2
    assert ground.differences(connection) == []


def test_an_account_opened_later_is_found_once_it_is_shared(ground: Ground) -> None:
    connection = ground.link_ready()
    offer = Offer(AccountKind.CHECKING, "Joint", None, "USD", "10.00")
    added = ground.world.add_account("login-1", offer)
    item = ground.sandbox.plaid.item(ground.connection(connection).external_id)
    with ground.sandbox.plaid.lock:
        ground.sandbox.plaid.items.grant(item, added.id, ground.sandbox.clock.now())
    ground.world.add_booked(added.id, COFFEE)

    report = ground.sync(connection)

    assert report.accounts.inserted == 1
    assert len(ground.rows()) == 1
    assert ground.differences(connection) == []


def test_an_account_that_plaid_lost_track_of_is_closed_and_its_successor_stored(
    ground: Ground,
) -> None:
    """Plaid gives it a new id and shows its history again, under new ids too."""
    ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link_ready()

    ground.churn(connection, CHECKING)
    ground.sync(connection)

    open_ones = ground.query(
        "SELECT count(*) FROM bank.accounts WHERE name = 'Everyday Checking' AND closed_at IS NULL"
    )
    assert open_ones == [(1,)]
    assert ground.differences(connection) == []


@pytest.mark.parametrize(
    "kind",
    [
        FaultKind.DUPLICATE_ROWS,
        FaultKind.EXTRA_KEY,
        FaultKind.UNKNOWN_ENUM,
        FaultKind.UNKNOWN_REMOVED_ID,
        FaultKind.MISSING_ACCOUNT,
        FaultKind.HUGE_PAGE,
    ],
)
def test_odd_answers_that_lose_nothing_change_nothing(ground: Ground, kind: FaultKind) -> None:
    for number in range(1, 4):
        ground.world.add_booked(CHECKING, Decimal(-number))
    connection = ground.link()
    ground.pass_time(READY)

    ground.fail(SYNC, kind)
    ground.sync(connection)

    assert ground.differences(connection) == []


def test_a_row_repeated_on_the_next_page_is_stored_once(ground: Ground) -> None:
    for number in range(1, 601):
        ground.world.add_booked(CHECKING, Decimal(-number))
    connection = ground.link()
    ground.pass_time(READY)

    ground.fail(SYNC, FaultKind.DUPLICATE_ACROSS_PAGES, after=1)
    ground.sync(connection)

    assert len(ground.rows()) == 600
    assert ground.differences(connection) == []
