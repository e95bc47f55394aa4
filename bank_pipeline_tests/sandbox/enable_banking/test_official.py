"""Every answer fits Enable Banking's OpenAPI, but where a bank is known to break it."""

from typing import Any

import pytest

from bank_pipeline.sandbox.enable_banking.aspsp_table import ASPSPS
from bank_pipeline.sandbox.enable_banking.profiles import Aspsp
from bank_pipeline_tests.sandbox.enable_banking.caller import Caller
from bank_pipeline_tests.sandbox.enable_banking.official import check_answer, deviations

_ACCOUNT = "/accounts/{account_id}"
# What real banks were seen to send against the specification, by the place it stands in.
_KNOWN = {
    "Namenlose Bank": ("remittance_information",),  # one text instead of a list
    "Nullbanken": ("account_id",),  # a list instead of an object
}
_SHOWN = [one for one in ASPSPS if not one.is_mock or one.country == "FI"]


def test_application_and_banks(shared_caller: Caller) -> None:
    check_answer("get", "/application", 200, shared_caller.ask("/application"))
    check_answer("get", "/aspsps", 200, shared_caller.ask("/aspsps", country="FI"))
    check_answer("get", "/aspsps", 200, shared_caller.ask("/aspsps"))


def test_a_session_from_its_beginning_to_its_end(shared_caller: Caller) -> None:
    body = shared_caller.auth_body("Nordea", "FI", psu_id="team-1", language="fi")
    started = shared_caller.http.post("/auth", json=body).json()
    check_answer("post", "/auth", 200, started)
    back = shared_caller.decide(started["url"], "approve", login="login-3")
    made = shared_caller.http.post("/sessions", json={"code": back["code"]}).json()
    check_answer("post", "/sessions", 200, made)
    path = f"/sessions/{made['session_id']}"
    check_answer("get", "/sessions/{session_id}", 200, shared_caller.ask(path))
    deleted = shared_caller.http.delete(path)
    check_answer("delete", "/sessions/{session_id}", 200, deleted.json())
    check_answer("get", "/sessions/{session_id}", 200, shared_caller.ask(path))

    assert deleted.json() == {"message": "OK"}


@pytest.mark.parametrize("aspsp", _SHOWN, ids=lambda one: f"{one.name}, {one.country}")
def test_what_each_bank_answers(shared_caller: Caller, aspsp: Aspsp) -> None:
    linked = shared_caller.link(aspsp.name, aspsp.country, login="login-3")
    found = deviations("post", "/sessions", 200, linked.told)
    for uid in linked.uids:
        told: dict[str, Any] = {
            f"{_ACCOUNT}/details": shared_caller.ask(f"/accounts/{uid}/details"),
            f"{_ACCOUNT}/balances": shared_caller.ask(f"/accounts/{uid}/balances"),
            f"{_ACCOUNT}/transactions": shared_caller.ask(
                f"/accounts/{uid}/transactions", date_from=shared_caller.ago(9)
            ),
        }
        for path, body in told.items():
            found += deviations("get", path, 200, body)
    known = _KNOWN.get(aspsp.name, ())

    assert not [one for one in found if not one.split(":")[0].endswith(known or "nothing")]
    assert bool(found) == bool(known)


def test_one_transaction(shared_caller: Caller) -> None:
    uid = shared_caller.link().uids[0]
    row = shared_caller.rows(uid)[0]
    path = f"/accounts/{uid}/transactions/{row['transaction_id']}"
    again = shared_caller.ask(path)
    check_answer("get", f"{_ACCOUNT}/transactions/{{transaction_id}}", 200, again)

    assert again == row
