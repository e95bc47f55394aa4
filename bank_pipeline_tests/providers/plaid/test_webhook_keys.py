"""Keys are asked for once and remembered, and no flood of forgeries makes us call Plaid."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.webhooks import Refusal
from bank_pipeline.errors import TransientError, WebhookRejectedError
from bank_pipeline.providers.base import EventKind
from bank_pipeline.providers.plaid import webhook_keys
from bank_pipeline.providers.plaid.webhooks import WebhookVerifier
from bank_pipeline_tests.providers.plaid.signing import BODY, NOW, Keys, jwk, signed
from bank_pipeline_tests.waiting import wait_until


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
    assert len(keys.asked) == webhook_keys.KEY_CALLS_MAX
    verifier.verify(signed(), BODY, now=NOW)
    later = NOW + timedelta(minutes=2)
    keys.keys["key-2"] = jwk("key-2")
    verifier.verify(signed(at=later, key_id="key-2"), BODY, now=later)


def test_a_flood_of_forgeries_does_not_keep_a_good_key_from_being_asked_for_again() -> None:
    keys = Keys()
    verifier = WebhookVerifier(keys)
    verifier.verify(signed(), BODY, now=NOW)
    tomorrow = NOW + timedelta(hours=25)
    for number in range(30):
        headers = signed(at=tomorrow, key_id=f"forged-{number}")
        with pytest.raises(WebhookRejectedError):
            verifier.verify(headers, BODY, now=tomorrow)

    verifier.verify(signed(at=tomorrow), BODY, now=tomorrow)

    assert keys.asked.count("key-1") == 2


def test_what_was_turned_away_unseen_may_come_again() -> None:
    keys = Keys()
    verifier = WebhookVerifier(keys)
    for number in range(webhook_keys.KEY_CALLS_MAX + 1):
        with pytest.raises(WebhookRejectedError) as caught:
            verifier.verify(signed(key_id=f"forged-{number}"), BODY, now=NOW)
    assert caught.value.refusal is Refusal.TOO_MANY_KEYS
    assert caught.value.retry_after_s == webhook_keys.KEY_CALLS_WINDOW_S


def test_a_good_key_serves_on_for_a_day_while_plaid_cannot_be_asked() -> None:
    keys = Keys()
    verifier = WebhookVerifier(keys)
    verifier.verify(signed(), BODY, now=NOW)
    keys.error = TransientError(Provider.PLAID, "webhook_verification_key/get", code="DOWN")
    for hours in (25, 47):
        later = NOW + timedelta(hours=hours)
        verifier.verify(signed(at=later), BODY, now=later)
    later = NOW + timedelta(hours=49)
    with pytest.raises(TransientError):
        verifier.verify(signed(at=later), BODY, now=later)


def test_a_burst_that_meets_a_new_key_asks_for_it_once() -> None:
    """As after a restart: a hundred webhooks at once are one call, and none is turned away."""
    keys = Keys()
    keys.gate.clear()
    verifier = WebhookVerifier(keys)
    with ThreadPoolExecutor(30) as pool:
        events = [pool.submit(verifier.verify, signed(), BODY, now=NOW) for _ in range(30)]
        wait_until(lambda: bool(keys.asked), seconds=5)
        keys.gate.set()
        assert {one.result(10).kind for one in events} == {EventKind.SYNC}
    assert keys.asked == ["key-1"]


def test_a_burst_that_meets_a_failing_plaid_is_told_so_and_asks_anew() -> None:
    keys = Keys()
    keys.gate.clear()
    keys.error = TransientError(Provider.PLAID, "webhook_verification_key/get", code="DOWN")
    verifier = WebhookVerifier(keys)
    with ThreadPoolExecutor(8) as pool:
        events = [pool.submit(verifier.verify, signed(), BODY, now=NOW) for _ in range(8)]
        wait_until(lambda: bool(keys.asked), seconds=5)
        keys.gate.set()
        assert {type(one.exception(10)) for one in events} == {TransientError}
    keys.error = None
    assert verifier.verify(signed(), BODY, now=NOW).kind is EventKind.SYNC


def test_a_plaid_that_hangs_is_asked_for_few_keys_at_once() -> None:
    keys = Keys()
    keys.gate.clear()
    verifier = WebhookVerifier(keys)
    with ThreadPoolExecutor(12) as pool:
        refused = [
            pool.submit(verifier.verify, signed(key_id=f"k-{n}"), BODY, now=NOW) for n in range(12)
        ]
        wait_until(lambda: sum(one.done() for one in refused) >= 8, seconds=5)
        assert len(keys.asked) == webhook_keys.ASKED_AT_ONCE_MAX
        keys.gate.set()


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
    monkeypatch.setattr(webhook_keys, "KEYS_MAX", 3)
    keys = Keys()
    verifier = WebhookVerifier(keys)
    verifier.verify(signed(), BODY, now=NOW)
    for number in range(10):
        with pytest.raises(WebhookRejectedError):
            verifier.verify(signed(key_id=f"forged-{number}"), BODY, now=NOW)
    verifier.verify(signed(), BODY, now=NOW)
    assert keys.asked.count("key-1") == 1
