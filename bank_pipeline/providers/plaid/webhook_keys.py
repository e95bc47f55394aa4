"""
The keys that Plaid's webhooks are signed with: asked for by their id, and remembered.

A forger chooses key ids freely, and each unknown one would be a call to Plaid.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

import jwt

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.webhooks import Refusal
from bank_pipeline.errors import ConfigurationError, TransientError, WebhookRejectedError

KEY_TTL_S: Final = 86_400.0  # asks again once a day, and so notices an expired key
KEY_GRACE_S: Final = 86_400.0  # a good key serves on for so long while Plaid cannot be asked
ASK_AGAIN_S: Final = 300.0
UNKNOWN_KEY_TTL_S: Final = 300.0
KEYS_MAX: Final = 256  # Plaid has a handful
KEY_CALLS_MAX: Final = 20  # within KEY_CALLS_WINDOW_S, however many forgeries arrive
KEY_CALLS_WINDOW_S: Final = 60.0
ASKED_AT_ONCE_MAX: Final = 4  # a Plaid that hangs must not hold all of the receiver's threads
_WAIT_S: Final = 8.0  # longer than a call for a key may take; Plaid waits ten for our answer


@dataclass(frozen=True)
class _Known:
    key: jwt.PyJWK | None
    asked_at_s: float
    until_s: float


class WebhookKeys:
    """
    Finds keys by id. Safe to share between threads.

    `fetch_key` asks Plaid for the JWK of a key id. Calls are bounded: unknown ids are
    remembered, the memory is bounded, one id is asked for by one thread, few are asked for at
    once, and no more than KEY_CALLS_MAX unknown ones within a minute. Keys that were good are
    not counted: a flood of forgeries must not keep them from being asked for again.
    """

    def __init__(self, fetch_key: Callable[[str], Mapping[str, Any]]) -> None:
        self._fetch_key = fetch_key
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asked: dict[str, Future[_Known]] = {}
        self._calls_s: deque[float] = deque(maxlen=KEY_CALLS_MAX)
        self._lock = threading.Lock()

    def find(self, key_id: str, *, now_s: float) -> jwt.PyJWK:
        """
        Return the key of this id.

        Raises:
            WebhookRejectedError: Plaid does not vouch for it, or too many came to ask.
            ProviderError: Plaid could not be asked; nothing is known yet.
        """
        with self._lock:
            known = self._known.get(key_id)
            answer: Future[_Known] | None = None
            is_ours = False
            if known is None or known.until_s <= now_s:
                answer = self._asked.get(key_id)
                is_ours = answer is None
                if answer is None:
                    self._admit(known, now_s)
                    answer = self._asked[key_id] = Future()
        if is_ours and answer is not None:
            self._ask(key_id, known, answer, now_s=now_s)
        if answer is not None:
            known = _wait(answer)
        assert known is not None, "it was known, or asked for"
        if known.key is None:
            why = "signed with a key that Plaid does not vouch for"
            raise WebhookRejectedError(Refusal.UNKNOWN_KEY, why)
        return known.key

    def _admit(self, known: _Known | None, now_s: float) -> None:
        if known is not None and known.key is not None:
            return
        is_full = len(self._calls_s) == KEY_CALLS_MAX
        is_busy = len(self._asked) >= ASKED_AT_ONCE_MAX
        if is_busy or (is_full and now_s - self._calls_s[0] < KEY_CALLS_WINDOW_S):
            raise WebhookRejectedError(
                Refusal.TOO_MANY_KEYS,
                "too many unknown keys; it may be delivered again later",
                retry_after_s=KEY_CALLS_WINDOW_S,
            )
        self._calls_s.append(now_s)

    def _ask(
        self, key_id: str, known: _Known | None, answer: "Future[_Known]", *, now_s: float
    ) -> None:
        """Ask Plaid, and tell all who wait for the answer, be it an error."""
        try:
            found = self._fetch(key_id, known, now_s=now_s)
        except BaseException as error:
            with self._lock:
                del self._asked[key_id]
            answer.set_exception(error)
            raise
        with self._lock:
            del self._asked[key_id]
            self._known[key_id] = found
            self._known.move_to_end(key_id)
            self._forget_most_useless()
        answer.set_result(found)

    def _fetch(self, key_id: str, known: _Known | None, *, now_s: float) -> _Known:
        try:
            key = _to_key(self._fetch_key(key_id), key_id)
        except ConfigurationError as error:
            if error.code != "INVALID_WEBHOOK_VERIFICATION_KEY_ID":
                raise
            key = None
        except TransientError:
            if known is None or known.key is None:
                raise
            if now_s - known.asked_at_s > KEY_TTL_S + KEY_GRACE_S:
                raise
            return _Known(known.key, known.asked_at_s, now_s + ASK_AGAIN_S)
        return _Known(key, now_s, now_s + (UNKNOWN_KEY_TTL_S if key is None else KEY_TTL_S))

    def _forget_most_useless(self) -> None:
        if len(self._known) > KEYS_MAX:
            # Good keys are few and dear: forget an unknown id first.
            ids = (key_id for key_id, known in self._known.items() if known.key is None)
            self._known.pop(next(ids, next(iter(self._known))))


def _wait(answer: "Future[_Known]") -> _Known:
    try:
        return answer.result(_WAIT_S)
    except TimeoutError:
        code = "TIMEOUT"
        raise TransientError(Provider.PLAID, "webhook_verification_key/get", code=code) from None


def _to_key(jwk: Mapping[str, Any], key_id: str) -> jwt.PyJWK | None:
    is_ours = (jwk.get("kty"), jwk.get("crv"), jwk.get("kid")) == ("EC", "P-256", key_id)
    if not is_ours or jwk.get("alg") != "ES256" or jwk.get("expired_at") is not None:
        return None
    try:
        return jwt.PyJWK({name: jwk[name] for name in ("kty", "crv", "x", "y")}, "ES256")
    except (jwt.PyJWTError, ValueError, KeyError, TypeError):
        return None
