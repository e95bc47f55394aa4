"""
What GoCardless says of its limits, in headers and in the text of refusals. Pure.

A bank's daily calls are counted by account and scope, successes only, over any 24 hours; the
company's own by the minute. The headers are announced in capitals with underscores, arrive
in lower case, and are rewritten or dropped by proxies: nginx drops underscores by default.
Their values have been seen negative and absurd: what makes no sense is unknown.

Source: https://developer.gocardless.com/bank-account-data/overview
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from bank_pipeline.providers.answers import QuotaSeen
from bank_pipeline.providers.throttle import Rate

DAY_S: Final = 86_400.0
MINUTE_S: Final = 60.0
_CALLS_ABSURD: Final = 10_000
_DAILY: Final = "x_ratelimit_account_success_"
_COMPANY: Final = "x_ratelimit_"
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_WAIT: Final = re.compile(r"try again in ([0-9]{1,9}) seconds")
_RATE: Final = re.compile(r"[0-9]+\s*/\s*day")


_MINUTELY: Final = Rate(100, MINUTE_S, burst=60)
_READING: Final = Rate(300, MINUTE_S, burst=200)

_RATES: Final[tuple[tuple[str, str, Rate], ...]] = (
    ("accounts", "", _MINUTELY),
    ("institutions", "", _READING),
    ("token/new", "", Rate(100, 3_600.0, burst=60)),
    ("agreements", "GET", _READING),
    ("requisitions", "GET", _READING),
    ("agreements", "", _MINUTELY),
    ("requisitions", "", _MINUTELY),
)
"""
The company's own rates: where an operation begins so, and is of this method if any is named.

Source: https://developer.gocardless.com/bank-account-data/overview
"""


def rates_of(operation: str, method: str) -> Mapping[str, Rate]:
    """Return the company's rates that a call counts towards, by bucket. Pure."""
    for begins, of_method, rate in _RATES:
        if operation.startswith(begins) and of_method in ("", method):
            return {f"{of_method} {begins}".strip(): rate}
    return {}


def to_quota(headers: Mapping[str, str]) -> QuotaSeen | None:
    """
    Read what is left of the daily calls of one account and scope; None when nothing says.

    Not to be mistaken for the company's calls by the minute, whose headers lack `account`.
    """
    calls_left = _read(headers, f"{_DAILY}remaining", at_most=_CALLS_ABSURD)
    if calls_left is None:
        return None
    reset_s = _read(headers, f"{_DAILY}reset", at_most=DAY_S)
    return QuotaSeen(calls_left, None if reset_s is None else timedelta(seconds=reset_s))


def is_daily(detail: str) -> bool:
    """Say whether the text of a refusal speaks of calls per day."""
    return _RATE.search(detail) is not None


def to_wait_s(headers: Mapping[str, str], detail: str, *, is_of_day: bool) -> float:
    """
    Return how long a refused call has to wait: by the text, else by the header, else all of it.

    The text names the limit that was hit; headers of several limits come along.
    """
    said = _WAIT.search(detail)
    if said is not None:
        return min(float(said[1]), DAY_S)
    reset_s = _read(headers, f"{_DAILY if is_of_day else _COMPANY}reset", at_most=DAY_S)
    return float(reset_s) if reset_s else (DAY_S if is_of_day else MINUTE_S)


def _read(headers: Mapping[str, str], name: str, *, at_most: float) -> int | None:
    """Return a header under any of its spellings, None when it is absent or makes no sense."""
    for key, value in headers.items():
        plain = key.lower().replace("-", "_").removeprefix("http_")
        if plain == name and _NUMBER.fullmatch(value.strip()):
            number = int(value)
            return number if number <= at_most else None
    return None
