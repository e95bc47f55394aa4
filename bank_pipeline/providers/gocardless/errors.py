"""
GoCardless's errors in our words: every documented one, and safe answers to the rest. Pure.

Errors are recognised by `type` where there is one, else by `summary`, never by the status
alone: of six kinds of 401 one is about our keys, one about a single account. A body may be
keyed by field, and each value an object, a list of objects or a list of texts.

Source: https://developer.gocardless.com/bank-account-data/statuses
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import (
    AccessRevokedError,
    AccountBlockedError,
    AccountGoneError,
    ConfigurationError,
    CredentialsRefusedError,
    ProductUnsupportedError,
    ProviderError,
    RateLimitedError,
    ReauthRequiredError,
    TransientError,
)
from bank_pipeline.providers.exact_json import parse_json
from bank_pipeline.providers.gocardless.quotas import is_daily, to_wait_s
from bank_pipeline.providers.http import HttpAnswer
from bank_pipeline.providers.retry_after import read_wait_s

FORBIDDEN: Final = "AccountAccessForbidden"
INVALID_TOKEN: Final = "INVALID_TOKEN"  # noqa: S105 - a code
LINKED: Final = "LN"
NOT_FOUND: Final = "NOT_FOUND"
PROCESSING_S: Final = 120.0  # an account is fetched for the first time within minutes
_BANK_DOWN_S: Final = 7_200.0
_BANK_FAULT_S: Final = 3_600.0
_LINKING_S: Final = 600.0

_CODES: Final[Mapping[type[ProviderError], str]] = {
    ReauthRequiredError: (
        # Nothing is renewed at GoCardless: the customer consents anew, in a new requisition.
        "EUA_EXPIRED NO_VALID_EUA AccessExpiredError ACCOUNT_SUSPENDED ACCOUNT_EXPIRED EX RJ SU ER"
    ),
    AccessRevokedError: "REQUISITION_NOT_FOUND",
    AccountGoneError: "ACCOUNT_NOT_FOUND AccountInactiveError",
    AccountBlockedError: f"{FORBIDDEN} ACCOUNT_ERROR",
    ProductUnsupportedError: "EUA_SCOPE AccountResourceUnavailable",
    RateLimitedError: "DAILY_LIMIT COMPANY_LIMIT RateLimitError",
    TransientError: (
        "UnknownRequestError ServiceError ConnectionError ACCOUNT_PROCESSING ACCOUNT_DISCOVERED "
        "CR GC UA SA GA ID"
    ),
    # Our keys themselves, or the company they stand for: all that is asked next is refused.
    CredentialsRefusedError: f"{INVALID_TOKEN} AUTHENTICATION_FAILED PAYMENT_REQUIRED IP_DENIED",
    ConfigurationError: (
        "NOT_PERMITTED INVALID_ID UNKNOWN_FIELDS DATE_RANGE SCOPES FIELDS_REFUSED ACCEPTED_TWICE "
        f"{NOT_FOUND}"
    ),
}

ERROR_OF_CODE: Final[Mapping[str, type[ProviderError]]] = {
    code: kind for kind, codes in _CODES.items() for code in codes.split()
}
"""
Every error that GoCardless documents, and what it means to us: by its `type`, by the status
of a requisition, or by a name of ours where it has none.
"""

_WAIT_S: Final[Mapping[str, float]] = {
    # A failed call counts towards the suspension of the account: none is repeated at once.
    "UnknownRequestError": _BANK_FAULT_S,
    "ServiceError": _BANK_DOWN_S,
    "ConnectionError": _BANK_DOWN_S,
    "ACCOUNT_PROCESSING": PROCESSING_S,
    "ACCOUNT_DISCOVERED": PROCESSING_S,
    **dict.fromkeys(["CR", "GC", "UA", "SA", "GA", "ID"], _LINKING_S),
}

_SUMMARIES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"End User Agreement \(EUA\) .*has expired"), "EUA_EXPIRED"),
    (re.compile(r"End User Agreement \(EUA\) access scope error"), "EUA_SCOPE"),
    (re.compile(r"No valid End User Agreement"), "NO_VALID_EUA"),
    (re.compile(r"Invalid token"), INVALID_TOKEN),
    (re.compile(r"Authentication failed"), "AUTHENTICATION_FAILED"),
    (re.compile(r"Payment Required"), "PAYMENT_REQUIRED"),
    (re.compile(r"IP address access denied"), "IP_DENIED"),
    (re.compile(r"Insufficient permissions|You do not have permission"), "NOT_PERMITTED"),
    (re.compile(r"Account suspended"), "ACCOUNT_SUSPENDED"),
    (re.compile(r"Account ID .* not found"), "ACCOUNT_NOT_FOUND"),
    (re.compile(r"Invalid .*ID$"), "INVALID_ID"),
    (re.compile(r"Unknown fields"), "UNKNOWN_FIELDS"),
    (re.compile(r"Incorrect date range"), "DATE_RANGE"),
    (re.compile(r"Institution access scope dependencies error"), "SCOPES"),
    (re.compile(r"EUA cannot be accepted more than once"), "ACCEPTED_TWICE"),
)
_DATES: Final = frozenset({"date_from", "date_to"})
_SAID_OF_ALL: Final = frozenset({"summary", "detail"})
_NOT_FIELDS: Final = frozenset({*_SAID_OF_ALL, "type", "status_code"})
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,79}")
_HTTP_BAD_REQUEST, _HTTP_NOT_FOUND, _HTTP_TIMEOUT = 400, 404, 408
_HTTP_FORBIDDEN, _HTTP_CONFLICT, _HTTP_TOO_MANY, _HTTP_SERVER = 403, 409, 429, 500


@dataclass(frozen=True)
class Complaint:
    """
    What a refusal says. `fields` are its texts by the name of the field they are about.

    Its texts may name ids and addresses: they are for recognising, never for a log.
    """

    summary: str
    detail: str
    type: str | None
    fields: Mapping[str, str]
    account_status: str | None = None


def read_complaint(body: bytes) -> Complaint:
    """Read a refusal in any of its shapes; of a proxy's page nothing is known."""
    try:
        parsed = parse_json(body)
    except ValueError:
        parsed = None
    said: Mapping[str, Any] = parsed if isinstance(parsed, dict) else {}
    word = said.get("type")
    is_account = "summary" not in said and isinstance(said.get("status"), str)
    return Complaint(
        summary=_to_text(said.get("summary")).strip(),
        detail=_to_text(said.get("detail")).strip(),
        type=word if isinstance(word, str) and _WORD.fullmatch(word) else None,
        fields={}
        if is_account or not said.keys().isdisjoint(_SAID_OF_ALL)
        else {key: _to_text(value) for key, value in said.items() if key not in _NOT_FIELDS},
        account_status=str(said["status"]) if is_account else None,
    )


def to_error(operation: str, answer: HttpAnswer) -> ProviderError:
    """
    Translate an answer that is not a success.

    Holds a code and nothing else of the text, which names ids and addresses. What is not
    documented keeps the connection's state: it may pass.
    """
    complaint = read_complaint(answer.body)
    code = _to_code(operation, answer.status, complaint)
    kind = ERROR_OF_CODE.get(code) or _kind_of_status(answer.status, complaint)
    wait_s = _WAIT_S.get(code)
    if kind is RateLimitedError:
        is_of_day = code != "COMPANY_LIMIT"
        wait_s = to_wait_s(answer.headers, complaint.detail, is_of_day=is_of_day)
    elif answer.status == _HTTP_CONFLICT and kind is TransientError:
        wait_s = PROCESSING_S  # any other conflict: the account is being fetched
    asked_s = read_wait_s(answer.headers)  # of a proxy, if at all: never shorter than ours
    if asked_s is not None:
        wait_s = max(wait_s or 0.0, asked_s)
    return _build(kind, operation, code, wait_s)


def error_of_code(operation: str, code: str) -> ProviderError:
    """Translate the status of a requisition, or a code that `error_of_account` gave."""
    word = code if _WORD.fullmatch(code) else "UNKNOWN"
    return _build(ERROR_OF_CODE.get(word, TransientError), operation, word, _WAIT_S.get(word))


def error_of_account(operation: str, status: str | None) -> ProviderError | None:
    """
    Return what an account's own status stands for; None when it may be asked.

    A status that is not documented is no reason to ask for less.

    Source: https://developer.gocardless.com/bank-account-data/statuses
    """
    code = f"ACCOUNT_{(status or '').strip().upper()}"
    return error_of_code(operation, code) if code in ERROR_OF_CODE else None


def _build(
    kind: type[ProviderError], operation: str, code: str, wait_s: float | None
) -> ProviderError:
    retry_after_s = wait_s if issubclass(kind, TransientError) else None
    return kind(Provider.GOCARDLESS, operation, code=code, retry_after_s=retry_after_s)


def _to_code(operation: str, status: int, complaint: Complaint) -> str:
    if complaint.account_status is not None and status == _HTTP_CONFLICT:
        code = f"ACCOUNT_{complaint.account_status.strip().upper()}"
        return code if code in ERROR_OF_CODE else "ACCOUNT_PROCESSING"
    if status == _HTTP_TOO_MANY:
        return _limit_of(complaint)
    said = (code for pattern, code in _SUMMARIES if pattern.match(complaint.summary))
    return complaint.type or next(said, None) or _code_of_status(operation, status, complaint)


def _code_of_status(operation: str, status: int, complaint: Complaint) -> str:
    if status == _HTTP_NOT_FOUND and complaint.fields:
        return NOT_FOUND  # something that our request spoke of, under the name of its field
    if status == _HTTP_NOT_FOUND and (complaint.summary or complaint.detail):
        return _missing_of(operation)  # a proxy's page says nothing of what exists
    if status == _HTTP_CONFLICT:
        return "ACCOUNT_PROCESSING"
    if status == _HTTP_BAD_REQUEST and complaint.fields:
        return "DATE_RANGE" if complaint.fields.keys() <= _DATES else "FIELDS_REFUSED"
    return f"HTTP_{status}"


def _limit_of(complaint: Complaint) -> str:
    if complaint.type is not None:
        return "RateLimitError"
    return "DAILY_LIMIT" if is_daily(complaint.detail) else "COMPANY_LIMIT"


def _missing_of(operation: str) -> str:
    """Name what a "Not found." is about: it does not say so itself."""
    if operation.startswith("accounts/"):
        return "ACCOUNT_NOT_FOUND"
    return "REQUISITION_NOT_FOUND" if operation.startswith("requisitions/") else NOT_FOUND


def _kind_of_status(status: int, complaint: Complaint) -> type[ProviderError]:
    if status in (_HTTP_TIMEOUT, _HTTP_CONFLICT) or status >= _HTTP_SERVER:
        return TransientError
    if complaint.type is not None:
        # New, and about one account at its bank: only that account waits.
        return AccountBlockedError if status == _HTTP_FORBIDDEN else TransientError
    return ConfigurationError


def _to_text(value: Any) -> str:  # noqa: ANN401 - parsed JSON of any shape
    """Join whatever texts a value holds: of an object, a list of objects, a list of texts."""
    if isinstance(value, dict):
        return " ".join(_to_text(item) for item in value.values())
    if isinstance(value, list):
        return "; ".join(_to_text(item) for item in value)
    return value if isinstance(value, str) else ""
