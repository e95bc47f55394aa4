"""Claims about connecting: new enrollments, repairs, choices, signatures, the browser's way."""

import base64
import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bank_pipeline.sandbox.banks import OFFERS
from bank_pipeline.sandbox.teller.errors import DISCONNECT_SUFFIXES
from bank_pipeline_tests.sandbox.teller.caller import Caller


def test_a_new_enrollment_has_a_new_token_and_new_ids(living: Caller) -> None:
    first, second = living.link(), living.link()

    ids = [{one["id"] for one in living.get(linked, "/accounts")} for linked in (first, second)]

    assert first.token != second.token
    assert first.enrollment_id != second.enrollment_id
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("suffix", DISCONNECT_SUFFIXES)
def test_a_disconnected_enrollment_refuses_until_it_is_repaired(
    living: Caller, suffix: str
) -> None:
    linked = living.link()
    accounts = living.get(linked, "/accounts")
    code = "enrollment.disconnected" + (f".{suffix}" if suffix else "")

    living.switch(f"/enrollments/{linked.enrollment_id}/disconnect", suffix=suffix)

    for path in ("/accounts", "/identity", f"/accounts/{accounts[0]['id']}/transactions"):
        assert living.fail(linked, path) == (404, code)
    assert living.truth(linked)["error_code"] == code
    repaired = living.switch("/connect", enrollment_id=linked.enrollment_id)
    assert repaired["accessToken"] == linked.token
    assert living.get(linked, "/accounts") == accounts
    assert living.truth(linked)["error_code"] is None


def test_a_disconnected_enrollment_can_be_deleted(living: Caller) -> None:
    linked = living.link()
    living.switch(f"/enrollments/{linked.enrollment_id}/disconnect")

    assert living.send(linked, "/accounts", "DELETE").status_code == 204


def test_a_choice_of_accounts_is_kept_and_a_repair_can_change_it(living: Caller) -> None:
    linked = living.link(account=["acc-1-1", "acc-1-3"])
    names = [one["name"] for one in living.get(linked, "/accounts")]
    ids = {one["name"]: one["id"] for one in living.get(linked, "/accounts")}

    living.switch("/connect", enrollment_id=linked.enrollment_id, account=["acc-1-1", "acc-1-2"])

    later = {one["name"]: one["id"] for one in living.get(linked, "/accounts")}
    assert names == ["Everyday Checking", "Anchor Rewards Card"]
    assert list(later) == ["Everyday Checking", "High-Yield Savings"]
    assert later["Everyday Checking"] == ids["Everyday Checking"]


def test_an_account_opened_later_appears_where_all_are_shared(caller: Caller) -> None:
    everything, some = caller.link(), caller.link(account=["acc-1-1"])

    caller.sandbox.world.add_account("login-1", OFFERS["us-harbor"][1])

    assert len(caller.get(everything, "/accounts")) == 4
    assert len(caller.get(some, "/accounts")) == 1


@pytest.mark.parametrize(
    "wish",
    [
        {"login": "login-2"},  # a German bank
        {"login": "login-9"},
        {"login": "login-1", "account": ["acc-4-1"]},
        {"enrollment_id": "enr_x"},
    ],
)
def test_what_cannot_be_connected_is_not(living: Caller, wish: dict[str, str]) -> None:
    assert living.http.post("/_sim/teller/connect", json=wish).status_code == 404


def test_a_removed_enrollment_is_not_repaired(living: Caller) -> None:
    linked = living.link()
    living.send(linked, "/accounts", "DELETE")

    answer = living.http.post("/_sim/teller/connect", json={"enrollment_id": linked.enrollment_id})

    assert answer.status_code == 404


def test_a_nonce_is_answered_with_a_signature_of_what_is_handed_over(living: Caller) -> None:
    payload = living.switch("/connect", login="login-1", nonce="only-once")
    about = living.http.get("/_sim/teller/application").json()
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(about["token_signing_key"]))
    signature = base64.b64decode(payload["signatures"][0])

    def digest(nonce: str) -> bytes:
        words = (
            nonce,
            payload["accessToken"],
            payload["user"]["id"],
            payload["enrollment"]["id"],
            about["environment"],
        )
        return hashlib.sha256(".".join(words).encode()).digest()

    key.verify(signature, digest("only-once"))
    with pytest.raises(InvalidSignature):
        key.verify(signature, digest("another"))
    assert "signatures" not in living.switch("/connect", login="login-1")


def test_the_browsers_way_is_open_to_pages_of_any_origin(living: Caller) -> None:
    script = living.http.get("/teller/connect.js")
    logins = living.http.get("/teller/connect/logins").json()["logins"]
    asked = living.http.options("/teller/connect/enrollments")
    done = living.http.post(
        "/teller/connect/enrollments",
        json={"login": logins[1]["login"], "account": None, "enrollment_id": None, "nonce": "n"},
    )

    assert "window.TellerConnect" in script.text
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert [one["institution"] for one in logins] == ["First Harbor Bank", "Prairie Credit Union"]
    assert [one["name"] for one in logins[1]["accounts"]] == ["BUSINESS CHKG", "Share Draft"]
    for answer in (script, asked, done):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert done.json()["enrollment"]["institution"] == {"name": "Prairie Credit Union"}
    assert set(done.json()) == {"accessToken", "user", "enrollment", "signatures"}


def test_the_browser_repairs_with_the_owner_only(living: Caller) -> None:
    linked = living.link("login-4")
    query = {"enrollment_id": linked.enrollment_id}

    logins = living.http.get("/teller/connect/logins", params=query).json()["logins"]
    done = living.http.post("/teller/connect/enrollments", json={**query, "login": "login-4"})
    foreign = living.http.post("/teller/connect/enrollments", json={**query, "login": "login-1"})

    assert [one["login"] for one in logins] == ["login-4"]
    assert done.json()["accessToken"] == linked.token
    assert foreign.status_code == 404
