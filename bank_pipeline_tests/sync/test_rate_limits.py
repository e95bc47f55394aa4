"""Rates in Postgres: whoever asks, from however many threads, no window holds too many."""

import threading
from bisect import bisect_left
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import RateLimitedError
from bank_pipeline.providers.gocardless.quotas import rates_of as gocardless_rates
from bank_pipeline.providers.plaid.rates import rates_of as plaid_rates
from bank_pipeline.providers.retry import WAIT_MAX_S
from bank_pipeline.providers.throttle import THROTTLED, Rate, RateLimiter, Slot, Throttle
from bank_pipeline.sync.rate_limits import SharedRateLimiter

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Hands:
    """A clock that threads share and push on."""

    def __init__(self) -> None:
        self.now = START
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        return self.now

    def push(self, delta: timedelta) -> None:
        with self._lock:
            self.now += delta


def fullest(made: list[datetime], period: timedelta) -> int:
    """Return the most calls that any window of a period held."""
    times = sorted(made)
    return max((bisect_left(times, at + period) - i for i, at in enumerate(times)), default=0)


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    calls_max=st.integers(1, 8),
    share=st.floats(0, 1),
    steps=st.lists(st.integers(0, 4_000), min_size=1, max_size=40),
)
def test_no_window_ever_holds_more_than_the_rate(
    engine: sa.Engine, calls_max: int, share: float, steps: list[int]
) -> None:
    """Calls come in bursts and pauses of virtual time; short waits are waited out."""
    burst = 1 + round(share * (calls_max - 1))
    rate, hands = Rate(calls_max, 10.0, burst), Hands()
    limiter = SharedRateLimiter(engine, hands)
    bucket = f"test {calls_max} {share} {steps}"
    made: list[datetime] = []
    granted_at_once = 0
    for step in steps:
        hands.push(timedelta(milliseconds=step))
        wait_s = limiter.take([Slot(bucket, rate)], wait_max_s=1.0)
        if wait_s <= 1.0:
            made.append(hands.now + timedelta(seconds=wait_s))
            granted_at_once += not wait_s
    assert fullest(made, timedelta(seconds=10)) <= calls_max
    assert granted_at_once >= min(len(steps), 1)


def test_threads_together_are_granted_no_more_than_one_alone(engine: sa.Engine) -> None:
    """Eight threads, each with sessions of its own, race for one bucket while time goes on."""
    rate, hands = Rate(20, 10.0, burst=5), Hands()
    limiter = SharedRateLimiter(engine, hands)
    made: list[datetime] = []
    lock = threading.Lock()

    def ask(number: int) -> None:
        for _ in range(25):
            at = hands.now
            wait_s = SharedRateLimiter(engine, lambda at=at: at).take(  # type: ignore[misc]
                [Slot("one", rate), Slot(f"own {number}", rate)], wait_max_s=0.0
            )
            if wait_s <= 0:
                with lock:
                    made.append(at)
            hands.push(timedelta(milliseconds=150))

    with ThreadPoolExecutor(8) as pool:
        [*pool.map(ask, range(8))]
    assert fullest(made, timedelta(seconds=10)) <= rate.calls_max
    assert len(made) > rate.burst  # 200 requests in 30 virtual seconds
    hands.push(timedelta(seconds=60))
    assert limiter.take([Slot("one", rate)], wait_max_s=0.0) == 0


def throttle(limiter: RateLimiter, rate: Rate, sleep: Callable[[float], None]) -> Throttle:
    return Throttle(
        Provider.PLAID, limiter, lambda _operation, _method: {"all": rate}, key="k", sleep=sleep
    )


def test_a_short_wait_is_waited_and_a_long_one_is_a_deferral(engine: sa.Engine) -> None:
    hands, slept = Hands(), list[float]()
    limiter = SharedRateLimiter(engine, hands)
    short = throttle(limiter, Rate(10, 20.0, burst=1), slept.append)  # one every 2 s
    short.pass_by("sync", "POST")
    short.pass_by("sync", "POST")
    assert slept == [2.0]

    long = Throttle(
        Provider.PLAID, limiter, lambda _o, _m: {"slow": Rate(1, 60.0, burst=1)}, sleep=slept.append
    )
    long.pass_by("sync", "POST")
    with pytest.raises(RateLimitedError) as raised:
        long.pass_by("sync", "POST")
    assert raised.value.code == THROTTLED
    assert raised.value.retry_after_s == pytest.approx(60.0)
    assert slept == [2.0]


@pytest.mark.parametrize(("ahead", "is_wrong"), [(MINUTE, False), (120 * MINUTE, True)])
def test_a_clock_that_was_ahead_and_is_set_back_stops_no_calls(
    engine: sa.Engine, ahead: timedelta, is_wrong: bool
) -> None:
    """By a minute the clocks of two hosts may differ: there the calls of both count."""
    hands = Hands()
    limiter, slots = SharedRateLimiter(engine, hands), [Slot(f"ahead {ahead}", Rate(1, 10.0, 1))]
    hands.push(ahead)
    assert limiter.take(slots, wait_max_s=1.0) == 0

    hands.push(-ahead)

    assert (limiter.take(slots, wait_max_s=1.0) == 0) is is_wrong
    assert limiter.take(slots, wait_max_s=1.0) > 1.0  # and its rate is kept


def test_each_item_has_rates_of_its_own(engine: sa.Engine) -> None:
    limiter, slept = SharedRateLimiter(engine, Hands()), list[float]()
    items = Throttle(
        Provider.PLAID,
        limiter,
        lambda operation, method: plaid_rates("https://production.plaid.com", operation, method),
        sleep=slept.append,
    )
    for item in ("one", "two"):
        for _ in range(8):  # half of accounts/get's 15 a minute at once
            items.pass_by("accounts/get", "POST", subject=item)
    assert slept == []
    with pytest.raises(RateLimitedError):
        items.pass_by("accounts/get", "POST", subject="one")  # one in 7.5 s is too long to wait


def test_published_rates_can_be_waited_for_within_a_call_where_pages_are_many() -> None:
    """A first history has many pages: beyond the burst each waits, and none is put off."""
    [item, _] = plaid_rates("https://sandbox.plaid.com", "transactions/sync", "POST").values()
    assert item.interval_s < WAIT_MAX_S
    assert plaid_rates("https://x", "transactions/refresh", "POST") == {}
    [reading] = gocardless_rates("accounts/balances", "GET").values()
    assert reading.calls_max == 100
    assert [*gocardless_rates("requisitions/get", "GET")] == ["GET requisitions"]
    assert [*gocardless_rates("requisitions/create", "POST")] == ["requisitions"]
