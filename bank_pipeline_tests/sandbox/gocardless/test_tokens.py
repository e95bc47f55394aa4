"""Claims about the company's tokens: how long they live and what is refused without one."""

from datetime import timedelta

import jwt

from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline_tests.sandbox.gocardless.caller import SECRETS, Caller

INVALID = {
    "summary": "Invalid token",
    "detail": "Token is invalid or expired",
    "status_code": 401,
}


def test_a_token_is_a_jwt_that_tells_its_end_in_virtual_time(
    caller: Caller, gocardless: SandboxServer
) -> None:
    made = caller.http.post("token/new/", json=SECRETS).json()
    claims = jwt.decode(made["access"], options={"verify_signature": False})

    assert (made["access_expires"], made["refresh_expires"]) == (86_400, 2_592_000)
    assert claims["exp"] == int(gocardless.clock.now().timestamp()) + 86_400
    assert claims["token_type"] == "access"


def test_access_ends_after_a_day_and_a_refresh_token_gives_only_access(
    quiet: SandboxServer, quiet_caller: Caller
) -> None:
    quiet.advance(timedelta(hours=23, minutes=59))
    assert quiet_caller.http.get("institutions/").status_code == 200
    quiet.advance(timedelta(minutes=1))

    assert quiet_caller.refused("GET", "institutions/") == (401, INVALID)
    old = quiet_caller.tokens["refresh"]
    refreshed = quiet_caller.http.post("token/refresh/", json={"refresh": old}).json()
    assert sorted(refreshed) == ["access", "access_expires"]
    quiet_caller.http.headers["Authorization"] = f"Bearer {refreshed['access']}"
    assert quiet_caller.http.get("institutions/").status_code == 200
    quiet.advance(timedelta(days=30))
    assert quiet_caller.refused("POST", "token/refresh/", refresh=old) == (401, INVALID)


def test_many_tokens_live_at_once_until_a_switch_ends_them(quiet_caller: Caller) -> None:
    second = quiet_caller.http.post("token/new/", json=SECRETS).json()["access"]
    headers = {"Authorization": f"Bearer {second}"}

    assert quiet_caller.http.get("institutions/").status_code == 200
    assert quiet_caller.http.get("institutions/", headers=headers).status_code == 200
    assert quiet_caller.switch("tokens/expire") == {"expired": 2}
    assert quiet_caller.http.get("institutions/", headers=headers).status_code == 401


def test_refusals_of_credentials_tokens_and_addresses(quiet_caller: Caller) -> None:
    wrong = quiet_caller.refused("POST", "token/new/", secret_id="x", secret_key="y")
    missing = quiet_caller.refused("POST", "token/new/", secret_id="x")
    misused = quiet_caller.http.get(
        "institutions/", headers={"Authorization": f"Bearer {quiet_caller.tokens['refresh']}"}
    )
    quiet_caller.switch("settings", ip_denied=True)
    from_elsewhere = quiet_caller.refused("GET", "institutions/")
    no_token = quiet_caller.http.get("institutions/", headers={"Authorization": "Bearer x"})

    assert wrong[0] == 401
    assert wrong[1]["detail"] == "No active account found with the given credentials"
    assert missing[1]["secret_key"] == ["This field is required."]
    assert misused.status_code == 401
    assert from_elsewhere[1]["summary"] == "IP address access denied"
    assert no_token.status_code == 401  # judged before the address


def test_paths_need_their_slash_only_for_writing(caller: Caller) -> None:
    assert caller.http.get("institutions").status_code == 200
    assert caller.refused("POST", "token/new", **SECRETS)[0] == 404
    assert caller.refused("GET", "nowhere/")[1]["summary"] == "Not found."
    assert caller.refused("DELETE", "institutions/")[0] == 405
    assert caller.refused("POST", "accounts/x/")[0] == 404


def test_the_log_tells_headers_but_no_secrets(quiet_caller: Caller) -> None:
    quiet_caller.http.get("institutions/?country=de", headers={"PSU-IP": "1.2.3.4"})

    told = quiet_caller.switches.get("log", params={"operation": "institutions"})
    (request,) = told.json()["requests"]

    assert quiet_caller.tokens["access"] not in told.text
    assert request["headers"]["psu-ip"] == "1.2.3.4"
    assert request["headers"]["authorization"].startswith("sha256:")
    assert (request["path"], request["query"], request["status"]) == (
        "/api/v2/institutions/",
        "country=de",
        200,
    )
