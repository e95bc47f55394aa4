"""Claims about Link: tokens and their lives, the hosted page, update mode, the end of Items."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline_tests.sandbox.plaid.caller import READY, Caller, Linked
from bank_pipeline_tests.sandbox.plaid.ear import Ear
from bank_pipeline_tests.sandbox.plaid.official import check_component

CHECKING = "acc-1-1"


def make_link(caller: Caller, **changes: Any) -> dict[str, Any]:
    body = {
        "client_name": "Tests <b>",
        "language": "en",
        "country_codes": ["US"],
        "user": {"client_user_id": "1"},
        "products": ["transactions"],
        "hosted_link": {},
        **changes,
    }
    return caller.ask("/link/token/create", **{k: v for k, v in body.items() if v is not None})


def public_token(caller: Caller, link_token: str) -> str:
    told = caller.ask("/link/token/get", link_token=link_token)
    result = told["link_sessions"][-1]["results"]["item_add_results"][0]
    return str(result["public_token"])


def test_a_person_chooses_accounts_on_the_page_and_is_sent_back(caller: Caller) -> None:
    made = make_link(caller, hosted_link={"completion_redirect_uri": "http://127.0.0.1:1/done"})
    page = caller.http.get(made["hosted_link_url"])

    sent = caller.http.post(
        made["hosted_link_url"],
        data={"outcome": "success", "login": "login-1", "account": ["acc-1-1", "acc-1-2"]},
    )
    opened = caller.ask(
        "/item/public_token/exchange", public_token=public_token(caller, made["link_token"])
    )
    accounts = caller.ask("/accounts/get", access_token=opened["access_token"])["accounts"]

    assert "Tests &lt;b&gt;" in page.text
    assert 'value="acc-1-1"' in page.text
    assert (sent.status_code, sent.headers["location"]) == (303, "http://127.0.0.1:1/done")
    assert len(accounts) == 2


def test_a_finished_session_tells_its_public_token_by_webhook(caller: Caller, ear: Ear) -> None:
    made = make_link(caller, webhook=ear.url)

    caller.http.get(made["hosted_link_url"], params={"outcome": "success", "login": "login-1"})
    caller.sandbox.settle()

    assert ear.codes() == ["ITEM_ADD_RESULT", "SESSION_FINISHED", "EVENTS"]
    finished = ear.last("SESSION_FINISHED")
    assert (finished["status"], finished["link_token"]) == ("SUCCESS", made["link_token"])
    assert finished["public_tokens"] == [public_token(caller, made["link_token"])]
    assert all("item_id" not in one.json for one in ear.heard)
    check_component("LinkSessionFinishedWebhook", finished)
    check_component("ItemAddResultWebhook", ear.last("ITEM_ADD_RESULT"))
    check_component("LinkEventsWebhook", ear.last("EVENTS"))


def test_a_session_left_early_brings_nothing_and_can_be_taken_up_again(
    caller: Caller, ear: Ear
) -> None:
    made = make_link(caller, webhook=ear.url)

    caller.http.get(made["hosted_link_url"], params={"outcome": "exit"})
    caller.sandbox.settle()
    again = caller.http.get(made["hosted_link_url"])

    assert ear.last("SESSION_FINISHED")["status"] == "EXITED"
    assert ear.last("SESSION_FINISHED")["public_tokens"] == []
    assert again.status_code == 200


def test_a_page_works_once_and_not_after_its_end(caller: Caller) -> None:
    used, late = make_link(caller), make_link(caller)
    caller.http.get(used["hosted_link_url"], params={"outcome": "success"})
    second = caller.http.get(used["hosted_link_url"])
    caller.sandbox.advance(timedelta(minutes=31))
    expired = caller.http.get(late["hosted_link_url"])
    unknown = caller.http.get("/link/hosted/link-sandbox-unknown")

    assert [one.status_code for one in (second, expired, unknown)] == [400, 400, 400]


def test_a_login_that_was_not_offered_is_refused(caller: Caller) -> None:
    made = make_link(caller)

    german = caller.http.get(
        made["hosted_link_url"], params={"outcome": "success", "login": "login-2"}
    )

    assert german.status_code == 400


def test_link_tokens_live_four_hours_or_half_an_hour(caller: Caller) -> None:
    linked = caller.link()
    lives = {
        "new": make_link(caller, hosted_link=None)["expiration"],
        "update": make_link(
            caller, products=None, hosted_link=None, access_token=linked.access_token
        )["expiration"],
        "asked": make_link(caller, hosted_link={"url_lifetime_seconds": 60})["expiration"],
    }

    assert lives == {
        "new": "2026-03-02T13:30:00Z",
        "update": "2026-03-02T10:00:00Z",
        "asked": "2026-03-02T09:31:00Z",
    }


def test_a_public_token_works_once_within_half_an_hour(caller: Caller) -> None:
    used, late = make_link(caller), make_link(caller)
    for made in (used, late):
        caller.http.get(made["hosted_link_url"], params={"outcome": "success"})
    token, late_token = (public_token(caller, one["link_token"]) for one in (used, late))
    caller.ask("/item/public_token/exchange", public_token=token)
    twice = caller.fail("/item/public_token/exchange", public_token=token)
    caller.sandbox.advance(timedelta(minutes=31))
    expired = caller.fail("/item/public_token/exchange", public_token=late_token)

    assert twice == expired == (400, "INVALID_PUBLIC_TOKEN")


def update(caller: Caller, linked: Linked, **options: Any) -> None:
    made = make_link(
        caller,
        products=None,
        access_token=linked.access_token,
        update={"account_selection_enabled": True} if options else None,
    )
    answer = caller.http.post(made["hosted_link_url"], data={"outcome": "success", **options})
    assert answer.status_code == 200, answer.text


def test_update_mode_heals_and_keeps_ids_and_token(quiet_caller: Caller) -> None:
    linked = quiet_caller.link_ready("login-2")
    before = quiet_caller.ask("/accounts/get", access_token=linked.access_token)
    quiet_caller.ask("/sandbox/item/reset_login", access_token=linked.access_token)
    refused = quiet_caller.fail("/accounts/get", access_token=linked.access_token)
    quiet_caller.sandbox.advance(timedelta(days=3))

    update(quiet_caller, linked)

    after = quiet_caller.ask("/accounts/get", access_token=linked.access_token)
    assert refused == (400, "ITEM_LOGIN_REQUIRED")
    assert after["item"]["error"] is None
    assert after["item"]["item_id"] == linked.item_id
    assert after["accounts"] == before["accounts"]
    assert after["item"]["consent_expiration_time"] > before["item"]["consent_expiration_time"]


def test_an_item_that_was_broken_catches_up_after_its_repair(
    quiet: SandboxServer, ear: Ear
) -> None:
    with Caller(quiet) as caller:
        linked = caller.link_ready(webhook=ear.url)
        cursor = caller.pages(linked)[-1]["next_cursor"]
        caller.ask("/sandbox/item/reset_login", access_token=linked.access_token)
        quiet.world.add_booked(CHECKING, Decimal(-1))
        quiet.settle()
        silent = ear.codes()[-1]
        answer = caller.http.post(f"/_sim/items/{linked.item_id}/repair", json={})
        (page,) = caller.pages(linked, cursor)

    assert answer.status_code == 200
    assert silent == "ERROR"
    assert ear.codes()[-3:] == ["LOGIN_REPAIRED", "DEFAULT_UPDATE", "SYNC_UPDATES_AVAILABLE"]
    assert len(page["added"]) == 1


def test_accounts_withdrawn_in_update_mode_vanish_and_return_with_new_ids(
    quiet_caller: Caller,
) -> None:
    linked = quiet_caller.link_ready()

    def ids() -> list[str]:
        body = quiet_caller.ask("/accounts/get", access_token=linked.access_token)
        return [one["account_id"] for one in body["accounts"]]

    everything = ids()
    update(quiet_caller, linked, account=["acc-1-1"])
    fewer = ids()
    update(quiet_caller, linked, account=["acc-1-1", "acc-1-2"])
    again = ids()

    assert fewer == everything[:1]
    assert again[0] == everything[0]
    assert again[1] not in everything


def test_an_invalidated_token_is_dead_at_once(caller: Caller) -> None:
    linked = caller.link()

    fresh = caller.ask("/item/access_token/invalidate", access_token=linked.access_token)

    assert caller.fail("/item/get", access_token=linked.access_token) == (
        400,
        "INVALID_ACCESS_TOKEN",
    )
    item = caller.ask("/item/get", access_token=fresh["new_access_token"])["item"]
    assert item["item_id"] == linked.item_id


def test_a_removed_item_is_not_found(caller: Caller) -> None:
    linked = caller.link()
    caller.ask("/item/remove", access_token=linked.access_token, reason_code="OTHER")

    assert caller.fail("/item/remove", access_token=linked.access_token) == (400, "ITEM_NOT_FOUND")


def test_a_closed_account_leaves_the_list(quiet_caller: Caller) -> None:
    linked = quiet_caller.link_ready()
    quiet_caller.sandbox.world.close_account("acc-1-2")

    listed = quiet_caller.ask("/accounts/get", access_token=linked.access_token)["accounts"]
    truth = quiet_caller.truth(linked)["accounts"]

    assert {one["account_id"] for one in listed} == {
        account_id for account_id, account in truth.items() if account["listed"]
    }
    assert len(listed) == len(truth) - 1


def test_balances_are_the_banks_and_debt_is_positive(caller: Caller) -> None:
    linked = caller.link_ready()
    caller.sandbox.advance(timedelta(days=9))

    shown = caller.ask("/accounts/balance/get", access_token=linked.access_token)["accounts"]
    truth = caller.truth(linked)["accounts"]

    for one in shown:
        true, balances = truth[one["account_id"]], one["balances"]
        sign = -1 if one["type"] in ("credit", "loan") else 1
        assert balances["current"] == sign * Decimal(true["booked"])
        assert (balances["available"] is None) == (true["available"] is None)
        assert true["available"] is None or balances["available"] == Decimal(true["available"])
        assert balances["last_updated_datetime"] == "2026-03-11T09:32:00Z"


def test_transactions_begin_with_the_first_call_when_only_consented(caller: Caller) -> None:
    made = make_link(caller, products=["auth"], additional_consented_products=["transactions"])
    caller.http.get(made["hosted_link_url"], params={"outcome": "success"})
    token = caller.ask(
        "/item/public_token/exchange", public_token=public_token(caller, made["link_token"])
    )["access_token"]
    caller.sandbox.advance(READY)

    options = {"days_requested": 40}
    first = caller.ask("/transactions/sync", access_token=token, options=options)
    caller.sandbox.advance(READY)
    later = caller.ask("/transactions/sync", access_token=token)

    assert first["transactions_update_status"] == "NOT_READY"
    assert later["transactions_update_status"] == "HISTORICAL_UPDATE_COMPLETE"
    assert min(row["date"] for row in later["added"]) >= "2026-01-21"


def test_without_consent_there_are_no_transactions(caller: Caller) -> None:
    made = make_link(caller, products=["auth"])
    caller.http.get(made["hosted_link_url"], params={"outcome": "success"})
    token = caller.ask(
        "/item/public_token/exchange", public_token=public_token(caller, made["link_token"])
    )["access_token"]

    refused = caller.fail("/transactions/sync", access_token=token)

    assert refused == (400, "ADDITIONAL_CONSENT_REQUIRED")


def test_a_dynamic_user_can_be_given_transactions(quiet_caller: Caller) -> None:
    institution_id = next(iter(quiet_caller.sandbox.plaid.institutions))
    made = quiet_caller.ask(
        "/sandbox/public_token/create",
        institution_id=institution_id,
        initial_products=["transactions"],
        options={"override_username": "user_transactions_dynamic"},
    )
    opened = quiet_caller.ask("/item/public_token/exchange", public_token=made["public_token"])
    linked = Linked(opened["item_id"], opened["access_token"])
    quiet_caller.sandbox.advance(READY)
    wanted = {"date_transacted": "2026-03-01", "date_posted": "2026-03-02", "amount": 7.125}

    quiet_caller.ask(
        "/sandbox/transactions/create",
        access_token=linked.access_token,
        transactions=[{**wanted, "description": "Coffee"}],
    )
    (page,) = quiet_caller.pages(linked)
    too_old = quiet_caller.fail(
        "/sandbox/transactions/create",
        access_token=linked.access_token,
        transactions=[{**wanted, "description": "Coffee", "date_posted": "2026-01-02"}],
    )

    (row,) = page["added"]
    assert (row["amount"], row["name"], row["date"]) == (Decimal("7.125"), "Coffee", "2026-03-02")
    assert too_old == (400, "INVALID_FIELD")
