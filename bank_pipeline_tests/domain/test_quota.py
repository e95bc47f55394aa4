from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.quota import PERIOD, Allowance, PastCall, calls_left, next_call_at

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
FOUR = Allowance(calls_max=4, scheduled_max=2)
MINUTE = timedelta(minutes=1)


def call(hours_ago: float, **named: object) -> PastCall:
    values: dict[str, object] = {
        "called_at": NOW - timedelta(hours=hours_ago),
        "is_scheduled": True,
        "is_counted": True,
        "calls_left": None,
        "resets_at": None,
    }
    return PastCall(**{**values, **named})  # type: ignore[arg-type]


def test_the_schedule_stops_at_its_share_and_people_at_the_whole() -> None:
    two = [call(20), call(3)]
    assert next_call_at(two, FOUR, is_scheduled=False, now=NOW) == NOW
    assert next_call_at(two, FOUR, is_scheduled=True, now=NOW) == two[0].called_at + PERIOD

    four = [call(20), call(3), call(2, is_scheduled=False), call(1, is_scheduled=False)]
    assert next_call_at(four, FOUR, is_scheduled=False, now=NOW) == four[0].called_at + PERIOD


def test_what_the_provider_does_not_count_is_not_counted() -> None:
    failed = [call(hours, is_counted=False) for hours in (5, 4, 3, 2, 1)]
    assert next_call_at(failed, FOUR, is_scheduled=True, now=NOW) == NOW


def test_the_providers_word_that_nothing_is_left_goes_before_our_count() -> None:
    """Another installation may share the quota; a refused call tells it, though not counted."""
    reset = NOW + timedelta(hours=7)
    refused = [call(1, is_counted=False, calls_left=0, resets_at=reset)]
    assert next_call_at(refused, FOUR, is_scheduled=False, now=NOW) == reset

    silent = [call(1, calls_left=0)]
    assert next_call_at(silent, FOUR, is_scheduled=False, now=NOW) == silent[0].called_at + PERIOD


def test_a_newer_word_replaces_an_older_one() -> None:
    past = [call(3, calls_left=0, resets_at=NOW + PERIOD), call(1, calls_left=2)]
    assert next_call_at(past, FOUR, is_scheduled=False, now=NOW) == NOW


def test_what_costs_two_waits_for_room_for_two() -> None:
    three = [call(20), call(3, is_scheduled=False), call(2, is_scheduled=False)]
    due = next_call_at(three, FOUR, is_scheduled=False, now=NOW, cost=2)
    assert due == three[0].called_at + PERIOD
    assert next_call_at(three, FOUR, is_scheduled=False, now=NOW) == NOW
    assert next_call_at([], Allowance(1, 1), is_scheduled=True, now=NOW, cost=2) == NOW


def test_a_word_that_has_expired_leaves_what_we_count() -> None:
    """One refusal of a minute is not a day without calls."""
    refused = call(1, is_counted=False, calls_left=0, resets_at=NOW - MINUTE)
    assert calls_left([call(2), refused], 4, now=NOW) == 3
    assert calls_left([replace(refused, resets_at=NOW + MINUTE)], 4, now=NOW) == 0
    assert calls_left([call(1, calls_left=1)], 4, now=NOW) == 1


@given(
    st.lists(st.tuples(st.integers(0, 3 * 24 * 60), st.booleans(), st.integers(1, 2)), max_size=60)
)
def test_no_24_hours_ever_hold_more_calls_than_allowed(wishes: list[tuple[int, bool, int]]) -> None:
    made: list[PastCall] = []
    for minute, is_scheduled, cost in sorted(wishes):
        now = NOW + minute * MINUTE
        past = [one for one in made if one.called_at > now - PERIOD]
        if next_call_at(past, FOUR, is_scheduled=is_scheduled, now=now, cost=cost) <= now:
            made += [call(0, called_at=now, is_scheduled=is_scheduled)] * cost
    for one in made:
        within = [
            other for other in made if timedelta(0) <= other.called_at - one.called_at < PERIOD
        ]
        assert len(within) <= FOUR.calls_max
        assert sum(other.is_scheduled for other in within) <= FOUR.scheduled_max
