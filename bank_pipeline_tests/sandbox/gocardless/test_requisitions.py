"""Claims about requisitions and the consent page: every way a visit to the bank can end."""

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from bank_pipeline_tests.sandbox.gocardless.caller import (
    GERMAN,
    PLAIN_HTTP,
    REDIRECT,
    Caller,
    served,
)


def told(sent: httpx.Response) -> dict[str, str]:
    """Return what the redirect tells."""
    assert sent.status_code == 302
    parts = urlsplit(sent.headers["location"])
    assert sent.headers["location"].startswith("http://127.0.0.1:1/back?")
    return {name: values[0] for name, values in parse_qs(parts.query).items()}


def walked(caller: Caller, requisition_id: str) -> list[str]:
    listed = caller.switches.get("requisitions").json()["requisitions"]
    return next(list(one["walked"]) for one in listed if one["id"] == requisition_id)


def test_a_new_requisition_has_a_default_agreement_and_no_accounts(caller: Caller) -> None:
    made = caller.requisition()
    agreement = caller.get(f"agreements/enduser/{made['agreement']}/")

    assert (made["status"], made["accounts"]) == ("CR", [])
    assert made["reference"] == made["id"]
    assert (agreement["max_historical_days"], agreement["access_valid_for_days"]) == (90, 90)
    assert agreement["institution_id"] == GERMAN


def test_a_person_walks_through_the_pages_step_by_step(caller: Caller) -> None:
    made = caller.requisition(account_selection=True, reference="person 1/ü")
    with httpx.Client(verify=PLAIN_HTTP) as browser:
        consent = browser.get(made["link"])
        statuses = [caller.get(f"requisitions/{made['id']}/")["status"]]
        browser.post(made["link"], data={"step": "agree"})
        statuses.append(caller.get(f"requisitions/{made['id']}/")["status"])
        bank = browser.get(made["link"])
        browser.post(made["link"], data={"step": "login", "login": "login-2"})
        statuses.append(caller.get(f"requisitions/{made['id']}/")["status"])
        choice = browser.get(made["link"])
        accounts = re.findall(r'name="account" value="([^"]+)"', choice.text)
        sent = browser.post(
            made["link"], data={"step": "accounts", "account": [accounts[0], accounts[2]]}
        )

    after = caller.get(f"requisitions/{made['id']}/")
    assert statuses == ["GC", "UA", "SA"]
    assert "I agree" in consent.text
    assert 'value="login-2"' in bank.text
    assert told(sent) == {"tenant": "7", "ref": "person 1/ü"}
    assert (after["status"], len(after["accounts"])) == ("LN", 2)
    assert walked(caller, made["id"]) == ["CR", "GC", "UA", "SA", "GA", "LN"]
    assert caller.get(f"agreements/enduser/{made['agreement']}/")["accepted"] is not None


def test_without_account_selection_accounts_are_ticked_at_the_login(caller: Caller) -> None:
    made = caller.requisition()
    caller.browser.get(made["link"])
    caller.browser.post(made["link"], data={"step": "agree"})

    sent = caller.browser.post(
        made["link"], data={"step": "login", "login": "login-2", "account": ["acc-2-2"]}
    )

    assert told(sent)["ref"] == made["id"]
    assert len(caller.get(f"requisitions/{made['id']}/")["accounts"]) == 1
    assert walked(caller, made["id"]) == ["CR", "GC", "UA", "GA", "LN"]


def test_the_form_decides_at_once_as_the_query_does(caller: Caller) -> None:
    posted, queried = caller.requisition(), caller.requisition()

    caller.browser.post(
        posted["link"], data={"outcome": "approve", "login": "login-2", "account": "acc-2-1"}
    )
    caller.decide(queried, login="login-2", account="acc-2-1")

    for made in (posted, queried):
        assert len(caller.get(f"requisitions/{made['id']}/")["accounts"]) == 1
        assert walked(caller, made["id"]) == ["CR", "GC", "UA", "GA", "LN"]


def test_another_persons_accounts_can_be_chosen(caller: Caller) -> None:
    """What happens when somebody reconnects with the wrong login."""
    linked = caller.link("REVOLUT_REVOLT21", login="login-1")

    world_ids = {one["world_account_id"] for one in caller.truth(linked)["accounts"].values()}

    assert world_ids == {"acc-1-1", "acc-1-2", "acc-1-3", "acc-1-4"}


@pytest.mark.parametrize(
    ("wish", "error", "status"),
    [
        ({"auto": "cancel"}, "UserCancelledSession", "RJ"),
        ({"auto": "error", "code": "UserSessionRejected"}, "UserSessionRejected", "RJ"),
        ({"auto": "error", "code": "InstitutionTechnicalError"}, "InstitutionTechnicalError", "ER"),
        ({"auto": "error"}, "UnknownError", "ER"),
    ],
)
def test_a_visit_that_fails_says_so_in_the_redirect(
    caller: Caller, wish: dict[str, str], error: str, status: str
) -> None:
    made = caller.requisition()

    answer = told(caller.decide(made, **wish))

    assert (answer["ref"], answer["error"]) == (made["id"], error)
    assert answer["details"]
    after = caller.get(f"requisitions/{made['id']}/")
    assert (after["status"], after["accounts"]) == (status, [])


def test_a_user_may_be_back_before_access_is_granted() -> None:
    with (
        served(quiet=True, granting=timedelta(seconds=30)) as server,
        Caller(server) as caller,
    ):
        made = caller.requisition()
        answer = told(caller.decide(made, login="login-2"))
        early = caller.get(f"requisitions/{made['id']}/")
        server.advance(timedelta(seconds=30))
        late = caller.get(f"requisitions/{made['id']}/")

    assert "error" not in answer
    assert (early["status"], early["accounts"]) == ("GA", [])
    assert (late["status"], len(late["accounts"])) == ("LN", 4)


def test_a_link_works_once(caller: Caller) -> None:
    made = caller.requisition()
    caller.decide(made, login="login-2")

    again = told(caller.decide(made, login="login-2"))

    assert again["error"] == "RequisitionLinkReused"
    assert caller.get(f"requisitions/{made['id']}/")["status"] == "LN"


def test_connecting_again_gives_new_ids_to_accounts_and_rows(caller: Caller) -> None:
    first, second = caller.link(), caller.link()
    old, new = (caller.get(f"accounts/{one.accounts[0]}/transactions/") for one in (first, second))
    old_rows, new_rows = (one["transactions"]["booked"] for one in (old, new))

    assert not set(first.accounts) & set(second.accounts)
    assert [one["transactionId"] for one in old_rows] == [one["transactionId"] for one in new_rows]
    assert not {one["internalTransactionId"] for one in old_rows} & {
        one["internalTransactionId"] for one in new_rows
    }


def test_references_are_unique_and_agreements_used_once(caller: Caller) -> None:
    first = caller.requisition(reference="same")
    fields = {"institution_id": GERMAN, "redirect": REDIRECT}

    twice = caller.refused("POST", "requisitions/", **fields, reference="same")
    used = caller.refused("POST", "requisitions/", **fields, agreement=first["agreement"])
    other = caller.refused(
        "POST",
        "requisitions/",
        institution_id="REVOLUT_REVOLT21",
        redirect=REDIRECT,
        agreement=first["agreement"],
    )
    nowhere = caller.refused("POST", "requisitions/", **fields, agreement=first["id"])
    nonsense = caller.refused("POST", "requisitions/", **fields, agreement="x")

    assert twice[1]["reference"]["detail"] == "Client reference: same already exists"
    assert f"requisition {first['id']}" in used[1]["agreement"]["detail"]
    assert other[1]["agreement"]["summary"] == "Incorrect Institution ID REVOLUT_REVOLT21"
    assert (nowhere[0], nonsense[0]) == (404, 400)


def test_fields_are_judged_one_by_one(caller: Caller) -> None:
    missing = caller.refused("POST", "requisitions/", reference="")
    unsupported = caller.refused(
        "POST",
        "requisitions/",
        institution_id="BELFIUS_GKCCBEBB",
        redirect="no uri",
        user_language="AB",
        ssn="1",
        account_selection=True,
    )

    assert missing[1]["redirect"] == ["This field is required."]
    assert missing[1]["reference"] == ["This field may not be blank."]
    assert set(unsupported[1]) == {
        "redirect",
        "user_language",
        "ssn",
        "account_selection",
        "status_code",
    }


def test_deleting_takes_the_agreement_and_the_accounts_along(caller: Caller) -> None:
    linked = caller.link()
    account = linked.accounts[0]

    gone = caller.http.delete(f"requisitions/{linked.id}/")

    assert gone.json()["detail"] == (
        f"Requisition {linked.id} deleted with all its End User Agreements"
    )
    assert caller.refused("GET", f"requisitions/{linked.id}/")[0] == 404
    assert caller.refused("GET", f"agreements/enduser/{linked.agreement}/")[0] == 404
    assert caller.refused("GET", f"accounts/{account}/")[1]["summary"] == "Not found."
    assert caller.refused("GET", f"accounts/{account}/balances/")[1]["summary"] == (
        f"Account ID {account} not found"
    )
    truth = caller.truth(linked)
    assert truth["removed"]
    assert linked.id not in caller.server.wings["gocardless"].external_ids()


def test_unknown_links_customers_and_outcomes_are_pages_not_crashes(caller: Caller) -> None:
    made = caller.requisition()
    unknown = made["link"].replace(made["link"].split("/")[-2], "nothing")

    assert caller.browser.get(unknown).status_code == 404
    assert caller.decide(made, login="login-99").status_code == 400
    assert caller.decide(made, auto="dance").status_code == 400
    assert caller.get(f"requisitions/{made['id']}/")["status"] == "GC"
