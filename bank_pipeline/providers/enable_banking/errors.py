"""
Enable Banking's errors in our words: every documented code, and safe answers to the rest. Pure.

Their `error` is what counts; the HTTP status of one and the same error varies. Some answers
have no `error`: those of their gateway, and those that a bank's own text was passed through.

Source: https://enablebanking.com/docs/api/reference/#errorresponse
"""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import (
    AccessRevokedError,
    AccountBlockedError,
    AccountGoneError,
    ConfigurationError,
    CredentialsRefusedError,
    FeedMovedError,
    ProductUnsupportedError,
    ProviderError,
    RateLimitedError,
    ReauthRequiredError,
    TransientError,
    WindowTooWideError,
)
from bank_pipeline.providers.exact_json import parse_json
from bank_pipeline.providers.http import HttpAnswer
from bank_pipeline.providers.retry_after import read_wait_s

BANK_LIMIT_S: Final = 21_600.0  # banks count by the day and tell no time: look again in 6 hours
RATE_WINDOW_S: Final = 300.0  # their own limit, which is not published
RESTART_S: Final = 60.0  # a window is started again by whoever reads it, never by a retry
NEXT_DAY_S: Final = 86_400.0

STATUS_CONFUSED: Final = "WRONG_REQUEST_PARAMETERS transactionStatus"
"""A bank loses track of its own pages; see `to_error`."""
APPLICATION_UNKNOWN: Final = "APPLICATION_DOES_NOT_EXIST"
"""Our word for an answer that has only a message."""

_CODES: Final[Mapping[type[ProviderError], str]] = {
    ReauthRequiredError: "EXPIRED_SESSION ASPSP_PSU_ACTION_REQUIRED EXPIRED INVALID CANCELLED",
    AccessRevokedError: "REVOKED_SESSION CLOSED_SESSION SESSION_DOES_NOT_EXIST REVOKED CLOSED",
    AccountGoneError: "ACCOUNT_DOES_NOT_EXIST",
    AccountBlockedError: "ASPSP_ACCOUNT_NOT_ACCESSIBLE",
    ProductUnsupportedError: "BALANCES_UNAVAILABLE",
    WindowTooWideError: "WRONG_TRANSACTIONS_PERIOD PERIOD_INVALID",
    FeedMovedError: "WRONG_CONTINUATION_KEY",
    RateLimitedError: "ASPSP_RATE_LIMIT_EXCEEDED",
    TransientError: (
        "ASPSP_ERROR ASPSP_TIMEOUT WRONG_SESSION_STATUS PENDING_AUTHORIZATION RETURNED_FROM_BANK"
    ),
    # Our key or our application: whatever is asked next is refused as well.
    CredentialsRefusedError: (
        "AUTHORIZATION_NOT_PROVIDED UNAUTHORIZED_ACCESS UNAUTHORIZED_IP APPLICATION_DOES_NOT_EXIST"
    ),
    # Our request or a link that went wrong; no connection is to blame for any of it.
    ConfigurationError: (
        "ACCESS_DENIED INVALID_HOST REDIRECT_URI_NOT_ALLOWED NO_ACCOUNTS_ADDED INVALID_ACCOUNT_ID "
        "PSU_HEADER_NOT_PROVIDED PSU_HEADER_INVALID DATE_TO_WITHOUT_DATE_FROM "
        "DATE_FROM_IN_FUTURE WRONG_DATE_INTERVAL WRONG_REQUEST_PARAMETERS ALREADY_AUTHORIZED "
        "WRONG_AUTHORIZATION_CODE EXPIRED_AUTHORIZATION_CODE WRONG_CREDENTIALS_PROVIDED "
        "WRONG_ASPSP_PROVIDED TRANSACTION_DOES_NOT_EXIST PAYMENT_NOT_FOUND "
        "UNTRUSTED_PAYMENT_PARTY WEBHOOK_URI_NOT_ALLOWED PAYMENT_LIMIT_EXCEEDED "
        "ASPSP_PAYMENT_NOT_ACCESSIBLE INVALID_PAYMENT PAYMENT_NOT_FINALIZED"
    ),
}

ERROR_OF_CODE: Final[Mapping[str, type[ProviderError]]] = {
    code: kind for kind, codes in _CODES.items() for code in codes.split()
}
"""Every code and session status that is documented, and what it means to us."""

SESSION_CODES: Final = frozenset(
    {
        "EXPIRED_SESSION",
        "REVOKED_SESSION",
        "CLOSED_SESSION",
        "SESSION_DOES_NOT_EXIST",
        "WRONG_SESSION_STATUS",
    }
)
"""Codes that say something of the session: the session itself is asked before it is believed."""

_ASKS_BANK: Final = "accounts/"  # other calls ask no bank
_WORD = re.compile(r"[A-Za-z0-9_-]{1,80}")
_DAYS = re.compile(r"(?:allowed for .* is|last) (\d{1,4})\b")
_YEARS = re.compile(r"within (?:the last )?(\d{1,2}) years?\b")
_DAYS_A_YEAR: Final = 365
_PERIOD = re.compile(r"\bperiod\b|\bdate[ _]?(?:from|to|range)\b", re.IGNORECASE)
_LENGTH = re.compile(r"\b(?:day|month|year)s?\b", re.IGNORECASE)
_HTTP_DENIED: Final = frozenset({401, 403})
_HTTP_TIMEOUT, _HTTP_TOO_MANY, _HTTP_SERVER = 408, 429, 500


def to_error(operation: str, answer: HttpAnswer, *, today: date | None = None) -> ProviderError:
    """
    Translate an answer that is not a success.

    Holds the code and none of the text, which may name the customer. `today` turns a number
    of days into the `earliest` date that a bank gives. A code that is not documented keeps
    the connection's state: it may pass.

    Trade Republic refuses the second page for a status that nobody asked for: that is
    `STATUS_CONFUSED`, and may be told apart from a fault of ours.
    """
    body = _error_body(answer)
    code = _to_code(body, answer.status)
    if code == "WRONG_REQUEST_PARAMETERS" and "transactionstatus" in _text_of(body).casefold():
        return _build(TransientError, operation, STATUS_CONFUSED, retry_after_s=NEXT_DAY_S)
    kind = _to_kind(code, body, answer.status)
    error = _build(kind, operation, code, retry_after_s=_to_wait_s(kind, operation, answer))
    if isinstance(error, WindowTooWideError):
        error.earliest = _to_earliest(body, today)
    return error


def error_of_code(operation: str, code: str) -> ProviderError:
    """Translate a session's status, or a code that was kept."""
    kind = ERROR_OF_CODE.get(code.upper(), TransientError)
    return _build(kind, operation, to_word(code) or "UNKNOWN")


def to_word(value: object) -> str | None:
    """Return a code that may be shown in a log; None for anything that does not look like one."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _build(
    kind: type[ProviderError], operation: str, code: str, *, retry_after_s: float | None = None
) -> ProviderError:
    return kind(Provider.ENABLE_BANKING, operation, code=code, retry_after_s=retry_after_s)


def _to_code(body: Mapping[str, Any], status: int) -> str:
    stated = to_word(body.get("error")) or to_word(body.get("code"))  # a bank's own is a text
    if stated:
        return stated
    if body.get("message") == "Application does not exist":
        return APPLICATION_UNKNOWN
    return f"HTTP_{status}"


def _to_kind(code: str, body: Mapping[str, Any], status: int) -> type[ProviderError]:
    documented = ERROR_OF_CODE.get(code.upper())
    if documented is not None:
        return documented
    if status == _HTTP_TOO_MANY:
        return RateLimitedError
    if status == _HTTP_TIMEOUT or status >= _HTTP_SERVER:
        return TransientError
    if status not in _HTTP_DENIED and _blames_period(body):
        return WindowTooWideError
    if status in _HTTP_DENIED or code.startswith("HTTP_"):
        return ConfigurationError  # no word that we know: a proxy, a wrong host, our key
    return TransientError


def _blames_period(body: Mapping[str, Any]) -> bool:
    """
    Say whether a bank's own words, passed through, are about how far back it goes.

    N26: "Range is out of the last 90-day period". Others name the dates and the years.
    """
    text = _text_of(body)
    return _PERIOD.search(text) is not None and _LENGTH.search(text) is not None


def _to_wait_s(kind: type[ProviderError], operation: str, answer: HttpAnswer) -> float | None:
    if kind is FeedMovedError:
        return RESTART_S
    asked_s = read_wait_s(answer.headers)
    if kind is RateLimitedError and asked_s is None:
        return BANK_LIMIT_S if operation.startswith(_ASKS_BANK) else RATE_WINDOW_S
    return asked_s if issubclass(kind, TransientError) else None


def _to_earliest(body: Mapping[str, Any], today: date | None) -> date | None:
    """
    Read how far back the bank goes: a date, or a number of days or years.

    Of the days one is left out: with some banks the last one is beyond the limit.
    """
    detail = body.get("detail")
    if isinstance(detail, dict):
        try:
            return date.fromisoformat(str(detail.get("date_from")))
        except ValueError:
            pass  # not stated, or not as a date
    days = _days_in(_text_of(body))
    if today is None or days is None:
        return None
    return today - timedelta(days=max(days - 1, 0))


def _days_in(text: str) -> int | None:
    days, years = _DAYS.search(text), _YEARS.search(text)
    if days is not None:
        return int(days[1])
    return int(years[1]) * _DAYS_A_YEAR if years is not None else None


def _text_of(body: Mapping[str, Any]) -> str:
    detail = body.get("detail")
    said = detail.get("message") if isinstance(detail, dict) else detail
    return " ".join(
        text for text in (body.get("message"), body.get("title"), said) if isinstance(text, str)
    )


def _error_body(answer: HttpAnswer) -> Mapping[str, Any]:
    try:
        body = parse_json(answer.body)
    except ValueError:
        return {}  # HTML of some proxy; the status has to do
    return body if isinstance(body, dict) else {}
