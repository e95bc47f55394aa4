"""A connection's beginning, renewal and end."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from bank_pipeline.errors import (
    AccessRevokedError,
    ConfigurationError,
    PayloadError,
    TransientError,
)
from bank_pipeline.providers.plaid.provider import PlaidProvider
from bank_pipeline_tests.builders import link_request
from bank_pipeline_tests.providers.plaid.builders import TOKEN, error_body
from bank_pipeline_tests.providers.stub import Reply, Stub, resets

LINK_TOKEN = SecretStr("link-sandbox-1")
CREATED = {
    "link_token": LINK_TOKEN.get_secret_value(),
    "expiration": "2026-03-05T16:00:00Z",
    "hosted_link_url": "https://secure.plaid.com/hl/1",
    "request_id": "r1",
}


def session(**fields: Any) -> dict[str, Any]:
    return {
        "link_session_id": "s",
        "started_at": "2026-03-05T12:00:00Z",
        "finished_at": None,
    } | fields


def progress_of(plaid: PlaidProvider, stub: Stub, *sessions: dict[str, Any]) -> Any:
    stub.plays(Reply({"link_token": "l", "link_sessions": list(sessions), "request_id": "r"}))
    progress = plaid.fetch_link_progress(LINK_TOKEN)
    tokens = [token.get_secret_value() for token in progress.exchange_tokens]
    return progress.is_finished, tokens, progress.exit_reason


def test_a_new_link_asks_for_all_history_and_names_nobody(stub: Stub, plaid: PlaidProvider) -> None:
    stub.plays(Reply(CREATED))

    start = plaid.start_link(
        link_request("team-7", renews=None, return_url="https://example.com/back")
    )

    assert stub.received[0].body == {
        "client_name": "Books",
        "language": "en",
        "country_codes": ["US", "CA"],
        "user": {"client_user_id": "team-7"},
        "products": ["transactions"],
        "transactions": {"days_requested": 730},
        "webhook": "https://example.com/webhooks/plaid",
        "redirect_uri": "https://example.com/oauth",
        "hosted_link": {"completion_redirect_uri": "https://example.com/back"},
    }
    assert start.url == "https://secure.plaid.com/hl/1"
    assert start.external_state == LINK_TOKEN
    assert start.expires_at == datetime(2026, 3, 5, 16, tzinfo=UTC)
    assert "link-sandbox" not in repr(start)


def test_a_renewal_sends_the_credential_and_no_products_and_has_accounts_chosen_anew(
    stub: Stub, plaid: PlaidProvider
) -> None:
    stub.plays(Reply(CREATED))
    plaid.start_link(link_request("team-7", renews=TOKEN, return_url=None))
    body = stub.received[0].body
    assert body["access_token"] == TOKEN.get_secret_value()
    assert body["hosted_link"] == {}
    assert body["update"] == {"account_selection_enabled": True}
    assert not {"products", "transactions", "webhook"} & set(body)


def test_a_link_without_a_page_is_a_payload_error(stub: Stub, plaid: PlaidProvider) -> None:
    stub.plays(Reply(CREATED | {"hosted_link_url": None}))
    with pytest.raises(PayloadError, match="NO_HOSTED_URL"):
        plaid.start_link(link_request("t", renews=None, return_url=None))


def test_a_customer_who_is_still_at_it_is_not_finished(stub: Stub, plaid: PlaidProvider) -> None:
    assert progress_of(plaid, stub) == (False, [], None)
    assert progress_of(plaid, stub, session()) == (False, [], None)
    left = session(finished_at="2026-03-05T12:01:00Z", exit={"error": None, "metadata": {}})
    assert progress_of(plaid, stub, left, session()) == (False, [], None)


def test_every_bank_of_a_finished_link_has_a_token(stub: Stub, plaid: PlaidProvider) -> None:
    done = session(
        finished_at="2026-03-05T12:09:00Z",
        on_success={"public_token": "public-1"},
        results={"item_add_results": [{"public_token": "public-1"}, {"public_token": "public-2"}]},
    )
    assert progress_of(plaid, stub, done) == (True, ["public-1", "public-2"], None)
    old = session(
        finished_at="2026-03-05T12:09:00Z", results=None, on_success={"public_token": "public-3"}
    )
    assert progress_of(plaid, stub, old) == (True, ["public-3"], None)


@pytest.mark.parametrize(
    ("left", "reason"),
    [
        ({"exit": {"error": {"error_code": "INSTITUTION_DOWN"}}}, "INSTITUTION_DOWN"),
        ({"exit": {"error": None, "metadata": {"status": "requires_code"}}}, "requires_code"),
        ({"on_exit": {"error": None, "metadata": None}}, "EXITED"),
        ({}, None),
    ],
)
def test_an_exit_says_why(
    stub: Stub, plaid: PlaidProvider, left: dict[str, Any], reason: str | None
) -> None:
    over = session(finished_at="2026-03-05T12:01:00Z", **left)
    assert progress_of(plaid, stub, over) == (True, [], reason)


def test_an_exchange_is_one_call_and_yields_the_credential(
    stub: Stub, plaid: PlaidProvider
) -> None:
    stub.plays(Reply({"access_token": "access-1", "item_id": "item-1", "request_id": "r"}))
    linked = plaid.complete_link(SecretStr("public-1"))
    assert (linked.external_id, linked.credential.get_secret_value()) == ("item-1", "access-1")
    assert [request.path for request in stub.received] == ["/item/public_token/exchange"]


def test_a_failed_exchange_is_never_repeated(stub: Stub, plaid: PlaidProvider) -> None:
    stub.plays(resets)
    with pytest.raises(TransientError):
        plaid.complete_link(SecretStr("public-1"))
    assert len(stub.received) == 1
    stub.plays(Reply(error_body("INVALID_PUBLIC_TOKEN"), 400))
    with pytest.raises(ConfigurationError):
        plaid.complete_link(SecretStr("public-1"))


def test_disconnecting_twice_succeeds(stub: Stub, plaid: PlaidProvider) -> None:
    stub.plays(Reply({"request_id": "r"}), Reply(error_body("ITEM_NOT_FOUND"), 400))
    plaid.disconnect(TOKEN)
    plaid.disconnect(TOKEN)
    assert [request.path for request in stub.received] == ["/item/remove"] * 2


def test_disconnecting_fails_when_plaid_still_has_it(stub: Stub, plaid: PlaidProvider) -> None:
    stub.plays(Reply(error_body("INSTITUTION_NO_LONGER_SUPPORTED"), 400))
    with pytest.raises(AccessRevokedError):
        plaid.disconnect(TOKEN)
    stub.plays(Reply(error_body("INVALID_ACCESS_TOKEN"), 400))
    with pytest.raises(ConfigurationError):
        plaid.disconnect(TOKEN)
