"""Every documented failure has its meaning; what is not documented keeps the connection."""

import csv
import json
from pathlib import Path

import pytest

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
from bank_pipeline.providers.http import HttpAnswer
from bank_pipeline.providers.teller.errors import Backoff, error_of_code, is_closed, to_error
from bank_pipeline_tests.providers.teller.builders import error_body

MEANING: dict[str, type[ProviderError]] = {
    "CONFIG": ConfigurationError,
    "RELINK": AccessRevokedError,
    "REAUTH": ReauthRequiredError,
    "USER_AT_BANK": ReauthRequiredError,
    "NOT_READY": TransientError,
    "SKIP_PRODUCT": ProductUnsupportedError,
    "DROP_ACCOUNT": AccountGoneError,
    "RATE_LIMIT": RateLimitedError,
    "RETRY": TransientError,
}


def error(
    status: int,
    code: str | None = None,
    *,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    about_account: bool = True,
    proven: bool = True,
) -> ProviderError:
    content = json.dumps(error_body(code)).encode() if body is None else body
    return to_error(
        "transactions",
        HttpAnswer(status, headers or {}, content),
        about_account=about_account,
        is_certificate_proven=proven,
    )


def test_the_whole_catalogue_is_mapped_as_it_says(contracts: Path) -> None:
    with (contracts / "error_catalogue_plaid_teller_stripe.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["provider"] == "teller"]
    assert len(rows) == 19
    for row in rows:
        code = row["error_code"]
        word = "not_found" if code.startswith("(") else code
        found = error(int(row["http_status"]), word)
        assert type(found) is MEANING[row["reaction"]], row


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "bad_request", ConfigurationError),
        (401, "unauthorized", ConfigurationError),
        (403, "forbidden", AccessRevokedError),
        (404, "enrollment.disconnected", ReauthRequiredError),
        (404, "enrollment.disconnected.user_action.mfa_required", ReauthRequiredError),
        (404, "enrollment.disconnected.invented_tomorrow", ReauthRequiredError),
        (404, "enrollment.invented_tomorrow", TransientError),
        (404, "not_found", AccountGoneError),
        (404, "account_number_verification_pending", TransientError),
        (404, "account_number_verification_expired", ProductUnsupportedError),
        (410, "account.closed", AccountGoneError),
        (410, "account.closed.by.the_bank", AccountGoneError),
        (410, None, AccountGoneError),
        (422, "invalid", ConfigurationError),
        (429, "too_many", RateLimitedError),
        (408, None, TransientError),
        (500, None, TransientError),
        (502, "bad_gateway", TransientError),
        (503, "x", TransientError),
        (302, None, ConfigurationError),
        (418, "invented_tomorrow", ConfigurationError),
    ],
)
def test_each_failure_has_its_class(
    status: int, code: str | None, expected: type[ProviderError]
) -> None:
    found = error(status, code)
    assert type(found) is expected
    assert "Jane" not in str(found)
    assert found.retry_after_s is None or isinstance(found, TransientError)


def test_a_broken_login_is_no_missing_account() -> None:
    found = error(404, "enrollment.disconnected.credentials_invalid")
    assert type(found) is ReauthRequiredError
    assert found.code == "enrollment.disconnected.credentials_invalid"
    assert type(error(404, "enrollment.disconnectedness")) is TransientError


def test_nothing_is_gone_where_the_path_names_no_account() -> None:
    assert type(error(404, "not_found", about_account=False)) is ConfigurationError
    assert type(error(410, "gone", about_account=False)) is TransientError


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"error": "text"}', b'{"error": {}}', b""])
def test_a_404_that_is_not_tellers_ends_no_account(body: bytes) -> None:
    assert type(error(404, body=body)) is ConfigurationError


def test_a_403_is_the_tokens_only_under_a_proven_certificate() -> None:
    assert type(error(403, "forbidden", proven=True)) is AccessRevokedError
    found = error(403, "forbidden", proven=False)
    assert type(found) is ConfigurationError
    assert "CERTIFICATE" in found.code


def test_codes_are_understood_without_an_answer() -> None:
    assert type(error_of_code("accounts", "HTTP_403")) is AccessRevokedError
    disconnected = error_of_code("accounts", "enrollment.disconnected.account_locked")
    assert type(disconnected) is ReauthRequiredError
    assert type(error_of_code("accounts", "invented_tomorrow")) is TransientError


def test_only_tellers_word_closes_an_account_at_once() -> None:
    closed, missing = error(410, "account.closed.x"), error(404, "not_found")
    assert isinstance(closed, AccountGoneError)
    assert isinstance(missing, AccountGoneError)
    assert (is_closed(closed), is_closed(missing)) == (True, False)


def test_a_bank_that_is_down_is_given_minutes() -> None:
    assert error(502).retry_after_s == 300
    assert error(500).retry_after_s is None


def test_a_wait_that_teller_names_is_kept_within_reason() -> None:
    assert error(429, headers={"retry-after": "7"}).retry_after_s == 7
    assert error(429, headers={"retry-after": "999999999"}).retry_after_s == 86_400
    assert error(429, headers={"retry-after": "soon"}).retry_after_s is None


def test_the_wait_after_too_many_calls_doubles_up_to_five_minutes() -> None:
    backoff, now_s, waits = Backoff(), 1000.0, []
    for _ in range(9):
        waits.append(backoff.refused(now_s=now_s))
        now_s += waits[-1]
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    backoff.accepted()
    assert backoff.refused(now_s=now_s) == 5


def test_many_who_are_refused_at_once_are_one_refusal() -> None:
    backoff = Backoff()
    assert [backoff.refused(now_s=1000.0 + n) for n in range(3)] == [5, 4, 3]
    assert backoff.refused(now_s=1005.0) == 10
