"""Our standing with a provider: one probe at a time, growing waits, and nobody left out."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.circuit import (
    MASS_REFUSAL,
    PROBE_LEASE,
    PROBE_WAITS,
    RELAPSE_WITHIN,
    SUSPICION_LEAST,
    TRUSTED_FOR,
    CircuitState,
    after_probe,
    after_refusal,
    after_suspicion,
    healthy,
    is_suspicious,
    while_probing,
)
from bank_pipeline.domain.connection import Provider

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
FINE = healthy(Provider.TELLER, now=NOW - timedelta(days=9))


@given(st.lists(st.sampled_from(["refused", "suspected", "claimed", "failed", "passed"])))
def test_who_is_paused_is_always_probed_again(path: list[str]) -> None:
    """Whatever happens in whatever order, a paused provider has a probe that falls due."""
    health, now = FINE, NOW
    for step in path:
        before = health
        if step == "refused":
            health = after_refusal(health, "KEYS", now=now)
        elif step == "suspected":
            health = after_suspicion(health, now=now)
        elif step == "claimed" and health.is_probe_due(now):
            health = while_probing(health, now=now)
        elif step in ("failed", "passed") and health.state is CircuitState.PROBING:
            refused_with = "KEYS" if step == "failed" else None
            health = after_probe(health, refused_with=refused_with, now=now)
        assert health.is_paused is (health.next_probe_at is not None)
        if health.next_probe_at is not None:
            assert health.next_probe_at <= now + PROBE_WAITS[-1]
            assert health.is_probe_due(health.next_probe_at)
        assert health.is_paused or not before.is_paused or step == "passed"
        now += timedelta(minutes=1)


def test_waits_grow_with_each_probe_that_fails_and_others_under_way_add_nothing() -> None:
    health, now, waits = FINE, NOW, []
    for _ in range(5):
        health = after_refusal(health, "KEYS", now=now)
        assert after_refusal(health, "KEYS", now=now + timedelta(seconds=9)) == health
        assert health.next_probe_at is not None
        waits.append(health.next_probe_at - now)
        now = health.next_probe_at
        health = while_probing(health, now=now)
    assert waits == [*PROBE_WAITS, PROBE_WAITS[-1], PROBE_WAITS[-1]]


def test_a_prober_that_dies_is_replaced() -> None:
    probing = while_probing(after_refusal(FINE, "KEYS", now=NOW), now=NOW)
    assert not probing.is_probe_due(NOW)
    assert probing.is_probe_due(NOW + PROBE_LEASE)


def test_a_probe_that_proves_too_little_does_not_begin_anew() -> None:
    """Teller's cannot tell the right certificate from another application's."""
    probing = while_probing(after_refusal(FINE, "KEYS", now=NOW), now=NOW)
    passed = after_probe(probing, refused_with=None, now=NOW)
    again = after_refusal(passed, "KEYS", now=NOW + timedelta(minutes=1))
    assert again.failures == 2
    later = after_refusal(passed, "KEYS", now=NOW + RELAPSE_WITHIN)
    assert later.failures == 1


def test_many_customers_told_to_act_at_once_are_suspicious() -> None:
    least = SUSPICION_LEAST
    assert is_suspicious(FINE, told_to_act=least, tried=least, now=NOW)
    assert not is_suspicious(FINE, told_to_act=least - 1, tried=least - 1, now=NOW)
    assert not is_suspicious(FINE, told_to_act=least, tried=2 * least, now=NOW)


def test_once_our_keys_are_proven_customers_are_believed_for_a_day() -> None:
    suspected = after_suspicion(FINE, now=NOW)
    assert (suspected.code, suspected.is_probe_due(NOW)) == (MASS_REFUSAL, True)
    passed = after_probe(while_probing(suspected, now=NOW), refused_with=None, now=NOW)
    assert not is_suspicious(passed, told_to_act=99, tried=99, now=NOW)
    assert is_suspicious(passed, told_to_act=99, tried=99, now=NOW + TRUSTED_FOR)
