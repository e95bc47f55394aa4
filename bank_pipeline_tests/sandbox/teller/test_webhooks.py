"""Claims about webhooks: what is told, to whom, and with which signatures."""

import hashlib
import hmac
from datetime import timedelta
from decimal import Decimal

import pytest

from bank_pipeline.sandbox.serve import USUAL_START
from bank_pipeline_tests.sandbox.plaid.ear import Ear, Heard
from bank_pipeline_tests.sandbox.teller.caller import Caller
from bank_pipeline_tests.sandbox.teller.conftest import Start

CHECKING = "acc-1-1"
SECRET = "teller-signing-secret"


def kinds(ear: Ear) -> list[str]:
    return [one.json["type"] for one in ear.heard]


def signed(heard: Heard) -> tuple[int, list[str]]:
    parts = [part.partition("=") for part in (heard.signature or "").split(",")]
    assert parts[0][0] == "t"
    assert {name for name, _, _ in parts[1:]} == {"v1"}
    return int(parts[0][2]), [value for _, _, value in parts[1:]]


def expected(heard: Heard, moment: int, secret: str) -> str:
    message = f"{moment}.".encode() + heard.body
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def test_the_test_webhook_is_signed_and_has_an_empty_payload(start: Start, ear: Ear) -> None:
    caller = start(webhook_url=ear.url)

    caller.switch("/webhooks")

    (heard,) = ear.heard
    moment, (signature,) = signed(heard)
    assert moment == int(USUAL_START.timestamp())
    assert signature == expected(heard, moment, SECRET)
    assert (heard.json["type"], heard.json["payload"]) == ("webhook.test", {})
    assert heard.json["timestamp"] == "2026-03-02T09:30:00Z"


def test_during_a_rotation_both_secrets_sign(caller: Caller, ear: Ear) -> None:
    caller.switch("/webhook_url", url=ear.url)
    caller.switch("/secrets", secrets=["new", "old"])

    caller.switch("/webhooks")

    moment, signatures = signed(ear.heard[0])
    assert signatures == [expected(ear.heard[0], moment, one) for one in ("new", "old")]


def test_a_second_delivery_is_signed_anew_with_the_same_id(caller: Caller, ear: Ear) -> None:
    caller.switch("/webhook_url", url=ear.url)
    ear.answers = [(503, {})]
    caller.switch("/webhooks")

    caller.sandbox.advance(timedelta(minutes=5))

    first, second = ear.heard
    assert first.body == second.body
    moments = [signed(one)[0] for one in ear.heard]
    assert moments[1] - moments[0] == 300
    assert signed(second)[1] == [expected(second, moments[1], SECRET)]


def test_rows_are_told_when_they_appear_post_and_get_their_category(
    caller: Caller, ear: Ear
) -> None:
    caller.switch("/webhook_url", url=ear.url)
    world, linked = caller.sandbox.world, caller.link()
    account_id = caller.account(linked, "Everyday Checking")["id"]

    entry = world.add_pending(CHECKING, Decimal(-5), category="FOOD_AND_DRINK_COFFEE")
    caller.sandbox.settle()
    caller.sandbox.advance(timedelta(hours=6))
    caller.sandbox.advance(timedelta(hours=6))
    world.book(entry.id)
    caller.sandbox.settle()
    world.touch(entry.id)
    caller.sandbox.settle()

    assert kinds(ear) == ["transactions.processed"] * 3
    told = [one.json["payload"] for one in ear.heard]
    assert {one["enrollment_id"] for one in told} == {linked.enrollment_id}
    rows = [one["transactions"] for one in told]
    assert [(row["status"], row["details"]["category"]) for (row,) in rows] == [
        ("pending", None),
        ("pending", "dining"),
        ("posted", "dining"),
    ]
    assert rows[2] == caller.rows(linked, account_id)
    assert len({one.json["id"] for one in ear.heard}) == 3


def test_history_is_not_told_and_a_world_that_lives_is(start: Start, ear: Ear) -> None:
    caller = start(quiet=False, webhook_url=ear.url)
    linked = caller.link()
    account_ids = {one["id"] for one in caller.get(linked, "/accounts")}
    before = {row["id"] for one in account_ids for row in caller.rows(linked, one)}
    caller.sandbox.settle()
    assert kinds(ear) == []

    caller.sandbox.advance(timedelta(days=3))

    told = {row["id"] for one in ear.heard for row in one.json["payload"]["transactions"]}
    now = {row["id"] for one in account_ids for row in caller.rows(linked, one)}
    assert now - before <= told <= now
    assert now - before


def test_a_disconnection_is_told_without_its_prefix_and_silences_the_rest(
    caller: Caller, ear: Ear
) -> None:
    caller.switch("/webhook_url", url=ear.url)
    linked = caller.link()
    path = f"/enrollments/{linked.enrollment_id}"

    caller.switch(f"{path}/disconnect", suffix="user_action.mfa_required")
    caller.sandbox.world.add_booked(CHECKING, Decimal(1))
    caller.sandbox.settle()
    assert [one.json["payload"] for one in ear.heard] == [
        {
            "enrollment_id": linked.enrollment_id,
            "reason": "disconnected.user_action.mfa_required",
        }
    ]
    caller.switch(f"{path}/repair")
    caller.sandbox.settle()

    assert kinds(ear) == ["enrollment.disconnected", "transactions.processed"]


def test_a_silent_disconnection_is_not_told(caller: Caller, ear: Ear) -> None:
    caller.switch("/webhook_url", url=ear.url)
    linked = caller.link()

    caller.switch(f"/enrollments/{linked.enrollment_id}/disconnect", webhook=False)

    assert ear.heard == []
    assert caller.fail(linked, "/accounts") == (404, "enrollment.disconnected")


@pytest.mark.parametrize("status", ["completed", "expired"])
def test_the_end_of_a_verification_is_told(caller: Caller, ear: Ear, status: str) -> None:
    caller.switch("/webhook_url", url=ear.url)
    linked = caller.link()
    account_id = caller.account(linked, "Everyday Checking")["id"]

    caller.switch(f"/accounts/{account_id}/verification", status="pending")
    caller.switch(f"/accounts/{account_id}/verification", status=status)

    (heard,) = ear.heard
    assert heard.json["type"] == "account.number_verification.processed"
    assert heard.json["payload"] == {
        "enrollment_id": linked.enrollment_id,
        "account_id": account_id,
        "status": status,
    }


def test_any_body_can_be_sent_with_any_signature(caller: Caller, ear: Ear) -> None:
    forged = {"Teller-Signature": "t=1,v1=00"}

    caller.switch("/webhooks", url=ear.url, body="{}", headers=forged, copies=2)

    assert [(one.body, one.signature) for one in ear.heard] == [(b"{}", "t=1,v1=00")] * 2
    log = caller.http.get("/_sim/teller/webhooks").json()["webhooks"]
    assert [one["delivered"] for one in log] == [True, True]


def test_without_an_address_nothing_is_sent(caller: Caller) -> None:
    linked = caller.link()
    caller.switch(f"/enrollments/{linked.enrollment_id}/disconnect")

    assert caller.http.post("/_sim/teller/webhooks", json={}).status_code == 400
    assert caller.http.get("/_sim/teller/webhooks").json() == {"webhooks": []}
