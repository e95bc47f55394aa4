"""Claims about faults: every documented error can be had, and every way of breaking works."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.sandbox.gocardless.errors import ERRORS
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline_tests.sandbox.gocardless.caller import REDIRECT, SECRETS, Caller, Linked
from bank_pipeline_tests.sandbox.gocardless.official import catalogue


@pytest.fixture(autouse=True)
def _without_leftovers(gocardless: SandboxServer) -> Iterator[None]:
    yield
    gocardless.faults.clear()


@pytest.fixture
def linked(caller: Caller) -> Linked:
    return caller.link()


def broken(caller: Caller, linked: Linked, operation: str, fault: Fault) -> Any:
    """Return the body of an answer that a fault bent."""
    caller.server.faults.add(f"gocardless:{operation}", fault, subject=linked.accounts[0])
    return caller.get(f"accounts/{linked.accounts[0]}/{operation}/")


@pytest.mark.parametrize("code", sorted(ERRORS))
def test_every_error_can_be_produced(caller: Caller, linked: Linked, code: str) -> None:
    caller.server.faults.add("gocardless:transactions", Fault(FaultKind.ERROR, code=code))

    status, body = caller.refused("GET", f"accounts/{linked.accounts[0]}/transactions/")

    assert status == ERRORS[code].status
    assert body.get("status_code", status) == status
    assert "{" not in str(body.get("summary"))


def test_the_errors_are_those_that_were_seen_live(caller: Caller, linked: Linked) -> None:
    for known in catalogue():
        if known["id"] == "gateway_html":
            continue
        caller.server.faults.add(
            "gocardless:transactions", Fault(FaultKind.ERROR, code=known["id"])
        )
        status, body = caller.refused("GET", f"accounts/{linked.accounts[0]}/transactions/")
        assert status == known["http"], known["id"]
        assert set(body) == set(known["body"]), known["id"]
        for name in ("summary", "type"):
            if "{" not in str(ERRORS[known["id"]].body.get(name, "{")):
                assert body[name] == known["body"][name]


def test_an_error_can_be_named_by_its_type_and_told_in_other_words(
    caller: Caller, linked: Linked
) -> None:
    fault = Fault(FaultKind.ERROR, code="AccountInactiveError", status=418, message="gone")
    caller.server.faults.add("gocardless:details", fault)

    status, body = caller.refused("GET", f"accounts/{linked.accounts[0]}/details/")

    assert (status, body["type"], body["detail"]) == (418, "AccountInactiveError", "gone")
    assert body["summary"] == "Couldn't update account details"


@pytest.mark.parametrize(
    ("operation", "method", "path"),
    [
        ("token_new", "POST", "token/new/"),
        ("institutions", "GET", "institutions/"),
        ("agreement_create", "POST", "agreements/enduser/"),
        ("agreement", "GET", "agreements/enduser/{agreement}/"),
        ("requisitions", "GET", "requisitions/"),
        ("requisition", "GET", "requisitions/{id}/"),
        ("requisition_delete", "DELETE", "requisitions/{id}/"),
        ("account", "GET", "accounts/{account}/"),
    ],
)
def test_any_operation_can_fail(
    caller: Caller, linked: Linked, operation: str, method: str, path: str
) -> None:
    caller.server.faults.add(f"gocardless:{operation}", Fault(FaultKind.HTTP_STATUS, status=502))
    where = path.format(id=linked.id, agreement=linked.agreement, account=linked.accounts[0])

    answer = caller.http.request(method, where)

    assert answer.status_code == 502
    assert answer.headers["content-type"].startswith("text/html")


def test_faults_go_by_account_then_by_requisition(caller: Caller, linked: Linked) -> None:
    fault = Fault(FaultKind.EMPTY_BODY, status=500)
    caller.server.faults.add("gocardless:balances", fault, subject=linked.accounts[1])
    caller.server.faults.add("gocardless:agreement", fault, subject=linked.id)

    paths = [f"accounts/{one}/balances/" for one in linked.accounts[:2]]
    paths.append(f"agreements/enduser/{linked.agreement}/")

    assert [caller.http.get(one).status_code for one in paths] == [200, 500, 500]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.RESET),
        Fault(FaultKind.RESET_BODY, after_bytes=9),
        Fault(FaultKind.LOST_ANSWER),
    ],
    ids=lambda fault: fault.kind.value,
)
def test_connections_can_be_cut(caller: Caller, linked: Linked, fault: Fault) -> None:
    caller.server.faults.add("gocardless:balances", fault)

    with pytest.raises(httpx.HTTPError):
        caller.http.get(f"accounts/{linked.accounts[0]}/balances/")


def test_bodies_can_be_cut_or_slow(caller: Caller, linked: Linked) -> None:
    path = f"accounts/{linked.accounts[0]}/balances/"
    caller.server.faults.add("gocardless:balances", Fault(FaultKind.TRUNCATED_BODY, after_bytes=9))
    caller.server.faults.add("gocardless:balances", Fault(FaultKind.SLOW_DRIP, seconds=0.05))

    assert caller.http.get(path).text == '{"balance'
    assert caller.http.get(path).json()["balances"]


def test_a_requisition_whose_answer_was_lost_exists(caller: Caller) -> None:
    fields = {"institution_id": "BELFIUS_GKCCBEBB", "redirect": REDIRECT, "reference": "lost"}
    caller.server.faults.add("gocardless:requisition_create", Fault(FaultKind.LOST_ANSWER))
    with pytest.raises(httpx.HTTPError):
        caller.http.post("requisitions/", json=fields)

    status, body = caller.refused("POST", "requisitions/", **fields)

    assert (status, body["reference"]["summary"]) == (400, "Client reference must be unique")
    assert "lost" in {one["reference"] for one in caller.get("requisitions/")["results"]}


def test_right_answers_are_bent(caller: Caller, linked: Linked) -> None:
    def rows(fault: FaultKind, **how: Any) -> list[Any]:
        bent = broken(caller, linked, "transactions", Fault(fault, **how))["transactions"]
        return list(bent["booked"])

    plain = caller.get(f"accounts/{linked.accounts[0]}/transactions/")["transactions"]["booked"]

    assert len(rows(FaultKind.DUPLICATE_ROWS)) == 2 * len(plain)
    assert len(rows(FaultKind.HUGE_PAGE)) == 5_000
    assert rows(FaultKind.EMPTY_PAGE) == []
    assert rows(FaultKind.NAN_AMOUNTS)[0]["transactionAmount"]["amount"] == "NaN"
    assert isinstance(rows(FaultKind.STRING_AMOUNTS)[0]["transactionAmount"]["amount"], int | float)
    assert rows(FaultKind.CHANGED_CURRENCY)[0]["transactionAmount"]["currency"] == "JPY"
    assert rows(FaultKind.FUTURE_DATES)[0]["bookingDate"] == "2099-12-31"
    assert rows(FaultKind.EXTRA_KEY)[0]["keyFromTheFuture"] == "surprise"
    assert "bookingDate" not in rows(FaultKind.MISSING_KEY, key="bookingDate")[0]
    nulled = rows(FaultKind.NULL_VALUE, key="valueDate")
    assert sum(one["valueDate"] is None for one in nulled) == 1
    assert rows(FaultKind.STALE_DATA) != plain
    balances = broken(caller, linked, "balances", Fault(FaultKind.UNKNOWN_ENUM))["balances"]
    assert {one["balanceType"] for one in balances} == {"valueFromTheFuture"}


def test_a_requisitions_accounts_can_be_bent(caller: Caller, linked: Linked) -> None:
    def accounts(kind: FaultKind) -> set[str]:
        caller.server.faults.add("gocardless:requisition", Fault(kind), subject=linked.id)
        return set(caller.get(f"requisitions/{linked.id}/")["accounts"])

    assert len(accounts(FaultKind.UNKNOWN_ACCOUNT_ID) - set(linked.accounts)) == 1
    assert set(linked.accounts) - accounts(FaultKind.MISSING_ACCOUNT) == {linked.accounts[0]}
    caller.server.faults.add("gocardless:requisitions", Fault(FaultKind.ENDLESS_PAGES))
    assert caller.get("requisitions/")["next"]


def test_a_bank_can_want_its_customer_again(caller: Caller, linked: Linked) -> None:
    caller.server.faults.add("gocardless:balances", Fault(FaultKind.LOGIN_REQUIRED))
    path = f"accounts/{linked.accounts[0]}/balances/"

    answers = [caller.http.get(path).json()["type"] for _ in range(2)]

    assert answers == ["AccessExpiredError"] * 2
    assert caller.truth(linked)["error_code"] == "REVOKED"


def test_an_account_can_be_not_ready_once(caller: Caller, linked: Linked) -> None:
    caller.server.faults.add("gocardless:balances", Fault(FaultKind.NOT_READY))
    path = f"accounts/{linked.accounts[0]}/balances/"

    assert [caller.http.get(path).status_code for _ in range(2)] == [409, 200]


def test_the_consent_page_can_fail_too(caller: Caller) -> None:
    made = caller.requisition()
    caller.server.faults.add("gocardless:consent_page", Fault(FaultKind.HTTP_STATUS, status=503))

    assert caller.decide(made, login="login-2").status_code == 503
    assert caller.decide(made, login="login-2").status_code == 302


def test_calls_are_counted_refused_ones_too(quiet_caller: Caller) -> None:
    linked = quiet_caller.link()
    quiet_caller.refused("GET", "accounts/nonsense/balances/")
    quiet_caller.get(f"accounts/{linked.accounts[0]}/balances/")
    quiet_caller.http.post("token/new/", json=SECRETS)

    calls = {
        (one["operation"], one["subject"]): one["count"]
        for one in quiet_caller.switches.get("calls").json()["calls"]
    }

    assert calls["balances", ""] == 1
    assert calls["balances", linked.accounts[0]] == 1
    assert calls["token_new", ""] == 2
    assert calls["requisition", linked.id] == 1


def test_switches_refuse_what_they_do_not_know(caller: Caller) -> None:
    assert caller.switches.post("requisitions/x/expire").status_code == 404
    assert caller.switches.post("accounts/x/status", json={"status": None}).status_code == 404
    assert caller.switches.post("settings", json={"nothing": 1}).status_code == 400
    assert caller.switches.post("settings", json={"header_style": "odd"}).status_code == 400
    assert "secret_key" not in caller.switches.get("settings").json()
    logins = caller.switches.get("logins").json()["logins"]
    assert logins[1]["institution_id"] == "MUERITZ_MRTZDE21XXX"


def test_amounts_in_truth_are_exact(caller: Caller, linked: Linked) -> None:
    account = caller.truth(linked)["accounts"][linked.accounts[0]]
    world = caller.server.world.truth("acc-2-1", caller.server.clock.now())

    assert Decimal(account["booked"]) == world.booked
