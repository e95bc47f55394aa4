"""Claims about the lives of consents and accounts, and in which order a call is judged."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline_tests.sandbox.gocardless.caller import SCOPES, Caller, Linked, served


def refused(caller: Caller, linked: Linked, scope: str = "balances") -> tuple[int, Any]:
    status, body = caller.refused("GET", f"accounts/{linked.accounts[0]}/{scope}/")
    return status, body


def metadata(caller: Caller, linked: Linked) -> Any:
    return caller.get(f"accounts/{linked.accounts[0]}/")


def test_consent_ends_after_its_days_counted_from_acceptance(
    quiet: SandboxServer, quiet_caller: Caller
) -> None:
    linked = quiet_caller.link(access_valid_for_days=30)
    quiet.advance(timedelta(days=30) - timedelta(seconds=1))
    with Caller(quiet) as caller:
        assert caller.get(f"requisitions/{linked.id}/")["status"] == "LN"
        assert caller.get(f"accounts/{linked.accounts[0]}/balances/")
        quiet.advance(timedelta(seconds=1))
        status, body = refused(caller, linked)

        assert (status, caller.get(f"requisitions/{linked.id}/")["status"]) == (401, "EX")
        assert metadata(caller, linked)["status"] == "EXPIRED"
        assert body["summary"] == f"End User Agreement (EUA) {linked.agreement} has expired"
        assert body["detail"].startswith(
            "EUA was valid for 30 days and it expired at 2026-04-01 09:30:00+00:00."
        )
        assert "type" not in body
        assert caller.truth(linked)["error_code"] == "EX"


@pytest.mark.parametrize("end", ["expires", "suspend", "revoke", "delete"])
def test_the_truth_stands_still_when_a_consent_is_over(
    quiet: SandboxServer, quiet_caller: Caller, end: str
) -> None:
    linked = quiet_caller.link(access_valid_for_days=1)
    quiet.world.add_booked("acc-2-1", Decimal(-1), description="seen")
    if end == "delete":
        quiet_caller.http.delete(f"requisitions/{linked.id}/")
    elif end != "expires":
        quiet_caller.switch(f"requisitions/{linked.id}/{end}")
    quiet.advance(timedelta(days=1, seconds=1))
    quiet.world.add_booked("acc-2-1", Decimal(-2), description="unseen")

    account = quiet_caller.truth(linked)["accounts"][linked.accounts[0]]

    assert [one["description"] for one in account["transactions"]] == ["seen"]
    assert Decimal(account["booked"]) == quiet.world.opening_balance("acc-2-1") - 1


def test_new_accounts_are_processed_first() -> None:
    with (
        served(quiet=True, processing=timedelta(seconds=60)) as server,
        Caller(server) as caller,
    ):
        linked = caller.link()
        statuses, answers = [], []
        for _ in range(3):
            statuses.append(metadata(caller, linked)["status"])
            answers.append(caller.http.get(f"accounts/{linked.accounts[0]}/details/").status_code)
            server.advance(timedelta(seconds=30))

    assert statuses == ["DISCOVERED", "PROCESSING", "READY"]
    assert answers == [409, 409, 200]


def test_ten_counted_failures_in_a_row_suspend_an_account(
    quiet: SandboxServer, quiet_caller: Caller
) -> None:
    linked = quiet_caller.link()
    fault = Fault(FaultKind.ERROR, code="UnknownRequestError")
    path = f"accounts/{linked.accounts[0]}/balances/"
    quiet.faults.add("gocardless:balances", fault, times=9)
    for _ in range(9):
        assert refused(quiet_caller, linked)[0] == 500
    assert quiet_caller.http.get(path).status_code == 200  # one success forgives them all
    quiet.faults.add("gocardless:balances", fault, times=10)
    for _ in range(9):
        refused(quiet_caller, linked)
    assert metadata(quiet_caller, linked)["status"] == "READY"
    refused(quiet_caller, linked)

    status, body = refused(quiet_caller, linked)
    assert (status, body["summary"]) == (409, "Account suspended")
    assert metadata(quiet_caller, linked)["status"] == "SUSPENDED"
    assert quiet_caller.get(f"requisitions/{linked.id}/")["status"] == "SU"
    assert quiet_caller.truth(linked)["error_code"] == "SU"


def test_failures_that_do_not_count_never_suspend(
    quiet: SandboxServer, quiet_caller: Caller
) -> None:
    linked = quiet_caller.link()
    quiet.faults.add("gocardless:*", Fault(FaultKind.ERROR, code="service_error"), times=12)
    for _ in range(12):
        assert refused(quiet_caller, linked)[0] == 503

    assert metadata(quiet_caller, linked)["status"] == "READY"


def test_scopes_that_were_not_agreed_are_refused(caller: Caller) -> None:
    linked = caller.link(access_scope=["balances"])

    statuses = {
        one: caller.http.get(f"accounts/{linked.accounts[0]}/{one}/").status_code for one in SCOPES
    }

    assert statuses == {"details": 403, "balances": 200, "transactions": 403}
    assert "access scope error" in refused(caller, linked, "details")[1]["summary"]


@pytest.mark.parametrize(
    ("action", "status", "words", "requisition", "error_code"),
    [
        ("expire", 401, "has expired", "EX", "EX"),
        ("suspend", 409, "Account suspended", "SU", "SU"),
        ("revoke", 401, "AccessExpiredError", "LN", "REVOKED"),
        ("withdraw", 403, "No valid End User Agreement", "LN", "NO_AGREEMENT"),
    ],
)
def test_switches_end_a_consent_in_every_way(
    caller: Caller, action: str, status: int, words: str, requisition: str, error_code: str
) -> None:
    linked, other = caller.link(), caller.link()
    caller.switch(f"requisitions/{linked.id}/{action}")

    answered, body = refused(caller, linked)

    assert answered == status
    assert words in str(body)
    assert caller.get(f"requisitions/{linked.id}/")["status"] == requisition
    assert caller.truth(linked)["error_code"] == error_code
    assert caller.get(f"accounts/{other.accounts[0]}/balances/")


@pytest.mark.parametrize("status", ["RJ", "ER", "SU", "EX", "ID"])
def test_any_status_can_be_set(caller: Caller, status: str) -> None:
    linked = caller.link()
    caller.switch(f"requisitions/{linked.agreement}/status", status=status)

    assert caller.get(f"requisitions/{linked.id}/")["status"] == status


@pytest.mark.parametrize(
    ("forced", "status", "is_as_told"),
    [
        ("DISCOVERED", 409, lambda body: "processed" in body["summary"]),
        ("PROCESSING", 409, lambda body: "PROCESSING" in body["detail"]),
        ("SUSPENDED", 409, lambda body: body["summary"] == "Account suspended"),
        ("ERROR", 409, lambda body: body["status"] == "ERROR" and "summary" not in body),
        ("EXPIRED", 401, lambda body: body["summary"].endswith("has expired")),
    ],
)
def test_an_account_can_be_put_into_any_state(
    caller: Caller, forced: str, status: int, is_as_told: Callable[[Any], bool]
) -> None:
    linked = caller.link()
    caller.switch(f"accounts/{linked.accounts[0]}/status", status=forced)

    answered, body = refused(caller, linked)

    assert answered == status
    assert is_as_told(body)
    assert metadata(caller, linked)["status"] == forced
    caller.switch(f"accounts/{linked.accounts[0]}/status", status=None)
    assert metadata(caller, linked)["status"] == "READY"


def test_a_closed_account_is_still_listed_but_inactive(
    quiet: SandboxServer, quiet_caller: Caller
) -> None:
    linked = quiet_caller.link()
    quiet.world.close_account("acc-2-1")

    status, body = refused(quiet_caller, linked)

    assert (status, body["type"]) == (401, "AccountInactiveError")
    assert linked.accounts[0] in quiet_caller.get(f"requisitions/{linked.id}/")["accounts"]
    assert quiet_caller.get(f"accounts/{linked.accounts[1]}/balances/")
    assert not quiet_caller.truth(linked)["accounts"][linked.accounts[0]]["listed"]
    lists_it, does_not = (quiet_caller.link(one) for one in ("N26_NTSBDEB1", "COOP_EKRDEE22"))
    assert len(lists_it.accounts) == len(does_not.accounts) + 1


def test_metadata_tells_the_last_successful_call_of_a_scope(
    quiet: SandboxServer, quiet_caller: Caller
) -> None:
    linked = quiet_caller.link()
    before = metadata(quiet_caller, linked)["last_accessed"]
    quiet.advance(timedelta(minutes=5))
    quiet_caller.get(f"accounts/{linked.accounts[0]}/details/")

    assert before is None
    assert metadata(quiet_caller, linked)["last_accessed"] == "2026-03-02T09:35:00Z"


def test_a_call_is_judged_in_the_documented_order() -> None:
    """Every ground for refusal is set up at once, then taken away from the outside in."""
    with served(quiet=True, daily_limit=1) as server, Caller(server) as caller:
        linked = caller.link()
        account = linked.accounts[0]
        path = f"accounts/{account}/balances/"
        caller.get(path)
        server.faults.add("gocardless:*", Fault(FaultKind.ERROR, code="service_error"), times=None)
        server.world.close_account("acc-2-1")
        caller.switch(f"accounts/{account}/status", status="PROCESSING")
        caller.switch("settings", ip_denied=True)
        agreement = server.wings["gocardless"].state.agreements[linked.agreement]  # type: ignore[attr-defined]
        agreement.access_scope = ("details",)
        statuses = [caller.http.get(path, headers={"Authorization": "x"}).status_code]
        statuses.append(caller.http.get(path).status_code)
        caller.switch("settings", ip_denied=False)
        statuses.append(caller.http.get("accounts/nonsense/balances/").status_code)
        missing = f"accounts/{linked.id}/balances/"
        statuses.append(caller.http.get(missing).status_code)
        statuses.append(caller.http.get(path).status_code)
        agreement.access_scope = ("balances",)
        statuses.append(caller.http.get(path).status_code)
        caller.switch(f"accounts/{account}/status", status=None)
        statuses.append(caller.http.get(path).status_code)
        caller.switch("settings", daily_limit=None)
        statuses.append(caller.http.get(path).status_code)

    assert statuses == [401, 403, 400, 404, 403, 409, 429, 401]
