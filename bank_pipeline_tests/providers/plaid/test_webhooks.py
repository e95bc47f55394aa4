"""Only what Plaid signed a moment ago is believed, and forgeries cost Plaid no calls."""

import base64
import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bank_pipeline.domain.webhooks import Refusal
from bank_pipeline.errors import (
    TransientError,
    WebhookRejectedError,
)
from bank_pipeline.providers.base import EventKind
from bank_pipeline.providers.exact_json import is_storable
from bank_pipeline.providers.plaid import webhooks
from bank_pipeline.providers.plaid.provider import PlaidProvider
from bank_pipeline.providers.plaid.webhooks import WebhookVerifier
from bank_pipeline_tests.providers.plaid.builders import error_body
from bank_pipeline_tests.providers.plaid.signing import (
    BODY,
    NOW,
    Keys,
    jwk,
    signed,
)
from bank_pipeline_tests.providers.stub import Reply, Stub


def test_a_signed_webhook_becomes_an_event() -> None:
    event = WebhookVerifier(Keys()).verify(signed(), BODY, now=NOW)
    assert event.kind is EventKind.SYNC
    assert event.code == "TRANSACTIONS/SYNC_UPDATES_AVAILABLE"
    assert event.external_id == "item-1"
    assert event.payload == json.loads(BODY)


def key_of(headers: dict[str, str], body: bytes = BODY, *, now: datetime = NOW) -> str:
    return WebhookVerifier(Keys()).verify(headers, body, now=now).event_key


def test_the_same_news_again_is_another_event() -> None:
    """A body has neither id nor time: by it alone, all but the first would be swallowed."""
    keys = {key_of(signed(at=at), now=at) for at in (NOW, NOW + timedelta(seconds=1))}
    assert len(keys) == 2


def test_another_body_in_the_same_second_is_another_event() -> None:
    other = BODY.replace(b"item-1", b"item-2")
    assert key_of(signed(other), other) != key_of(signed())


def test_one_delivery_that_arrives_twice_is_one_event() -> None:
    headers = signed()
    assert key_of(headers) == key_of(headers, now=NOW + timedelta(seconds=299))


def test_whoever_replays_a_delivery_cannot_pass_it_off_as_another() -> None:
    """One token has many valid spellings; every one that is believed is the same event."""
    headers = signed()
    token = headers["Plaid-Verification"]
    spellings = {
        token + "=",
        token + "==",
        f" {token}",
        f"{token} ",
        f"{token}\n",
        *(token[:-1] + chr(ord(token[-1]) + step) for step in (-1, 1)),
        with_the_other_signature(token),
    }
    keys = set()
    for spelling in spellings:
        try:
            keys.add(key_of({"Plaid-Verification": spelling}))
        except WebhookRejectedError:
            continue
    assert key_of({"Plaid-Verification": with_the_other_signature(token)}) == key_of(headers)
    assert keys == {key_of(headers)}


def with_the_other_signature(token: str) -> str:
    """For every signature (r, s) there is (r, n - s), as valid."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    claims, signature = token.rsplit(".", 1)
    raw = base64.urlsafe_b64decode(signature + "==")
    other = raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32)
    return f"{claims}.{base64.urlsafe_b64encode(other).decode().rstrip('=')}"


def test_the_header_may_come_in_any_case() -> None:
    for name in ("plaid-verification", "PLAID-VERIFICATION"):
        headers = {name: signed()["Plaid-Verification"], "host": "x"}
        WebhookVerifier(Keys()).verify(headers, BODY, now=NOW)


def alg_none() -> dict[str, str]:
    return {"Plaid-Verification": jwt.encode({"iat": 1}, "", "none", headers={"kid": "key-1"})}


def alg_hs256() -> dict[str, str]:
    secret = "x" * 64
    token = jwt.encode({"iat": 1}, secret, "HS256", headers={"kid": "key-1"})
    return {"Plaid-Verification": token}


def other_signer() -> dict[str, str]:
    stranger = ec.generate_private_key(ec.SECP256R1())
    claims = {
        "iat": int(NOW.timestamp()),
        "request_body_sha256": hashlib.sha256(BODY).hexdigest(),
    }
    token = jwt.encode(claims, stranger, algorithm="ES256", headers={"kid": "key-1"})
    return {"Plaid-Verification": token}


def token(header: str, claims: str = "{}") -> dict[str, str]:
    """Return an unsigned token of any two texts."""
    parts = [
        base64.urlsafe_b64encode(one.encode()).decode().rstrip("=") for one in (header, claims)
    ]
    return {"Plaid-Verification": ".".join([*parts, "AA"])}


HEAD = '{"alg": "ES256", "kid": "key-1"}'


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({}, Refusal.UNSIGNED),
        ({"Plaid-Verification": ""}, Refusal.UNSIGNED),
        ({"Plaid-Verification": "nonsense"}, Refusal.MALFORMED),
        ({"Plaid-Verification": "a.b.c"}, Refusal.MALFORMED),
        ({"Plaid-Verification": "x" * 5000}, Refusal.MALFORMED),
        ({"Plaid-Verification": "\u00e9.\u00e9.\u00e9"}, Refusal.MALFORMED),
        (signed() | {"plaid-verification": signed()["Plaid-Verification"]}, Refusal.MALFORMED),
        (token("[" * 2500), Refusal.MALFORMED),
        (token("[]"), Refusal.MALFORMED),
        (token('{"alg": "ES256", "kid": 1}'), Refusal.MALFORMED),
        (token(HEAD, "[" * 2500), Refusal.MALFORMED),
        (token(HEAD, "[]"), Refusal.MALFORMED),
        (token(HEAD, f'{{"iat": {"9" * 1000}}}'), Refusal.FROM_THE_FUTURE),
        (token(HEAD, f'{{"iat": -{"9" * 1000}}}'), Refusal.STALE),
        (token(HEAD, '{"iat": NaN}'), Refusal.STALE),
        (token(HEAD, '{"iat": Infinity}'), Refusal.FROM_THE_FUTURE),
        (alg_none(), Refusal.WRONG_ALGORITHM),
        (alg_hs256(), Refusal.WRONG_ALGORITHM),
        (other_signer(), Refusal.BAD_SIGNATURE),
        (signed(b"another body"), Refusal.ALTERED_BODY),
        (signed(at=NOW - timedelta(seconds=301)), Refusal.STALE),
        (signed(at=NOW + timedelta(seconds=61)), Refusal.FROM_THE_FUTURE),
        (signed(iat="now"), Refusal.MALFORMED),
        (signed(iat=True), Refusal.MALFORMED),
        (signed(iat=None), Refusal.MALFORMED),
        (signed(request_body_sha256=None), Refusal.MALFORMED),
        (signed(request_body_sha256="\u00e9"), Refusal.ALTERED_BODY),
        (signed(request_body_sha256="\ud800"), Refusal.ALTERED_BODY),
        (signed(key_id="../../etc"), Refusal.MALFORMED),
        (signed(key_id="x" * 65), Refusal.MALFORMED),
        (signed(key_id="key-unknown"), Refusal.UNKNOWN_KEY),
    ],
)
def test_whatever_is_not_plaids_is_rejected(headers: dict[str, str], refusal: Refusal) -> None:
    with pytest.raises(WebhookRejectedError) as caught:
        WebhookVerifier(Keys()).verify(headers, BODY, now=NOW)
    assert caught.value.refusal is refusal


@pytest.mark.parametrize(
    "headers",
    [
        signed(b"another body", key_id="fresh"),
        signed(at=NOW - timedelta(hours=1), key_id="fresh"),
        signed(at=NOW + timedelta(hours=1), key_id="fresh"),
        token('{"alg": "ES256", "kid": "fresh"}'),
    ],
)
def test_what_cannot_be_of_now_costs_no_call(headers: dict[str, str]) -> None:
    """A key is asked for only where the claims could be true."""
    keys = Keys()
    with pytest.raises(WebhookRejectedError):
        WebhookVerifier(keys).verify(headers, BODY, now=NOW)
    assert keys.asked == []


def test_a_body_written_anew_is_rejected() -> None:
    with pytest.raises(WebhookRejectedError):
        WebhookVerifier(Keys()).verify(signed(), json.dumps(json.loads(BODY)).encode(), now=NOW)


@pytest.mark.parametrize("offset_s", [-300, 0, 60])
def test_clocks_may_differ_a_little(offset_s: int) -> None:
    headers = signed(at=NOW + timedelta(seconds=offset_s))
    WebhookVerifier(Keys()).verify(headers, BODY, now=NOW)


def test_the_key_comes_from_plaid_itself(stub: Stub, plaid: PlaidProvider) -> None:
    stub.plays(Reply({"key": jwk(), "request_id": "r"}))
    assert plaid.verify_webhook(signed(), BODY, now=NOW).kind is EventKind.SYNC
    assert stub.received[0].body == {"key_id": "key-1"}
    stub.plays(Reply(error_body("INVALID_WEBHOOK_VERIFICATION_KEY_ID"), 400))
    with pytest.raises(WebhookRejectedError):
        plaid.verify_webhook(signed(key_id="key-9"), BODY, now=NOW)


def test_plaid_being_down_says_nothing_about_the_webhook(stub: Stub, plaid: PlaidProvider) -> None:
    stub.plays(Reply(error_body("INTERNAL_SERVER_ERROR"), 500))
    with pytest.raises(TransientError):
        plaid.verify_webhook(signed(), BODY, now=NOW)
    assert len(stub.received) == 1


def event_of(payload: Any) -> Any:
    return webhooks.to_event(json.dumps(payload).encode(), event_key="k")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error_code": "ITEM_LOGIN_REQUIRED"}, EventKind.NEEDS_REAUTH),
        ({"error_code": "USER_PERMISSION_REVOKED"}, EventKind.REVOKED),
        ({"error_code": "INSTITUTION_DOWN"}, EventKind.SYNC),
        ({"error_code": "BRAND_NEW"}, EventKind.SYNC),
        ("a mere text", EventKind.SYNC),
        (None, EventKind.SYNC),
    ],
)
def test_an_item_error_stops_calls_only_when_a_person_must_act(
    error: object, kind: EventKind
) -> None:
    payload = {"webhook_type": "ITEM", "webhook_code": "ERROR", "item_id": "i", "error": error}
    assert event_of(payload).kind is kind


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b"<html>",
        b"\xff",
        b'{"webhook_type": 1}',
        b"{}",
        b"[" * 100_000,
        b'{"item_id": "i\\u0000"}',
        b'{"item_id": "\xed\xa0\x80"}',
    ],
)
def test_a_signed_body_we_cannot_read_is_kept_and_ignored(body: bytes) -> None:
    event = WebhookVerifier(Keys()).verify(signed(body), body, now=NOW)
    assert (event.kind, event.external_id) == (EventKind.IGNORE, None)


def test_an_odd_character_in_a_text_does_not_hide_that_a_login_broke() -> None:
    error = {"error_code": "ITEM_LOGIN_REQUIRED", "display_message": "a\0b"}
    payload = {"webhook_type": "ITEM", "webhook_code": "ERROR", "item_id": "item-1", "error": error}
    event = event_of(payload)
    assert (event.kind, event.external_id) == (EventKind.NEEDS_REAUTH, "item-1")
    assert is_storable(event.payload)
    assert json.loads(event.payload["error"]) == error


def test_an_item_that_is_odd_or_endless_is_nobodys() -> None:
    for item_id in ("a\0", "x" * 513):
        event = event_of({"webhook_type": "ITEM", "webhook_code": "\0", "item_id": item_id})
        assert (event.kind, event.external_id) == (EventKind.IGNORE, None)
        assert is_storable([event.code, event.payload])


def test_tokens_never_reach_the_stored_event() -> None:
    payload = {
        "webhook_type": "LINK",
        "webhook_code": "SESSION_FINISHED",
        "link_token": "link-1",
        "public_tokens": ["public-1"],
        "public_token": "public-1",
    }
    event = event_of(payload)
    assert event.kind is EventKind.LINK_FINISHED
    assert event.payload["link_token"] == "link-1"
    assert "public-1" not in repr(event)
