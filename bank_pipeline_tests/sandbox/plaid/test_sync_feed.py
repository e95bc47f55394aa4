"""Claims about `/transactions/sync`: what its pages add up to, however they are read."""

from datetime import timedelta
from decimal import Decimal

import pytest

from bank_pipeline.sandbox.serve import USUAL_START, SandboxServer
from bank_pipeline_tests.sandbox.plaid.caller import (
    Caller,
    Folded,
    comparable,
    without_request_id,
)

CHECKING = "acc-1-1"


def test_nothing_is_ready_at_first_and_the_cursor_stays_empty(caller: Caller) -> None:
    linked = caller.link()

    page = caller.ask("/transactions/sync", access_token=linked.access_token)

    assert page["transactions_update_status"] == "NOT_READY"
    assert (page["next_cursor"], page["has_more"]) == ("", False)
    assert page["added"] == page["modified"] == page["removed"] == page["accounts"] == []
    assert caller.true_rows(linked) == {}


def test_history_arrives_in_two_stages(caller: Caller) -> None:
    linked = caller.link(transactions={"days_requested": 90})
    folded, born = Folded(), USUAL_START.date()

    caller.sandbox.advance(timedelta(seconds=10))
    folded.apply(caller.pages(linked))
    recent = comparable(folded)
    assert recent == caller.true_rows(linked)
    assert min(row[3] for row in recent.values()) >= str(born - timedelta(days=30))

    caller.sandbox.advance(timedelta(seconds=50))
    pages = caller.pages(linked, folded.cursor)
    folded.apply(pages)
    assert pages[-1]["transactions_update_status"] == "HISTORICAL_UPDATE_COMPLETE"
    assert comparable(folded) == caller.true_rows(linked)
    oldest = min(row[3] for row in comparable(folded).values())
    assert str(born - timedelta(days=90)) <= oldest < str(born - timedelta(days=80))


def test_the_fold_of_the_feed_is_the_truth_on_every_day(caller: Caller) -> None:
    items = {login: caller.link_ready(login) for login in ("login-1", "login-2", "login-3")}
    folds = {login: Folded() for login in items}

    for _ in range(6):
        caller.sandbox.advance(timedelta(days=2, hours=5))
        for login, linked in items.items():
            folds[login].apply(caller.pages(linked, folds[login].cursor))
            assert comparable(folds[login]) == caller.true_rows(linked)


def test_the_same_cursor_gives_the_same_bytes(caller: Caller) -> None:
    linked = caller.link_ready()
    cursor = caller.pages(linked)[-1]["next_cursor"]
    caller.sandbox.advance(timedelta(days=3))

    first, second = (caller.pages(linked, cursor, count=7) for _ in range(2))

    assert [without_request_id(one) for one in first] == [without_request_id(one) for one in second]
    assert all(len(one["next_cursor"]) <= 256 for one in first)


def test_a_change_between_two_pages_asks_to_begin_again(caller: Caller) -> None:
    linked = caller.link_ready()
    page = caller.ask("/transactions/sync", access_token=linked.access_token, count=5)
    caller.sandbox.world.add_booked(CHECKING, Decimal(-1))

    again = caller.fail(
        "/transactions/sync", access_token=linked.access_token, cursor=page["next_cursor"], count=5
    )
    folded = Folded()
    folded.apply(caller.pages(linked))

    assert again == (400, "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION")
    assert comparable(folded) == caller.true_rows(linked)


def test_a_posting_removes_the_pending_and_adds_a_new_id_that_names_it(
    quiet_caller: Caller,
) -> None:
    world = quiet_caller.sandbox.world
    linked = quiet_caller.link_ready()
    entry = world.add_pending(CHECKING, Decimal("-12.50"))
    folded = Folded()
    folded.apply(quiet_caller.pages(linked))
    (pending,) = folded.rows.values()
    world.book(entry.id, amount=Decimal("-13.75"))

    (page,) = quiet_caller.pages(linked, folded.cursor)

    (posted,) = page["added"]
    assert [one["transaction_id"] for one in page["removed"]] == [pending["transaction_id"]]
    assert posted["pending_transaction_id"] == pending["transaction_id"]
    assert posted["transaction_id"] != pending["transaction_id"]
    assert (pending["pending"], posted["pending"]) == (True, False)
    assert (pending["amount"], posted["amount"]) == (Decimal("12.5"), Decimal("13.75"))
    assert set(page["removed"][0]) == {"account_id", "transaction_id"}


def test_a_posting_that_is_not_linked_names_no_pending(quiet_caller: Caller) -> None:
    world = quiet_caller.sandbox.world
    linked = quiet_caller.link_ready()
    entry = world.add_pending(CHECKING, Decimal("-12.50"), linked=False)
    cursor = quiet_caller.pages(linked)[-1]["next_cursor"]
    world.book(entry.id)

    (page,) = quiet_caller.pages(linked, cursor)

    assert page["added"][0]["pending_transaction_id"] is None
    assert len(page["removed"]) == 1


def test_the_halves_of_postings_come_on_different_pages_in_both_orders(
    quiet_caller: Caller,
) -> None:
    world = quiet_caller.sandbox.world
    linked = quiet_caller.link_ready()
    entries = [world.add_pending(CHECKING, Decimal(-number)) for number in range(1, 13)]
    cursor = quiet_caller.pages(linked)[-1]["next_cursor"]
    for entry in entries:
        world.book(entry.id)

    removed_on, added_on = {}, {}
    for number, page in enumerate(quiet_caller.pages(linked, cursor, count=4)):
        removed_on.update({one["transaction_id"]: number for one in page["removed"]})
        added_on.update({one["pending_transaction_id"]: number for one in page["added"]})

    assert removed_on.keys() == added_on.keys()
    assert any(added_on[one] > page for one, page in removed_on.items())
    assert any(added_on[one] < page for one, page in removed_on.items())


def test_what_came_and_went_between_two_calls_is_never_shown(quiet_caller: Caller) -> None:
    world = quiet_caller.sandbox.world
    linked = quiet_caller.link_ready()
    cursor = quiet_caller.pages(linked)[-1]["next_cursor"]
    entry = world.add_pending(CHECKING, Decimal(-5))
    caller_saw_head = quiet_caller.pages(linked)[-1]["next_cursor"]
    world.vanish(entry.id)

    (since_start,) = quiet_caller.pages(linked, cursor)
    (since_shown,) = quiet_caller.pages(linked, caller_saw_head)

    assert since_start["added"] == since_start["removed"] == []
    assert len(since_shown["removed"]) == 1


def test_a_change_of_nothing_is_a_modified_row_that_equals_the_one_held(
    quiet_caller: Caller,
) -> None:
    world = quiet_caller.sandbox.world
    linked = quiet_caller.link_ready()
    entry = world.add_booked(CHECKING, Decimal(-5))
    (before,) = quiet_caller.pages(linked)
    world.touch(entry.id)

    (after,) = quiet_caller.pages(linked, before["next_cursor"])

    assert after["modified"] == before["added"]


def test_a_removed_row_that_is_restored_comes_back_under_its_id(quiet_caller: Caller) -> None:
    world = quiet_caller.sandbox.world
    linked = quiet_caller.link_ready()
    entry = world.add_booked(CHECKING, Decimal(-5))
    (first,) = quiet_caller.pages(linked)
    world.remove(entry.id)
    (second,) = quiet_caller.pages(linked, first["next_cursor"])
    world.restore(entry.id)
    (third,) = quiet_caller.pages(linked, second["next_cursor"])

    assert len(second["removed"]) == 1
    assert third["added"] == first["added"]


def test_money_is_printed_exactly_and_money_out_is_positive(quiet_caller: Caller) -> None:
    world = quiet_caller.sandbox.world
    linked = quiet_caller.link_ready()
    amounts = ("-10.0215217", "0.1", "0.30000", "-1E+2", "0.00", "12345678901234.1")
    for amount in amounts:
        world.add_booked(CHECKING, Decimal(amount))

    text = quiet_caller.http.post(
        "/transactions/sync", json={"access_token": linked.access_token}
    ).text

    for printed in ("10.0215217", "-0.1", "-0.3", "100", "0", "-12345678901234.1"):
        assert f'"amount": {printed},' in text


def test_an_account_without_transactions_is_not_in_the_feed(quiet_caller: Caller) -> None:
    world = quiet_caller.sandbox.world
    linked = quiet_caller.link_ready()
    world.add_booked(CHECKING, Decimal(-5))

    (page,) = quiet_caller.pages(linked)
    listed = quiet_caller.ask("/accounts/get", access_token=linked.access_token)["accounts"]

    assert [one["account_id"] for one in page["accounts"]] == [page["added"][0]["account_id"]]
    assert len(listed) > 1


def test_the_filter_by_account_has_cursors_of_its_own(caller: Caller) -> None:
    linked = caller.link_ready()
    everything = caller.pages(linked)
    account_id = everything[0]["added"][0]["account_id"]

    only = caller.pages(linked, account_id=account_id)
    mixed = caller.fail(
        "/transactions/sync", access_token=linked.access_token, cursor=only[-1]["next_cursor"]
    )

    expected = [
        row for page in everything for row in page["added"] if row["account_id"] == account_id
    ]
    assert [row for page in only for row in page["added"]] == expected
    assert mixed == (400, "INVALID_FIELD")


def test_the_cursor_now_skips_all_history(caller: Caller) -> None:
    linked = caller.link_ready()

    (page,) = caller.pages(linked, "now")

    assert page["added"] == []
    assert page["next_cursor"] == caller.pages(linked)[-1]["next_cursor"]


@pytest.mark.parametrize("cursor", ["nonsense", "bm9uc2Vuc2U=", "é"])
def test_a_cursor_of_nobodys_making_is_refused(caller: Caller, cursor: str) -> None:
    linked = caller.link_ready()

    refused = caller.fail("/transactions/sync", access_token=linked.access_token, cursor=cursor)

    assert refused == (400, "INVALID_FIELD")


def test_two_items_of_one_login_share_no_ids(caller: Caller) -> None:
    first, second = caller.link(), caller.link_ready()
    ids: list[set[str]] = []
    for linked in (first, second):
        pages = caller.pages(linked)
        ids.append({row["transaction_id"] for page in pages for row in page["added"]})
        ids.append({one["account_id"] for one in pages[-1]["accounts"]})

    assert ids[0]
    assert len(ids[0]) == len(ids[2])
    assert ids[0].isdisjoint(ids[2])
    assert ids[1].isdisjoint(ids[3])


def test_transactions_get_shows_the_same_rows_newest_first(caller: Caller) -> None:
    linked = caller.link_ready()
    synced = {row["transaction_id"] for page in caller.pages(linked) for row in page["added"]}
    got: list[dict[str, str]] = []
    while True:
        page = caller.ask(
            "/transactions/get",
            access_token=linked.access_token,
            start_date="2020-01-01",
            end_date="2030-01-01",
            options={"count": 60, "offset": len(got)},
        )
        got += page["transactions"]
        if len(got) == page["total_transactions"]:
            break

    assert {row["transaction_id"] for row in got} == synced
    assert [row["date"] for row in got] == sorted((row["date"] for row in got), reverse=True)


@pytest.mark.parametrize("after_s", [0, 5, 10, 30, 60, 90])
def test_accounts_withdrawn_in_any_stage_agree_with_the_truth(caller: Caller, after_s: int) -> None:
    linked, folded = caller.link(), Folded()
    caller.sandbox.advance(timedelta(seconds=after_s))
    account_id = next(iter(caller.truth(linked)["accounts"]))
    caller.http.post(f"/_sim/items/{linked.item_id}/churn", json={"account_id": account_id})

    for _ in range(4):
        caller.sandbox.advance(timedelta(seconds=25))
        folded.apply(caller.pages(linked, folded.cursor))
        assert comparable(folded) == caller.true_rows(linked)


def test_a_withdrawn_account_stops_and_comes_back_under_a_new_id(quiet: SandboxServer) -> None:
    with Caller(quiet) as caller:
        linked = caller.link_ready()
        quiet.world.add_booked(CHECKING, Decimal(-5))
        folded = Folded()
        folded.apply(caller.pages(linked))
        (row,) = folded.rows.values()

        churned = caller.http.post(
            f"/_sim/items/{linked.item_id}/churn", json={"account_id": row["account_id"]}
        ).json()
        folded.apply(caller.pages(linked, folded.cursor))

        ids = {one["account_id"] for one in folded.rows.values()}
        assert ids == {row["account_id"], churned["account_id"]}
        assert comparable(folded) == caller.true_rows(linked)
        assert caller.fail(
            "/accounts/get",
            access_token=linked.access_token,
            options={"account_ids": [row["account_id"]]},
        ) == (400, "INVALID_ACCOUNT_ID")
