"""
Plaid's webhooks: prove that Plaid sent exactly these bytes a moment ago, then say what for.

There is no shared secret: each one carries a signed token (ES256) over the body's hash, and
the public key is asked from Plaid by its id.

Source: https://plaid.com/docs/api/webhooks/webhook-verification/
"""

import hashlib
import hmac
import re
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import jwt

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import (
    AccessRevokedError,
    ConfigurationError,
    ReauthRequiredError,
    WebhookRejectedError,
)
from bank_pipeline.providers.base import EventKind, ProviderEvent
from bank_pipeline.providers.exact_json import is_storable, parse_json
from bank_pipeline.providers.plaid.errors import ERROR_OF_CODE, to_word

HEADER: Final = "plaid-verification"
AGE_MAX_S: Final = 300.0  # Plaid's own advice
SKEW_MAX_S: Final = 60.0  # clocks that disagree, not a replay from the future
KEY_TTL_S: Final = 86_400.0  # asks again once a day, and so notices an expired key
UNKNOWN_KEY_TTL_S: Final = 300.0
KEYS_MAX: Final = 256  # Plaid has a handful
KEY_CALLS_MAX: Final = 20  # within KEY_CALLS_WINDOW_S, however many forgeries arrive
KEY_CALLS_WINDOW_S: Final = 60.0
_TOKEN_LENGTH_MAX: Final = 4096
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECRETS: Final = frozenset({"public_token", "public_tokens", "access_token"})

KIND_OF_CODE: Final[Mapping[tuple[str, str], EventKind]] = {
    ("TRANSACTIONS", "SYNC_UPDATES_AVAILABLE"): EventKind.SYNC,
    ("TRANSACTIONS", "INITIAL_UPDATE"): EventKind.SYNC,
    ("TRANSACTIONS", "HISTORICAL_UPDATE"): EventKind.HISTORICAL_SYNC,
    ("TRANSACTIONS", "DEFAULT_UPDATE"): EventKind.SYNC,
    ("TRANSACTIONS", "TRANSACTIONS_REMOVED"): EventKind.SYNC,
    ("TRANSACTIONS", "RECURRING_TRANSACTIONS_UPDATE"): EventKind.IGNORE,
    ("ITEM", "ERROR"): EventKind.SYNC,  # unless its error says more; see _kind_of_error
    ("ITEM", "LOGIN_REPAIRED"): EventKind.REPAIRED,
    ("ITEM", "PENDING_EXPIRATION"): EventKind.EXPIRING,
    ("ITEM", "PENDING_DISCONNECT"): EventKind.EXPIRING,
    ("ITEM", "USER_PERMISSION_REVOKED"): EventKind.REVOKED,
    ("ITEM", "USER_ACCOUNT_REVOKED"): EventKind.ACCOUNT_REVOKED,
    ("ITEM", "NEW_ACCOUNTS_AVAILABLE"): EventKind.NEW_ACCOUNTS,
    ("ITEM", "WEBHOOK_UPDATE_ACKNOWLEDGED"): EventKind.IGNORE,
    ("HOLDINGS", "DEFAULT_UPDATE"): EventKind.IGNORE,
    ("INVESTMENTS_TRANSACTIONS", "DEFAULT_UPDATE"): EventKind.IGNORE,
    ("INVESTMENTS_TRANSACTIONS", "HISTORICAL_UPDATE"): EventKind.IGNORE,
    ("LIABILITIES", "DEFAULT_UPDATE"): EventKind.IGNORE,
    ("LINK", "SESSION_FINISHED"): EventKind.LINK_FINISHED,
    ("LINK", "ITEM_ADD_RESULT"): EventKind.LINK_FINISHED,
    ("LINK", "EVENTS"): EventKind.IGNORE,
    ("DASHBOARD_CONFIGURED_ALERT", "INSTITUTION_STATUS_ALERT_TRIGGERED"): EventKind.IGNORE,
}
"""By type and code together: DEFAULT_UPDATE exists under several types. Unknown is IGNORE."""


@dataclass(frozen=True)
class _Known:
    key: jwt.PyJWK | None
    until_s: float


class WebhookVerifier:
    """
    Verifies webhooks and remembers keys. Safe to share between threads.

    `fetch_key` asks Plaid for the JWK of a key id. A forger chooses key ids freely, so the
    calls are bounded three ways: unknown ids are remembered, the memory is bounded, and no
    more than KEY_CALLS_MAX calls a minute are made. What is turned away comes again: Plaid
    repeats for a day.
    """

    def __init__(self, fetch_key: Callable[[str], Mapping[str, Any]]) -> None:
        self._fetch_key = fetch_key
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._calls_s: deque[float] = deque(maxlen=KEY_CALLS_MAX)
        self._lock = threading.Lock()

    def verify(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> ProviderEvent:
        """
        Return the event if, and only if, Plaid sent exactly these bytes in the last minutes.

        Raises:
            WebhookRejectedError: forged, altered, stale, or not signed at all.
            TransientError: Plaid could not be asked for the key; nothing is known yet.
        """
        token = _to_token(headers)
        key = self._key(_to_key_id(token), now_s=now.timestamp())
        claims = _verify_signature(token, key)
        _verify_age(claims.get("iat"), now_s=now.timestamp())
        stated = claims.get("request_body_sha256")
        actual = hashlib.sha256(body).hexdigest()
        if not isinstance(stated, str) or not hmac.compare_digest(stated.encode(), actual.encode()):
            raise WebhookRejectedError("the body is not the one that was signed")
        return to_event(body, event_key=_to_event_key(claims["iat"], actual))

    def _key(self, key_id: str, *, now_s: float) -> jwt.PyJWK:
        with self._lock:
            known = self._known.get(key_id)
            if known is None or known.until_s <= now_s:
                known = None
                self._count_call(now_s)
        if known is None:
            known = self._ask(key_id, now_s=now_s)
        if known.key is None:
            raise WebhookRejectedError("signed with a key that Plaid does not vouch for")
        return known.key

    def _ask(self, key_id: str, *, now_s: float) -> _Known:
        try:
            key = _to_key(self._fetch_key(key_id), key_id)
        except ConfigurationError as error:
            if error.code != "INVALID_WEBHOOK_VERIFICATION_KEY_ID":
                raise
            key = None
        known = _Known(key, now_s + (UNKNOWN_KEY_TTL_S if key is None else KEY_TTL_S))
        with self._lock:
            self._known[key_id] = known
            self._known.move_to_end(key_id)
            self._forget_most_useless()
        return known

    def _count_call(self, now_s: float) -> None:
        is_full = len(self._calls_s) == KEY_CALLS_MAX
        if is_full and now_s - self._calls_s[0] < KEY_CALLS_WINDOW_S:
            raise WebhookRejectedError("too many unknown keys; it may be delivered again later")
        self._calls_s.append(now_s)

    def _forget_most_useless(self) -> None:
        if len(self._known) > KEYS_MAX:
            # Good keys are few and dear: forget an unknown id first.
            ids = (key_id for key_id, known in self._known.items() if known.key is None)
            self._known.pop(next(ids, next(iter(self._known))))


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
    if not isinstance(payload, dict) or not is_storable(payload):
        return ProviderEvent(Provider.PLAID, EventKind.IGNORE, "UNREADABLE", None, event_key)
    type_, code = str(payload.get("webhook_type")), str(payload.get("webhook_code"))
    item_id = payload.get("item_id")
    return ProviderEvent(
        provider=Provider.PLAID,
        kind=_to_kind(type_, code, payload.get("error")),
        code=f"{type_}/{code}",
        external_id=item_id if isinstance(item_id, str) and item_id else None,
        event_key=event_key,
        payload={key: value for key, value in payload.items() if key not in _SECRETS},
    )


def _to_kind(type_: str, code: str, error: object) -> EventKind:
    if (type_, code) == ("ITEM", "ERROR"):
        return _kind_of_error(error)
    return KIND_OF_CODE.get((type_, code), EventKind.IGNORE)


def _kind_of_error(error: object) -> EventKind:
    """An outage is no reason to stop: a sync finds out by itself how things are."""
    code = to_word(error.get("error_code")) if isinstance(error, dict) else None
    kind = ERROR_OF_CODE.get(code or "")
    if kind is ReauthRequiredError:
        return EventKind.NEEDS_REAUTH
    return EventKind.REVOKED if kind is AccessRevokedError else EventKind.SYNC


def _to_token(headers: Mapping[str, str]) -> str:
    found = [value for name, value in headers.items() if name.lower() == HEADER]
    if len(found) != 1 or not 0 < len(found[0]) <= _TOKEN_LENGTH_MAX:
        raise WebhookRejectedError("no Plaid-Verification header, or an odd one")
    return found[0]


def _to_key_id(token: str) -> str:
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError):
        raise WebhookRejectedError("not a signed token") from None
    key_id = header.get("kid")
    if header.get("alg") != "ES256":
        raise WebhookRejectedError("signed with another algorithm than ES256")
    if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
        raise WebhookRejectedError("no usable key id")
    return key_id


def _to_key(jwk: Mapping[str, Any], key_id: str) -> jwt.PyJWK | None:
    is_ours = (jwk.get("kty"), jwk.get("crv"), jwk.get("kid")) == ("EC", "P-256", key_id)
    if not is_ours or jwk.get("alg") != "ES256" or jwk.get("expired_at") is not None:
        return None
    try:
        return jwt.PyJWK({name: jwk[name] for name in ("kty", "crv", "x", "y")}, "ES256")
    except (jwt.PyJWTError, ValueError, KeyError, TypeError):
        return None


def _verify_signature(token: str, key: jwt.PyJWK) -> Mapping[str, Any]:
    # Times are checked against our own `now`, not against the process's clock.
    options: Any = {
        "verify_exp": False,
        "verify_nbf": False,
        "verify_iat": False,
        "verify_aud": False,
        "verify_iss": False,
    }
    try:
        claims: Mapping[str, Any] = jwt.decode(token, key, algorithms=["ES256"], options=options)
    except (jwt.PyJWTError, ValueError):
        raise WebhookRejectedError("the signature does not hold") from None
    return claims


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


def _verify_age(issued_at_s: object, *, now_s: float) -> None:
    if isinstance(issued_at_s, bool) or not isinstance(issued_at_s, int | float):
        raise WebhookRejectedError("it does not say when it was signed")
    if not -SKEW_MAX_S <= now_s - issued_at_s <= AGE_MAX_S:
        raise WebhookRejectedError("signed too long ago, or in the future")
