"""
Teller's errors in our words: by code, whose first parts count, and by HTTP status. Pure.

Codes are parted by dots, and new last parts appear. A 404 is either a login that broke or a
thing that is gone, and only the code tells them apart.

Source: https://teller.io/docs/api/errors
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import (
    AccessRevokedError,
    AccountGoneError,
    ConfigurationError,
    ProductUnsupportedError,
    ProviderError,
    RateLimitedError,
    ReauthRequiredError,
    TransientError,
)
from bank_pipeline.providers.exact_json import parse_json
from bank_pipeline.providers.http import HttpAnswer
from bank_pipeline.providers.retry_after import read_wait_s

TOKEN_REFUSED: Final = "HTTP_403"  # noqa: S105 - the code of an error
CERTIFICATE_UNPROVEN: Final = "HTTP_403_CERTIFICATE_UNPROVEN"
DISCONNECTED: Final = "enrollment.disconnected"
CLOSED: Final = "account.closed"

RATE_WAIT_MIN_S: Final = 5.0
RATE_WAIT_MAX_S: Final = 300.0
_BANK_DOWN_S: Final = 300.0
_VERIFICATION_S: Final = 6 * 3600.0  # small deposits take up to three working days

ERROR_OF_PREFIX: Final[Mapping[str, type[ProviderError]]] = {
    DISCONNECTED: ReauthRequiredError,
    "enrollment": TransientError,  # whatever comes to be said of one: it is not gone
    CLOSED: AccountGoneError,
    "account_number_verification_pending": TransientError,
    "account_number_verification_expired": ProductUnsupportedError,
    "bad_request": ConfigurationError,
}
"""Codes, and the beginnings of codes, whatever the status. The longest that fits counts."""

_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_GONE: Final = 410
_SERVER: Final = 500
_OF_STATUS: Final[Mapping[int, type[ProviderError]]] = {
    400: ConfigurationError,
    401: ConfigurationError,
    408: TransientError,
    422: ConfigurationError,
    429: RateLimitedError,
}
_WAIT_S_OF_STATUS: Final[Mapping[int, float]] = {502: _BANK_DOWN_S}

_WORD: Final = re.compile(r"[A-Za-z0-9_.-]{1,120}")


def to_error(
    operation: str, answer: HttpAnswer, *, about_account: bool, is_certificate_proven: bool
) -> ProviderError:
    """
    Translate an answer that is not a success. Holds Teller's code, and none of its text.

    `about_account`: the path names an account, so that a 404 can be about it. Whoever gets
    an AccountGoneError other than `account.closed` asks the list of accounts before
    believing it. A 403 is the token's only under a certificate that is the right one.
    """
    code = code_of(answer)
    if answer.status == _FORBIDDEN and _of_code(code) is None:
        kind: type[ProviderError] = AccessRevokedError
        code = TOKEN_REFUSED
        if not is_certificate_proven:
            kind, code = ConfigurationError, CERTIFICATE_UNPROVEN
    else:
        kind = _of_code(code) or _of_status(answer.status, code, about_account=about_account)
    code = code or f"HTTP_{answer.status}"
    wait_s = _wait_s(answer, code) if issubclass(kind, TransientError) else None
    return kind(
        Provider.TELLER,
        operation,
        code=code,
        request_id=to_word(answer.headers.get("x-request-id")),
        retry_after_s=wait_s,
    )


def error_of_code(operation: str, code: str) -> ProviderError:
    """Return what a code stands for that came without an answer, as in a connection's status."""
    kind = AccessRevokedError if code == TOKEN_REFUSED else _of_code(code) or TransientError
    return kind(Provider.TELLER, operation, code=to_word(code) or "UNKNOWN")


def code_of(answer: HttpAnswer) -> str | None:
    """Read Teller's own code; None when the answer is not Teller's, or says none."""
    try:
        body = parse_json(answer.body)
    except ValueError:
        return None
    error: Any = body.get("error") if isinstance(body, dict) else None
    return to_word(error.get("code")) if isinstance(error, dict) else None


def to_word(value: object) -> str | None:
    """Return an identifier that is safe to log; None for anything that does not look like one."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def is_closed(error: ProviderError) -> bool:
    """Say whether Teller itself calls the account closed."""
    return isinstance(error, AccountGoneError) and _starts(error.code, CLOSED)


class Backoff:
    """
    How long to keep quiet after "too many calls": 5 seconds, then twice as long each time.

    Teller publishes no limits and no header. What is refused while we ought to be quiet is
    the same refusal, and doubles nothing. Not safe to share between threads.
    """

    def __init__(self) -> None:
        self._steps = 0
        self._until_s = 0.0

    def refused(self, *, now_s: float) -> float:
        """Return the seconds to wait from now on."""
        if now_s >= self._until_s:
            wait_s = min(RATE_WAIT_MIN_S * 2**self._steps, RATE_WAIT_MAX_S)
            self._steps = min(self._steps + 1, 10)
            self._until_s = now_s + wait_s
        return self._until_s - now_s

    def accepted(self) -> None:
        """Begin anew."""
        self._steps = 0


def _of_code(code: str | None) -> type[ProviderError] | None:
    fitting = [prefix for prefix in ERROR_OF_PREFIX if _starts(code or "", prefix)]
    return ERROR_OF_PREFIX[max(fitting, key=len)] if fitting else None


def _of_status(status: int, code: str | None, *, about_account: bool) -> type[ProviderError]:
    if status == _GONE:
        return AccountGoneError if about_account else TransientError
    if status == _NOT_FOUND and about_account and code is not None:
        return AccountGoneError
    if status >= _SERVER:
        return TransientError
    # No word from Teller itself (a redirect, a proxy, a wrong host) is nobody's but ours.
    return _OF_STATUS.get(status, ConfigurationError)


def _starts(code: str, prefix: str) -> bool:
    return code == prefix or code.startswith(f"{prefix}.")


def _wait_s(answer: HttpAnswer, code: str) -> float | None:
    asked_s = read_wait_s(answer.headers)
    if asked_s is not None:
        return asked_s
    if code == "account_number_verification_pending":
        return _VERIFICATION_S
    return _WAIT_S_OF_STATUS.get(answer.status)
