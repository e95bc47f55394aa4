"""Transactions: how far back, in which pages, how often, and in whose presence."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_pipeline_tests.sandbox.enable_banking.caller import (
    Caller,
    Linked,
    comparable,
    refused,
    signed,
)
from bank_pipeline_tests.sandbox.enable_banking.conftest import StartCaller

_PSU = {"Psu-Ip-Address": "192.0.2.7", "Psu-User-Agent": "Mozilla/5.0"}


def _path(linked: Linked, what: str = "transactions", number: int = 0) -> str:
    return f"/accounts/{linked.uids[number]}/{what}"


def _with_headers(
    caller: Caller, path: str, headers: dict[str, str]
) -> tuple[int, str | None, Any]:
    answer = caller.http.get(path, headers=headers)
    return answer.status_code, answer.json().get("error"), answer.json().get("detail")


def test_pages_join_to_the_whole_without_gap_or_repetition(start_caller: StartCaller) -> None:
    caller = start_caller(page_size=7)
    uid = caller.link().uids[0]
    in_pages = caller.whole(uid)
    caller.switches.post("/page_size", json={"page_size": 10_000})

    assert [comparable(one) for one in in_pages] == [comparable(one) for one in caller.whole(uid)]
    assert len({one["entry_reference"] for one in in_pages}) == len(in_pages)


@settings(max_examples=12, deadline=None)
@given(
    size=st.integers(4, 60),
    oldest=st.integers(0, 140),
    days=st.integers(0, 40),
    status=st.sampled_from([None, "BOOK", "PDNG"]),
)
def test_any_window_in_any_pages_is_a_part_of_the_whole(
    shared_caller: Caller, size: int, oldest: int, days: int, status: str | None
) -> None:
    uid = shared_caller.link().uids[0]
    start, end = shared_caller.ago(oldest), shared_caller.ago(max(0, oldest - days))
    query = {"date_from": start, "date_to": end}
    shared_caller.switches.post("/page_size", json={"page_size": size})
    told = shared_caller.rows(uid, **query, **({"transaction_status": status} if status else {}))
    shared_caller.switches.post("/page_size", json={"page_size": None})

    expected = [
        one
        for one in map(comparable, shared_caller.whole(uid))
        if start <= one[3] <= end and status in (None, "PDNG" if one[2] else "BOOK")
    ]
    assert [comparable(one) for one in told] == expected


def test_a_new_row_between_two_pages_moves_none(quiet_caller: Caller) -> None:
    world = quiet_caller.sandbox.world
    for number in range(1, 6):
        world.add_booked("acc-2-1", Decimal(-number))
    quiet_caller.switches.post("/page_size", json={"page_size": 3})
    uid = quiet_caller.link().uids[0]
    first = quiet_caller.ask(f"/accounts/{uid}/transactions")
    quiet_caller.sandbox.advance(timedelta(days=1))
    quiet_caller.switches.post("/page_size", json={"page_size": 3})
    world.add_booked("acc-2-1", Decimal(-6))
    again = quiet_caller.fail(
        f"/accounts/{uid}/transactions", continuation_key=first["continuation_key"]
    )
    first = quiet_caller.ask(f"/accounts/{uid}/transactions")
    world.add_booked("acc-2-1", Decimal(-7))
    second = quiet_caller.ask(
        f"/accounts/{uid}/transactions", continuation_key=first["continuation_key"]
    )

    assert again == (422, "WRONG_CONTINUATION_KEY")  # keys do not live for days
    told = [signed(one) for one in first["transactions"] + second["transactions"]]
    assert sorted(told) == [-6, -5, -4, -3, -2, -1]


def test_a_key_is_bound_to_its_session_account_and_query(start_caller: StartCaller) -> None:
    caller = start_caller(page_size=5)
    linked, other = caller.link(), caller.link()
    query = {"date_from": caller.ago(60), "transaction_status": "BOOK"}
    key = caller.ask(_path(linked), **query)["continuation_key"]
    wrong = (422, "WRONG_CONTINUATION_KEY")
    changed = (
        {**query, "date_from": caller.ago(59)},
        {**query, "date_to": caller.ago(1)},
        {**query, "strategy": "longest"},
        {"date_from": caller.ago(60)},
    )

    for other_query in changed:
        refusal = caller.fail(_path(linked), **other_query, continuation_key=key)
        assert refusal == (422, "WRONG_REQUEST_PARAMETERS")
    assert caller.fail(_path(other), **query, continuation_key=key) == wrong
    assert caller.fail(_path(linked, number=2), **query, continuation_key=key) == wrong
    assert caller.fail(_path(linked), **query, continuation_key=key[:-4] + "AAAA") == wrong
    assert caller.ask(_path(linked), **query, continuation_key=key)["transactions"]


def test_an_empty_first_page_is_not_the_end(shared_caller: Caller) -> None:
    linked = shared_caller.link("Revolut", "LT")
    pages = shared_caller.pages(linked.uids[0], date_from=shared_caller.ago(30))

    assert pages[0]["transactions"] == []
    assert pages[0]["continuation_key"]
    assert pages[1]["transactions"]


def test_the_transaction_id_differs_in_every_answer(shared_caller: Caller) -> None:
    uid = shared_caller.link().uids[0]
    first, second = shared_caller.rows(uid)[0], shared_caller.rows(uid)[0]

    assert first["entry_reference"] == second["entry_reference"]
    assert first["transaction_id"] != second["transaction_id"]
    for one in (first, second):
        path = f"/accounts/{uid}/transactions/{one['transaction_id']}"
        assert shared_caller.ask(path)["entry_reference"] == first["entry_reference"]
    gone = f"/accounts/{uid}/transactions/unknown"
    assert shared_caller.fail(gone) == (404, "TRANSACTION_DOES_NOT_EXIST")


def test_dates_are_inclusive(shared_caller: Caller) -> None:
    uid = shared_caller.link().uids[0]
    start, end = shared_caller.ago(40), shared_caller.ago(20)
    within = shared_caller.rows(uid, date_from=start, date_to=end)
    booked = [one for one in shared_caller.whole(uid) if one["booking_date"]]
    expected = [one for one in booked if start <= one["booking_date"] <= end]

    assert [comparable(one) for one in within] == [comparable(one) for one in expected]
    days = {one["booking_date"] for one in booked}
    assert {max(one for one in days if one <= end)} <= {one["booking_date"] for one in within}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"date_from": "2026-03-03"}, "DATE_FROM_IN_FUTURE"),
        ({"date_from": "2026-02-03", "date_to": "2026-02-02"}, "WRONG_DATE_INTERVAL"),
        ({"date_to": "2026-02-02"}, "DATE_TO_WITHOUT_DATE_FROM"),
        ({"date_from": "03.02.2026"}, "WRONG_REQUEST_PARAMETERS"),
        ({"date_from": "2026-02-03T00:00:00"}, "WRONG_REQUEST_PARAMETERS"),
        ({"transaction_status": "PENDING"}, "WRONG_REQUEST_PARAMETERS"),
        ({"strategy": "shortest"}, "WRONG_REQUEST_PARAMETERS"),
    ],
)
def test_queries_that_cannot_be_are_refused(
    shared_caller: Caller, query: dict[str, str], code: str
) -> None:
    assert shared_caller.fail(_path(shared_caller.link()), **query) == (422, code)


def test_today_is_of_utc(shared_caller: Caller) -> None:
    """At the German bank behind it is half past ten then, at Greenwich half past nine."""
    assert "transactions" in shared_caller.ask(_path(shared_caller.link()), date_from="2026-03-02")


def test_without_dates_the_last_ninety_days_are_told(shared_caller: Caller) -> None:
    uid = shared_caller.link().uids[0]
    days = [comparable(one)[3] for one in shared_caller.rows(uid)]

    assert min(days) >= shared_caller.ago(90)
    assert min(comparable(one)[3] for one in shared_caller.whole(uid)) < shared_caller.ago(90)


def test_longest_finds_all_and_ignores_the_end(shared_caller: Caller) -> None:
    uid = shared_caller.link().uids[0]
    longest = shared_caller.rows(uid, strategy="longest", date_to=shared_caller.ago(60))
    since = shared_caller.rows(uid, strategy="longest", date_from=shared_caller.ago(10))

    assert len(longest) == len(shared_caller.whole(uid))
    assert min(comparable(one)[3] for one in since) >= shared_caller.ago(10)


def test_longest_is_stale_at_one_bank(shared_caller: Caller) -> None:
    uid = shared_caller.link("Wise", "GB", login="login-3").uids[0]
    longest = shared_caller.rows(uid, strategy="longest")

    assert max(comparable(one)[3] for one in longest) <= shared_caller.ago(30)
    assert max(comparable(one)[3] for one in shared_caller.rows(uid)) > shared_caller.ago(30)


@pytest.mark.parametrize(("bank", "country"), [("Société Générale", "FR"), ("Banco BPM", "IT")])
def test_some_banks_open_their_archives_for_three_minutes(
    caller: Caller, bank: str, country: str
) -> None:
    linked = caller.link(bank, country)
    young = caller.rows(linked.uids[0], date_from=caller.ago(140))
    caller.sandbox.advance(timedelta(seconds=181))
    answer = caller.http.get(_path(linked), params={"date_from": caller.ago(90)})

    assert min(comparable(one)[3] for one in young) < caller.ago(90)
    assert refused(answer) == (422, "WRONG_TRANSACTIONS_PERIOD")
    told = answer.json()["detail"].get("date_from")
    assert told == (caller.ago(89) if country == "FR" else None)
    assert caller.rows(linked.uids[0], date_from=caller.ago(89))
    assert caller.rows(linked.uids[0], strategy="longest")


def test_too_much_history_is_refused_in_the_banks_own_manner(shared_caller: Caller) -> None:
    def ask(name: str, country: str, days: int) -> Any:
        path = _path(shared_caller.link(name, country))
        return shared_caller.http.get(path, params={"date_from": shared_caller.ago(days)})

    own_words = ask("N26", "DE", 90)
    assert own_words.status_code == 400
    assert own_words.json()["code"] == "PERIOD_INVALID"
    assert "error" not in own_words.json()
    assert ask("N26", "DE", 89).status_code == 200
    assert refused(ask("BNP Paribas Fortis", "BE", 731)) == (400, "ASPSP_ERROR")
    assert ask("BNP Paribas Fortis", "BE", 730).status_code == 200
    bare = ask("Santander Totta", "PT", 61)
    assert bare.json()["detail"] == {"message": "Requested time period out of bound."}
    dated = ask("Swedbank", "SE", 121).json()["detail"]
    assert dated == {
        "message": "Maximum days in the past allowed for transaction list is 120",
        "date_from": shared_caller.ago(120),
    }
    assert ask("Nordea", "FI", 3000).status_code == 200


def test_pending_rows_alone_are_refused_in_three_manners(shared_caller: Caller) -> None:
    def ask(name: str, country: str) -> Any:
        path = _path(shared_caller.link(name, country))
        return shared_caller.http.get(path, params={"transaction_status": "PDNG"})

    assert refused(ask("ImaginV2", "ES")) == (422, "WRONG_REQUEST_PARAMETERS")
    assert refused(ask("Trade Republic", "DE")) == (400, "WRONG_REQUEST_PARAMETERS")
    assert refused(ask("Cajamar", "ES")) == (400, "ASPSP_ERROR")
    told = ask("Nordea", "FI").json()["transactions"]
    assert {one["status"] for one in told} == {"PDNG"}


def test_a_filtered_listing_breaks_on_its_second_page(shared_caller: Caller) -> None:
    linked = shared_caller.link("Trade Republic", "DE")
    query = {"date_from": shared_caller.ago(140), "transaction_status": "BOOK"}
    first = shared_caller.ask(_path(linked), **query)
    key = first["continuation_key"]
    second = shared_caller.http.get(_path(linked), params={**query, "continuation_key": key})
    few = shared_caller.ask(_path(linked), **{**query, "date_from": shared_caller.ago(5)})

    assert len(first["transactions"]) == 50
    assert 0 < len(few["transactions"]) < 50
    assert few["continuation_key"]
    assert refused(second) == (422, "WRONG_REQUEST_PARAMETERS")
    assert "continuationKey" in second.json()["detail"]["message"]
    assert len(shared_caller.whole(linked.uids[0])) > 50


def test_one_bank_ignores_what_it_is_asked(shared_caller: Caller) -> None:
    uid = shared_caller.link("Nullbanken", "SE").uids[0]
    query = {"date_from": shared_caller.ago(1), "transaction_status": "PDNG"}

    assert len(shared_caller.rows(uid, **query)) == len(shared_caller.whole(uid))


def test_four_unattended_accesses_a_day_and_endpoint(start_caller: StartCaller) -> None:
    caller = start_caller(unattended_per_day=4)
    linked = caller.link()
    for _ in range(4):
        caller.ask(_path(linked, "balances"))
    refusal = caller.http.get(_path(linked, "balances"))

    assert refused(refusal) == (429, "ASPSP_RATE_LIMIT_EXCEEDED")
    assert not [name for name in refusal.headers if "rate" in name or "retry" in name]
    assert caller.ask(_path(linked, "balances", 1))  # another account
    assert caller.ask(_path(linked))  # another endpoint
    assert caller.fail(_path(caller.link(), "balances"))[0] == 429  # a new consent changes nothing
    caller.ask(f"/sessions/{linked.session_id}")
    caller.sandbox.advance(timedelta(hours=15))
    assert caller.ask(_path(linked, "balances"))


def test_pages_cost_nothing_and_longest_costs_two(start_caller: StartCaller) -> None:
    caller = start_caller(unattended_per_day=4, page_size=5)
    linked = caller.link()

    assert len(caller.pages(linked.uids[0])) > 5
    caller.ask(_path(linked), strategy="longest")
    caller.ask(_path(linked))
    assert caller.fail(_path(linked))[0] == 429


def test_every_page_is_an_access_at_one_bank(start_caller: StartCaller) -> None:
    caller = start_caller(unattended_per_day=4, page_size=5)
    linked = caller.link("Banco Sabadell", "ES")
    key = caller.ask(_path(linked))["continuation_key"]
    for _ in range(3):
        key = caller.ask(_path(linked), continuation_key=key)["continuation_key"]

    assert caller.fail(_path(linked), continuation_key=key)[0] == 429


def test_a_present_customer_is_not_counted(start_caller: StartCaller) -> None:
    caller = start_caller(unattended_per_day=1)
    path = _path(caller.link("Banco Sabadell", "ES"), "balances")
    for _ in range(3):
        assert _with_headers(caller, path, _PSU)[0] == 200
    caller.ask(path)

    assert caller.fail(path)[0] == 429
    assert _with_headers(caller, path, _PSU)[0] == 200


def test_headers_about_the_customer_are_all_or_none(shared_caller: Caller) -> None:
    path = _path(shared_caller.link("Banco Sabadell", "ES"), "balances")

    assert _with_headers(shared_caller, path, {"Psu-User-Agent": "x"}) == (
        422,
        "PSU_HEADER_NOT_PROVIDED",
        "PSU header psuIpAddress is not provided",
    )
    wrong = {**_PSU, "Psu-Ip-Address": "localhost"}
    assert _with_headers(shared_caller, path, wrong)[:2] == (422, "PSU_HEADER_INVALID")
    nowhere = {**_PSU, "Psu-Geo-Location": "here"}
    assert _with_headers(shared_caller, path, nowhere)[:2] == (422, "PSU_HEADER_INVALID")
    here = {**_PSU, "Psu-Geo-Location": "-1.2345,6.789"}
    assert _with_headers(shared_caller, path, here)[0] == 200
    other = _path(shared_caller.link("HypoVereinsbank", "DE"), "balances")
    assert _with_headers(shared_caller, other, _PSU)[:2] == (400, "ASPSP_ERROR")


def test_requests_are_on_record_without_their_tokens(caller: Caller) -> None:
    linked = caller.link()
    caller.ask(_path(linked, "balances"))
    caller.http.get(_path(linked), headers=_PSU)
    told = caller.switches.get("/requests").json()["requests"]

    assert [one["operation"] for one in told] == ["auth", "sessions", "balances", "transactions"]
    assert "psu-ip-address" not in told[2]["headers"]
    assert told[3]["headers"]["psu-ip-address"] == "192.0.2.7"
    assert told[3]["subject"] == linked.uids[0]
    assert "Bearer" not in str(told)
    assert caller.wing.calls["balances", linked.uids[0]] == 1


@pytest.mark.parametrize("page_size", [3, None])
def test_the_same_seed_and_walk_give_the_same_bytes(
    start_caller: StartCaller, page_size: int | None
) -> None:
    def walk() -> list[bytes]:
        caller = start_caller(page_size=page_size)
        linked = caller.link()
        path = _path(linked)
        return [caller.http.get(one).content for one in (path, path, _path(linked, "balances"))]

    assert walk() == walk()
