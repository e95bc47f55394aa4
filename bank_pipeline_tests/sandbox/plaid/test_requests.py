"""Claims about what requests Plaid refuses, and with which words."""

from typing import Any

import pytest

from bank_pipeline_tests.sandbox.plaid.caller import Caller, read

LINK: dict[str, Any] = {
    "client_name": "Tests",
    "language": "en",
    "country_codes": ["US"],
    "user": {"client_user_id": "1"},
    "products": ["transactions"],
}


def test_wrong_credentials_are_refused_wherever_they_stand(caller: Caller) -> None:
    headers = {"PLAID-CLIENT-ID": "sandbox-client", "PLAID-SECRET": "wrong"}
    answer = caller.http.post("/item/get", json={}, headers=headers)
    in_body = caller.fail("/item/get", client_id="x", secret="y", access_token="z")

    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_API_KEYS")
    assert in_body == (400, "INVALID_API_KEYS")


def test_credentials_may_stand_in_the_body(caller: Caller) -> None:
    caller.http.headers.clear()
    missing = caller.fail("/link/token/create", **LINK)

    caller.ask("/link/token/create", client_id="sandbox-client", secret="sandbox-secret", **LINK)

    assert missing == (400, "MISSING_FIELDS")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"text"', b"\xff"])
def test_what_is_no_json_object_is_an_invalid_body(caller: Caller, raw: bytes) -> None:
    answer = caller.http.post("/item/get", content=raw)

    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_BODY")


@pytest.mark.parametrize(("method", "path"), [("POST", "/no/such"), ("GET", "/item/get")])
def test_unknown_paths_and_methods_are_not_found(caller: Caller, method: str, path: str) -> None:
    answer = caller.http.request(method, path)

    assert (answer.status_code, answer.json()["error_code"]) == (404, "NOT_FOUND")


def test_another_version_of_the_api_is_refused(caller: Caller) -> None:
    answer = caller.http.post("/item/get", json={}, headers={"Plaid-Version": "2018-05-22"})

    assert answer.json()["error_code"] == "INCOMPATIBLE_API_VERSION"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"surprise": 1}, "UNKNOWN_FIELDS"),
        ({"options": {"surprise": 1}}, "UNKNOWN_FIELDS"),
        ({"count": 0}, "INVALID_FIELD"),
        ({"count": 501}, "INVALID_FIELD"),
        ({"count": "5"}, "INVALID_FIELD"),
        ({"count": True}, "INVALID_FIELD"),
        ({"cursor": None}, "INVALID_FIELD"),
        ({"cursor": "x" * 257}, "INVALID_FIELD"),
        ({"options": None}, "INVALID_FIELD"),
        ({"options": {"personal_finance_category_version": "v9"}}, "INVALID_FIELD"),
        ({"options": {"account_id": "unknown"}}, "INVALID_ACCOUNT_ID"),
        ({"access_token": "access-production-x"}, "INVALID_ACCESS_TOKEN"),
    ],
)
def test_a_sync_request_is_checked_field_by_field(
    caller: Caller, change: dict[str, Any], code: str
) -> None:
    linked = caller.link()

    refused = caller.fail("/transactions/sync", **{"access_token": linked.access_token, **change})

    assert refused == (400, code)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"client_name": "x" * 31}, "INVALID_FIELD"),
        ({"country_codes": []}, "INVALID_FIELD"),
        ({"country_codes": ["JP"]}, "INVALID_FIELD"),
        ({"language": "xx"}, "INVALID_FIELD"),
        ({"user": {}}, "MISSING_FIELDS"),
        ({"products": ["balance"]}, "INVALID_PRODUCT"),
        ({"products": []}, "INVALID_FIELD"),
        ({"optional_products": ["transactions"]}, "INVALID_FIELD"),
        ({"transactions": {"days_requested": 731}}, "INVALID_FIELD"),
        ({"redirect_uri": "https://x.example/?a=b"}, "INVALID_FIELD"),
        ({"hosted_link": {"url_lifetime_seconds": 22 * 86_400}}, "INVALID_FIELD"),
        ({"access_token": "access-sandbox-unknown"}, "INVALID_ACCESS_TOKEN"),
        ({"institution_id": "ins_0"}, "INVALID_INSTITUTION"),
        ({"webhook": "ftp://x"}, "INVALID_FIELD"),
    ],
)
def test_a_link_token_request_is_checked_field_by_field(
    caller: Caller, change: dict[str, Any], code: str
) -> None:
    assert caller.fail("/link/token/create", **{**LINK, **change}) == (400, code)


def test_missing_fields_are_named(caller: Caller) -> None:
    answer = caller.http.post("/transactions/get", json={"access_token": "x"})

    assert "start_date, end_date" in read(answer)["error_message"]


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/item/public_token/exchange", {"public_token": "x"}, "INVALID_PUBLIC_TOKEN"),
        ("/link/token/get", {"link_token": "x"}, "INVALID_LINK_TOKEN"),
        (
            "/webhook_verification_key/get",
            {"key_id": "x"},
            "INVALID_WEBHOOK_VERIFICATION_KEY_ID",
        ),
        (
            "/institutions/get_by_id",
            {"institution_id": "ins_0", "country_codes": ["US"]},
            "INVALID_INSTITUTION",
        ),
    ],
)
def test_what_does_not_exist_has_its_own_error(
    caller: Caller, path: str, body: dict[str, Any], code: str
) -> None:
    assert caller.fail(path, **body) == (400, code)


def test_transactions_get_is_not_ready_before_the_first_pull(caller: Caller) -> None:
    linked = caller.link()

    refused = caller.fail(
        "/transactions/get",
        access_token=linked.access_token,
        start_date="2026-01-01",
        end_date="2026-02-01",
    )

    assert refused == (400, "PRODUCT_NOT_READY")
