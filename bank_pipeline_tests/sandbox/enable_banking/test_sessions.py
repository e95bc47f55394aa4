"""Consents: decided on a page, exchanged once, ended by time, customer or client."""

from datetime import timedelta

import httpx
import pytest

from bank_pipeline_tests.sandbox.enable_banking.caller import Caller, refused, succeeded


def test_the_page_offers_every_login_and_sends_back_a_code(caller: Caller) -> None:
    url = caller.begin("Boursorama", "FR")
    page = caller.http.get(url).text
    back = caller.decide(url, "approve", login="login-5", account=["acc-5-1", "acc-5-3"])
    made = succeeded(caller.http.post("/sessions", json={"code": back["code"]}))

    for login in caller.sandbox.world.logins.values():
        assert f'value="{login.id}"' in page
    assert back["state"] == "state-1"
    assert [one["cash_account_type"] for one in made["accounts"]] == ["CACC", "CARD"]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("auto=cancel", "access_denied"),
        ("auto=error", "server_error"),
        ("auto=error&error=temporarily_unavailable", "temporarily_unavailable"),
    ],
)
def test_a_refusal_comes_back_with_its_state(caller: Caller, query: str, error: str) -> None:
    url = caller.begin("Nordea", "FI")
    answer = caller.http.get(f"{url}&{query}")
    back = httpx.URL(answer.headers["location"]).params

    assert answer.status_code == 302
    assert (back["error"], back["state"]) == (error, "state-1")
    assert back["error_description"]
    assert caller.http.get(url).status_code == 400


def test_a_refusal_can_be_in_the_banks_words(caller: Caller) -> None:
    """Not every access_denied is a customer who changed their mind."""
    wish = {"error": "access_denied", "error_description": "Invalid credentials"}
    back = caller.decide(caller.begin("SEB", "EE"), "error", **wish)

    assert back == {**wish, "state": "state-1"}


def test_a_link_works_once_and_not_for_ever(caller: Caller) -> None:
    used, late = caller.begin("Nordea", "FI"), caller.begin("Nordea", "FI")
    caller.decide(used, "approve")
    caller.sandbox.advance(timedelta(hours=2))

    for url in (used, late, used[:-4] + "dead"):
        assert caller.http.get(url).status_code == 400


def test_a_code_works_once(caller: Caller) -> None:
    code = {"code": caller.decide(caller.begin("Nordea", "FI"), "approve")["code"]}
    made = succeeded(caller.http.post("/sessions", json=code))

    assert refused(caller.http.post("/sessions", json=code)) == (422, "ALREADY_AUTHORIZED")
    assert caller.ask(f"/sessions/{made['session_id']}")["status"] == "AUTHORIZED"
    unknown = caller.http.post("/sessions", json={"code": "unknown"})
    assert refused(unknown) == (422, "WRONG_AUTHORIZATION_CODE")
    missing = caller.http.post("/sessions", json={})
    assert refused(missing) == (422, "WRONG_REQUEST_PARAMETERS")


def test_a_code_expires(caller: Caller) -> None:
    code = {"code": caller.decide(caller.begin("Nordea", "FI"), "approve")["code"]}
    caller.sandbox.advance(timedelta(minutes=11))

    late = refused(caller.http.post("/sessions", json=code))
    assert late == (422, "EXPIRED_AUTHORIZATION_CODE")


def test_the_session_tells_uids_and_hashes_but_no_names(caller: Caller) -> None:
    linked = caller.link()
    told = caller.ask(f"/sessions/{linked.session_id}")

    assert told["accounts"] == list(linked.uids)
    assert [one["identification_hash"] for one in told["accounts_data"]] == [
        one["identification_hash"] for one in linked.told["accounts"]
    ]
    assert "session_id" not in told
    assert "Girokonto" not in str(told)


def test_a_new_session_has_new_uids_and_the_same_hashes(caller: Caller) -> None:
    first, second = caller.link(), caller.link("ABN AMRO", "NL")

    assert not set(first.uids) & set(second.uids)
    for one, other in zip(first.told["accounts"], second.told["accounts"], strict=True):
        assert set(one["identification_hashes"]) & set(other["identification_hashes"])
    assert len(first.told["accounts"][0]["identification_hashes"]) == 1
    assert len(second.told["accounts"][0]["identification_hashes"]) == 2


def test_wallets_that_share_an_iban_share_their_hash(caller: Caller) -> None:
    accounts = caller.link("Wise", "GB", login="login-3").told["accounts"]
    pounds, yen, dinars, bitcoin, shares = accounts

    assert pounds["account_id"] == yen["account_id"] == dinars["account_id"]
    assert pounds["identification_hash"] == dinars["identification_hash"]
    assert [pounds["currency"], yen["currency"], dinars["currency"]] == ["GBP", "JPY", "KWD"]
    assert bitcoin["currency"] == shares["currency"] == "XXX"


def test_a_card_is_known_by_its_masked_number(caller: Caller) -> None:
    card = caller.link().told["accounts"][2]

    assert card["cash_account_type"] == "CARD"
    assert card["account_id"]["iban"] is None
    assert card["account_id"]["other"]["scheme_name"] == "CPAN"
    assert card["credit_limit"] == {"currency": "EUR", "amount": "4000.00"}


def test_a_blocked_account_has_no_uid(caller: Caller) -> None:
    linked = caller.link("Nullbanken", "SE")
    blocked = linked.told["accounts"][-1]
    truth = caller.truth(linked)["accounts"][blocked["identification_hash"]]

    assert "uid" not in blocked
    assert len(linked.uids) == len(linked.told["accounts"]) - 1
    assert (truth["listed"], truth["transactions"]) == (False, [])


def test_a_consent_can_be_narrowed_to_an_iban(caller: Caller) -> None:
    iban = caller.link().told["accounts"][0]["account_id"]["iban"]
    until = (caller.sandbox.clock.now() + timedelta(days=1)).isoformat()
    access = {"valid_until": until, "accounts": [{"iban": iban}], "transactions": False}
    back = caller.decide(caller.begin("Nordea", "FI", access=access), "approve", login="login-2")
    made = succeeded(caller.http.post("/sessions", json={"code": back["code"]}))
    (account,) = made["accounts"]

    assert account["account_id"]["iban"] == iban
    path = f"/accounts/{account['uid']}"
    assert caller.ask(f"{path}/balances")["balances"]
    assert caller.fail(f"{path}/transactions") == (403, "ACCESS_DENIED")


def test_a_session_expires_at_its_time(caller: Caller) -> None:
    linked = caller.link()
    caller.sandbox.advance(timedelta(days=81))
    status = caller.ask(f"/sessions/{linked.session_id}")

    assert status["status"] == "EXPIRED"
    assert status["closed"] is None
    path = f"/accounts/{linked.uids[0]}/balances"
    assert caller.fail(path) == (401, "EXPIRED_SESSION")
    assert caller.truth(linked)["error_code"] == "EXPIRED"


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        ("REVOKED", (401, "REVOKED_SESSION")),
        ("EXPIRED", (401, "EXPIRED_SESSION")),
        ("CLOSED", (401, "CLOSED_SESSION")),
        ("CANCELLED", (422, "WRONG_SESSION_STATUS")),
        ("INVALID", (422, "WRONG_SESSION_STATUS")),
    ],
)
def test_a_consent_can_be_ended_elsewhere(
    caller: Caller, status: str, refusal: tuple[int, str]
) -> None:
    linked = caller.link()
    switch = f"/sessions/{linked.session_id}/status"
    caller.switches.post(switch, json={"status": status})

    assert caller.ask(f"/sessions/{linked.session_id}")["status"] == status
    for what in ("details", "balances", "transactions"):
        assert caller.fail(f"/accounts/{linked.uids[0]}/{what}") == refusal
    caller.switches.post(switch, json={"status": "AUTHORIZED"})
    assert caller.ask(f"/accounts/{linked.uids[0]}/balances")["balances"]


def test_a_deleted_session_is_closed(caller: Caller) -> None:
    linked = caller.link()
    path = f"/sessions/{linked.session_id}"
    answer = succeeded(caller.http.delete(path))

    assert answer == {"message": "OK"}
    assert caller.ask(path)["status"] == "CLOSED"
    assert caller.ask(path)["closed"] == "2026-03-02T09:30:00Z"
    assert refused(caller.http.delete(path)) == (401, "CLOSED_SESSION")
    assert caller.fail("/sessions/nothing") == (404, "SESSION_DOES_NOT_EXIST")
    assert caller.truth(linked)["removed"] is True
    assert linked.session_id not in caller.wing.external_ids()


def test_another_application_knows_nothing_of_a_session(caller: Caller) -> None:
    linked = caller.link()
    caller.sign("5a1d0000-0000-4000-8000-000000000002")

    assert caller.fail(f"/sessions/{linked.session_id}") == (404, "SESSION_DOES_NOT_EXIST")
    path = f"/accounts/{linked.uids[0]}/balances"
    assert caller.fail(path) == (404, "ACCOUNT_DOES_NOT_EXIST")


def test_a_closed_account_is_not_accessible_and_not_in_the_next_session(caller: Caller) -> None:
    linked = caller.link()
    caller.sandbox.world.close_account("acc-2-1")
    path = f"/accounts/{linked.uids[0]}/transactions"

    assert caller.fail(path) == (400, "ASPSP_ACCOUNT_NOT_ACCESSIBLE")
    assert caller.truth(linked)["accounts"][linked.uids[0]]["listed"] is False
    assert len(caller.link().uids) == len(linked.uids) - 1
