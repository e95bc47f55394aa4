"""Every answer passes Plaid's strictly typed client and Plaid's own OpenAPI schema."""

import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from plaid.model.accounts_balance_get_request import AccountsBalanceGetRequest
from plaid.model.accounts_get_request import AccountsGetRequest
from plaid.model.country_code import CountryCode
from plaid.model.institutions_get_by_id_request import InstitutionsGetByIdRequest
from plaid.model.institutions_get_by_id_request_options import InstitutionsGetByIdRequestOptions
from plaid.model.institutions_get_request import InstitutionsGetRequest
from plaid.model.institutions_get_request_options import InstitutionsGetRequestOptions
from plaid.model.institutions_search_request import InstitutionsSearchRequest
from plaid.model.item_access_token_invalidate_request import ItemAccessTokenInvalidateRequest
from plaid.model.item_get_request import ItemGetRequest
from plaid.model.item_public_token_exchange_request import ItemPublicTokenExchangeRequest
from plaid.model.item_remove_request import ItemRemoveRequest
from plaid.model.item_webhook_update_request import ItemWebhookUpdateRequest
from plaid.model.link_token_create_hosted_link import LinkTokenCreateHostedLink
from plaid.model.link_token_create_request import LinkTokenCreateRequest
from plaid.model.link_token_create_request_user import LinkTokenCreateRequestUser
from plaid.model.link_token_get_request import LinkTokenGetRequest
from plaid.model.link_token_transactions import LinkTokenTransactions
from plaid.model.products import Products
from plaid.model.sandbox_item_fire_webhook_request import SandboxItemFireWebhookRequest
from plaid.model.sandbox_item_reset_login_request import SandboxItemResetLoginRequest
from plaid.model.sandbox_public_token_create_request import SandboxPublicTokenCreateRequest
from plaid.model.sandbox_public_token_create_request_options import (
    SandboxPublicTokenCreateRequestOptions,
)
from plaid.model.transactions_get_request import TransactionsGetRequest
from plaid.model.transactions_refresh_request import TransactionsRefreshRequest
from plaid.model.transactions_sync_request import TransactionsSyncRequest
from plaid.model.webhook_verification_key_get_request import WebhookVerificationKeyGetRequest

from bank_pipeline.sandbox.plaid.errors import ERROR_CODES
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline_tests.sandbox.plaid.caller import READY, Caller
from bank_pipeline_tests.sandbox.plaid.ear import Ear
from bank_pipeline_tests.sandbox.plaid.official import check_answer, check_component, client

Asked = Callable[[str, Any], Any]


@pytest.fixture
def ask(sandbox: SandboxServer) -> Iterator[Asked]:
    """Call through Plaid's client, and hold its raw answer against the OpenAPI."""
    api, inner = client(sandbox.url)

    def call(path: str, request: Any) -> Any:
        typed = getattr(api, path.strip("/").replace("/", "_"))(request)
        check_answer(path, json.loads(inner.last_response.data))
        return typed

    yield call
    inner.close()


@pytest.fixture
def access_token(ask: Asked, sandbox: SandboxServer, ear: Ear) -> str:
    made = ask(
        "/sandbox/public_token/create",
        SandboxPublicTokenCreateRequest(
            institution_id=next(iter(sandbox.plaid.institutions)),
            initial_products=[Products("transactions")],
            options=SandboxPublicTokenCreateRequestOptions(
                webhook=ear.url, override_username="user_transactions_dynamic"
            ),
        ),
    )
    opened = ask(
        "/item/public_token/exchange",
        ItemPublicTokenExchangeRequest(public_token=made.public_token),
    )
    return str(opened.access_token)


def test_link_tokens_before_and_after_a_visit(ask: Asked, sandbox: SandboxServer) -> None:
    for outcome in ("success", "exit"):
        made = ask(
            "/link/token/create",
            LinkTokenCreateRequest(
                client_name="Tests",
                language="en",
                country_codes=[CountryCode("US"), CountryCode("DE")],
                user=LinkTokenCreateRequestUser(client_user_id="user-1"),
                products=[Products("transactions")],
                transactions=LinkTokenTransactions(days_requested=90),
                hosted_link=LinkTokenCreateHostedLink(),
            ),
        )
        request = LinkTokenGetRequest(link_token=made.link_token)
        before = ask("/link/token/get", request)
        with Caller(sandbox) as caller:
            caller.http.get(made.hosted_link_url, params={"outcome": outcome})
        after = ask("/link/token/get", request)

        assert before.link_sessions == []
        (session,) = after.link_sessions
        assert bool(session.on_success) == (outcome == "success")


def test_transactions_in_all_stages(ask: Asked, sandbox: SandboxServer, access_token: str) -> None:
    request = TransactionsSyncRequest(access_token=access_token, count=100)
    not_ready = ask("/transactions/sync", request)
    sandbox.advance(READY)
    ready = ask("/transactions/sync", request)
    ask("/transactions/refresh", TransactionsRefreshRequest(access_token=access_token))
    sandbox.advance(timedelta(days=2))
    moved = (
        ask(
            "/transactions/sync",
            TransactionsSyncRequest(access_token=access_token, cursor=ready.next_cursor, count=60),
        )
        if not ready.has_more
        else ready
    )
    got = ask(
        "/transactions/get",
        TransactionsGetRequest(
            access_token=access_token, start_date=date(2026, 2, 1), end_date=date(2026, 4, 1)
        ),
    )

    assert not_ready.next_cursor == ""
    assert moved.added
    assert got.transactions


@pytest.mark.parametrize("login", ["login-1", "login-2", "login-3"])
def test_the_rows_of_every_country_and_currency(
    sandbox: SandboxServer, ask: Asked, login: str
) -> None:
    with Caller(sandbox) as caller:
        linked = caller.link_ready(login)
    page = ask(
        "/transactions/sync", TransactionsSyncRequest(access_token=linked.access_token, count=150)
    )
    accounts = ask("/accounts/get", AccountsGetRequest(access_token=linked.access_token))

    assert page.added
    assert accounts.accounts


def test_ibans_of_counterparties_stand_in_the_documented_place(
    start_sandbox: Callable[..., SandboxServer],
) -> None:
    """Off by default: plaid-python 46 refuses any IBAN there."""
    with Caller(start_sandbox(counterparty_ibans=True)) as caller:
        page = caller.pages(caller.link_ready("login-2"))[0]

    check_answer("/transactions/sync", json.loads(json.dumps(page, default=float)))
    numbers = [
        one["account_numbers"]["international"]["iban"]
        for row in page["added"]
        for one in row["counterparties"]
        if "account_numbers" in one
    ]
    assert numbers
    assert all(one[:2].isalpha() for one in numbers)


def test_accounts_balances_and_items(ask: Asked, sandbox: SandboxServer, access_token: str) -> None:
    sandbox.advance(READY)

    ask("/accounts/get", AccountsGetRequest(access_token=access_token))
    ask("/accounts/balance/get", AccountsBalanceGetRequest(access_token=access_token))
    healthy = ask("/item/get", ItemGetRequest(access_token=access_token))
    updated = ask(
        "/item/webhook/update",
        ItemWebhookUpdateRequest(access_token=access_token, webhook="http://127.0.0.1:1/x"),
    )
    ask(
        "/sandbox/item/fire_webhook",
        SandboxItemFireWebhookRequest(access_token=access_token, webhook_code="DEFAULT_UPDATE"),
    )
    ask("/sandbox/item/reset_login", SandboxItemResetLoginRequest(access_token=access_token))
    broken = ask("/item/get", ItemGetRequest(access_token=access_token))
    rotated = ask(
        "/item/access_token/invalidate", ItemAccessTokenInvalidateRequest(access_token=access_token)
    )
    ask("/item/remove", ItemRemoveRequest(access_token=rotated.new_access_token))

    assert healthy.item.error is None
    assert updated.item.webhook == "http://127.0.0.1:1/x"
    assert broken.item.error.error_code == "ITEM_LOGIN_REQUIRED"


def test_institutions(ask: Asked) -> None:
    countries = [CountryCode(one) for one in ("US", "DE", "GB")]
    listed = ask(
        "/institutions/get",
        InstitutionsGetRequest(
            count=5,
            offset=0,
            country_codes=countries,
            options=InstitutionsGetRequestOptions(include_optional_metadata=True),
        ),
    )
    first = listed.institutions[0]
    one = ask(
        "/institutions/get_by_id",
        InstitutionsGetByIdRequest(
            institution_id=first.institution_id,
            country_codes=countries,
            options=InstitutionsGetByIdRequestOptions(include_status=True),
        ),
    )
    found = ask(
        "/institutions/search",
        InstitutionsSearchRequest(query=first.name[2:6].upper(), country_codes=countries),
    )

    assert one.institution.name == first.name
    assert first.institution_id in {each.institution_id for each in found.institutions}


def test_keys_of_webhooks(ask: Asked, sandbox: SandboxServer) -> None:
    kid = sandbox.plaid.keys.kids()[-1]

    key = ask("/webhook_verification_key/get", WebhookVerificationKeyGetRequest(key_id=kid)).key

    assert (key.kid, key.expired_at) == (kid, None)


def test_every_documented_error_can_be_produced(caller: Caller) -> None:
    linked = caller.link()
    for code in sorted(ERROR_CODES):
        rule = {"operation": "/item/get", "fault": {"kind": "error", "code": code}}
        assert caller.http.post("/_sim/faults", json=rule).status_code == 200

        answer = caller.http.post("/item/get", json={"access_token": linked.access_token})

        body = answer.json()
        check_component("PlaidError", body)
        assert body["error_code"] == code
        assert len(body["request_id"]) == 15
        assert answer.status_code == _documented_status(code, body["error_type"])


def _documented_status(code: str, error_type: str) -> int:
    special = {
        "INTERNAL_SERVER_ERROR": 500,
        "PLANNED_MAINTENANCE": 503,
        "NOT_FOUND": 404,
        "NO_LONGER_AVAILABLE": 404,
    }
    return special.get(code, 429 if error_type == "RATE_LIMIT_EXCEEDED" else 400)
