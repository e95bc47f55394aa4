"""Who may ask for what: tokens, applications, banks, and the body that begins a consent."""

import base64
import json
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bank_pipeline.sandbox.enable_banking.options import (
    INACTIVE,
    PRODUCTION,
    REDIRECT_URLS,
    RESTRICTED,
    SANDBOX,
)
from bank_pipeline.sandbox.enable_banking.tokens import public_pem_of, signed_token
from bank_pipeline_tests.sandbox.enable_banking.caller import Caller, Linked, refused, succeeded
from bank_pipeline_tests.sandbox.enable_banking.conftest import StartCaller

_HOUR_S = 3600


def test_no_token_is_named_as_such(caller: Caller) -> None:
    del caller.http.headers["Authorization"]

    assert caller.fail("/application") == (401, "AUTHORIZATION_NOT_PROVIDED")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "somebody.else"},
        {"aud": "api.somebody.else"},
        {"exp": int(time.time()) - _HOUR_S},
        {"exp": int(time.time()) + 86_400 + _HOUR_S},
        {"iat": int(time.time()) + _HOUR_S, "exp": int(time.time()) + 2 * _HOUR_S},
        {"iat": None},
        {"exp": "tomorrow"},
    ],
)
def test_a_token_with_wrong_claims_is_refused(
    shared_caller: Caller, claims: dict[str, Any]
) -> None:
    shared_caller.sign(SANDBOX.application_id, **claims)
    told = shared_caller.fail("/application")
    shared_caller.sign(SANDBOX.application_id)

    assert told == (401, "UNAUTHORIZED_ACCESS")


def test_the_deprecated_audience_still_passes(caller: Caller) -> None:
    caller.sign(SANDBOX.application_id, aud="api.tilisy.com")

    assert caller.ask("/application")["active"] is True


def test_only_rs256_signed_by_the_right_key_passes(caller: Caller) -> None:
    head = {"kid": SANDBOX.application_id}
    claims = {"iss": "enablebanking.com", "aud": "api.enablebanking.com", "iat": 1, "exp": 2}
    shared_secret = jwt.encode(claims, "secret" * 8, algorithm="HS256", headers=head)
    whole = caller.http.headers["Authorization"]

    for bad in (shared_secret, whole.removeprefix("Bearer ")[:-8] + "AAAAAAAA", "a.b", "x.y.z"):
        caller.http.headers["Authorization"] = f"Bearer {bad}"
        assert caller.fail("/application") == (401, "UNAUTHORIZED_ACCESS")


def test_an_unknown_application_is_told_without_an_error_code(caller: Caller) -> None:
    caller.sign("5a1d0000-0000-4000-8000-00000000dead")
    answer = caller.http.get("/application")

    assert answer.status_code == 403
    assert answer.json() == {"message": "Application does not exist", "code": 403}


def test_tokens_can_be_timed_by_the_virtual_clock(caller: Caller) -> None:
    caller.switches.post("/jwt", json={"clock": "virtual"})
    assert caller.fail("/application")[0] == 401

    now_s = caller.sandbox.clock.now().timestamp()
    token = signed_token(caller.wing.private_key_pem, SANDBOX.application_id, now_s=now_s)
    caller.http.headers["Authorization"] = f"Bearer {token}"
    assert caller.ask("/application")["kid"] == SANDBOX.application_id
    caller.sandbox.advance(timedelta(hours=2))
    assert caller.fail("/application") == (401, "UNAUTHORIZED_ACCESS")


def test_padded_base64_passes_only_when_lenient(caller: Caller) -> None:
    """One of the public samples writes its tokens so."""
    head = {"typ": "JWT", "alg": "RS256", "kid": SANDBOX.application_id}
    now_s = int(time.time())
    claims = {
        "iss": "enablebanking.com",
        "aud": "api.enablebanking.com",
        "iat": now_s,
        "exp": now_s + 60,
        "note": "~~~???>>>",
    }
    parts = [base64.b64encode(json.dumps(one).encode()).decode() for one in (head, claims)]
    signed = ".".join(parts)
    algorithm = jwt.get_algorithm_by_name("RS256")
    key = algorithm.prepare_key(caller.wing.private_key_pem)
    signature = base64.b64encode(algorithm.sign(signed.encode(), key)).decode()
    caller.http.headers["Authorization"] = f"Bearer {signed}.{signature}"

    assert caller.fail("/application") == (401, "UNAUTHORIZED_ACCESS")
    caller.switches.post("/jwt", json={"lenient": True})
    assert caller.ask("/application")["active"] is True


def test_an_inactive_application_can_only_look_at_itself(caller: Caller) -> None:
    caller.sign(INACTIVE.application_id)

    assert caller.ask("/application")["active"] is False
    assert caller.fail("/aspsps") == (403, "ACCESS_DENIED")


def test_production_applications_see_no_simulated_banks(caller: Caller) -> None:
    def names() -> set[str]:
        return {one["name"] for one in caller.ask("/aspsps")["aspsps"]}

    assert "Mock ASPSP" in names()
    caller.sign(PRODUCTION.application_id)
    assert "Mock ASPSP" not in names()
    assert "Nordea" in names()


def test_a_restricted_application_sees_linked_accounts_only(caller: Caller) -> None:
    caller.sign(RESTRICTED.application_id)
    back = caller.decide(caller.begin("Nordea", "FI"), "approve", login="login-2")
    refusal = refused(caller.http.post("/sessions", json={"code": back["code"]}))
    caller.switches.post(
        f"/applications/{RESTRICTED.application_id}", json={"linked_account_ids": ["acc-2-1"]}
    )
    back = caller.decide(caller.begin("Nordea", "FI"), "approve", login="login-2")
    made = Linked(succeeded(caller.http.post("/sessions", json={"code": back["code"]})))

    assert refusal == (422, "NO_ACCOUNTS_ADDED")
    assert len(made.uids) == 1


def test_banks_are_filtered_by_country_and_service(shared_caller: Caller) -> None:
    finnish = shared_caller.ask("/aspsps", country="FI", psu_type="personal", service="AIS")
    names = [one["name"] for one in finnish["aspsps"]]

    assert names == ["Nordea", "Mock ASPSP"]
    assert shared_caller.ask("/aspsps", service="PIS") == {"aspsps": []}
    for bad in ({"country": "fi"}, {"psu_type": "child"}, {"service": "XIS"}):
        assert shared_caller.fail("/aspsps", **bad) == (422, "WRONG_REQUEST_PARAMETERS")


def test_an_unknown_path_is_json_and_slashes_at_the_end_are_not_forgiven(
    shared_caller: Caller,
) -> None:
    for path in ("/nothing", "/aspsps/", "/application/"):
        answer = shared_caller.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, 404)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"access": None}, "WRONG_REQUEST_PARAMETERS"),
        ({"access": {}}, "WRONG_REQUEST_PARAMETERS"),
        ({"access": {"valid_until": "2026-04-01T10:00:00"}}, "WRONG_REQUEST_PARAMETERS"),
        ({"access": {"valid_until": "2026-03-01T10:00:00Z"}}, "WRONG_REQUEST_PARAMETERS"),
        ({"access": {"valid_until": "2026-08-30T10:00:00Z"}}, "WRONG_REQUEST_PARAMETERS"),
        (
            {"access": {"valid_until": "2026-04-01T10:00:00Z", "accounts": [{}]}},
            "INVALID_ACCOUNT_ID",
        ),
        ({"aspsp": {"name": "Nordea", "country": "XX"}}, "WRONG_ASPSP_PROVIDED"),
        ({"aspsp": {"name": "nordea", "country": "FI"}}, "WRONG_ASPSP_PROVIDED"),
        ({"state": None}, "WRONG_REQUEST_PARAMETERS"),
        ({"redirect_url": REDIRECT_URLS[0] + "/"}, "REDIRECT_URI_NOT_ALLOWED"),
        ({"psu_type": "child"}, "WRONG_REQUEST_PARAMETERS"),
        ({"language": "FIN"}, "WRONG_REQUEST_PARAMETERS"),
        ({"credentials": {"companyId": "1"}}, "WRONG_REQUEST_PARAMETERS"),
        ({"auth_method": "telepathy"}, "WRONG_REQUEST_PARAMETERS"),
        (
            {"psu_type": "business", "auth_method": "MTA", "credentials": {"companyId": "x"}},
            "WRONG_CREDENTIALS_PROVIDED",
        ),
    ],
)
def test_a_consent_that_cannot_be_is_not_begun(
    shared_caller: Caller, changes: dict[str, Any], code: str
) -> None:
    body = shared_caller.auth_body("Nordea", "FI", **changes)

    assert refused(shared_caller.http.post("/auth", json=body)) == (422, code)


@pytest.mark.parametrize(
    "until", ["2026-04-01 00:00:00Z", "2026-04-01T00:00:00+02:00", "2026-08-29T09:30:00Z"]
)
def test_an_end_with_any_offset_passes_up_to_the_banks_maximum(
    shared_caller: Caller, until: str
) -> None:
    body = shared_caller.auth_body("Nordea", "FI", access={"valid_until": until})

    assert succeeded(shared_caller.http.post("/auth", json=body))["authorization_id"]


def test_a_bank_of_ninety_days_refuses_more(shared_caller: Caller) -> None:
    until = {"valid_until": "2026-06-01T00:00:00Z"}
    body = shared_caller.auth_body("Swedbank", "EE", access=until)
    (listed,) = [
        one
        for one in shared_caller.ask("/aspsps", country="EE")["aspsps"]
        if one["name"] == "Swedbank"
    ]

    answer = shared_caller.http.post("/auth", json=body)

    assert refused(answer) == (422, "WRONG_REQUEST_PARAMETERS")
    assert "7776000 seconds" in answer.json()["message"]
    assert listed["maximum_consent_validity"] == 90 * 86_400


def test_a_business_names_itself(shared_caller: Caller) -> None:
    body = shared_caller.auth_body(
        "Nordea",
        "FI",
        psu_type="business",
        auth_method="MTA",
        credentials={"companyId": "1234567-8"},
    )

    assert succeeded(shared_caller.http.post("/auth", json=body))["url"]


def test_a_renamed_bank_is_known_by_its_new_name_only(caller: Caller) -> None:
    renaming = {"name": "Nordea", "country": "FI", "new_name": "Nordea Bank"}
    caller.switches.post("/aspsps/rename", json=renaming)
    old = caller.http.post("/auth", json=caller.auth_body("Nordea", "FI"))

    assert refused(old) == (422, "WRONG_ASPSP_PROVIDED")
    assert caller.begin("Nordea Bank", "FI")


def test_another_redirect_url_can_be_allowed(caller: Caller) -> None:
    url = "http://127.0.0.1:9/back?from=bank"
    caller.switches.post("/redirect_urls", json={"url": url})
    back = caller.http.get(caller.begin("Nordea", "FI", redirect_url=url) + "&auto=approve")

    assert url in caller.ask("/application")["redirect_urls"]
    assert back.headers["location"].startswith(f"{url}&code=")


def test_an_application_may_bring_its_own_key(start_caller: StartCaller) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()
    own = replace(SANDBOX, public_key_pem=public_pem_of(private_pem))
    caller = start_caller(applications=(own,), public_url="http://sandbox.example/eb")
    with_the_simulators_key = caller.fail("/application")
    token = signed_token(private_pem, SANDBOX.application_id, now_s=time.time())
    caller.http.headers["Authorization"] = f"Bearer {token}"

    assert with_the_simulators_key == (401, "UNAUTHORIZED_ACCESS")
    assert caller.begin("Nordea", "FI").startswith("http://sandbox.example/eb/welcome?sessionid=")
