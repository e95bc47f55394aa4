"""Limits are read in every spelling, and what makes no sense is unknown."""

import json
from datetime import timedelta
from typing import Any

import pytest

from bank_pipeline.errors import RateLimitedError
from bank_pipeline.providers.answers import QuotaSeen
from bank_pipeline.providers.gocardless.errors import to_error
from bank_pipeline.providers.gocardless.quotas import to_quota
from bank_pipeline.providers.http import HttpAnswer

SPELLINGS = [
    "http_x_ratelimit_account_success_",
    "HTTP_X_RATELIMIT_ACCOUNT_SUCCESS_",
    "http-x-ratelimit-account-success-",
    "x-ratelimit-account-success-",
    "x_ratelimit_account_success_",
    "X-RateLimit-Account-Success-",
]


@pytest.mark.parametrize("prefix", SPELLINGS)
def test_the_daily_quota_is_read_in_every_spelling(prefix: str) -> None:
    headers = {f"{prefix}remaining": "3", f"{prefix}reset": "71234"}
    assert to_quota(headers) == QuotaSeen(3, timedelta(seconds=71_234))


def test_the_companys_own_calls_are_not_the_daily_ones() -> None:
    assert to_quota({"http_x_ratelimit_remaining": "99", "http_x_ratelimit_reset": "59"}) is None


@pytest.mark.parametrize("value", ["-1875538", "", "many", "999999999", "1.5"])
def test_a_count_that_makes_no_sense_is_unknown(value: str) -> None:
    assert to_quota({"http_x_ratelimit_account_success_remaining": value}) is None


@pytest.mark.parametrize("value", ["-1875538", "86401", "soon"])
def test_a_reset_that_makes_no_sense_is_unknown(value: str) -> None:
    headers = {
        "http_x_ratelimit_account_success_remaining": "0",
        "http_x_ratelimit_account_success_reset": value,
    }
    assert to_quota(headers) == QuotaSeen(0, None)


def wait_s(body: dict[str, Any], **headers: str) -> float | None:
    error = to_error("accounts/balances", HttpAnswer(429, headers, json.dumps(body).encode()))
    assert type(error) is RateLimitedError
    return error.retry_after_s


DAILY = {
    "summary": "Rate limit exceeded",
    "detail": "The rate limit for this resource is 4/day. Please try again in 85092 seconds",
}
COMPANY = {
    "summary": "Rate limit exceeded",
    "detail": "The rate limit for this resource is 100/minute. Please try again in 42 seconds",
}
BANK = {
    "summary": "Couldn't update account transactions",
    "detail": "Daily request limit set by the Institution has been exceeded.",
    "type": "RateLimitError",
}


def test_a_refusal_says_when_to_come_back() -> None:
    assert wait_s(DAILY) == 85_092
    assert wait_s(COMPANY) == 42
    assert wait_s(DAILY, http_x_ratelimit_account_success_reset="-5") == 85_092


def test_a_header_says_it_where_the_text_does_not() -> None:
    assert wait_s(BANK, http_x_ratelimit_account_success_reset="600") == 600
    mute = {"summary": "Rate limit exceeded", "detail": ""}
    assert wait_s(mute, http_x_ratelimit_reset="17") == 17


def test_without_a_word_a_bank_is_left_alone_for_a_day_and_the_company_for_a_minute() -> None:
    assert wait_s(BANK) == 86_400
    assert wait_s(BANK, http_x_ratelimit_account_success_reset="-1875538") == 86_400
    assert wait_s({"summary": "Rate limit exceeded", "detail": ""}) == 60
