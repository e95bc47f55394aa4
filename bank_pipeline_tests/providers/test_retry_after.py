"""When a provider wants to be asked again, however it writes that, and at every provider."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from bank_pipeline.errors import ProviderError
from bank_pipeline.providers.enable_banking import errors as enable_banking
from bank_pipeline.providers.gocardless import errors as gocardless
from bank_pipeline.providers.http import HttpAnswer
from bank_pipeline.providers.plaid import errors as plaid
from bank_pipeline.providers.retry_after import read_wait_s
from bank_pipeline.providers.teller import errors as teller

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
TWO_HOURS = {
    "retry-after": "Thu, 05 Mar 2026 10:00:00 GMT",
    "date": "Thu, 05 Mar 2026 08:00:00 GMT",  # the sender's clock, which is not ours
}

Translate = Callable[[HttpAnswer], ProviderError]
OF_EACH: list[Translate] = [
    lambda answer: enable_banking.to_error("sessions", answer),
    lambda answer: gocardless.to_error("institutions", answer),
    lambda answer: plaid.to_error("item/get", answer, now=NOW),
    lambda answer: teller.to_error(
        "accounts", answer, about_account=False, is_certificate_proven=True
    ),
]


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (" 1.5 ", 1.5),
        ("Thu, 05 Mar 2026 12:01:30 GMT", 90.0),
        ("2026-03-05T12:00:30Z", 30.0),
        ("2026-03-05T13:00:30+01:00", 30.0),
        ("2026-03-05T11:00:00Z", 0.0),
        ("999999999", 86_400.0),
        ("2036-01-01T00:00:00Z", 86_400.0),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("Thu, 05 Mar 99999999999 12:00:00 GMT", None),
        ("Thu, 05 Mar 2026 12:00:00 +9999999999999", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(header: str | None, wait_s: float | None) -> None:
    headers = {} if header is None else {"retry-after": header}
    assert read_wait_s(headers, now=NOW) == wait_s


def test_a_date_without_the_senders_clock_says_nothing() -> None:
    assert read_wait_s({"retry-after": TWO_HOURS["retry-after"]}) is None


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("translate", OF_EACH)
def test_every_provider_is_believed_as_are_the_proxies_before_it(
    translate: Translate, status: int
) -> None:
    """One that asked for hours was asked again at once, and after some minutes."""
    for headers in (TWO_HOURS, {"retry-after": "7200"}):
        error = translate(HttpAnswer(status, headers, b"<html>busy</html>"))
        assert error.retry_after_s == 7200


def test_a_day_that_a_bank_counts_by_is_not_shortened() -> None:
    body = b'{"type": "RateLimitError", "detail": "Daily request limit has been exceeded"}'
    error = gocardless.to_error("accounts/balances", HttpAnswer(429, {"retry-after": "9"}, body))
    assert error.retry_after_s == 86_400
