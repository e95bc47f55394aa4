"""Plaid as the rest of the house sees it."""

import json
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler

import pytest
from pydantic import SecretStr

from bank_pipeline.config import Environment, Settings
from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import ConfigurationError, SetupError
from bank_pipeline.providers.exact_json import is_storable
from bank_pipeline.providers.plaid.provider import HOSTS, PlaidProvider, build_plaid
from bank_pipeline_tests.builders import link_request
from bank_pipeline_tests.providers.plaid.builders import (
    TOKEN,
    Archived,
    account,
    error_body,
    page,
    transaction,
)
from bank_pipeline_tests.providers.stub import Reply, Stub


def settings(**fields: object) -> Settings:
    chosen: dict[str, object] = {"plaid_client_id": "c", "plaid_secret": "s"}
    return Settings(_env_file=None, **(chosen | fields))  # type: ignore[arg-type]  # by name


def test_plaid_is_optional() -> None:
    with pytest.raises(SetupError, match="PLAID_CLIENT_ID"):
        build_plaid(settings(plaid_client_id=None, plaid_secret=None))


def test_each_environment_has_its_host() -> None:
    assert set(HOSTS) == set(Environment)
    assert all(host.startswith("https://") for host in HOSTS.values())


def test_settings_reach_plaid(stub: Stub) -> None:
    created = {"link_token": "l", "expiration": "2026-03-05T16:00:00Z", "hosted_link_url": "u"}
    stub.plays(Reply(created))
    plaid = build_plaid(
        settings(
            plaid_base_url=f"{stub.url}/",
            plaid_country_codes="us, gb",
            plaid_days_requested=90,
            gateway_url="https://books.example/",
        )
    )
    plaid.start_link(link_request("t", renews=None, return_url=None))
    plaid.close()
    request = stub.received[0]
    assert request.path == "/link/token/create"
    assert request.body["country_codes"] == ["US", "GB"]
    assert request.body["transactions"] == {"days_requested": 90}
    assert request.body["webhook"] == "https://books.example/webhooks/plaid"


def test_answers_are_archived_once_whatever_their_request_id(
    stub: Stub, plaid: PlaidProvider, archived: Archived
) -> None:
    for request_id in ("one", "two"):
        stub.plays(Reply(page(added=[transaction(1)], request_id=request_id)))
        plaid.fetch_changes(TOKEN, cursor=None, archive=archived)
    assert archived[0].digest == archived[1].digest
    assert [answer.request_id for answer in archived] == ["one", "two"]
    assert json.loads(archived[0].body)["added"][0]["transaction_id"] == "transaction-1"


def test_an_account_that_cannot_be_read_is_not_gone(stub: Stub, plaid: PlaidProvider) -> None:
    bad = account(2, account_id=2)
    stub.plays(Reply({"accounts": [account(1), bad], "item": {"item_id": "i", "error": None}}))
    answer = plaid.fetch_accounts(TOKEN, archive=Archived())
    assert [row.external_id for row in answer.accounts] == ["account-1"]
    assert [row.reason for row in answer.quarantined] == ["account_id: string_type"]
    assert not answer.is_complete


@pytest.mark.parametrize("item", [5, [], {"error": "a mere text"}, {"error": 5}])
def test_an_item_that_cannot_be_read_keeps_no_account_from_landing(
    stub: Stub, plaid: PlaidProvider, item: object
) -> None:
    stub.plays(Reply({"accounts": [account(1)], "item": item}))
    answer = plaid.fetch_accounts(TOKEN, archive=Archived())
    assert [row.external_id for row in answer.accounts] == ["account-1"]
    assert (answer.is_complete, answer.status, len(answer.quarantined)) == (True, None, 1)


@pytest.mark.parametrize("odd", [5, [], "", "2026", "1695513600", "a\0b", chr(0xD800)])
def test_what_an_item_says_beside_its_error_may_be_unreadable(
    stub: Stub, plaid: PlaidProvider, odd: object
) -> None:
    item = {"institution_name": odd, "consent_expiration_time": odd, "error": {"error_code": 5}}
    stub.plays(Reply({"item": item, "status": {"transactions": odd}}))
    status = plaid.fetch_status(TOKEN, archive=Archived())
    assert status.error_code == "UNKNOWN"
    assert (status.consent_expires_at, status.last_refreshed_at) == (None, None)
    assert is_storable(status.institution_name)


def test_a_broken_connection_still_has_a_status(stub: Stub, plaid: PlaidProvider) -> None:
    error = error_body("ITEM_LOGIN_REQUIRED")
    stub.plays(Reply({"item": {"item_id": "i", "institution_id": "ins_1", "error": error}}))
    status = plaid.fetch_status(TOKEN, archive=Archived())
    assert (status.error_code, status.institution_external_id) == ("ITEM_LOGIN_REQUIRED", "ins_1")
    assert (status.consent_expires_at, status.last_refreshed_at) == (None, None)


def test_an_institution_is_fetched(stub: Stub, plaid: PlaidProvider) -> None:
    described = {"institution_id": "ins_1", "name": "Bank", "country_codes": ["US"], "oauth": True}
    stub.plays(Reply({"institution": described}))
    institution = plaid.fetch_institution("ins_1")
    assert (institution.provider, institution.name) == (Provider.PLAID, "Bank")
    assert (institution.countries, institution.is_oauth) == (("US",), True)
    assert institution.history_days_max is None


def test_health_fails_with_wrong_keys(stub: Stub, plaid: PlaidProvider) -> None:
    stub.plays(Reply({"institutions": [], "total": 0}))
    plaid.check_health()
    stub.plays(Reply(error_body("INVALID_API_KEYS"), 400))
    with pytest.raises(ConfigurationError):
        plaid.check_health()


def test_threads_share_one_provider_and_never_an_answer(stub: Stub, plaid: PlaidProvider) -> None:
    def echo(handler: BaseHTTPRequestHandler) -> None:
        name = handler.received_body["access_token"]  # type: ignore[attr-defined]  # the stub's
        body = json.dumps({"item": {"item_id": "i", "institution_id": name, "error": None}})
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
        handler.close_connection = False
        handler.wfile.write(f"{head}{body}".encode())

    stub.plays(echo)

    def institution_of(name: str) -> str | None:
        status = plaid.fetch_status(SecretStr(name), archive=Archived())
        return status.institution_external_id

    names = [f"token-{number}" for number in range(100)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(institution_of, names)) == names
