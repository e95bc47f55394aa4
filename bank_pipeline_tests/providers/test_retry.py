"""Waits inside a call: few, short, and only for what may pass."""

import pytest

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import (
    ConfigurationError,
    ProviderError,
    RateLimitedError,
    TransientError,
)
from bank_pipeline.providers.retry import WAIT_MAX_S, Retry


class Flaky:
    """Fails with the given errors, then succeeds."""

    def __init__(self, *errors: ProviderError) -> None:
        self.errors = list(errors)
        self.calls_count = 0
        self.waits: list[float] = []

    def __call__(self) -> str:
        self.calls_count += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    def run(self, **limits: float) -> str:
        return Retry(sleep=self.waits.append, **limits).call(self)  # type: ignore[arg-type]  # ints


def transient(wait_s: float | None = None) -> TransientError:
    return TransientError(Provider.PLAID, "item/get", code="X", retry_after_s=wait_s)


def test_a_brief_failure_is_tried_again() -> None:
    flaky = Flaky(transient(), transient(1.0))
    assert flaky.run() == "done"
    assert flaky.calls_count == 3
    assert all(wait_s <= WAIT_MAX_S for wait_s in flaky.waits)
    assert flaky.waits[1] >= 1.0


@pytest.mark.parametrize(
    "error",
    [
        transient(WAIT_MAX_S + 0.1),
        RateLimitedError(Provider.PLAID, "item/get", code="X", retry_after_s=60),
        ConfigurationError(Provider.PLAID, "item/get", code="X"),
    ],
)
def test_whatever_needs_longer_is_raised_at_once(error: ProviderError) -> None:
    flaky = Flaky(error)
    with pytest.raises(ProviderError) as caught:
        flaky.run()
    assert caught.value is error
    assert flaky.waits == []


def test_attempts_are_bounded_and_the_last_error_is_raised() -> None:
    errors = [transient() for _ in range(9)]
    flaky = Flaky(*errors)
    with pytest.raises(TransientError) as caught:
        flaky.run(attempts_max=4)
    assert caught.value is errors[3]


def test_time_is_bounded() -> None:
    flaky = Flaky(*(transient() for _ in range(9)))
    with pytest.raises(TransientError):
        flaky.run(total_max_s=0.0)
    assert flaky.calls_count == 1
