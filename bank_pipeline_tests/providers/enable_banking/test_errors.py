"""Every documented code has its meaning; what is not documented keeps the connection."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

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
from bank_pipeline.providers.enable_banking.errors import (
    ERROR_OF_CODE,
    STATUS_CONFUSED,
    error_of_code,
    to_error,
)
from bank_pipeline.providers.http import HttpAnswer

TODAY = date(2026, 5, 16)

REACTIONS: dict[str, tuple[type[ProviderError], ...]] = {
    "operator_alert": (ConfigurationError,),
    "renew_jwt_retry_once_then_alert": (ConfigurationError,),
    "reconnect_expired": (ReauthRequiredError,),
    "reconnect_disconnected": (AccessRevokedError,),
    "reconnect_revoked": (AccessRevokedError,),
    "reconnect_action": (ReauthRequiredError,),
    "get_session_then_act": (TransientError,),
    "use_existing_session": (ConfigurationError,),
    "restart_link": (ConfigurationError,),
    "refresh_institutions": (ConfigurationError,),
    "refresh_account_uids": (AccountGoneError,),
    "disable_account": (AccountBlockedError,),
    "fail_permanent_bug": (ConfigurationError,),
    "retry_next_run": (TransientError,),
    "retry_once_then_next_run": (TransientError,),
    "defer_6h_or_next_utc_day": (RateLimitedError,),
    "shorten_period": (WindowTooWideError,),
    "restart_window": (FeedMovedError,),
    "keep_partial_stop_paging": (TransientError,),
    "skip_pending": (TransientError,),
    "ignore": (ConfigurationError,),
    "skip_scope": (ProductUnsupportedError,),
    "backoff": (TransientError,),
}


def answer(status: int = 400, headers: dict[str, str] | None = None, **body: Any) -> HttpAnswer:
    return HttpAnswer(status, headers or {}, json.dumps(body).encode())


def failed(status: int = 400, headers: dict[str, str] | None = None, **body: Any) -> ProviderError:
    return to_error("accounts/transactions", answer(status, headers, **body), today=TODAY)


@pytest.mark.parametrize("code", sorted(ERROR_OF_CODE))
def test_every_code_becomes_its_error_whatever_the_status(code: str) -> None:
    for status in (400, 401, 422, 502):
        error = failed(status, error=code, message="text that names Jane Doe", code=status)
        assert type(error) is ERROR_OF_CODE[code]
        assert (error.code, error.operation) == (code, "accounts/transactions")
        assert "Jane" not in str(error)


def test_the_whole_catalogue_is_mapped_as_it_says(contracts: Path) -> None:
    catalogue = json.loads((contracts / "data" / "eb_error_catalog.json").read_text())
    assert len(catalogue["errors"]) > 30
    for entry in catalogue["errors"]:
        error = failed(entry["http"], **entry["body"])
        assert isinstance(error, REACTIONS[entry["reaction"]]), entry
        assert error.code.split()[0] in ERROR_OF_CODE or entry["error"] is None


def test_every_code_of_the_specification_is_known(contracts: Path) -> None:
    schemas = yaml.safe_load((contracts / "openapi.yml").read_text())["components"]["schemas"]
    assert {*schemas["ErrorCode"]["enum"]} <= {*ERROR_OF_CODE}
    usable = {"AUTHORIZED"}
    assert {*schemas["SessionStatus"]["enum"]} - usable <= {*ERROR_OF_CODE}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("EXPIRED", ReauthRequiredError),
        ("INVALID", ReauthRequiredError),
        ("CANCELLED", ReauthRequiredError),
        ("REVOKED", AccessRevokedError),
        ("CLOSED", AccessRevokedError),
        ("SESSION_DOES_NOT_EXIST", AccessRevokedError),
        ("PENDING_AUTHORIZATION", TransientError),
        ("RETURNED_FROM_BANK", TransientError),
        ("NEVER_HEARD_OF", TransientError),
    ],
)
def test_a_session_status_becomes_its_error(status: str, kind: type[ProviderError]) -> None:
    assert type(error_of_code("sessions/get", status)) is kind


def test_an_unknown_application_is_our_fault_though_it_has_no_code() -> None:
    error = failed(403, code=403, message="Application does not exist")

    assert (type(error), error.code) == (CredentialsRefusedError, "APPLICATION_DOES_NOT_EXIST")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, b"<html>", TransientError),
        (502, b"", TransientError),
        (408, b"[]", TransientError),
        (404, b"<html>", ConfigurationError),
        (301, b"", ConfigurationError),
        (401, b'{"message": "no"}', ConfigurationError),
        (403, b'{"message": "no", "error": "BRAND_NEW"}', ConfigurationError),
        (422, b'{"message": "no", "error": "BRAND_NEW"}', TransientError),
        (400, b'{"title": "Bank says no", "code": "SOME_BANKS_OWN"}', TransientError),
        (429, b'{"message": "slow down"}', RateLimitedError),
    ],
)
def test_what_is_not_documented_keeps_the_connection(
    status: int, body: bytes, kind: type[ProviderError]
) -> None:
    assert type(to_error("x", HttpAnswer(status, {}, body))) is kind


def test_a_banks_limit_is_looked_at_again_in_six_hours() -> None:
    limited = failed(429, error="ASPSP_RATE_LIMIT_EXCEEDED", message="ASPSP Rate limit exceeded")
    assert limited.retry_after_s == 6 * 3600
    asked = failed(429, {"retry-after": "120"}, error="ASPSP_RATE_LIMIT_EXCEEDED", message="x")
    assert asked.retry_after_s == 120
    # Some banks' own words are passed through; only calls that ask no bank have limits of theirs.
    worded = HttpAnswer(429, {}, b"Daily PSU not present consultation limit has been exceeded")
    assert to_error("accounts/balances", worded).retry_after_s == 6 * 3600
    assert to_error("aspsps", worded).retry_after_s == 300
    absurd = failed(429, {"retry-after": "999999"}, message="x")
    assert absurd.retry_after_s == 86_400


@pytest.mark.parametrize(
    ("body", "earliest"),
    [
        ({"detail": {"message": "is 120", "date_from": "2026-01-17"}}, date(2026, 1, 17)),
        (
            {"detail": {"message": "Maximum days in the past allowed for transaction list is 120"}},
            date(2026, 1, 17),
        ),
        ({"detail": {"message": "Requested time period out of bound."}}, None),
        ({"detail": None}, None),
        ({"detail": {"date_from": "soon"}}, None),
    ],
)
def test_a_refused_period_says_how_far_back_the_bank_goes(
    body: dict[str, Any], earliest: date | None
) -> None:
    error = failed(422, error="WRONG_TRANSACTIONS_PERIOD", message="Wrong period", **body)

    assert isinstance(error, WindowTooWideError)
    assert error.earliest == earliest


def test_n26_refuses_a_period_in_its_own_words() -> None:
    for code in ("PERIOD_INVALID", "ANOTHER_DAY"):
        error = failed(400, title="Range is out of the last 90-day period", code=code)
        assert isinstance(error, WindowTooWideError)
        assert (error.code, error.earliest) == (code, date(2026, 2, 16))


def test_a_bank_may_count_its_history_in_years() -> None:
    words = "date_from and date_to have to lie within 3 years"
    error = failed(400, error="Request refused", message=words)
    assert isinstance(error, WindowTooWideError)
    assert error.earliest == TODAY - timedelta(days=3 * 365 - 1)
    assert isinstance(failed(400, message="date_from is no date"), ConfigurationError)
    assert isinstance(failed(403, message=words), ConfigurationError)


def test_a_bank_that_loses_track_of_its_own_pages_is_no_fault_of_ours() -> None:
    confused = failed(
        422,
        error="WRONG_REQUEST_PARAMETERS",
        message="Wrong request parameters provided",
        detail={"message": "transactionStatus in request is not the same as in continuationKey"},
    )
    assert (type(confused), confused.code) == (TransientError, STATUS_CONFUSED)
    ours = failed(422, error="WRONG_REQUEST_PARAMETERS", message="x", detail="date_from")
    assert type(ours) is ConfigurationError
