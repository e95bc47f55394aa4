"""Only what Teller signed a moment ago is believed."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.webhooks import Refusal
from bank_pipeline.errors import ReauthRequiredError, WebhookRejectedError
from bank_pipeline.providers.base import EventKind, ProviderEvent
from bank_pipeline.providers.teller.errors import error_of_code
from bank_pipeline.providers.teller.webhooks import WebhookVerifier
from bank_pipeline.providers.webhook_kinds import KIND_OF_CODE
from bank_pipeline_tests.providers.teller.builders import build_provider, transaction

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OLD, NEW = "old-secret", "new-secret"


def body(type_: str = "transactions.processed", **payload: Any) -> bytes:
    told = {"enrollment_id": "enr_1"} | payload
    return json.dumps({"id": "wh_1", "type": type_, "timestamp": "t", "payload": told}).encode()


def signature(content: bytes, secret: str, at: datetime = NOW) -> str:
    message = f"{int(at.timestamp())}.".encode() + content
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def header(content: bytes, *secrets: str, at: datetime = NOW) -> str:
    parts = [f"v1={signature(content, secret, at)}" for secret in secrets]
    return ",".join([f"t={int(at.timestamp())}", *parts])


def verified(content: bytes, value: str, *secrets: str, now: datetime = NOW) -> ProviderEvent:
    verifier = WebhookVerifier([SecretStr(secret) for secret in secrets or (NEW,)])
    return verifier.verify({"Teller-Signature": value}, content, now=now)


def test_a_signed_webhook_becomes_an_event() -> None:
    event = verified(body(), header(body(), NEW))
    assert (event.kind, event.code) == (EventKind.SYNC, "transactions.processed")
    assert (event.external_id, event.event_key) == ("enr_1", "wh_1")


def test_either_secret_is_enough_while_they_are_exchanged() -> None:
    value = header(body(), OLD, NEW)
    for secrets in ((NEW,), (OLD,), (OLD, NEW)):
        assert verified(body(), value, *secrets).event_key == "wh_1"
    assert verified(body(), header(body(), OLD), NEW, OLD).event_key == "wh_1"


def test_the_parts_of_the_header_come_in_any_order_and_the_header_in_any_case() -> None:
    time, *signatures = header(body(), OLD, NEW).split(",")
    value = ", ".join([signatures[1], "v0=x", time, signatures[0]])
    verifier = WebhookVerifier([SecretStr(NEW)])
    for name in ("teller-signature", "TELLER-SIGNATURE"):
        assert verifier.verify({name: value, "host": "x"}, body(), now=NOW).event_key == "wh_1"


@pytest.mark.parametrize(
    ("value", "refusal"),
    [
        ("", Refusal.UNSIGNED),
        ("t=1", Refusal.MALFORMED),
        ("v1=aa", Refusal.MALFORMED),
        ("nonsense", Refusal.MALFORMED),
        (header(body(), OLD), Refusal.BAD_SIGNATURE),
        (header(b"{}", NEW), Refusal.BAD_SIGNATURE),
        (header(body(), NEW).replace("v1=", "v0="), Refusal.MALFORMED),
        (header(body(), NEW).replace("t=", "t=9"), Refusal.BAD_SIGNATURE),
        (header(body(), NEW) + ",t=1", Refusal.MALFORMED),
        (header(body(), NEW).replace("t=", "t=-"), Refusal.MALFORMED),
        ("t=\N{ARABIC-INDIC DIGIT ONE},v1=aa", Refusal.MALFORMED),
        (f"t={int(NOW.timestamp())},v1=\N{SNOWMAN}", Refusal.BAD_SIGNATURE),
        (header(body(), NEW) + ",v1=a" * 20, Refusal.MALFORMED),
        (header(body(), NEW) + "," * 5000, Refusal.MALFORMED),
    ],
)
def test_forgeries_are_turned_away(value: str, refusal: Refusal) -> None:
    with pytest.raises(WebhookRejectedError) as caught:
        verified(body(), value)
    assert caught.value.refusal is refusal


def test_without_a_header_or_a_secret_nothing_is_believed() -> None:
    with pytest.raises(WebhookRejectedError):
        WebhookVerifier([SecretStr(NEW)]).verify({}, body(), now=NOW)
    with pytest.raises(WebhookRejectedError, match="TELLER_SIGNING_SECRET"):
        WebhookVerifier([]).verify({"teller-signature": header(body(), "")}, body(), now=NOW)


@pytest.mark.parametrize(
    ("age_s", "is_believed"), [(180, True), (181, False), (-60, True), (-61, False)]
)
def test_three_minutes_old_is_too_old_and_the_future_is_no_place(
    age_s: int, is_believed: bool
) -> None:
    value = header(body(), NEW, at=NOW - timedelta(seconds=age_s))
    if is_believed:
        assert verified(body(), value).event_key == "wh_1"
    else:
        with pytest.raises(WebhookRejectedError) as caught:
            verified(body(), value)
        assert caught.value.refusal is (Refusal.STALE if age_s > 0 else Refusal.FROM_THE_FUTURE)


def test_one_delivery_signed_again_is_one_event() -> None:
    later = NOW + timedelta(hours=1)
    again = verified(body(), header(body(), NEW, at=later), now=later)
    assert again.event_key == verified(body(), header(body(), NEW)).event_key


def test_without_an_id_the_signed_bytes_name_the_delivery() -> None:
    content = b'{"type": "webhook.test", "payload": {}}'
    keys = set()
    for at in (NOW, NOW + timedelta(seconds=1)):
        for signed_with in ((OLD, NEW), (NEW,)):
            keys.add(verified(content, header(content, *signed_with, at=at), now=at).event_key)
    assert len(keys) == 2


@pytest.mark.parametrize(("type_", "kind"), sorted(KIND_OF_CODE[Provider.TELLER].items()))
def test_every_documented_type_has_its_kind(type_: str, kind: EventKind) -> None:
    content = body(type_)
    assert verified(content, header(content, NEW)).kind is kind


def test_a_broken_login_says_what_a_call_would_say() -> None:
    content = body("enrollment.disconnected", reason="disconnected.user_action.mfa_required")
    event = verified(content, header(content, NEW))
    assert event.kind is EventKind.NEEDS_REAUTH
    assert event.code == "enrollment.disconnected.user_action.mfa_required"
    assert type(error_of_code("accounts", event.code)) is ReauthRequiredError
    for reason in ("disconnected", "something else", None):
        content = body("enrollment.disconnected", reason=reason)
        assert verified(content, header(content, NEW)).code == "enrollment.disconnected"


@pytest.mark.parametrize(
    "content",
    [
        b'{"id": "wh_1", "type": "webhook.test", "payload": {}}',
        b'{"id": "wh_1", "type": "invented.tomorrow", "payload": {"x": 1}}',
        b'{"id": "wh_1", "type": 5, "payload": []}',
        b'{"id": "wh_1"}',
        b"[]",
        b"not json",
        b'{"id": "wh_1", "type": "transactions.processed\\u0000"}',
    ],
)
def test_what_is_unknown_or_about_no_connection_is_kept_and_ignored(content: bytes) -> None:
    event = verified(content, header(content, NEW))
    assert (event.kind, event.external_id) == (EventKind.IGNORE, None)
    assert event.event_key


def test_odd_text_in_a_row_silences_no_news() -> None:
    content = body(transactions=[transaction(1, description="A\0B")])
    event = verified(content, header(content, NEW))
    assert (event.kind, event.external_id) == (EventKind.SYNC, "enr_1")
    content = body(transactions=[transaction(1, account_id="A\0B")])
    assert verified(content, header(content, NEW)).code == "UNREADABLE"


def test_the_payload_is_small_and_names_nobody() -> None:
    content = body(transactions=[transaction(n) for n in range(300)], secret="hush")
    event = verified(content, header(content, NEW))
    assert event.payload["payload"] == {
        "enrollment_id": "enr_1",
        "account_ids": ["acc_1"],
        "transactions_count": 300,
    }
    assert "WHOLE" not in str(event)
    assert "hush" not in str(event)


def test_the_settings_secrets_are_parted_by_commas() -> None:
    teller = build_provider("http://127.0.0.1:9", teller_signing_secret=f" {OLD}, {NEW},")
    for secret in (OLD, NEW):
        headers = {"teller-signature": header(body(), secret)}
        assert teller.verify_webhook(headers, body(), now=NOW).event_key == "wh_1"
