"""Only what Plaid signed a moment ago is believed, and forgeries cost Plaid no calls."""

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import ConfigurationError, TransientError, WebhookRejectedError
from bank_pipeline.providers.base import EventKind
from bank_pipeline.providers.plaid import webhooks
from bank_pipeline.providers.plaid.provider import PlaidProvider
from bank_pipeline.providers.plaid.webhooks import KIND_OF_CODE, WebhookVerifier
from bank_pipeline_tests.providers.plaid.builders import error_body
from bank_pipeline_tests.providers.stub import Reply, Stub

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
PRIVATE_KEY = ec.generate_private_key(ec.SECP256R1())
BODY = json.dumps(
    {"webhook_type": "TRANSACTIONS", "webhook_code": "SYNC_UPDATES_AVAILABLE", "item_id": "item-1"},
    indent=2,
).encode()


def jwk(key_id: str = "key-1", **fields: Any) -> dict[str, Any]:
    public: dict[str, Any] = ECAlgorithm.to_jwk(PRIVATE_KEY.public_key(), as_dict=True)
    described = {"kid": key_id, "alg": "ES256", "use": "sig", "created_at": 1, "expired_at": None}
    return public | described | fields


def signed(
    body: bytes = BODY, *, at: datetime = NOW, key_id: str = "key-1", **claims: Any
) -> dict[str, str]:
    payload = {
        "iat": int(at.timestamp()),
        "request_body_sha256": hashlib.sha256(body).hexdigest(),
    } | claims
    token = jwt.encode(payload, PRIVATE_KEY, algorithm="ES256", headers={"kid": key_id})
    return {"Plaid-Verification": token}


class Keys:
    """Plaid's key endpoint, counted."""

    def __init__(self, **keys: dict[str, Any]) -> None:
        self.keys = keys or {"key-1": jwk()}
        self.asked: list[str] = []

    def __call__(self, key_id: str) -> Mapping[str, Any]:
        self.asked.append(key_id)
        if key_id not in self.keys:
            raise ConfigurationError(
                Provider.PLAID,
                "webhook_verification_key/get",
                code="INVALID_WEBHOOK_VERIFICATION_KEY_ID",
            )
        return self.keys[key_id]


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


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Plaid-Verification": ""},
        {"Plaid-Verification": "nonsense"},
        {"Plaid-Verification": "a.b.c"},
        {"Plaid-Verification": "x" * 5000},
        {"Plaid-Verification": "\u00e9.\u00e9.\u00e9"},
        signed() | {"plaid-verification": signed()["Plaid-Verification"]},
        alg_none(),
        alg_hs256(),
        other_signer(),
        signed(b"another body"),
        signed(at=NOW - timedelta(seconds=301)),
        signed(at=NOW + timedelta(seconds=61)),
        signed(iat="now"),
        signed(iat=True),
        signed(iat=None),
        signed(request_body_sha256=None),
        signed(request_body_sha256="\u00e9"),
        signed(key_id="../../etc"),
        signed(key_id="x" * 65),
        signed(key_id="key-unknown"),
    ],
)
def test_whatever_is_not_plaids_is_rejected(headers: dict[str, str]) -> None:
    with pytest.raises(WebhookRejectedError):
        WebhookVerifier(Keys()).verify(headers, BODY, now=NOW)


def test_a_body_written_anew_is_rejected() -> None:
    with pytest.raises(WebhookRejectedError):
        WebhookVerifier(Keys()).verify(signed(), json.dumps(json.loads(BODY)).encode(), now=NOW)


@pytest.mark.parametrize("offset_s", [-300, 0, 60])
def test_clocks_may_differ_a_little(offset_s: int) -> None:
    headers = signed(at=NOW + timedelta(seconds=offset_s))
    WebhookVerifier(Keys()).verify(headers, BODY, now=NOW)


@pytest.mark.parametrize(
    "fields",
    [
        {"expired_at": 1},
        {"alg": "RS256"},
        {"crv": "P-384"},
        {"kty": "RSA"},
        {"kid": "key-2"},
        {"x": "AA"},
        {"x": None},
    ],
)
def test_a_key_that_is_not_fit_is_no_key(fields: dict[str, Any]) -> None:
    keys = Keys(**{"key-1": jwk(**fields)})
    with pytest.raises(WebhookRejectedError):
        WebhookVerifier(keys).verify(signed(), BODY, now=NOW)


def test_a_key_is_asked_for_once_a_day_and_its_expiry_is_noticed() -> None:
    keys = Keys()
    verifier = WebhookVerifier(keys)
    for hours in (0, 1, 23):
        now = NOW + timedelta(hours=hours)
        verifier.verify(signed(at=now), BODY, now=now)
    assert keys.asked == ["key-1"]
    keys.keys["key-1"] = jwk(expired_at=5)
    later = NOW + timedelta(hours=25)
    with pytest.raises(WebhookRejectedError):
        verifier.verify(signed(at=later), BODY, now=later)


def test_a_storm_of_forgeries_costs_few_calls_and_stops_no_real_webhook() -> None:
    keys = Keys()
    verifier = WebhookVerifier(keys)
    verifier.verify(signed(), BODY, now=NOW)
    for number in range(500):
        with pytest.raises(WebhookRejectedError):
            verifier.verify(signed(key_id=f"forged-{number}"), BODY, now=NOW)
    assert len(keys.asked) == webhooks.KEY_CALLS_MAX
    verifier.verify(signed(), BODY, now=NOW)
    later = NOW + timedelta(minutes=2)
    keys.keys["key-2"] = jwk("key-2")
    verifier.verify(signed(at=later, key_id="key-2"), BODY, now=later)


def test_one_forged_key_is_asked_for_once() -> None:
    keys = Keys()
    verifier = WebhookVerifier(keys)
    for _ in range(5):
        with pytest.raises(WebhookRejectedError):
            verifier.verify(signed(key_id="forged"), BODY, now=NOW)
    assert keys.asked == ["forged"]


def test_the_memory_of_keys_is_bounded_and_keeps_the_good_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhooks, "KEYS_MAX", 3)
    keys = Keys()
    verifier = WebhookVerifier(keys)
    verifier.verify(signed(), BODY, now=NOW)
    for number in range(10):
        with pytest.raises(WebhookRejectedError):
            verifier.verify(signed(key_id=f"forged-{number}"), BODY, now=NOW)
    verifier.verify(signed(), BODY, now=NOW)
    assert keys.asked.count("key-1") == 1


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


def test_every_documented_webhook_has_an_event(contracts: Path) -> None:
    examples = json.loads((contracts / "plaid" / "examples" / "_webhooks.json").read_text())
    seen = set()
    for payload in examples.values():
        event = event_of(payload)
        key = (payload["webhook_type"], payload["webhook_code"])
        seen.add(key)
        assert event.kind is KIND_OF_CODE.get(key, EventKind.IGNORE) or key == ("ITEM", "ERROR")
        assert event.external_id == payload.get("item_id")
    assert set(KIND_OF_CODE) <= seen
