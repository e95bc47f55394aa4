"""Every documented code has its meaning; what is not documented keeps the connection."""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bank_pipeline.errors import (
    AccessRevokedError,
    AccountGoneError,
    ConfigurationError,
    CursorRejectedError,
    FeedMovedError,
    ProductUnsupportedError,
    ProviderError,
    RateLimitedError,
    ReauthRequiredError,
    TransientError,
)
from bank_pipeline.providers.http import HttpAnswer
from bank_pipeline.providers.plaid.errors import ERROR_OF_CODE, to_error
from bank_pipeline_tests.providers.plaid.builders import error_body

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)

MEANING = {
    "RESTART_SYNC": FeedMovedError,
    "REAUTH": ReauthRequiredError,
    "USER_AT_BANK": ReauthRequiredError,
    "RELINK": AccessRevokedError,
    "NOT_READY": TransientError,
    "SKIP_PRODUCT": ProductUnsupportedError,
    "CONFIG": ConfigurationError,
    "DROP_ACCOUNT": AccountGoneError,
    "RETRY": TransientError,
    "RATE_LIMIT": RateLimitedError,
}


def answer(status: int = 400, headers: dict[str, str] | None = None, **body: object) -> HttpAnswer:
    return HttpAnswer(status, headers or {}, json.dumps(body).encode())


@pytest.mark.parametrize("code", sorted(ERROR_OF_CODE))
def test_every_code_becomes_its_error_with_what_support_needs(code: str) -> None:
    error = to_error("item/get", answer(400, {}, **error_body(code)), now=NOW)
    assert type(error) is ERROR_OF_CODE[code]
    assert (error.code, error.request_id, error.operation) == (code, "failed1", "item/get")
    assert error.retry_after_s is None or isinstance(error, TransientError)
    assert "Jane" not in str(error)


def _kind(error: ProviderError) -> type[ProviderError]:
    """Return the class, without whether it is our keys that are wrong: catalogues do not say."""
    return ConfigurationError if isinstance(error, ConfigurationError) else type(error)


def test_the_whole_catalogue_is_mapped_as_it_says(contracts: Path) -> None:
    with (contracts / "error_catalogue_plaid_teller_stripe.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["provider"] == "plaid"]
    assert len(rows) == 78
    assert {row["error_code"] for row in rows} | {"PLAID-INTERNAL-ERROR"} == set(ERROR_OF_CODE)
    for row in rows:
        body = error_body(row["error_code"], error_type=row["error_type"])
        error = to_error("item/get", answer(int(row["http_status"]), {}, **body), now=NOW)
        reaction = row["reaction"]
        if reaction == "LINK_ONLY":
            is_login = row["connection_effect"] == "needs_reauth"
            assert type(error) is (ReauthRequiredError if is_login else TransientError)
        else:
            assert _kind(error) is MEANING[reaction], row["error_code"]


def test_every_rate_limit_says_when() -> None:
    for code, kind in ERROR_OF_CODE.items():
        if kind is RateLimitedError:
            error = to_error("item/get", answer(429, {}, **error_body(code)), now=NOW)
            assert error.retry_after_s
            assert error.retry_after_s >= 60


@pytest.mark.parametrize(
    ("status", "error_type", "expected"),
    [
        (400, "ITEM_ERROR", TransientError),
        (400, "SOMETHING_NEW", TransientError),
        (400, "INVALID_REQUEST", ConfigurationError),
        (429, "SOMETHING_NEW", RateLimitedError),
        (400, "RATE_LIMIT_EXCEEDED", RateLimitedError),
        (500, "API_ERROR", TransientError),
    ],
)
def test_a_new_code_never_touches_the_connection(
    status: int, error_type: str, expected: type[ProviderError]
) -> None:
    body = error_body("INVENTED_TOMORROW", error_type=error_type)
    error = to_error("item/get", answer(status, {}, **body), now=NOW)
    assert type(error) is expected
    assert error.code == "INVENTED_TOMORROW"


def test_only_a_sent_cursor_can_be_rejected() -> None:
    body = error_body("INVALID_FIELD", error_message="cursor not associated with access_token")
    reply = answer(400, {}, **body)
    rejected = to_error("transactions/sync", reply, now=NOW, sent_cursor=True)
    assert type(rejected) is CursorRejectedError
    assert type(to_error("transactions/sync", reply, now=NOW)) is ConfigurationError


def test_a_cursor_code_that_is_new_is_understood() -> None:
    body = error_body("INVALID_CURSOR", error_type="INVALID_INPUT", error_message="")
    error = to_error("transactions/sync", answer(400, {}, **body), now=NOW, sent_cursor=True)
    assert type(error) is CursorRejectedError


def test_a_date_to_retry_after_is_on_the_senders_clock() -> None:
    headers = {
        "retry-after": "Thu, 05 Mar 2026 08:00:09 GMT",
        "date": "Thu, 05 Mar 2026 08:00:00 GMT",
    }
    error = to_error("item/get", answer(429, headers, **error_body("RATE_LIMIT")), now=NOW)
    assert error.retry_after_s == 9.0
