"""
GoCardless's limits and the headers that tell them.

Each account allows a few successful calls per scope in any 24 hours; the company a number per
minute or hour for each group of endpoints.
Source: https://developer.gocardless.com/bank-account-data/overview (rate limits)
"""

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from bank_pipeline.sandbox.gocardless.errors import GoCardlessError, gc_error

_DAY: Final = timedelta(hours=24)


class HeaderStyle(StrEnum):
    """How the names of the headers arrive, after whatever proxies did to them."""

    DOCUMENTED = "documented"  # http_x_ratelimit_remaining
    DASHED = "dashed"  # http-x-ratelimit-remaining
    BARE = "bare"  # x_ratelimit_remaining
    BARE_DASHED = "bare_dashed"  # x-ratelimit-remaining
    NONE = "none"  # dropped, as nginx does with underscores


@dataclass(frozen=True)
class Bucket:
    """So many calls per fixed window of `seconds`."""

    limit: int
    seconds: int = 60

    @property
    def period(self) -> str:
        """The window in the words of the error."""
        return "minute" if self.seconds == _MINUTE_S else "hour"


_MINUTE_S: Final = 60
BUCKETS: Final[Mapping[str, Bucket]] = {
    "accounts": Bucket(100),
    "institutions": Bucket(300),
    "agreements_write": Bucket(100),
    "requisitions_write": Bucket(100),
    "agreements_read": Bucket(300),
    "requisitions_read": Bucket(300),
    "delete": Bucket(100),
    "accept": Bucket(100),
    "token_new": Bucket(100, 3600),
    "token_refresh": Bucket(100),
}


@dataclass(frozen=True)
class Level:
    """How full a limit is: `remaining` calls, more in `reset_s` seconds."""

    limit: int
    remaining: int
    reset_s: int


class CompanyWindows:
    """Count the company's calls. Callers hold the state's lock."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[int, int]] = {}

    def count(self, name: str, scale: float | None, now: datetime) -> tuple[Level | None, bool]:
        """Count one call; return how full the bucket is, and whether this was one too many."""
        if scale is None:
            return None, False
        bucket = BUCKETS[name]
        limit = max(1, int(bucket.limit * scale))
        number, rest = divmod(int(now.timestamp()), bucket.seconds)
        window, used = self._windows.get(name, (number, 0))
        used = used + 1 if window == number else 1
        self._windows[name] = (number, used)
        return Level(limit, max(0, limit - used), bucket.seconds - rest), used > limit


class DailyCalls:
    """Remember the successful calls per account and scope. Callers hold the state's lock."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str], deque[datetime]] = defaultdict(deque)

    def level(self, account_id: str, scope: str, limit: int, now: datetime) -> Level:
        """Return how full an account's scope is."""
        calls = self._calls[account_id, scope]
        while calls and calls[0] + _DAY <= now:
            calls.popleft()
        reset = calls[0] + _DAY - now if calls else _DAY
        return Level(limit, max(0, limit - len(calls)), int(reset.total_seconds()))

    def spend(self, account_id: str, scope: str, now: datetime) -> None:
        """Count a call that succeeded."""
        self._calls[account_id, scope].append(now)


def daily_error(level: Level) -> GoCardlessError:
    """Return the refusal of one call too many on an account."""
    return gc_error("daily_quota_gc", limit=level.limit, seconds=level.reset_s)


def company_error(name: str, level: Level) -> GoCardlessError:
    """Return the refusal of one call too many of the company."""
    period = BUCKETS[name].period
    return gc_error("company_quota_gc", limit=level.limit, period=period, seconds=level.reset_s)


def headers_of(company: Level | None, account: Level | None, style: HeaderStyle) -> dict[str, str]:
    """Return the headers that tell both limits, by names of the style."""
    told: dict[str, int] = {}
    for prefix, level in (("", company), ("account_success_", account)):
        if level is not None:
            told[f"{prefix}limit"] = level.limit
            told[f"{prefix}remaining"] = level.remaining
            told[f"{prefix}reset"] = level.reset_s
    if style is HeaderStyle.NONE:
        return {}
    return {_spelled(name, style): str(value) for name, value in told.items()}


def _spelled(name: str, style: HeaderStyle) -> str:
    is_bare = style in (HeaderStyle.BARE, HeaderStyle.BARE_DASHED)
    full = f"x_ratelimit_{name}" if is_bare else f"http_x_ratelimit_{name}"
    is_dashed = style in (HeaderStyle.DASHED, HeaderStyle.BARE_DASHED)
    return full.replace("_", "-") if is_dashed else full
