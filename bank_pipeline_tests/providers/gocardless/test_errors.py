"""Every documented error has its meaning; what is not documented keeps the connection."""

import json
from pathlib import Path
from typing import Any

import pytest

from bank_pipeline.errors import (
    AccessRevokedError,
    AccountBlockedError,
    AccountGoneError,
    ConfigurationError,
    ProductUnsupportedError,
    ProviderError,
    RateLimitedError,
    ReauthRequiredError,
    TransientError,
)
from bank_pipeline.providers.gocardless.errors import (
    ERROR_OF_CODE,
    error_of_account,
    error_of_code,
    read_complaint,
    to_error,
)
from bank_pipeline.providers.http import HttpAnswer

BALANCES = "accounts/balances"

MEANING: dict[str, type[ProviderError]] = {
    "fail_permanent_bug": ConfigurationError,
    "fail_permanent_config": ConfigurationError,
    "retry_with_parsed_bound_then_90": ConfigurationError,
    "find_existing_by_reference": ConfigurationError,
    "renew_token_retry_once": ConfigurationError,
    "operator_alert": ConfigurationError,
    "ignore": ConfigurationError,
    "reconnect_expired": ReauthRequiredError,
    "reconnect_revoked": ReauthRequiredError,
    "reconnect_suspended": ReauthRequiredError,
    "disable_account": AccountGoneError,
    "treat_as_gone": AccountGoneError,
    "skip_scope": ProductUnsupportedError,
    "act_on_account_status": AccountBlockedError,
    "retry_later_minutes": TransientError,
    "defer_parsed_seconds": RateLimitedError,
    "backoff_parsed_seconds": RateLimitedError,
    "defer_header_or_24h": RateLimitedError,
    "retry_next_run_count": TransientError,
    "backoff_hours": TransientError,
    "backoff": TransientError,
}


def error(
    status: int, body: Any = None, operation: str = BALANCES, **headers: str
) -> ProviderError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return to_error(operation, HttpAnswer(status, headers, raw))


def _kind(error: ProviderError) -> type[ProviderError]:
    """Return the class, without whether it is our keys that are wrong: catalogues do not say."""
    return ConfigurationError if isinstance(error, ConfigurationError) else type(error)


def test_the_whole_catalogue_is_mapped_as_it_says(contracts: Path) -> None:
    catalogue = json.loads((contracts / "data" / "gc_error_catalog.json").read_bytes())
    assert len(catalogue["errors"]) == 38
    for entry in catalogue["errors"]:
        body = b"<html>Bad Gateway</html>" if entry["body"] is None else entry["body"]
        found = error(entry["http"], body)
        blocked = entry["id"] == "access_forbidden"  # its siblings may be read, and it later
        expected = AccountBlockedError if blocked else MEANING[entry["reaction"]]
        assert _kind(found) is expected, entry["id"]
        assert found.code in ERROR_OF_CODE or found.code == "HTTP_502", entry["id"]


@pytest.mark.parametrize(
    ("status", "body", "code", "kind"),
    [
        (400, {"summary": "End User Agreement (EUA) x has expired"}, "EUA_EXPIRED", None),
        (401, {"summary": "End User Agreement (EUA) x has expired"}, "EUA_EXPIRED", None),
        (401, {"summary": "Invalid token"}, "INVALID_TOKEN", None),
        (401, {"summary": "Authentication failed"}, "AUTHENTICATION_FAILED", None),
        (401, {"summary": "x", "type": "AccessExpiredError"}, "AccessExpiredError", None),
        (401, {"summary": "x", "type": "AccountInactiveError"}, "AccountInactiveError", None),
        (403, {"summary": "No valid End User Agreement"}, "NO_VALID_EUA", None),
        (403, {"summary": "IP address access denied"}, "IP_DENIED", None),
        (404, {"summary": "Account ID x not found"}, "ACCOUNT_NOT_FOUND", None),
        (404, {"detail": "No Account matches the given query."}, "ACCOUNT_NOT_FOUND", None),
        (409, {"summary": "Account suspended"}, "ACCOUNT_SUSPENDED", None),
        (409, {"id": "x", "status": "SUSPENDED"}, "ACCOUNT_SUSPENDED", None),
        (409, {"id": "x", "status": "ERROR"}, "ACCOUNT_ERROR", None),
        (409, {"id": "x", "status": "PROCESSING"}, "ACCOUNT_PROCESSING", None),
        (409, {"id": "x", "status": "NEW_WORD"}, "ACCOUNT_PROCESSING", None),
        # What a gateway in between says is about no account.
        (503, {"status": "error", "message": "upstream"}, "HTTP_503", TransientError),
        (429, {"status": "expired"}, "COMPANY_LIMIT", RateLimitedError),
        (409, {"summary": "anything else"}, "ACCOUNT_PROCESSING", None),
        (418, {"summary": "new"}, "HTTP_418", ConfigurationError),
        (403, {"summary": "new", "type": "NewError"}, "NewError", AccountBlockedError),
        (401, {"summary": "new", "type": "NewError"}, "NewError", TransientError),
        (400, {"summary": "new", "type": "NewError"}, "NewError", TransientError),
        (302, b"", "HTTP_302", ConfigurationError),
        (504, b"<html>", "HTTP_504", TransientError),
        (500, b"", "HTTP_500", TransientError),
        (408, b"", "HTTP_408", TransientError),
    ],
)
def test_an_error_is_known_by_what_it_says(
    status: int, body: Any, code: str, kind: type[ProviderError] | None
) -> None:
    found = error(status, body)
    assert found.code == code
    assert type(found) is (kind or ERROR_OF_CODE[code])


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("accounts/get", AccountGoneError),
        ("requisitions/get", AccessRevokedError),
        ("institutions/get", ConfigurationError),
    ],
)
def test_not_found_is_about_what_was_asked_for(operation: str, kind: type[ProviderError]) -> None:
    body = {"summary": "Not found.", "detail": "Not found.", "status_code": 404}
    assert type(error(404, body, operation)) is kind


@pytest.mark.parametrize("operation", ["accounts/get", "requisitions/get"])
@pytest.mark.parametrize("body", [b"<html>Not Found</html>", b"", b"{}", b"[]"])
def test_a_404_that_is_not_gocardless_own_ends_nothing(operation: str, body: bytes) -> None:
    assert type(error(404, body, operation)) is ConfigurationError


def test_what_is_said_beside_a_summary_is_no_field() -> None:
    body = {"summary": "Not found.", "detail": "Not found.", "request_id": "r-1"}
    assert type(error(404, body, "requisitions/get")) is AccessRevokedError


def test_an_agreement_that_a_request_names_and_nobody_knows_ends_no_connection() -> None:
    body = {"agreement": {"summary": "ID x not found", "detail": "valid?"}, "status_code": 404}
    assert type(error(404, body, "requisitions/create")) is ConfigurationError


def test_the_text_of_an_error_is_never_told() -> None:
    body = {"summary": "Account ID 7e944232 not found", "detail": "Your IP 10.0.0.1", "type": "a b"}
    assert "7e944232" not in str(error(404, body))
    assert "10.0.0.1" not in str(error(404, body))
    assert "a b" not in str(error(404, body))


@pytest.mark.parametrize(
    "value",
    [
        {"summary": "Incorrect", "detail": "must be <= 180"},
        [{"summary": "Incorrect", "detail": "must be <= 180"}],
        ["Incorrect", "must be <= 180"],
    ],
)
def test_a_field_is_refused_in_three_shapes(value: object) -> None:
    complaint = read_complaint(json.dumps({"access_valid_for_days": value}).encode())
    assert "must be <= 180" in complaint.fields["access_valid_for_days"]


def test_a_summary_that_is_a_list_is_a_summary() -> None:
    body = {"summary": ["Institution access scope dependencies error"], "detail": ["both"]}
    assert error(400, body, "agreements/create").code == "SCOPES"


@pytest.mark.parametrize("code", ["EX", "RJ", "SU", "ER"])
def test_a_requisition_that_ended_needs_its_owner(code: str) -> None:
    assert type(error_of_code("requisitions/get", code)) is ReauthRequiredError


@pytest.mark.parametrize("code", ["CR", "GC", "UA", "SA", "GA", "ID", "NEW"])
def test_a_requisition_under_way_needs_nobody(code: str) -> None:
    assert type(error_of_code("requisitions/get", code)) is TransientError


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("PROCESSING", TransientError),
        ("DISCOVERED", TransientError),
        ("ERROR", AccountBlockedError),
        ("SUSPENDED", ReauthRequiredError),
        ("EXPIRED", ReauthRequiredError),
    ],
)
def test_an_accounts_own_status_is_an_error(status: str, kind: type[ProviderError]) -> None:
    assert type(error_of_account("accounts/get", status)) is kind


@pytest.mark.parametrize("status", ["READY", "", None, "SOMETHING_NEW"])
def test_an_account_that_says_nothing_wrong_may_be_asked(status: str | None) -> None:
    assert error_of_account("accounts/get", status) is None


def test_what_failed_at_the_bank_is_not_repeated_at_once() -> None:
    for code in ("UnknownRequestError", "ServiceError", "ConnectionError"):
        found = error(500, {"summary": "x", "type": code})
        assert (found.retry_after_s or 0) >= 3_600


def test_only_what_passes_names_a_wait() -> None:
    for code, kind in ERROR_OF_CODE.items():
        found = error_of_code("x", code)
        assert found.retry_after_s is None or issubclass(kind, TransientError)
