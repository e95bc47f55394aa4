"""
Every error the simulated Enable Banking answers with, as data. Pure.

Codes of HTTP that were seen nowhere are those of similar errors: clients match on `error`.
Source: https://enablebanking.com/docs/api/reference/#errorcode
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_BAD_REQUEST: Final = 400
_PERIOD: Final = "Wrong transactions period requested"
_PARAMETERS: Final = "Wrong request parameters provided"

# By the code that a client sees in `error`.
_PLAIN: Final[Mapping[str, tuple[int, str]]] = {
    "AUTHORIZATION_NOT_PROVIDED": (401, "Authorization header is not provided"),
    "UNAUTHORIZED_ACCESS": (401, "Unauthorized access"),
    "ACCESS_DENIED": (
        403,
        "Access to this resource is denied. Check services available for your application.",
    ),
    "UNAUTHORIZED_IP": (403, "Used IP address is not authorized to access the resource"),
    "INVALID_HOST": (400, "Invalid host"),
    "EXPIRED_SESSION": (401, "Session is expired"),
    "CLOSED_SESSION": (401, "Session is closed"),
    "REVOKED_SESSION": (401, "Session is revoked"),
    "SESSION_DOES_NOT_EXIST": (404, "No session found matching provided id"),
    "WRONG_SESSION_STATUS": (422, "Wrong session status"),
    "ALREADY_AUTHORIZED": (422, "Session is already authorized"),
    "WRONG_AUTHORIZATION_CODE": (422, "Wrong authorization code provided"),
    "EXPIRED_AUTHORIZATION_CODE": (422, "Authorization code is expired"),
    "REDIRECT_URI_NOT_ALLOWED": (422, "Redirect URI not allowed"),
    "WRONG_ASPSP_PROVIDED": (422, "Wrong ASPSP name provided"),
    "WRONG_CREDENTIALS_PROVIDED": (422, "Wrong credentials provided"),
    "NO_ACCOUNTS_ADDED": (422, "No allowed accounts added to the application"),
    "ACCOUNT_DOES_NOT_EXIST": (404, "No account found matching provided id"),
    "INVALID_ACCOUNT_ID": (422, "Either iban or other account identification is required"),
    "ASPSP_ACCOUNT_NOT_ACCESSIBLE": (
        400,
        "The PSU does not have access to the requested account or it doesn't exist",
    ),
    "ASPSP_PSU_ACTION_REQUIRED": (400, "PSU action is required to proceed"),
    "ASPSP_ERROR": (400, "Error interacting with ASPSP"),
    "ASPSP_TIMEOUT": (408, "Timeout interacting with ASPSP"),
    "ASPSP_RATE_LIMIT_EXCEEDED": (429, "ASPSP Rate limit exceeded"),
    "PSU_HEADER_NOT_PROVIDED": (422, "Required PSU header is not provided"),
    "PSU_HEADER_INVALID": (422, "Provided PSU header contains invalid value"),
    "DATE_TO_WITHOUT_DATE_FROM": (422, "date_from must be provided if date_to provided"),
    "DATE_FROM_IN_FUTURE": (422, "date_from can not be in the future"),
    "WRONG_DATE_INTERVAL": (422, "date_from should be less than or equal date_to"),
    "WRONG_TRANSACTIONS_PERIOD": (422, _PERIOD),
    "WRONG_CONTINUATION_KEY": (422, "Wrong continuation key provided"),
    "WRONG_REQUEST_PARAMETERS": (422, _PARAMETERS),
    "TRANSACTION_DOES_NOT_EXIST": (404, "No transaction found matching provided id"),
    "BALANCES_UNAVAILABLE": (400, "Balances unavailable"),
}
_DETAILS: Final[Mapping[str, Any]] = {
    "ASPSP_ERROR": "Unknown error",
    "PSU_HEADER_NOT_PROVIDED": "PSU header psuIpAddress is not provided",
}

# Shapes of their own, by names that only this simulator knows.
_SPECIAL: Final[Mapping[str, tuple[int, Mapping[str, Any]]]] = {
    "APPLICATION_DOES_NOT_EXIST": (403, {"message": "Application does not exist", "code": 403}),
    "INTERNAL_SERVER_ERROR": (500, {"message": "Internal server error", "code": 500}),
    "NOT_FOUND": (404, {"message": "Not Found", "code": 404}),
    "PERIOD_INVALID": (  # a bank's own words, passed through: the code is a text
        400,
        {
            "title": "Range is out of the last 90-day period",
            "code": "PERIOD_INVALID",
            "detail": "dateFrom=2025-01-01, dateTo=2026-01-01",
        },
    ),
    "WRONG_TRANSACTIONS_PERIOD/dated": (
        422,
        {
            "message": _PERIOD,
            "code": 422,
            "error": "WRONG_TRANSACTIONS_PERIOD",
            "detail": {
                "message": "Maximum days in the past allowed for transaction list is 120",
                "date_from": "2026-01-17",
            },
        },
    ),
    "WRONG_TRANSACTIONS_PERIOD/bare": (
        422,
        {
            "message": _PERIOD,
            "code": 422,
            "error": "WRONG_TRANSACTIONS_PERIOD",
            "detail": {"message": "Requested time period out of bound."},
        },
    ),
    "WRONG_REQUEST_PARAMETERS/paging": (
        422,
        {
            "message": _PARAMETERS,
            "code": 422,
            "error": "WRONG_REQUEST_PARAMETERS",
            "detail": {
                "message": ("transactionStatus in request is not the same as in continuationKey"),
                "error_name": "ParameterValidationException",
                "error_data": {},
            },
        },
    ),
    "WRONG_REQUEST_PARAMETERS/pending": (
        422,
        {
            "message": _PARAMETERS,
            "code": 422,
            "error": "WRONG_REQUEST_PARAMETERS",
            "detail": {
                "message": ("Wrong transactionStatus provided in getAccountTransactions call: PDNG")
            },
        },
    ),
}
ERROR_NAMES: Final = frozenset({*_PLAIN, *_SPECIAL})


@dataclass
class EnableBankingError(Exception):
    """An answer that is an error, or a bank's error that is passed on as it came."""

    name: str
    status: int
    body: dict[str, Any]

    def __str__(self) -> str:
        return self.name


def api_error(
    name: str,
    *,
    detail: Any = None,  # noqa: ANN401 - any JSON value
    status: int | None = None,
    message: str | None = None,
) -> EnableBankingError:
    """
    Return an error of the catalogue by its code or name; another code is worn as it is.

    `status` replaces both the HTTP status and the `code` in the body, where that is a number.
    """
    usual, body = _body_of(name)
    if detail is not None:
        body["detail"] = detail
    if message is not None:
        body["message"] = message
    if status is not None and isinstance(body.get("code"), int):
        body["code"] = status
    return EnableBankingError(name, status or usual, body)


def wrong_parameters(detail: Any) -> EnableBankingError:  # noqa: ANN401 - any JSON value
    """Return the error of a request that does not fit its schema."""
    return api_error("WRONG_REQUEST_PARAMETERS", detail=detail)


def _body_of(name: str) -> tuple[int, dict[str, Any]]:
    if name in _SPECIAL:
        status, body = _SPECIAL[name]
        return status, copy.deepcopy(dict(body))
    status, message = _PLAIN.get(name, (_BAD_REQUEST, name.replace("_", " ").capitalize()))
    made: dict[str, Any] = {"message": message, "code": status, "error": name}
    if name in _DETAILS:
        made["detail"] = _DETAILS[name]
    return status, made
