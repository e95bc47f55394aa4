"""
Retries inside one call: bounded, jittered, and only for what may pass within seconds.

Whatever needs longer is not waited for: the error says when (`retry_after_s`), and the
caller plans the next attempt.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import tenacity

from bank_pipeline.errors import TransientError

WAIT_MAX_S: Final = 5.0  # a thread that sleeps longer is a thread missing elsewhere

_Result = TypeVar("_Result")
_SLEEP: Final = time.sleep  # noqa: TID251 - the one place where a call may wait


def is_brief(error: BaseException) -> bool:
    """Say whether the failure may pass within seconds: transient, and no longer wait asked."""
    return isinstance(error, TransientError) and (error.retry_after_s or 0) <= WAIT_MAX_S


@dataclass(frozen=True)
class Retry:
    """
    How often and how long one call may try.

    `total_max_s` bounds the calls and the waits together: no new attempt starts after it.
    `sleep` is exchanged in tests.
    """

    attempts_max: int = 3
    total_max_s: float = 90.0
    sleep: Callable[[float], None] = _SLEEP

    def call(self, attempt: Callable[[], _Result]) -> _Result:
        """
        Return what `attempt` returns, trying again after brief failures.

        Raises:
            TransientError: the last one, unchanged, when the attempts are used up or when
                it asks for a wait longer than WAIT_MAX_S.
        """
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.attempts_max)
            | tenacity.stop_before_delay(self.total_max_s),
            wait=_wait_s,
            retry=tenacity.retry_if_exception(is_brief),
            sleep=self.sleep,
            reraise=True,
        )
        return retrying(attempt)


_jitter_s = tenacity.wait_random_exponential(multiplier=0.25, max=WAIT_MAX_S)


def _wait_s(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.retry_after_s if isinstance(error, TransientError) else None
    return max(asked_s or 0.0, _jitter_s(state))
