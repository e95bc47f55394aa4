"""
Every error the simulated GoCardless documents, as data: its status and its body. Pure.

Bodies are templates: `{account_id}` and its like are filled in when an error happens.
Source: https://developer.gocardless.com/bank-account-data/statuses
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Body = dict[str, Any]


class GoCardlessError(Exception):
    """An answer that is an error. `counts` ones bring an account nearer to its suspension."""

    def __init__(
        self,
        status: int,
        body: Mapping[str, Any],
        *,
        counts: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {body.get('summary', '')}".strip())
        self.status = status
        self.body = dict(body)
        self.counts = counts
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class ErrorKind:
    """One documented error. `at_bank` ones come from the institution, after every other check."""

    status: int
    body: Mapping[str, Any]
    counts: bool = False
    at_bank: bool = False


def _plain(status: int, summary: str, detail: str) -> ErrorKind:
    return ErrorKind(status, {"summary": summary, "detail": detail})


def _field(status: int, name: str, summary: str, detail: str) -> ErrorKind:
    return ErrorKind(status, {name: {"summary": summary, "detail": detail}})


def _bank(status: int, kind: str, detail: str, *, counts: bool = False) -> ErrorKind:
    summary = "Couldn't update account {scope}"
    body = {"summary": summary, "detail": detail, "type": kind}
    return ErrorKind(status, body, counts=counts, at_bank=True)


_VALIDITY: Final = (
    "access_valid_for_days",
    "Incorrect access_valid_for_days",
    "access_valid_for_days must be > 0 and <= {days}",
)
_HISTORY: Final = (
    "max_historical_days",
    "Incorrect max_historical_days",
    "max_historical_days must be > 0 and <= {institution_id} transaction_total_days ({days})",
)
_FUTURE: Final = {
    "summary": "Date can't be in future",
    "detail": "'{date}' can't be greater than {today}. Specify correct date range",
}

ERRORS: Final[Mapping[str, ErrorKind]] = {
    "invalid_account_id": _plain(
        400, "Invalid Account ID", "{account_id} is not a valid Account UUID. "
    ),
    "invalid_agreement_id": _plain(
        400,
        "Invalid EndUserAgreement ID",
        "{agreement_id} is not a valid EndUserAgreement UUID. ",
    ),
    "invalid_id": _plain(400, "Invalid ID", "{id} is not a valid UUID."),
    "json": _plain(400, "JSON parse error", "The body of the request is no JSON object"),
    "unknown_fields": _plain(400, "Unknown fields", "Unknown fields {{{fields}}} in {{{place}}}"),
    "date_range": _plain(
        400,
        "Incorrect date range",
        "Starting date '{date_from}' is greater than end date '{date_to}'. When specifying date"
        " range, starting date must precede the end date",
    ),
    "date_in_future": ErrorKind(400, {"date_from": _FUTURE, "date_to": _FUTURE}),
    "eua_validity_refused": _field(400, *_VALIDITY),
    "eua_history_refused": _field(400, *_HISTORY),
    "eua_both_refused": ErrorKind(
        400, {**_field(400, *_HISTORY).body, **_field(400, *_VALIDITY).body}
    ),
    "eua_unknown_institution": _field(
        400,
        "institution_id",
        "Unknown Institution ID {institution_id}",
        "Get Institution IDs from /institutions/?country={{$COUNTRY_CODE}}",
    ),
    "field_required": ErrorKind(400, {"institution_id": ["This field is required."]}),
    "scope_dependency_lists": ErrorKind(
        400,
        {
            "summary": ["Institution access scope dependencies error"],
            "detail": [
                "For this institution the following scopes are required together: {scopes}"
            ],
        },
    ),
    "reference_not_unique": _field(
        400,
        "reference",
        "Client reference must be unique",
        "Client reference: {reference} already exists",
    ),
    "country_invalid_keyed": _field(
        400, "country", "Invalid country choice.", "{country} is not a valid choice."
    ),
    "country_invalid": _plain(400, "Invalid country choice.", "{country} is not a valid choice."),
    "reconfirmation_not_enabled": _plain(
        400,
        "Reconfirmation is not enabled.",
        "Reconfirmation is not enabled for agreement '{agreement_id}'.",
    ),
    "no_accounts_linked": _plain(
        400,
        "No accounts linked.",
        "For associated requisition '{requisition_id}', there are no accounts linked.",
    ),
    "eua_not_accepted": _plain(
        400, "End user agreement needs to be accepted.", "EUA '{agreement_id}' is not accepted."
    ),
    "invalid_token": _plain(401, "Invalid token", "Token is invalid or expired"),
    "authentication_failed": _plain(
        401, "Authentication failed", "No active account found with the given credentials"
    ),
    "eua_expired": _plain(
        401,
        "End User Agreement (EUA) {agreement_id} has expired",
        "EUA was valid for {days} days and it expired at {until}. The end user must connect the"
        " account once more with new EUA and Requisition",
    ),
    "access_expired": _bank(
        401,
        "AccessExpiredError",
        "Access has expired or it has been revoked. To restore access reconnect the account.",
        counts=True,
    ),
    "account_inactive": _bank(
        401, "AccountInactiveError", "Account has been deactivated or it no longer exists."
    ),
    "payment_required": _plain(402, "Payment Required", "Free usage limit exceeded"),
    "ip_denied": _plain(
        403,
        "IP address access denied",
        "Your IP {ip} isn't whitelisted to perform this action",
    ),
    "eua_scope": _plain(
        403,
        "End User Agreement (EUA) access scope error",
        "EUA doesn't allow access to account {scope}. Check EUA access scope. Or create new EUA"
        " with correct access scope",
    ),
    "no_valid_eua": _plain(
        403,
        "No valid End User Agreement",
        "Account exists but there is no valid End User Agreement permitting you to access it",
    ),
    "access_forbidden": _bank(
        403,
        "AccountAccessForbidden",
        "Access to account is forbidden. The user might not have the necessary permissions.",
        counts=True,
    ),
    "resource_unavailable": _bank(
        403,
        "AccountResourceUnavailable",
        "The requested resource is unavailable for this account. Certain resources may be"
        " restricted or unsupported for specific accounts.",
    ),
    "accept_not_permitted": _plain(
        403,
        "Insufficient permissions",
        "Your company doesn't have permission to accept EUA. You'll have to use our default form"
        " for this action.",
    ),
    "reconfirmation_not_permitted": _plain(
        403, "", "You do not have permission to enable reconfirmation."
    ),
    "account_not_found": _plain(
        404,
        "Account ID {account_id} not found",
        "Please check whether you specified a valid Account ID",
    ),
    "agreement_not_found": _field(
        404,
        "agreement",
        "ID {agreement_id} not found",
        "Please check whether you specified a valid ID",
    ),
    "not_found": _plain(404, "Not found.", "Not found."),
    "method_not_allowed": _plain(
        405, "Method not allowed.", 'Method "{method}" not allowed.'
    ),
    "accept_twice": _plain(
        405,
        "EUA cannot be accepted more than once",
        "End User Agreements cannot be accepted more than once",
    ),
    "account_suspended": _plain(
        409,
        "Account suspended",
        "This account or its requisition was suspended due to numerous errors that occurred while"
        " accessing it.",
    ),
    "account_state_object": ErrorKind(
        409,
        {
            "id": "{account_id}",
            "created": "{created}",
            "last_accessed": "{last_accessed}",
            "iban": "{iban}",
            "aspsp_identifier": "{institution_id}",
            "status": "ERROR",
        },
    ),
    "account_processing": _plain(
        409,
        "Account is being processed",
        "Account status is {account_status}. Please try again later",
    ),
    "daily_quota_gc": _plain(
        429,
        "Rate limit exceeded",
        "The rate limit for this resource is {limit}/day. Please try again in {seconds} seconds",
    ),
    "company_quota_gc": _plain(
        429,
        "Rate limit exceeded",
        "The rate limit for this resource is {limit}/{period}. Please try again in {seconds}"
        " seconds",
    ),
    "bank_quota": _bank(
        429,
        "RateLimitError",
        "Daily request limit set by the Institution has been exceeded.",
    ),
    "unknown_request": _bank(
        500, "UnknownRequestError", "Request to Institution returned an error", counts=True
    ),
    "service_error": _bank(503, "ServiceError", "Institution service unavailable"),
    "connection_error": _bank(503, "ConnectionError", "Couldn't connect to Institution"),
}  # fmt: skip
_BY_TYPE: Final = {kind.body["type"]: name for name, kind in ERRORS.items() if kind.at_bank}
_USUAL: Final = {
    "account_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "agreement_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "requisition_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "id": "3fa85f64",
    "institution_id": "SANDBOXFINANCE_SFIN0000",
    "account_status": "PROCESSING",
    "country": "US",
    "created": "2025-10-31 07:58:23.836351+00:00",
    "last_accessed": "2025-10-31 07:58:23.836360+00:00",
    "date": "2999-01-01",
    "today": "2998-12-31",
    "date_from": "2025-11-10",
    "date_to": "2025-10-31",
    "days": "90",
    "fields": "foo",
    "iban": "",
    "ip": "127.0.0.1",
    "limit": "4",
    "method": "POST",
    "period": "minute",
    "place": "query",
    "reference": "conn-42",
    "scope": "transactions",
    "scopes": "['details', 'balances']",
    "seconds": "42",
    "until": "2026-06-30 15:57:27.203016+00:00",
}  # what an error says that a fault asks for where nothing is known


def gc_error(code: str, **facts: object) -> GoCardlessError:
    """Return the documented error of this code, with the facts in its words."""
    kind = ERRORS[code]
    words = {**_USUAL, **{name: str(fact) for name, fact in facts.items()}}
    body = _filled(kind.body, words)
    if code != "account_state_object":
        body["status_code"] = kind.status
    return GoCardlessError(kind.status, body, counts=kind.counts)


def field_errors(
    status: int, keyed: Mapping[str, Any], *, as_lists: bool = False
) -> GoCardlessError:
    """Return a refusal keyed by field; `as_lists` wraps each object into a list."""
    body = {
        name: [value] if as_lists and isinstance(value, dict) else value
        for name, value in keyed.items()
    }
    return GoCardlessError(status, {**body, "status_code": status})


def field_value(code: str, **facts: object) -> Any:  # noqa: ANN401 - an object or a list
    """Return what the error of this code says under its one field."""
    body = gc_error(code, **facts).body
    return next(value for name, value in body.items() if name != "status_code")


def injected_code(code: str | None) -> str | None:
    """Return the catalogue's code for one that a fault names: its own or the error's type."""
    if code is None or code in ERRORS:
        return code
    return _BY_TYPE.get(code)


def injected_error(
    code: str | None, status: int | None, message: str | None, **facts: object
) -> GoCardlessError:
    """Return the error a fault asks for; an undocumented code is its own summary."""
    known = injected_code(code)
    if known is None:
        error = GoCardlessError(500, {"summary": code or "Error", "detail": "", "status_code": 500})
    else:
        error = gc_error(known, **facts)
    if message is not None:
        error.body["detail"] = message
    if status is not None:
        error.status = status
        error.body["status_code"] = status
    return error


def _filled(template: Any, words: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(template, str):
        return template.format_map(words)
    if isinstance(template, list):
        return [_filled(one, words) for one in template]
    if isinstance(template, Mapping):
        return {name: _filled(value, words) for name, value in template.items()}
    return template
