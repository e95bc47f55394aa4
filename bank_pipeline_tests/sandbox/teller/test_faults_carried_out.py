"""Claims about faults: each kind does over HTTP what it says, on Teller's shapes."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.sandbox.teller.endpoints import ENDPOINTS
from bank_pipeline.sandbox.teller.errors import ERROR_CODES
from bank_pipeline_tests.sandbox.teller.caller import Caller, Linked

ROWS = "teller:transactions"


@pytest.fixture
def linked(living: Caller) -> Linked:
    return living.link()


@pytest.fixture
def path(living: Caller, linked: Linked) -> str:
    account_id = living.account(linked, "Everyday Checking")["id"]
    return f"/accounts/{account_id}/transactions"


def strike(caller: Caller, kind: FaultKind, *, operation: str = ROWS, **fields: Any) -> None:
    caller.sandbox.faults.add(operation, Fault(kind, **fields))


@pytest.mark.parametrize("code", sorted(ERROR_CODES))
def test_every_documented_error_can_be_had(
    living: Caller, linked: Linked, path: str, code: str
) -> None:
    strike(living, FaultKind.ERROR, code=code)

    status, answered = living.fail(linked, path)

    assert answered == code
    assert 400 <= status <= 502
    assert living.send(linked, path).status_code == 200, "a fault strikes once"


@pytest.mark.parametrize(
    ("kind", "fields", "status", "in_body"),
    [
        (FaultKind.HTTP_STATUS, {"status": 502}, 502, "<html>"),
        (FaultKind.HTML_BODY, {}, 200, "<html>"),
        (FaultKind.EMPTY_BODY, {"status": 204}, 204, ""),
        (FaultKind.RATE_LIMITED, {}, 429, "too_many_requests"),
        (FaultKind.CURSOR_REJECTED, {}, 404, "No such transaction"),
        (FaultKind.REDIRECT, {"location": "http://127.0.0.1:1/x"}, 307, ""),
        (FaultKind.ERROR, {"code": "enrollment.disconnected.new"}, 404, "disconnected.new"),
        (FaultKind.ERROR, {"code": "account.closed.fraud"}, 410, "account.closed.fraud"),
        (FaultKind.ERROR, {"code": "x", "status": 418, "message": "tea"}, 418, "tea"),
    ],
)
def test_answers_that_are_errors(
    living: Caller,
    linked: Linked,
    path: str,
    kind: FaultKind,
    fields: Any,
    status: int,
    in_body: str,
) -> None:
    strike(living, kind, **fields)

    answer = living.send(linked, path)

    assert (answer.status_code, in_body in answer.text) == (status, True)


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.RESET_BODY, FaultKind.LOST_ANSWER])
def test_connections_that_break(living: Caller, linked: Linked, path: str, kind: FaultKind) -> None:
    strike(living, kind, after_bytes=30)

    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
        living.send(linked, path)


def test_a_lost_answer_leaves_the_deletion_done(living: Caller, linked: Linked) -> None:
    strike(living, FaultKind.LOST_ANSWER, operation="teller:delete_enrollment")

    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
        living.send(linked, "/accounts", "DELETE")

    assert living.fail(linked, "/accounts") == (403, "forbidden")


def test_a_login_that_is_wanted_stays_so_until_it_is_repaired(
    living: Caller, linked: Linked, path: str
) -> None:
    strike(living, FaultKind.LOGIN_REQUIRED)
    code = "enrollment.disconnected.user_action.mfa_required"

    assert [living.fail(linked, one) for one in (path, path)] == [(404, code)] * 2
    living.switch("/connect", enrollment_id=linked.enrollment_id)
    assert living.send(linked, path).status_code == 200


Rows = list[dict[str, Any]]


@pytest.mark.parametrize(
    ("kind", "fields", "is_visible"),
    [
        (FaultKind.MISSING_KEY, {"key": "amount"}, lambda rows: "amount" not in rows[0]),
        (FaultKind.EXTRA_KEY, {}, lambda rows: "key_from_the_future" in rows[0]["details"]),
        (FaultKind.NULL_VALUE, {}, lambda rows: rows[0]["amount"] is None),
        (FaultKind.UNKNOWN_ENUM, {}, lambda rows: "future" in rows[0]["status"]),
        (FaultKind.STRING_AMOUNTS, {}, lambda rows: isinstance(rows[0]["amount"], Decimal | int)),
        (FaultKind.NAN_AMOUNTS, {}, lambda rows: rows[0]["amount"] == "NaN"),
        (FaultKind.DUPLICATE_ROWS, {}, lambda rows: rows[0] in rows[1:]),
        (FaultKind.UNKNOWN_ACCOUNT_ID, {}, lambda rows: "unknown" in rows[0]["account_id"]),
        (FaultKind.FUTURE_DATES, {}, lambda rows: rows[0]["date"] > "2090"),
        (FaultKind.HUGE_PAGE, {}, lambda rows: len(rows) > 10),
        (FaultKind.EMPTY_PAGE, {}, lambda rows: rows == []),
    ],
)
def test_right_answers_with_something_wrong_in_them(
    living: Caller,
    linked: Linked,
    path: str,
    kind: FaultKind,
    fields: Any,
    is_visible: Callable[[Rows], bool],
) -> None:
    strike(living, kind, **fields)

    bent, good = (
        json.loads(living.send(linked, path, count=10).text, parse_float=Decimal) for _ in range(2)
    )

    assert is_visible(bent)
    assert not is_visible(good)


def test_pages_can_be_without_end(living: Caller, linked: Linked, path: str) -> None:
    first = living.get(linked, path, count=10)
    strike(living, FaultKind.ENDLESS_PAGES)

    assert living.get(linked, path, count=10, from_id=first[-1]["id"]) == first


def test_a_row_can_be_repeated_on_the_next_page(living: Caller, linked: Linked, path: str) -> None:
    first = living.get(linked, path, count=10)
    strike(living, FaultKind.DUPLICATE_ACROSS_PAGES)

    second = living.get(linked, path, count=10, from_id=first[-1]["id"])

    assert (second[0], len(second)) == (first[-1], 11)


def test_an_answer_can_be_of_an_earlier_moment(living: Caller, linked: Linked, path: str) -> None:
    good = living.get(linked, path)
    strike(living, FaultKind.STALE_DATA)

    stale = living.get(linked, path)

    assert good[0] not in stale
    assert len(stale) > 100


def test_accounts_can_be_missing_or_in_another_currency(living: Caller, linked: Linked) -> None:
    operation = "teller:accounts"
    strike(living, FaultKind.MISSING_ACCOUNT, operation=operation)
    strike(living, FaultKind.CHANGED_CURRENCY, operation=operation)

    assert len(living.get(linked, "/accounts")) == 2
    assert {one["currency"] for one in living.get(linked, "/accounts")} == {"JPY"}
    assert {one["currency"] for one in living.get(linked, "/accounts")} == {"USD"}


@pytest.mark.parametrize("operation", [one.operation for one in ENDPOINTS])
def test_every_operation_asks_for_its_fault(living: Caller, linked: Linked, operation: str) -> None:
    endpoint = next(one for one in ENDPOINTS if one.operation == operation)
    row = living.account(linked, "Everyday Checking")
    strike(living, FaultKind.ERROR, operation=f"teller:{operation}", code="bad_gateway")
    path = endpoint.path.format(account_id=row["id"], transaction_id="txn_x")

    assert living.fail(linked, path, endpoint.method) == (502, "bad_gateway")
