"""Claims about faults: each kind does over HTTP what it says."""

import json
import threading
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline_tests.sandbox.plaid.caller import Caller, Linked, read

SYNC = "/transactions/sync"


@pytest.fixture
def linked(caller: Caller) -> Linked:
    return caller.link_ready()


def strike(caller: Caller, kind: FaultKind, *, operation: str = SYNC, **fields: Any) -> None:
    caller.sandbox.faults.add(operation, Fault(kind, **fields))


def post(caller: Caller, linked: Linked, path: str = SYNC, **body: Any) -> httpx.Response:
    return caller.http.post(path, json={"access_token": linked.access_token, **body})


@pytest.mark.parametrize(
    ("kind", "fields", "status", "in_body"),
    [
        (FaultKind.HTTP_STATUS, {"status": 503}, 503, "<html>"),
        (FaultKind.HTML_BODY, {}, 200, "<html>"),
        (FaultKind.EMPTY_BODY, {"status": 204}, 204, ""),
        (FaultKind.RATE_LIMITED, {"code": "TRANSACTIONS_SYNC_LIMIT"}, 429, "SYNC_LIMIT"),
        (FaultKind.REDIRECT, {"location": "http://127.0.0.1:1/x", "status": 302}, 302, ""),
        (FaultKind.ERROR, {"code": "FROM_THE_FUTURE", "status": 418}, 418, "FROM_THE_FUTURE"),
        (FaultKind.CURSOR_REJECTED, {}, 400, "cursor not associated"),
        (FaultKind.MUTATION, {}, 400, "MUTATION_DURING_PAGINATION"),
    ],
)
def test_answers_that_are_errors(
    caller: Caller, linked: Linked, kind: FaultKind, fields: Any, status: int, in_body: str
) -> None:
    strike(caller, kind, **fields)

    answer = post(caller, linked)

    assert (answer.status_code, in_body in answer.text) == (status, True)
    assert post(caller, linked).status_code == 200, "a fault strikes once unless told otherwise"


def test_a_rate_limit_carries_its_header(caller: Caller, linked: Linked) -> None:
    strike(caller, FaultKind.RATE_LIMITED, retry_after="17")

    assert post(caller, linked).headers["Retry-After"] == "17"


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.RESET_BODY, FaultKind.LOST_ANSWER])
def test_connections_that_break(caller: Caller, linked: Linked, kind: FaultKind) -> None:
    strike(caller, kind, after_bytes=30)

    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
        post(caller, linked)


def test_a_lost_answer_leaves_the_operation_done(caller: Caller, linked: Linked) -> None:
    strike(caller, FaultKind.LOST_ANSWER, operation="/item/access_token/invalidate")

    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
        post(caller, linked, "/item/access_token/invalidate")

    assert post(caller, linked).json()["error_code"] == "INVALID_ACCESS_TOKEN"


def test_a_reset_leaves_the_operation_undone(caller: Caller, linked: Linked) -> None:
    strike(caller, FaultKind.RESET, operation="/item/access_token/invalidate")

    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
        post(caller, linked, "/item/access_token/invalidate")

    assert post(caller, linked).status_code == 200


def test_a_truncated_body_ends_in_order(caller: Caller, linked: Linked) -> None:
    strike(caller, FaultKind.TRUNCATED_BODY, after_bytes=41)

    answer = post(caller, linked)

    assert (answer.status_code, len(answer.content)) == (200, 41)


def test_silence_outlasts_a_patient_client_and_ends_with_the_server(
    caller: Caller, linked: Linked
) -> None:
    strike(caller, FaultKind.HANG, seconds=300)

    with pytest.raises(httpx.ReadTimeout):
        caller.http.post(SYNC, json={"access_token": linked.access_token}, timeout=0.2)

    began = time.monotonic()
    caller.sandbox.stop()
    assert time.monotonic() - began < 5


def test_a_slow_answer_arrives_whole(caller: Caller, linked: Linked) -> None:
    strike(caller, FaultKind.SLOW_DRIP, seconds=0.2)
    began = time.monotonic()

    answer = post(caller, linked, count=2)

    assert time.monotonic() - began >= 0.2
    assert len(read(answer)["added"]) == 2


@pytest.mark.parametrize(
    ("kind", "fields", "visible"),
    [
        (FaultKind.MISSING_KEY, {"key": "amount"}, lambda b: "amount" not in b["added"][0]),
        (FaultKind.MISSING_KEY, {"key": "has_more"}, lambda b: "has_more" not in b),
        (FaultKind.EXTRA_KEY, {}, lambda b: "key_from_the_future" in b["added"][0]),
        (FaultKind.NULL_VALUE, {"key": "next_cursor"}, lambda b: b["next_cursor"] is None),
        (FaultKind.UNKNOWN_ENUM, {}, lambda b: "future" in b["added"][0]["payment_channel"]),
        (FaultKind.STRING_AMOUNTS, {}, lambda b: isinstance(b["added"][0]["amount"], str)),
        (FaultKind.DUPLICATE_ROWS, {}, lambda b: b["added"][0] in b["added"][1:]),
        (
            FaultKind.ADDED_AND_REMOVED,
            {},
            lambda b: b["added"][0]["transaction_id"] in str(b["removed"]),
        ),
        (FaultKind.UNKNOWN_REMOVED_ID, {}, lambda b: len(b["removed"]) == 1),
        (
            FaultKind.UNKNOWN_ACCOUNT_ID,
            {},
            lambda b: b["added"][0]["account_id"] not in {a["account_id"] for a in b["accounts"]},
        ),
        (FaultKind.FUTURE_DATES, {}, lambda b: b["added"][0]["date"] > "2090"),
        (FaultKind.CHANGED_CURRENCY, {}, lambda b: b["added"][0]["iso_currency_code"] == "JPY"),
        (FaultKind.HUGE_PAGE, {}, lambda b: len(b["added"]) > 10),
        (FaultKind.ENDLESS_PAGES, {}, lambda b: b["has_more"] and b["next_cursor"] == ""),
        (FaultKind.EMPTY_PAGE, {}, lambda b: b["has_more"] and not b["added"]),
        (FaultKind.NOT_READY, {}, lambda b: b["next_cursor"] == "" and not b["added"]),
        (FaultKind.STALE_DATA, {}, lambda b: not b["added"] and not b["has_more"]),
    ],
)
def test_right_answers_with_something_wrong_in_them(
    caller: Caller, linked: Linked, kind: FaultKind, fields: Any, visible: Any
) -> None:
    strike(caller, kind, **fields)

    bent = read(post(caller, linked, count=10))
    good = read(post(caller, linked, count=10))

    assert visible(bent)
    assert not visible(good)


@pytest.mark.parametrize("has_read", [False, True], ids=["from the start", "later"])
def test_an_empty_page_takes_no_row_away(caller: Caller, linked: Linked, *, has_read: bool) -> None:
    first = read(post(caller, linked, count=10))
    cursor = first["next_cursor"] if has_read else ""
    expected = read(post(caller, linked, count=10, cursor=cursor))["added"]
    strike(caller, FaultKind.EMPTY_PAGE)

    empty = read(post(caller, linked, count=10, cursor=cursor))
    after = read(post(caller, linked, count=10, cursor=empty["next_cursor"]))

    assert expected
    assert (empty["added"], empty["has_more"]) == ([], True)
    assert after["added"] == expected


def test_amounts_that_are_no_numbers(caller: Caller, linked: Linked) -> None:
    strike(caller, FaultKind.NAN_AMOUNTS)

    assert '"amount": NaN' in post(caller, linked).text


def test_an_account_can_be_missing(caller: Caller, linked: Linked) -> None:
    strike(caller, FaultKind.MISSING_ACCOUNT, operation="/accounts/get")

    fewer = post(caller, linked, "/accounts/get").json()["accounts"]

    assert len(fewer) == len(post(caller, linked, "/accounts/get").json()["accounts"]) - 1


def test_a_row_can_be_repeated_on_the_next_page(caller: Caller, linked: Linked) -> None:
    first = read(post(caller, linked, count=5))
    strike(caller, FaultKind.DUPLICATE_ACROSS_PAGES)

    second = read(post(caller, linked, count=5, cursor=first["next_cursor"]))

    assert second["added"][0] == first["added"][-1]
    assert len(second["added"]) == 6


def test_a_login_can_expire_between_two_pages(caller: Caller, linked: Linked) -> None:
    caller.sandbox.faults.add(SYNC, Fault(FaultKind.LOGIN_REQUIRED), after=1)
    first = read(post(caller, linked, count=5))

    second = post(caller, linked, count=5, cursor=first["next_cursor"]).json()

    assert second["error_code"] == "ITEM_LOGIN_REQUIRED"
    item = post(caller, linked, "/item/get").json()["item"]
    assert item["error"]["error_code"] == "ITEM_LOGIN_REQUIRED"


def test_faults_strike_one_item_and_are_explained(caller: Caller, linked: Linked) -> None:
    other = caller.link()
    rule = {
        "operation": "/item/*",
        "subject": other.item_id,
        "fault": {"kind": "error", "code": "INSTITUTION_DOWN"},
    }
    caller.http.post("/_sim/faults", json=rule)

    assert post(caller, linked, "/item/get").status_code == 200
    assert post(caller, other, "/item/get").json()["error_code"] == "INSTITUTION_DOWN"
    (injected,) = caller.http.get("/_sim/faults").json()["injected"]
    assert injected["subject"] == other.item_id
    assert caller.http.delete("/_sim/faults").json() == {"pending": []}
    assert caller.http.post("/_sim/faults", json={"fault": {"kind": "x"}}).status_code == 400


def test_calls_at_once_are_all_answered(caller: Caller, linked: Linked) -> None:
    statuses: list[int] = []

    def work() -> None:
        with Caller(caller.sandbox) as own:
            statuses.extend(post(own, linked, count=20).status_code for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [200] * 20
    counted = {
        (one["operation"], one["item_id"]): one["count"]
        for one in caller.http.get("/_sim/calls").json()["calls"]
    }
    assert counted[SYNC, linked.item_id] == 20


def test_the_clock_is_read_and_moved_over_http(caller: Caller) -> None:
    before = caller.http.get("/_sim/clock").json()
    after = caller.http.post("/_sim/clock/advance", json={"seconds": 90.5}).json()
    backwards = caller.http.post("/_sim/clock/advance", json={"seconds": -1})

    assert (before["now"], before["running"]) == ("2026-03-02T09:30:00Z", False)
    assert (after["now"], after["settled"]) == ("2026-03-02T09:31:30.500Z", True)
    assert backwards.status_code == 400


def test_logins_and_items_are_listed_without_tokens(caller: Caller, linked: Linked) -> None:
    logins = caller.http.get("/_sim/logins").json()["logins"]
    truth = caller.http.get("/_sim/truth")
    items = caller.http.get("/_sim/items")

    assert [one["login_id"] for one in logins] == ["login-1", "login-2", "login-3"]
    assert [one["item_id"] for one in truth.json()["items"]] == [linked.item_id]
    assert linked.access_token not in truth.text + items.text
    assert caller.http.get("/_sim/truth", params={"item_id": "x"}).status_code == 404


def test_the_rate_is_limited_per_item_and_minute_of_virtual_time(start_sandbox: Any) -> None:
    server = start_sandbox(quiet=True, limit_scale=1.0)
    with Caller(server) as caller:
        first, second = caller.link_ready(), caller.link_ready()
        statuses = [post(caller, first).status_code for _ in range(51)]
        limited = post(caller, first).json()["error_code"]
        other = post(caller, second).status_code
        server.advance(timedelta(seconds=60))
        later = post(caller, first).status_code

    assert statuses == [200] * 50 + [429]
    assert (limited, other, later) == ("TRANSACTIONS_SYNC_LIMIT", 200, 200)


def test_the_rate_is_limited_per_client(start_sandbox: Any) -> None:
    with Caller(start_sandbox(quiet=True, limit_scale=1.0)) as caller:
        asked = {"count": 1, "offset": 0, "country_codes": ["US"]}
        for _ in range(10):
            caller.ask("/institutions/get", **asked)

        assert caller.fail("/institutions/get", **asked) == (429, "INSTITUTIONS_GET_LIMIT")


def test_stale_accounts_show_the_balance_of_days_ago(quiet_caller: Caller) -> None:
    linked = quiet_caller.link_ready()
    quiet_caller.sandbox.advance(timedelta(days=10))
    fresh = post(quiet_caller, linked, "/accounts/get").content
    quiet_caller.sandbox.world.add_booked("acc-1-1", Decimal(-9))
    strike(quiet_caller, FaultKind.STALE_DATA, operation="/accounts/get")

    stale = post(quiet_caller, linked, "/accounts/get").content
    now = post(quiet_caller, linked, "/accounts/get").content

    assert json.loads(stale)["accounts"] == json.loads(fresh)["accounts"]
    assert json.loads(now)["accounts"] != json.loads(fresh)["accounts"]
