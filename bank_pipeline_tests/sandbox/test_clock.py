from datetime import UTC, datetime, timedelta, timezone
from threading import Thread

import pytest

from bank_pipeline.sandbox.clock import VirtualClock

START = datetime(2026, 3, 10, 12, tzinfo=UTC)


def test_a_still_clock_moves_only_when_advanced() -> None:
    clock = VirtualClock(START)

    assert clock.now() == START
    assert clock.advance(timedelta(days=2)) == START + timedelta(days=2)
    assert clock.now() == START + timedelta(days=2)
    assert clock.start == START
    assert not clock.running


def test_a_running_clock_adds_real_time_to_the_advances() -> None:
    clock = VirtualClock(START, running=True)

    first = clock.now()
    second = clock.advance(timedelta(hours=1))

    assert first >= START
    assert second >= first + timedelta(hours=1)
    assert clock.running


def test_the_time_is_told_in_utc_whatever_zone_it_started_in() -> None:
    clock = VirtualClock(START.astimezone(timezone(timedelta(hours=9))))

    assert clock.now() == START
    assert clock.now().tzinfo is UTC


def test_a_naive_start_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        VirtualClock(START.replace(tzinfo=None))


def test_time_never_goes_backwards() -> None:
    clock = VirtualClock(START)

    with pytest.raises(ValueError, match="backwards"):
        clock.advance(timedelta(seconds=-1))

    assert clock.advance_to(START - timedelta(days=1)) == START


def test_advancing_to_a_moment_arrives_there() -> None:
    clock = VirtualClock(START)

    assert clock.advance_to(START + timedelta(minutes=5)) == START + timedelta(minutes=5)


def test_listeners_hear_of_each_advance_until_they_unsubscribe() -> None:
    clock = VirtualClock(START)
    heard: list[datetime] = []
    unsubscribe = clock.on_advance(heard.append)

    clock.advance(timedelta(days=1))
    unsubscribe()
    unsubscribe()
    clock.advance(timedelta(days=1))

    assert heard == [START + timedelta(days=1)]


def test_a_listener_may_use_the_clock_from_another_thread() -> None:
    """The clock calls without its lock, so waiting for a thread that reads it is no deadlock."""
    clock = VirtualClock(START)
    seen: list[datetime] = []

    def read_elsewhere(_: datetime) -> None:
        thread = Thread(target=lambda: seen.append(clock.now()))
        thread.start()
        thread.join(timeout=5)

    clock.on_advance(read_elsewhere)
    clock.advance(timedelta(days=1))

    assert seen == [START + timedelta(days=1)]


def test_advances_from_many_threads_all_count() -> None:
    clock = VirtualClock(START)

    def tick() -> None:
        for _ in range(200):
            clock.advance(timedelta(seconds=1))

    threads = [Thread(target=tick) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert clock.now() == START + timedelta(seconds=800)
