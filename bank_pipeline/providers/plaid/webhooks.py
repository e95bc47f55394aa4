"""
Plaid's webhooks: prove that Plaid sent exactly these bytes a moment ago, then say what for.

There is no shared secret: each one carries a signed token (ES256) over the body's hash, and
the public key is asked from Plaid by its id.

Source: https://plaid.com/docs/api/webhooks/webhook-verification/
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import jwt

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.webhooks import Refusal
from bank_pipeline.errors import AccessRevokedError, ReauthRequiredError, WebhookRejectedError
from bank_pipeline.providers.base import EventKind, ProviderEvent
from bank_pipeline.providers.exact_json import dump_json, escape_odd, is_storable, parse_json
from bank_pipeline.providers.fields import ID_LENGTH_MAX
from bank_pipeline.providers.plaid.errors import ERROR_OF_CODE, to_word
from bank_pipeline.providers.plaid.webhook_keys import WebhookKeys
from bank_pipeline.providers.webhook_kinds import kind_of

HEADER: Final = "plaid-verification"
AGE_MAX_S: Final = 300.0  # Plaid's own advice
SKEW_MAX_S: Final = 60.0  # clocks that disagree, not a replay from the future
_TOKEN_LENGTH_MAX: Final = 4096
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECRETS: Final = frozenset({"public_token", "public_tokens", "access_token"})
_UNREADABLE: Final = (jwt.PyJWTError, ValueError, RecursionError)
"""What reading a token may end with: it comes from anybody, and may be nested for ever."""


class WebhookVerifier:
    """
    Verifies webhooks and remembers keys. Safe to share between threads.

    `fetch_key` asks Plaid for the JWK of a key id.
    """

    def __init__(self, fetch_key: Callable[[str], Mapping[str, Any]]) -> None:
        self._keys = WebhookKeys(fetch_key)

    def verify(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> ProviderEvent:
        """
        Return the event if, and only if, Plaid sent exactly these bytes in the last minutes.

        What a token claims is looked at twice: before its key is asked for, so that nobody
        makes us call Plaid with what is stale or of another body, and once it is proven.

        Raises:
            WebhookRejectedError: forged, altered, stale, or not signed at all.
            ProviderError: Plaid could not be asked for the key; nothing is known yet.
        """
        token = _to_token(headers)
        key_id = _to_key_id(token)
        actual, now_s = hashlib.sha256(body).hexdigest(), now.timestamp()
        _check_claims(_to_claims(token, None), actual, now_s=now_s)
        claims = _to_claims(token, self._keys.find(key_id, now_s=now_s))
        _check_claims(claims, actual, now_s=now_s)
        return to_event(body, event_key=_to_event_key(claims["iat"], actual))


def to_event(body: bytes, *, event_key: str) -> ProviderEvent:
    """
    Translate a verified body. One that we cannot read is kept and ignored: refusing it
    would only make Plaid repeat it.

    Tokens are left out of the payload; a link's outcome is asked for with the link token.
    """
    try:
        payload = parse_json(body)
    except ValueError:
        payload = None
    if not isinstance(payload, dict):
        return ProviderEvent(Provider.PLAID, EventKind.IGNORE, "UNREADABLE", None, event_key)
    code = f"{payload.get('webhook_type')}/{payload.get('webhook_code')}"
    item_id = payload.get("item_id")
    is_named = isinstance(item_id, str) and 0 < len(item_id) <= ID_LENGTH_MAX
    return ProviderEvent(
        provider=Provider.PLAID,
        kind=_to_kind(code, payload.get("error")),
        code=escape_odd(code),
        external_id=item_id if is_named and is_storable(item_id) else None,
        event_key=event_key,
        payload=_without_odd_text(payload),
    )


def _without_odd_text(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a database can hold: a field with an odd character as JSON spells it."""
    return {
        escape_odd(key): value if is_storable(value) else dump_json(value)
        for key, value in payload.items()
        if key not in _SECRETS
    }


def _to_kind(code: str, error: object) -> EventKind:
    return kind_of_error(error) if code == "ITEM/ERROR" else kind_of(Provider.PLAID, code)


def kind_of_error(error: object) -> EventKind:
    """
    Return what the error of an Item asks for.

    An outage is no reason to stop: a sync finds out by itself how things are.
    """
    code = to_word(error.get("error_code")) if isinstance(error, dict) else None
    kind = ERROR_OF_CODE.get(code or "")
    if kind is ReauthRequiredError:
        return EventKind.NEEDS_REAUTH
    return EventKind.REVOKED if kind is AccessRevokedError else EventKind.SYNC


def _to_token(headers: Mapping[str, str]) -> str:
    found = [value for name, value in headers.items() if name.lower() == HEADER]
    if not any(found):
        raise WebhookRejectedError(Refusal.UNSIGNED, "no Plaid-Verification header")
    if len(found) != 1 or len(found[0]) > _TOKEN_LENGTH_MAX:
        raise WebhookRejectedError(Refusal.MALFORMED, "an odd Plaid-Verification header")
    return found[0]


def _to_key_id(token: str) -> str:
    try:
        header = jwt.get_unverified_header(token)
    except _UNREADABLE:
        raise WebhookRejectedError(Refusal.MALFORMED, "not a signed token") from None
    key_id = header.get("kid")
    if header.get("alg") != "ES256":
        why = "signed with another algorithm than ES256"
        raise WebhookRejectedError(Refusal.WRONG_ALGORITHM, why)
    if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
        raise WebhookRejectedError(Refusal.MALFORMED, "no usable key id")
    return key_id


def _to_claims(token: str, key: jwt.PyJWK | None) -> Mapping[str, Any]:
    """Return what a token claims, proven with a key, or just claimed."""
    # Times are checked against our own `now`, not against the process's clock.
    options: Any = {
        "verify_signature": key is not None,
        "verify_exp": False,
        "verify_nbf": False,
        "verify_iat": False,
        "verify_aud": False,
        "verify_iss": False,
        "verify_sub": False,
        "verify_jti": False,
    }
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token, key or "", algorithms=["ES256"], options=options
        )
    except _UNREADABLE:
        if key is None:
            raise WebhookRejectedError(Refusal.MALFORMED, "not a signed token") from None
        raise WebhookRejectedError(Refusal.BAD_SIGNATURE, "the signature does not hold") from None
    return claims


def _check_claims(claims: Mapping[str, Any], body_sha256: str, *, now_s: float) -> None:
    issued_at_s = claims.get("iat")
    if isinstance(issued_at_s, bool) or not isinstance(issued_at_s, int | float):
        raise WebhookRejectedError(Refusal.MALFORMED, "it does not say when it was signed")
    # Compared, not subtracted: an integer from outside may be too large for that.
    if issued_at_s > now_s + SKEW_MAX_S:
        raise WebhookRejectedError(Refusal.FROM_THE_FUTURE, "signed in the future")
    if not issued_at_s >= now_s - AGE_MAX_S:
        raise WebhookRejectedError(Refusal.STALE, "signed too long ago")
    stated = claims.get("request_body_sha256")
    if not isinstance(stated, str):
        raise WebhookRejectedError(Refusal.MALFORMED, "it does not say which body was signed")
    # A JSON text may hold half of a character, which has no bytes.
    if not hmac.compare_digest(stated.encode(errors="replace"), body_sha256.encode()):
        raise WebhookRejectedError(Refusal.ALTERED_BODY, "the body is not the one that was signed")


def _to_event_key(issued_at_s: float, body_sha256: str) -> str:
    """
    Name one delivery by what Plaid signed: when, and over which body.

    Plaid's bodies carry no id and no time, so the body alone would be the same for every
    later event of its kind. The token is no name either: whoever holds it can spell it in
    several valid ways (padding, or n - s for s in the signature). The claims they cannot
    vary. A retry is signed anew and so is another event; two webhooks of one body in one
    second are one.
    """
    return hashlib.sha256(f"{issued_at_s!r} {body_sha256}".encode()).hexdigest()
