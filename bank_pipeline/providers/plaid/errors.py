"""
Plaid's errors in our words: every documented code, and safe answers to the rest. Pure.

Plaid wants its `error_code` looked at, never the HTTP status alone: an outage at the bank
is a 400, and one 429 (CREDITS_EXHAUSTED) is for good.

Source: https://plaid.com/docs/errors/
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import (
    AccessRevokedError,
    AccountGoneError,
    ConfigurationError,
    CredentialsRefusedError,
    CursorRejectedError,
    FeedMovedError,
    ProductUnsupportedError,
    ProviderError,
    RateLimitedError,
    ReauthRequiredError,
    TransientError,
)
from bank_pipeline.providers.exact_json import parse_json
from bank_pipeline.providers.http import HttpAnswer
from bank_pipeline.providers.retry_after import read_wait_s

RATE_WINDOW_S: Final = 60.0  # Plaid counts calls by the minute
_BANK_DOWN_S: Final = 3_600.0
_MAINTENANCE_S: Final = 1_800.0
_LINK_STEP_S: Final = 3_600.0

_CODES: Final[Mapping[type[ProviderError], str]] = {
    FeedMovedError: "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION",
    ReauthRequiredError: (
        "ITEM_LOGIN_REQUIRED ITEM_LOCKED USER_SETUP_REQUIRED PASSWORD_RESET_REQUIRED "
        "INSUFFICIENT_CREDENTIALS INVALID_CREDENTIALS INVALID_MFA MFA_NOT_SUPPORTED "
        "ACCESS_NOT_GRANTED NO_ACCOUNTS ADDITIONAL_CONSENT_REQUIRED"
    ),
    AccessRevokedError: (
        "ITEM_NOT_FOUND ITEM_CONCURRENTLY_DELETED ITEM_NOT_SUPPORTED USER_PERMISSION_REVOKED "
        "INSTITUTION_NO_LONGER_SUPPORTED"
    ),
    AccountGoneError: "INVALID_ACCOUNT_ID",
    ProductUnsupportedError: (
        "PRODUCTS_NOT_SUPPORTED NO_AUTH_ACCOUNTS NO_INVESTMENT_ACCOUNTS "
        "NO_INVESTMENT_AUTH_ACCOUNTS NO_LIABILITY_ACCOUNTS MANUAL_VERIFICATION_REQUIRED"
    ),
    RateLimitedError: (
        "ACCOUNTS_LIMIT ACCOUNTS_BALANCE_GET_LIMIT AUTH_LIMIT BALANCE_LIMIT IDENTITY_LIMIT "
        "INVESTMENT_HOLDINGS_GET_LIMIT INVESTMENT_TRANSACTIONS_LIMIT ITEM_GET_LIMIT RATE_LIMIT "
        "TRANSACTIONS_LIMIT TRANSACTIONS_REFRESH_LIMIT TRANSACTIONS_SYNC_LIMIT "
        "INSTITUTIONS_GET_LIMIT INSTITUTIONS_GET_BY_ID_LIMIT INSTITUTION_RATE_LIMIT"
    ),
    TransientError: (
        "INSTITUTION_DOWN INSTITUTION_NOT_RESPONDING INSTITUTION_NOT_AVAILABLE "
        "INTERNAL_SERVER_ERROR PLAID-INTERNAL-ERROR PLANNED_MAINTENANCE PRODUCT_NOT_READY "
        "INSTANT_MATCH_FAILED INVALID_OTP INVALID_PHONE_NUMBER INVALID_SEND_METHOD "
        "INVALID_UPDATED_USERNAME USER_INPUT_TIMEOUT"
    ),
    # Our keys themselves: whatever is asked next is refused as well.
    CredentialsRefusedError: "INVALID_API_KEYS UNAUTHORIZED_ENVIRONMENT",
    # Our request or our contract with Plaid; no customer is to blame for any of it.
    ConfigurationError: (
        "CREDITS_EXHAUSTED INVALID_ACCESS_TOKEN UNAUTHORIZED_ROUTE_ACCESS "
        "INVALID_PUBLIC_TOKEN INVALID_LINK_TOKEN INVALID_PRODUCT "
        "INVALID_INSTITUTION INVALID_WEBHOOK_VERIFICATION_KEY_ID PRODUCT_NOT_ENABLED "
        "MISSING_FIELDS UNKNOWN_FIELDS INVALID_FIELD INVALID_CONFIGURATION "
        "INCOMPATIBLE_API_VERSION INVALID_BODY INVALID_HEADERS NOT_FOUND NO_LONGER_AVAILABLE "
        "SANDBOX_ONLY UNSUPPORTED_RESPONSE INSTITUTION_NOT_ENABLED_IN_ENVIRONMENT "
        "INSTITUTION_REGISTRATION_REQUIRED UNAUTHORIZED_INSTITUTION "
        "SANDBOX_PRODUCT_NOT_ENABLED SANDBOX_WEBHOOK_INVALID"
    ),
}

ERROR_OF_CODE: Final[Mapping[str, type[ProviderError]]] = {
    code: kind for kind, codes in _CODES.items() for code in codes.split()
}
"""Every code that Plaid documents, and what it means to us."""

_WAIT_S_OF_CODE: Final[Mapping[str, float]] = {
    "INSTITUTION_DOWN": _BANK_DOWN_S,
    "INSTITUTION_NOT_RESPONDING": _BANK_DOWN_S,
    "INSTITUTION_NOT_AVAILABLE": _BANK_DOWN_S,
    "INSTITUTION_RATE_LIMIT": 300.0,
    "PLANNED_MAINTENANCE": _MAINTENANCE_S,
    "PRODUCT_NOT_READY": 60.0,
    # Steps of a dialogue with the customer: trying again at once is pointless.
    "INSTANT_MATCH_FAILED": _LINK_STEP_S,
    "INVALID_OTP": _LINK_STEP_S,
    "INVALID_PHONE_NUMBER": _LINK_STEP_S,
    "INVALID_SEND_METHOD": _LINK_STEP_S,
    "INVALID_UPDATED_USERNAME": _LINK_STEP_S,
    "USER_INPUT_TIMEOUT": _LINK_STEP_S,
}

_WORD = re.compile(r"[A-Za-z0-9_-]{1,80}")
_HTTP_OK, _HTTP_TIMEOUT, _HTTP_TOO_MANY, _HTTP_SERVER = 200, 408, 429, 500


def to_error(
    operation: str, answer: HttpAnswer, *, now: datetime, sent_cursor: bool = False
) -> ProviderError:
    """
    Translate an answer that is not a success.

    Holds Plaid's code and request id and none of its text, which may name the customer.
    A code that Plaid has not documented keeps the connection's state: it may pass.

    Source: https://plaid.com/docs/errors/
    """
    body = _error_body(answer)
    code = to_word(body.get("error_code")) or f"HTTP_{answer.status}"
    kind = _to_kind(code, body, answer.status)
    if sent_cursor and _blames_cursor(body) and _blames_request(kind, body):
        kind = CursorRejectedError
    asked_s = read_wait_s(answer.headers, now=now)
    wait_s = asked_s if asked_s is not None else _WAIT_S_OF_CODE.get(code)
    if wait_s is None and kind is RateLimitedError:
        wait_s = RATE_WINDOW_S
    return kind(
        Provider.PLAID,
        operation,
        code=code,
        request_id=to_word(body.get("request_id")),
        retry_after_s=wait_s if issubclass(kind, TransientError) else None,
    )


def error_of_code(operation: str, code: str) -> ProviderError:
    """Translate a code that came inside a successful answer, such as an Item's own error."""
    kind = _to_kind(code, {"error_code": code}, _HTTP_OK)
    return kind(Provider.PLAID, operation, code=to_word(code) or "UNKNOWN")


def to_word(value: object) -> str | None:
    """Return an identifier that is safe to log; None for anything that does not look like one."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _to_kind(code: str, body: Mapping[str, Any], status: int) -> type[ProviderError]:
    documented = ERROR_OF_CODE.get(code.upper())
    if documented is not None:
        return documented
    if body.get("error_type") == "RATE_LIMIT_EXCEEDED" or status == _HTTP_TOO_MANY:
        return RateLimitedError
    if body.get("error_type") == "INVALID_REQUEST":
        return ConfigurationError  # all of this type, known and new, are about our request
    if "error_code" in body or status == _HTTP_TIMEOUT or status >= _HTTP_SERVER:
        return TransientError
    return ConfigurationError  # no word from Plaid itself: a redirect, a proxy, a wrong host


def _blames_cursor(body: Mapping[str, Any]) -> bool:
    # Seen: INVALID_FIELD, "cursor not associated with access_token". No documented code says so.
    return "cursor" in f"{body.get('error_code')} {body.get('error_message')}".lower()


def _blames_request(kind: type[ProviderError], body: Mapping[str, Any]) -> bool:
    invalid = ("INVALID_REQUEST", "INVALID_INPUT")
    return kind is ConfigurationError or body.get("error_type") in invalid


def _error_body(answer: HttpAnswer) -> Mapping[str, Any]:
    try:
        body = parse_json(answer.body)
    except ValueError:
        return {}  # HTML of some proxy; the status has to do
    return body if isinstance(body, dict) else {}
