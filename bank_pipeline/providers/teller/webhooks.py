"""
Teller's webhooks: prove that Teller sent exactly these bytes a moment ago, then say what for.

The header holds a time and one signature for each secret that is in use: while secrets are
exchanged there are two, under the same name.

Source: https://teller.io/docs/api/webhooks
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import SecretStr

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.webhooks import Refusal
from bank_pipeline.errors import WebhookRejectedError
from bank_pipeline.providers.base import EventKind, ProviderEvent
from bank_pipeline.providers.exact_json import is_storable, parse_json
from bank_pipeline.providers.teller.errors import to_word
from bank_pipeline.providers.webhook_kinds import kind_of

HEADER: Final = "teller-signature"
AGE_MAX_S: Final = 180.0  # Teller's own advice
SKEW_MAX_S: Final = 60.0  # clocks that disagree, not a replay from the future
_HEADER_LENGTH_MAX: Final = 4096
_SIGNATURES_MAX: Final = 16
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_DISCONNECTED: Final = "enrollment.disconnected"
_ENVELOPE: Final = ("id", "type", "timestamp")
_KEPT: Final = ("enrollment_id", "account_id", "reason", "status")


class WebhookVerifier:
    """Verifies webhooks with every secret that is in use. Without one, none is believed."""

    def __init__(self, secrets: Sequence[SecretStr]) -> None:
        self._secrets = tuple(secrets)

    def verify(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> ProviderEvent:
        """
        Return the event if, and only if, Teller sent exactly these bytes in the last minutes.

        Raises:
            WebhookRejectedError: forged, altered, stale, or not signed at all.
        """
        if not self._secrets:
            why = "TELLER_SIGNING_SECRET is not set: nothing can be believed"
            raise WebhookRejectedError(Refusal.NOT_SET_UP, why)
        signed_at, signatures = _to_parts(headers)
        message = signed_at.encode() + b"." + body
        if not self._is_signed(message, signatures):
            raise WebhookRejectedError(Refusal.BAD_SIGNATURE, "the signature does not hold")
        age_s = now.timestamp() - int(signed_at)
        if age_s > AGE_MAX_S:
            raise WebhookRejectedError(Refusal.STALE, "signed too long ago")
        if age_s < -SKEW_MAX_S:
            raise WebhookRejectedError(Refusal.FROM_THE_FUTURE, "signed in the future")
        return to_event(body, or_key=hashlib.sha256(message).hexdigest())

    def _is_signed(self, message: bytes, signatures: Sequence[str]) -> bool:
        is_signed = False
        for secret in self._secrets:
            key = secret.get_secret_value().encode()
            expected = hmac.new(key, message, hashlib.sha256).hexdigest().encode()
            for signature in signatures:
                # Every pair is compared: how long it takes says nothing.
                is_signed |= hmac.compare_digest(expected, signature.encode())
        return is_signed


def to_event(body: bytes, *, or_key: str) -> ProviderEvent:
    """
    Translate a verified body. One that we cannot read is kept and ignored.

    The key is Teller's own id, which a repeated delivery keeps; `or_key` where there is none.
    Transactions stay out of the payload: the sync asks for them, and says what is gone, too.
    """
    try:
        parsed = parse_json(body)
    except ValueError:
        parsed = None
    said = parsed if isinstance(parsed, dict) else {}
    payload = said.get("payload")
    told = payload if isinstance(payload, dict) else {}
    kept = {
        **{key: said[key] for key in _ENVELOPE if isinstance(said.get(key), str)},
        "payload": _to_kept(told),
    }
    if not said or not is_storable(kept):
        return ProviderEvent(Provider.TELLER, EventKind.IGNORE, "UNREADABLE", None, or_key)
    word = to_word(said.get("type")) or "UNKNOWN"
    enrollment_id = told.get("enrollment_id")
    return ProviderEvent(
        provider=Provider.TELLER,
        kind=kind_of(Provider.TELLER, word),
        code=_to_code(word, told.get("reason")),
        external_id=enrollment_id if isinstance(enrollment_id, str) and enrollment_id else None,
        event_key=to_word(said.get("id")) or or_key,
        payload=kept,
    )


def _to_code(word: str, reason: object) -> str:
    """Return the code that a call would fail with: the reason is spelt without its first part."""
    said = to_word(reason)
    if word == _DISCONNECTED and said and f"enrollment.{said}".startswith(f"{word}."):
        return f"enrollment.{said}"
    return word


def _to_kept(told: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {
        key: value for key, value in told.items() if key in _KEPT and isinstance(value, str)
    }
    rows = told.get("transactions")
    if isinstance(rows, list):
        named = {row.get("account_id") for row in rows if isinstance(row, dict)}
        kept["account_ids"] = sorted(name for name in named if isinstance(name, str))
        kept["transactions_count"] = len(rows)
    return kept


def _to_parts(headers: Mapping[str, str]) -> tuple[str, list[str]]:
    """Read `t=...,v1=...,v1=...` in any order; a name may come more than once."""
    found = [value for name, value in headers.items() if name.lower() == HEADER]
    if not any(found):
        raise WebhookRejectedError(Refusal.UNSIGNED, "no Teller-Signature header")
    if len(found) != 1 or len(found[0]) > _HEADER_LENGTH_MAX:
        raise WebhookRejectedError(Refusal.MALFORMED, "an odd Teller-Signature header")
    parts = [part.strip().partition("=") for part in found[0].split(",")]
    times = [value for name, _, value in parts if name == "t"]
    signatures = [value.lower() for name, _, value in parts if name == "v1"]
    if len(times) != 1 or not _SECONDS.fullmatch(times[0]):
        raise WebhookRejectedError(Refusal.MALFORMED, "it does not say when it was signed")
    if not 0 < len(signatures) <= _SIGNATURES_MAX:
        raise WebhookRejectedError(Refusal.MALFORMED, "no signature, or too many")
    return times[0], signatures
