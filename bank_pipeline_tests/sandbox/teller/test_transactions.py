"""Claims about the list of transactions: order, paging, signs, balances, ids and enrichment."""

import time
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.ledger import EntryState, Party
from bank_pipeline.sandbox.serve import USUAL_START
from bank_pipeline.sandbox.teller.ids import derive_transaction_id
from bank_pipeline.sandbox.teller.options import TellerOptions
from bank_pipeline.sandbox.world import World
from bank_pipeline_tests.sandbox.teller.caller import Caller, Linked
from bank_pipeline_tests.sandbox.teller.conftest import Start

CHECKING, CARD = "acc-1-1", "acc-1-3"
TODAY = USUAL_START.date()


def checking(caller: Caller, linked: Linked) -> str:
    return str(caller.account(linked, "Everyday Checking")["id"])


def card(caller: Caller, linked: Linked) -> str:
    return str(caller.account(linked, "Anchor Rewards Card")["id"])


def test_pages_of_any_size_make_up_the_whole_newest_first(living: Caller) -> None:
    linked = living.link()
    account_id = checking(living, linked)

    whole = living.rows(linked, account_id)

    assert len(whole) > 100
    assert [row["date"] for row in whole] == sorted((row["date"] for row in whole), reverse=True)
    for count in (17, len(whole), len(whole) - 1):
        assert living.all_rows(linked, account_id, count=count) == whole
    assert living.rows(linked, account_id, from_id=whole[-1]["id"]) == []


def test_dates_are_inclusive_at_both_ends(living: Caller) -> None:
    linked = living.link()
    account_id = checking(living, linked)
    whole = living.rows(linked, account_id)
    start, end = whole[60]["date"], whole[20]["date"]

    asked = living.rows(linked, account_id, start_date=start, end_date=end)

    assert asked == [row for row in whole if start <= row["date"] <= end]
    assert {start, end} <= {row["date"] for row in asked}


def test_a_window_and_a_page_go_together(living: Caller) -> None:
    linked = living.link()
    account_id = checking(living, linked)
    whole = living.rows(linked, account_id)
    start = whole[60]["date"]

    asked = living.rows(linked, account_id, start_date=start, from_id=whole[9]["id"], count=30)

    assert asked == [row for row in whole if row["date"] >= start][10:40]


def test_running_balances_go_with_the_order_shown(living: Caller) -> None:
    linked = living.link()
    account_id = checking(living, linked)
    rows = living.rows(linked, account_id)
    posted = [row for row in rows if row["status"] == "posted"]

    for newer, older in pairwise(posted):
        expected = Decimal(older["running_balance"]) + Decimal(newer["amount"])
        assert Decimal(newer["running_balance"]) == expected
    ledger = living.get(linked, f"/accounts/{account_id}/balances")["ledger"]
    assert posted[0]["running_balance"] == ledger
    assert all(row["running_balance"] is None for row in rows if row["status"] == "pending")


def test_running_balances_can_be_null_everywhere(start: Start) -> None:
    caller = start(running_balances="never")
    caller.sandbox.world.add_booked(CHECKING, Decimal(3))
    linked = caller.link()

    assert caller.rows(linked, checking(caller, linked))[0]["running_balance"] is None


def test_on_a_card_the_sign_is_turned_and_no_running_balance_is_told(caller: Caller) -> None:
    world, linked = caller.sandbox.world, caller.link()
    bought = world.add_booked(CARD, Decimal("-42.47"), channel="online")
    world.add_booked(CARD, Decimal(500), category="LOAN_PAYMENTS_CREDIT_CARD_PAYMENT")
    world.add_booked(CHECKING, Decimal("-7.5"))

    rows = caller.rows(linked, card(caller, linked))

    assert [(row["amount"], row["type"]) for row in rows] == [
        ("-500.00", "payment"),
        ("42.47", "card_payment"),
    ]
    assert {row["running_balance"] for row in rows} == {None}
    assert caller.rows(linked, checking(caller, linked))[0]["amount"] == "-7.50"
    owed = caller.get(linked, f"/accounts/{card(caller, linked)}/balances")["ledger"]
    assert Decimal(owed) == -(world.opening_balance(CARD) + bought.amount + 500)


@pytest.mark.parametrize(
    ("share", "linked_by_bank", "is_kept"), [(0, True, True), (1, True, False), (0, False, False)]
)
def test_posting_keeps_the_id_or_not_and_changes_the_date(
    start: Start, share: float, linked_by_bank: bool, is_kept: bool
) -> None:
    caller = start(new_id_share=share)
    world, linked = caller.sandbox.world, caller.link()
    account_id = checking(caller, linked)
    entry = world.add_pending(CHECKING, Decimal(-9), linked=linked_by_bank)
    (pending,) = caller.rows(linked, account_id)

    caller.sandbox.advance(timedelta(days=2))
    world.book(entry.id, amount=Decimal(-10))

    (posted,) = caller.rows(linked, account_id)
    assert (pending["status"], posted["status"], posted["amount"]) == (
        "pending",
        "posted",
        "-10.00",
    )
    assert (posted["id"] == pending["id"]) is is_kept
    moved = date.fromisoformat(posted["date"]) - date.fromisoformat(pending["date"])
    assert moved == timedelta(days=2)


def test_about_one_in_ten_pending_rows_posts_under_a_new_id() -> None:
    world = World(7, clock=VirtualClock(USUAL_START), history_days=30)
    now = world.clock.advance(timedelta(days=200))

    posted = [
        [derive_transaction_id("acc", one, TellerOptions().new_id_share) for one in versions]
        for account_id in (CHECKING, CARD)
        for event in world.events(account_id, until=now)
        if event.before is not None
        for versions in [(event.before, event.entry)]
        if [one.state for one in versions] == [EntryState.PENDING, EntryState.BOOKED]
    ]

    assert len(posted) > 300
    assert 0.06 < sum(before != after for before, after in posted) / len(posted) < 0.15


def test_a_page_continues_after_a_row_that_is_gone(caller: Caller) -> None:
    world, linked = caller.sandbox.world, caller.link()
    account_id = checking(caller, linked)
    for day in range(3):
        world.add_booked(CHECKING, Decimal(day), booking_date=TODAY - timedelta(days=9 - day))
    hold = world.add_pending(CHECKING, Decimal(-1))
    newest, *older = caller.rows(linked, account_id)
    world.vanish(hold.id)

    assert caller.rows(linked, account_id, from_id=newest["id"]) == older


def test_a_category_comes_later_and_in_silence(caller: Caller) -> None:
    world, linked = caller.sandbox.world, caller.link()
    shop = Party("Greenway Market", "merchant")
    world.add_booked(CHECKING, Decimal(-3), category="FOOD_AND_DRINK_GROCERIES", party=shop)
    path = f"/accounts/{checking(caller, linked)}/transactions"
    (early,) = caller.get(linked, path)

    caller.sandbox.advance(timedelta(hours=6))

    (late,) = caller.get(linked, path)
    assert early["details"] == {
        "processing_status": "pending",
        "category": None,
        "counterparty": {"name": None, "type": None},
    }
    assert late["details"] == {
        "processing_status": "complete",
        "category": "groceries",
        "counterparty": {"name": "GREENWAY MARKET", "type": "organization"},
    }
    assert {**early, "details": 0} == {**late, "details": 0}


def test_one_transaction_is_told_as_in_the_list(living: Caller) -> None:
    linked = living.link()
    account_id = checking(living, linked)
    row = living.rows(linked, account_id)[5]

    assert living.get(linked, f"/accounts/{account_id}/transactions/{row['id']}") == row


def test_amounts_are_text_with_cents_and_all_their_decimals(caller: Caller) -> None:
    world, linked = caller.sandbox.world, caller.link()
    for amount in ("5", "-0.1", "0", "12.34567"):
        world.add_booked(CHECKING, Decimal(amount))

    rows = caller.rows(linked, checking(caller, linked))

    assert {row["amount"] for row in rows} == {"5.00", "-0.10", "0.00", "12.34567"}


def test_the_first_reading_can_be_slow_and_the_next_is_not(start: Start) -> None:
    caller = start(slow_first_s=2)
    linked = caller.link()
    account_id = checking(caller, linked)
    lasted = []
    for _ in range(2):
        began = time.monotonic()
        caller.rows(linked, account_id)
        lasted.append(time.monotonic() - began)

    assert lasted[0] >= 2 > lasted[1]


def test_only_dollar_accounts_of_kinds_that_teller_has_are_shown(living: Caller) -> None:
    linked = living.link("login-4")

    accounts = living.get(linked, "/accounts")

    shown = [(one["name"], one["type"], one["subtype"], one["currency"]) for one in accounts]
    assert shown == [
        ("BUSINESS CHKG", "depository", "checking", "USD"),
        ("Share Draft", "depository", "checking", "USD"),
    ]


def test_an_account_without_balances_has_no_link_to_them_but_its_rows_tell(living: Caller) -> None:
    linked = living.link("login-4")
    account = living.account(linked, "Share Draft")

    assert "balances" not in account["links"]
    assert living.fail(linked, f"/accounts/{account['id']}/balances") == (404, "not_found")
    newest = next(
        row for row in living.rows(linked, account["id"]) if row["running_balance"] is not None
    )
    truth = living.truth(linked)["accounts"][account["id"]]
    assert (Decimal(truth["booked"]), truth["available"]) == (
        Decimal(newest["running_balance"]),
        None,
    )


def test_links_lead_to_the_real_api_unless_told_otherwise(start: Start) -> None:
    for options, base in (({}, "https://api.teller.io"), ({"links_base": "http://x"}, "http://x")):
        caller = start(**options)
        linked = caller.link()
        account = caller.account(linked, "Everyday Checking")
        assert account["links"]["self"] == f"{base}/accounts/{account['id']}"


@pytest.mark.parametrize("status", ["pending", "expired"])
def test_numbers_of_an_account_wait_for_their_verification(caller: Caller, status: str) -> None:
    linked = caller.link()
    account_id = checking(caller, linked)
    path = f"/accounts/{account_id}/details"

    caller.switch(f"/accounts/{account_id}/verification", status=status)

    assert caller.fail(linked, path) == (404, f"account_number_verification_{status}")
    caller.switch(f"/accounts/{account_id}/verification", status="completed")
    mask = caller.sandbox.world.accounts[CHECKING].mask
    assert caller.get(linked, path)["account_number"].endswith(mask)
