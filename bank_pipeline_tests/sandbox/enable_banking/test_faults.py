"""Faults are carried out as planned, each in Enable Banking's own words."""

import json
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from bank_pipeline.sandbox.enable_banking.app import OPERATIONS
from bank_pipeline.sandbox.enable_banking.errors import ERROR_NAMES, api_error
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline_tests.sandbox.enable_banking.caller import Caller, refused, succeeded
from bank_pipeline_tests.sandbox.enable_banking.official import catalogue_path, check_answer

_TRANSACTIONS = "enable_banking:transactions"
_BALANCES = "enable_banking:balances"


def _plan(caller: Caller, operation: str, kind: FaultKind, **fault: Any) -> None:
    plan = {name: fault.pop(name) for name in ("subject", "times", "after") if name in fault}
    caller.sandbox.faults.add(operation, Fault(kind, **fault), **plan)


def _path(caller: Caller, what: str) -> str:
    return f"/accounts/{caller.link().uids[0]}/{what}"


def _fits(known: object, told: object) -> bool:
    """Whether the answer is the known one, a date that depends on the day aside."""
    if isinstance(known, Mapping) and isinstance(told, Mapping):
        return set(known) == set(told) and all(_fits(known[one], told[one]) for one in known)
    return known == told or (isinstance(known, str) and isinstance(told, str))


def _name(known: Mapping[str, Any]) -> str:
    """Return the name under which the simulator knows an error of the catalogue."""
    body = known["body"]
    detail = body["detail"] if isinstance(body.get("detail"), dict) else {}
    if known["error"] is None:
        return {
            403: "APPLICATION_DOES_NOT_EXIST",
            400: "PERIOD_INVALID",
            500: "INTERNAL_SERVER_ERROR",
        }[known["http"]]
    kinds = {
        "WRONG_TRANSACTIONS_PERIOD": "/dated" if "date_from" in detail else "/bare",
        "WRONG_REQUEST_PARAMETERS": "/paging" if "error_name" in detail else "/pending",
    }
    return str(known["error"]) + kinds.get(known["error"], "")


def test_every_known_error_can_be_had_at_will(caller: Caller) -> None:
    known = json.loads(catalogue_path().read_text())["errors"]
    path = _path(caller, "transactions")

    for one in known:
        _plan(caller, _TRANSACTIONS, FaultKind.ERROR, code=_name(one))
        answer = caller.http.get(path)
        assert answer.status_code == one["http"]
        assert _fits(one["body"], answer.json()), answer.text
        if one["body"].get("error"):
            assert answer.json()["message"] == one["body"]["message"]


def test_every_error_fits_the_official_schema() -> None:
    for name in sorted(ERROR_NAMES - {"PERIOD_INVALID", "BALANCES_UNAVAILABLE"}):
        error = api_error(name)
        path = "/accounts/{account_id}/transactions"
        check_answer("get", path, error.status, error.body)


def test_an_error_can_wear_another_status_and_text(caller: Caller) -> None:
    path = _path(caller, "balances")
    fault = {"code": "ASPSP_ERROR", "status": 502, "message": "Bad bank"}
    _plan(caller, _BALANCES, FaultKind.ERROR, **fault)
    answer = caller.http.get(path)

    assert answer.status_code == 502
    assert answer.json() == {
        "message": "Bad bank",
        "code": 502,
        "error": "ASPSP_ERROR",
        "detail": "Unknown error",
    }
    _plan(caller, _BALANCES, FaultKind.ERROR, code="FROM_THE_FUTURE")
    assert caller.fail(path) == (400, "FROM_THE_FUTURE")


def test_a_dated_refusal_counts_from_today(caller: Caller) -> None:
    path = _path(caller, "transactions")
    _plan(caller, _TRANSACTIONS, FaultKind.ERROR, code="WRONG_TRANSACTIONS_PERIOD/dated", key="30")

    assert caller.http.get(path).json()["detail"]["date_from"] == caller.ago(30)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_can_fail(caller: Caller, operation: str) -> None:
    linked = caller.link()
    places = {"session_id": linked.session_id, "account_id": linked.uids[0], "transaction_id": "x"}
    requests = {
        "auth": ("POST", "/auth", ""),
        "sessions": ("POST", "/sessions", ""),
        "session_delete": ("DELETE", "/sessions/{session_id}", linked.session_id),
        "session": ("GET", "/sessions/{session_id}", linked.session_id),
        "transaction": ("GET", "/accounts/{account_id}/transactions/{transaction_id}", ""),
    }
    name = operation.partition(":")[2]
    alone = name in ("application", "aspsps")
    usual = ("GET", f"/{name}" if alone else f"/accounts/{{account_id}}/{name}", "")
    method, path, subject = requests.get(name, usual)
    _plan(caller, operation, FaultKind.RATE_LIMITED, subject=subject or "*", retry_after="7")
    answer = caller.http.request(method, path.format(**places))

    assert refused(answer) == (429, "ASPSP_RATE_LIMIT_EXCEEDED")
    assert answer.headers["retry-after"] == "7"


def test_the_consent_page_can_fail(caller: Caller) -> None:
    url = caller.begin("Nordea", "FI")
    _plan(caller, "enable_banking:welcome", FaultKind.HTTP_STATUS, status=503)

    assert caller.http.get(url).status_code == 503
    assert caller.http.get(url).status_code == 200


def test_a_limit_can_strike_in_the_middle_of_paging(caller: Caller) -> None:
    caller.switches.post("/page_size", json={"page_size": 5})
    uid = caller.link().uids[0]
    _plan(caller, _TRANSACTIONS, FaultKind.RATE_LIMITED, subject=uid, after=2)
    first = caller.ask(f"/accounts/{uid}/transactions")
    query = {"continuation_key": first["continuation_key"]}
    second = caller.ask(f"/accounts/{uid}/transactions", **query)
    query = {"continuation_key": second["continuation_key"]}

    assert caller.fail(f"/accounts/{uid}/transactions", **query)[0] == 429
    assert caller.ask(f"/accounts/{uid}/transactions", **query)["transactions"]


@pytest.mark.parametrize(
    "kind", [FaultKind.RESET, FaultKind.RESET_BODY, FaultKind.TRUNCATED_BODY, FaultKind.HTML_BODY]
)
def test_answers_break_on_their_way(caller: Caller, kind: FaultKind) -> None:
    path = _path(caller, "balances")
    _plan(caller, _BALANCES, kind)

    with pytest.raises((httpx.TransportError, json.JSONDecodeError)):
        caller.http.get(path).json()
    assert caller.ask(path)["balances"]


def test_a_lost_answer_has_used_the_code(caller: Caller) -> None:
    code = {"code": caller.decide(caller.begin("Nordea", "FI"), "approve")["code"]}
    _plan(caller, "enable_banking:sessions", FaultKind.LOST_ANSWER)
    with pytest.raises(httpx.TransportError):
        caller.http.post("/sessions", json=code)

    assert refused(caller.http.post("/sessions", json=code)) == (422, "ALREADY_AUTHORIZED")
    assert len(caller.wing.external_ids()) == 1


def test_a_consent_can_be_revoked_between_two_accounts(caller: Caller) -> None:
    linked = caller.link()
    first, second = linked.uids[:2]
    _plan(caller, _BALANCES, FaultKind.LOGIN_REQUIRED, subject=second)

    assert caller.ask(f"/accounts/{first}/balances")["balances"]
    assert caller.fail(f"/accounts/{second}/balances") == (401, "REVOKED_SESSION")
    assert caller.fail(f"/accounts/{first}/balances") == (401, "REVOKED_SESSION")
    assert caller.ask(f"/sessions/{linked.session_id}")["status"] == "REVOKED"


def test_one_account_of_three_can_be_missing(caller: Caller) -> None:
    linked = caller.link()
    _plan(
        caller,
        "enable_banking:*",
        FaultKind.ERROR,
        code="ACCOUNT_DOES_NOT_EXIST",
        subject=linked.uids[1],
        times=None,
    )
    told = [caller.http.get(f"/accounts/{uid}/balances").status_code for uid in linked.uids]

    assert told == [200, 404, 200, 200]


def test_the_same_key_can_be_returned_for_ever(caller: Caller) -> None:
    path = _path(caller, "transactions")
    _plan(caller, _TRANSACTIONS, FaultKind.ENDLESS_PAGES, times=None)
    key = caller.ask(path)["continuation_key"]
    again = caller.ask(path, continuation_key=key)

    assert again["continuation_key"] == key
    assert again["transactions"]


def test_empty_and_repeating_pages_lead_to_the_same_end(caller: Caller) -> None:
    caller.switches.post("/page_size", json={"page_size": 5})
    uid = caller.link().uids[0]
    plain = caller.rows(uid)
    _plan(caller, _TRANSACTIONS, FaultKind.EMPTY_PAGE)
    _plan(caller, _TRANSACTIONS, FaultKind.EMPTY_PAGE, after=2)
    gaps = caller.pages(uid)
    _plan(caller, _TRANSACTIONS, FaultKind.DUPLICATE_ACROSS_PAGES)
    doubled = caller.rows(uid)

    assert [len(one["transactions"]) for one in gaps[:4]] == [0, 5, 0, 5]
    assert sum(len(one["transactions"]) for one in gaps) == len(plain)
    assert len(doubled) == len(plain) + 1


def test_a_key_can_be_rejected(caller: Caller) -> None:
    path = _path(caller, "transactions")
    caller.switches.post("/page_size", json={"page_size": 5})
    key = caller.ask(path)["continuation_key"]
    _plan(caller, _TRANSACTIONS, FaultKind.CURSOR_REJECTED)

    assert caller.fail(path, continuation_key=key) == (422, "WRONG_CONTINUATION_KEY")
    assert caller.ask(path, continuation_key=key)


def test_stale_data_is_of_two_days_ago(quiet_caller: Caller) -> None:
    linked = quiet_caller.link()
    path = f"/accounts/{linked.uids[0]}/transactions"
    quiet_caller.sandbox.advance(timedelta(days=3))
    quiet_caller.sandbox.world.add_booked("acc-2-1", Decimal(1))
    _plan(quiet_caller, _TRANSACTIONS, FaultKind.STALE_DATA)

    assert quiet_caller.ask(path)["transactions"] == []
    assert len(quiet_caller.ask(path)["transactions"]) == 1


def _bent(caller: Caller, path: str, kind: FaultKind, **fault: Any) -> dict[str, Any]:
    _plan(caller, f"enable_banking:{path.rpartition('/')[2]}", kind, **fault)
    return caller.ask(path)


def test_right_answers_can_be_bent(caller: Caller) -> None:
    path = _path(caller, "transactions")
    whole = caller.ask(path)["transactions"]

    def row(kind: FaultKind, **fault: Any) -> dict[str, Any]:
        bent: dict[str, Any] = _bent(caller, path, kind, **fault)["transactions"][0]
        return bent

    assert "status" not in row(FaultKind.MISSING_KEY, key="status")
    assert row(FaultKind.EXTRA_KEY)["key_from_the_future"] == "surprise"
    assert row(FaultKind.NULL_VALUE)["transaction_amount"] is None
    assert row(FaultKind.UNKNOWN_ENUM)["status"] == "WHAT"
    assert row(FaultKind.NAN_AMOUNTS)["transaction_amount"]["amount"] == "NaN"
    assert isinstance(row(FaultKind.STRING_AMOUNTS)["transaction_amount"]["amount"], float | int)
    assert row(FaultKind.CHANGED_CURRENCY)["transaction_amount"]["currency"] == "JPY"
    assert row(FaultKind.FUTURE_DATES)["transaction_date"] == "2099-12-31"
    bare = row(FaultKind.NULL_VALUE, key="*")
    assert {name for name, value in bare.items() if value is not None} == {
        "transaction_amount",
        "credit_debit_indicator",
        "status",
    }
    doubled = _bent(caller, path, FaultKind.DUPLICATE_ROWS)["transactions"]
    assert len(doubled) == 2 * len(whole)


def test_accounts_can_be_bent_where_they_are_told(caller: Caller) -> None:
    linked = caller.link()
    path = f"/sessions/{linked.session_id}"
    _plan(caller, "enable_banking:session", FaultKind.MISSING_ACCOUNT)
    missing = caller.ask(path)
    _plan(caller, "enable_banking:session", FaultKind.UNKNOWN_ACCOUNT_ID)
    foreign = caller.ask(path)
    _plan(caller, "enable_banking:session", FaultKind.UNKNOWN_ENUM)
    strange = caller.ask(path)

    assert missing["accounts"] == list(linked.uids[1:])
    assert foreign["accounts_data"][0]["uid"] not in linked.uids
    assert strange["status"] == "WHAT"
    _plan(caller, "enable_banking:sessions", FaultKind.UNKNOWN_ENUM)
    code = {"code": caller.decide(caller.begin("Nordea", "FI"), "approve")["code"]}
    told = succeeded(caller.http.post("/sessions", json=code))
    assert told["accounts"][0]["cash_account_type"] == "WHAT"
