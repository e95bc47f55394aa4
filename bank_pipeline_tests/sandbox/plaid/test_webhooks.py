"""Claims about webhooks: which are sent, how they are signed, and what happens when refused."""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import jwt
import pytest

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.plaid.options import PlaidOptions
from bank_pipeline.sandbox.serve import USUAL_START, SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline_tests.sandbox.plaid.caller import READY, Caller, Linked
from bank_pipeline_tests.sandbox.plaid.ear import Ear, Heard
from bank_pipeline_tests.sandbox.plaid.official import check_component

StartSandbox = Callable[..., SandboxServer]
CHECKING = "acc-1-1"
SCHEMAS = {
    "INITIAL_UPDATE": "InitialUpdateWebhook",
    "HISTORICAL_UPDATE": "HistoricalUpdateWebhook",
    "DEFAULT_UPDATE": "DefaultUpdateWebhook",
    "TRANSACTIONS_REMOVED": "TransactionsRemovedWebhook",
    "SYNC_UPDATES_AVAILABLE": "SyncUpdatesAvailableWebhook",
    "ERROR": "ItemErrorWebhook",
    "LOGIN_REPAIRED": "ItemLoginRepairedWebhook",
    "PENDING_EXPIRATION": "PendingExpirationWebhook",
    "PENDING_DISCONNECT": "PendingDisconnectWebhook",
    "NEW_ACCOUNTS_AVAILABLE": "NewAccountsAvailableWebhook",
    "USER_PERMISSION_REVOKED": "UserPermissionRevokedWebhook",
    "USER_ACCOUNT_REVOKED": "UserAccountRevokedWebhook",
    "WEBHOOK_UPDATE_ACKNOWLEDGED": "WebhookUpdateAcknowledgedWebhook",
    "RECURRING_TRANSACTIONS_UPDATE": "RecurringTransactionsUpdateWebhook",
}


def test_a_signature_covers_the_raw_body_and_its_virtual_time(
    quiet_caller: Caller, ear: Ear
) -> None:
    quiet_caller.link_ready(webhook=ear.url)

    heard = ear.heard[0]

    claims = _verified(quiet_caller, heard)
    assert claims["request_body_sha256"] == hashlib.sha256(heard.body).hexdigest()
    assert claims["iat"] == int((USUAL_START + READY).timestamp())
    assert heard.body.decode() == json.dumps(heard.json, indent=2)
    assert set(claims) == {"iat", "request_body_sha256"}


def test_a_rotated_key_signs_and_the_old_one_is_expired(quiet_caller: Caller, ear: Ear) -> None:
    linked = quiet_caller.link_ready(webhook=ear.url)
    quiet_caller.http.post("/_sim/keys/rotate")
    _fire(quiet_caller, linked, "DEFAULT_UPDATE")

    first, second = (
        jwt.get_unverified_header(one.signature or "") for one in (ear.heard[0], ear.heard[-1])
    )

    old = quiet_caller.ask("/webhook_verification_key/get", key_id=first["kid"])["key"]
    assert first["kid"] != second["kid"]
    assert isinstance(old["expired_at"], int)
    _verified(quiet_caller, ear.heard[-1])


def test_the_stages_of_history_are_announced(quiet: SandboxServer, ear: Ear) -> None:
    today = USUAL_START.date()
    quiet.world.add_booked(CHECKING, Decimal(-1))
    quiet.world.add_booked(CHECKING, Decimal(-2), booking_date=today - timedelta(days=60))
    with Caller(quiet) as caller:
        linked = caller.link(webhook=ear.url)
        caller.ask("/transactions/sync", access_token=linked.access_token)
        quiet.advance(timedelta(seconds=10))
        assert ear.codes() == ["INITIAL_UPDATE", "SYNC_UPDATES_AVAILABLE"]
        first = ear.last("SYNC_UPDATES_AVAILABLE")
        assert (first["initial_update_complete"], first["historical_update_complete"]) == (
            True,
            False,
        )

        quiet.advance(timedelta(seconds=50))

    assert ear.codes()[2:] == ["HISTORICAL_UPDATE", "SYNC_UPDATES_AVAILABLE"]
    assert ear.last("SYNC_UPDATES_AVAILABLE")["historical_update_complete"] is True
    assert ear.last("HISTORICAL_UPDATE")["new_transactions"] == 1
    _check_all(ear)


def test_only_a_call_of_sync_arms_its_webhook(quiet: SandboxServer, ear: Ear) -> None:
    with Caller(quiet) as caller:
        caller.link_ready(webhook=ear.url)
        quiet.world.add_booked(CHECKING, Decimal(-1))
        quiet.settle()

    assert ear.codes() == ["INITIAL_UPDATE", "HISTORICAL_UPDATE", "DEFAULT_UPDATE"]


def test_new_and_removed_transactions_are_announced_once(quiet: SandboxServer, ear: Ear) -> None:
    with Caller(quiet) as caller:
        linked = caller.link_ready(webhook=ear.url)
        caller.pages(linked)
        ear.heard.clear()
        entry = quiet.world.add_pending(CHECKING, Decimal(-1))
        quiet.settle()
        quiet.advance(timedelta(hours=1))
        assert ear.codes() == ["DEFAULT_UPDATE", "SYNC_UPDATES_AVAILABLE"]

        pending = caller.pages(linked)[0]["added"][0]["transaction_id"]
        ear.heard.clear()
        quiet.world.book(entry.id)
        quiet.settle()

    assert ear.codes() == ["DEFAULT_UPDATE", "TRANSACTIONS_REMOVED", "SYNC_UPDATES_AVAILABLE"]
    assert ear.last("TRANSACTIONS_REMOVED")["removed_transactions"] == [pending]
    _check_all(ear)


def test_a_refresh_of_a_dynamic_user_moves_everything_on(quiet: SandboxServer, ear: Ear) -> None:
    quiet.world.add_pending(CHECKING, Decimal(-1))
    quiet.world.add_booked(CHECKING, Decimal(-2))
    with Caller(quiet) as caller:
        linked = caller.link("login-1")
        quiet.plaid.item(linked.item_id).dynamic = True
        quiet.plaid.item(linked.item_id).webhook = ear.url
        quiet.advance(READY)
        cursor = caller.pages(linked)[-1]["next_cursor"]
        ear.heard.clear()
        caller.ask("/transactions/refresh", access_token=linked.access_token)
        quiet.settle()
        (page,) = caller.pages(linked, cursor)

    assert sum(row["pending"] for row in page["added"]) == 3
    assert len(page["removed"]) == 1
    assert [row["amount"] for row in page["modified"]] == [3]
    assert set(ear.codes()) == {"DEFAULT_UPDATE", "TRANSACTIONS_REMOVED", "SYNC_UPDATES_AVAILABLE"}


def test_a_refused_webhook_comes_again_after_growing_delays(quiet: SandboxServer, ear: Ear) -> None:
    ear.always = 500
    with Caller(quiet) as caller:
        linked = caller.link_ready()
        quiet.plaid.item(linked.item_id).webhook = ear.url
        _fire(caller, linked, "DEFAULT_UPDATE")
        heard = [len(ear.heard)]
        for seconds in (29, 1, 120, 480, 1_920, 7_680, 30_720, 86_400):
            quiet.advance(timedelta(seconds=seconds))
            heard.append(len(ear.heard))

    assert heard == [1, 1, 2, 3, 4, 5, 6, 7, 7]
    stamps = [_unverified(one)["iat"] for one in ear.heard]
    assert stamps == sorted(set(stamps)), "each attempt is signed anew"


@pytest.mark.parametrize(
    "retry_after", ["600", "Mon, 02 Mar 2026 09:42:00 GMT", "2026-03-02T09:42:00+00:00"]
)
def test_a_receiver_may_say_when_to_come_again(
    quiet: SandboxServer, ear: Ear, retry_after: str
) -> None:
    ear.answers = [(429, {"Retry-After": retry_after})]
    with Caller(quiet) as caller:
        linked = caller.link_ready()
        quiet.plaid.item(linked.item_id).webhook = ear.url
        _fire(caller, linked, "DEFAULT_UPDATE")
        quiet.advance(timedelta(seconds=599))
        early = len(ear.heard)
        quiet.advance(timedelta(seconds=1))

    assert (early, len(ear.heard)) == (1, 2)


def test_an_endpoint_that_refuses_nearly_everything_gets_no_second_attempts(
    quiet: SandboxServer, ear: Ear
) -> None:
    ear.always = 404
    with Caller(quiet) as caller:
        linked = caller.link_ready()
        quiet.plaid.item(linked.item_id).webhook = ear.url
        for _ in range(12):
            _fire(caller, linked, "DEFAULT_UPDATE")
        quiet.advance(timedelta(hours=30))
        log = caller.http.get("/_sim/webhooks").json()["webhooks"]

    assert [len(one["attempts"]) for one in log[-3:]] == [1, 1, 1]
    assert all(one["due_at"] is None for one in log)


def test_consent_in_europe_is_warned_of_and_ends(quiet: SandboxServer, ear: Ear) -> None:
    with Caller(quiet) as caller:
        linked = caller.link_ready("login-2", webhook=ear.url)
        ends_at = caller.ask("/item/get", access_token=linked.access_token)["item"][
            "consent_expiration_time"
        ]
        quiet.advance(timedelta(days=173))
        assert ear.last("PENDING_EXPIRATION")["consent_expiration_time"] == ends_at
        quiet.advance(timedelta(days=7))
        refused = caller.fail("/accounts/get", access_token=linked.access_token)

    assert datetime.fromisoformat(ends_at) == USUAL_START + timedelta(days=180)
    assert refused == (400, "ITEM_LOGIN_REQUIRED")
    assert ear.last("ERROR")["error"]["error_code_reason"] == "OAUTH_CONSENT_EXPIRED"
    assert ear.codes().count("PENDING_EXPIRATION") == 1
    _check_all(ear)


def test_consent_in_america_disconnects_and_logins_expire(
    start_sandbox: StartSandbox, ear: Ear
) -> None:
    server = start_sandbox(
        quiet=True, consent_us=timedelta(days=20), login_expires_after=timedelta(days=15)
    )
    with Caller(server) as caller:
        caller.link_ready("login-1", webhook=ear.url)
        server.advance(timedelta(days=14))
        warned = ear.codes()
        server.advance(timedelta(days=1))

    assert warned[-1] == "PENDING_DISCONNECT"
    assert ear.last("ERROR")["error"]["error_code"] == "ITEM_LOGIN_REQUIRED"
    _check_all(ear)


@pytest.mark.parametrize(
    "code",
    sorted(
        set(SCHEMAS)
        - {
            "INITIAL_UPDATE",
            "HISTORICAL_UPDATE",
            "TRANSACTIONS_REMOVED",
            "PENDING_EXPIRATION",
            "WEBHOOK_UPDATE_ACKNOWLEDGED",
        }
    ),
)
def test_any_webhook_can_be_fired(quiet: SandboxServer, ear: Ear, code: str) -> None:
    with Caller(quiet) as caller:
        linked = caller.link_ready(webhook=ear.url)
        _fire(caller, linked, code)

    assert ear.codes()[-1] == code
    _check_all(ear)


def test_a_new_address_is_told_and_none_silences(quiet_caller: Caller, ear: Ear) -> None:
    linked = quiet_caller.link_ready()
    quiet_caller.ask("/item/webhook/update", access_token=linked.access_token, webhook=ear.url)
    quiet_caller.sandbox.settle()
    quiet_caller.ask("/item/webhook/update", access_token=linked.access_token, webhook=None)
    refused = quiet_caller.fail(
        "/sandbox/item/fire_webhook", access_token=linked.access_token, webhook_code="ERROR"
    )

    assert ear.codes() == ["WEBHOOK_UPDATE_ACKNOWLEDGED"]
    assert ear.last("WEBHOOK_UPDATE_ACKNOWLEDGED")["new_webhook_url"] == ear.url
    assert refused == (400, "SANDBOX_WEBHOOK_INVALID")
    _check_all(ear)


def test_forged_and_repeated_webhooks_can_be_sent(quiet_caller: Caller, ear: Ear) -> None:
    asked = {"url": ear.url, "body": "{}", "copies": 3, "headers": {"Plaid-Verification": "forged"}}

    quiet_caller.http.post("/_sim/webhooks", json=asked)

    assert [(one.body, one.signature) for one in ear.heard] == [(b"{}", "forged")] * 3


def test_a_running_clock_announces_without_being_advanced(ear: Ear) -> None:
    world = World(1, clock=VirtualClock(USUAL_START, running=True), quiet=True)
    options = PlaidOptions(
        initial_after=timedelta(0), historical_after=timedelta(0), tick_s=0.02, limit_scale=None
    )
    with SandboxServer(world=world, options=options) as server, Caller(server) as caller:
        linked = caller.link(webhook=ear.url)
        caller.pages(linked)
        caller.sandbox.settle()
        ear.heard.clear()
        world.add_booked(CHECKING, Decimal(-1))
        assert ear.wait_for(2)

    assert set(ear.codes()) == {"DEFAULT_UPDATE", "SYNC_UPDATES_AVAILABLE"}


def _fire(caller: Caller, linked: Linked, code: str) -> None:
    caller.ask("/sandbox/item/fire_webhook", access_token=linked.access_token, webhook_code=code)
    caller.sandbox.settle()


def _verified(caller: Caller, heard: Heard) -> dict[str, object]:
    """Verify as Plaid's documentation says a receiver should."""
    signature = heard.signature or ""
    header = jwt.get_unverified_header(signature)
    assert header["alg"] == "ES256"
    key = caller.ask("/webhook_verification_key/get", key_id=header["kid"])["key"]
    return dict(
        jwt.decode(
            signature, jwt.PyJWK(key).key, algorithms=["ES256"], options={"verify_iat": False}
        )
    )


def _unverified(heard: Heard) -> dict[str, int]:
    return dict(jwt.decode(heard.signature or "", options={"verify_signature": False}))


def _check_all(ear: Ear) -> None:
    for heard in ear.heard:
        check_component(SCHEMAS[heard.json["webhook_code"]], heard.json)
