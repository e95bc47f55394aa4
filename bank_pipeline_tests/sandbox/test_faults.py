import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_pipeline.sandbox.faults import TRANSIENT_KINDS, Fault, FaultKind, FaultPlan, FaultRule

RESET = Fault(FaultKind.RESET)
HANG = Fault(FaultKind.HANG, seconds=600)
SYNC = "/transactions/sync"


def test_a_plan_without_rules_lets_everything_pass() -> None:
    assert FaultPlan().take(SYNC, "item-1") is None


def test_a_rule_strikes_as_often_as_it_says_and_is_gone() -> None:
    plan = FaultPlan()
    plan.add(SYNC, RESET, times=2)

    assert [plan.take(SYNC, "item-1") for _ in range(3)] == [RESET, RESET, None]
    assert plan.pending() == ()


def test_a_rule_without_times_strikes_for_ever() -> None:
    plan = FaultPlan()
    plan.add(SYNC, RESET, times=None)

    assert all(plan.take(SYNC, "item-1") is RESET for _ in range(50))


def test_after_names_the_nth_call() -> None:
    plan = FaultPlan()
    plan.add(SYNC, RESET, after=2)

    assert [plan.take(SYNC, "item-1") for _ in range(4)] == [None, None, RESET, None]


def test_each_rule_counts_all_calls_that_match_it() -> None:
    plan = FaultPlan()
    plan.add(SYNC, RESET)
    plan.add(SYNC, HANG, after=1)

    assert [plan.take(SYNC, "item-1") for _ in range(3)] == [RESET, HANG, None]


def test_operations_and_subjects_are_globs() -> None:
    plan = FaultPlan()
    plan.add("/transactions/*", RESET, subject="item-2", times=None)

    assert plan.take("/accounts/get", "item-2") is None
    assert plan.take(SYNC, "item-1") is None
    assert plan.take(SYNC, "item-2") is RESET


def test_a_removed_rule_strikes_no_more() -> None:
    plan = FaultPlan()
    rule = plan.add(SYNC, RESET)

    assert plan.remove(rule.id)
    assert not plan.remove(rule.id)
    assert plan.take(SYNC, "item-1") is None


def test_clear_forgets_the_rules_but_not_what_was_injected() -> None:
    plan = FaultPlan.seeded(1, 1.0)
    plan.add(SYNC, RESET, times=None)
    plan.take(SYNC, "item-1")

    plan.clear()

    assert plan.take(SYNC, "item-1") is None
    assert [one.fault for one in plan.injected()] == [RESET]


def test_nonsensical_counts_are_refused() -> None:
    plan = FaultPlan()

    with pytest.raises(ValueError, match="at least"):
        plan.add(SYNC, RESET, times=0)
    with pytest.raises(ValueError, match="at least"):
        plan.add(SYNC, RESET, after=-1)


@pytest.mark.parametrize(
    "body",
    [
        {"operation": SYNC},
        {"operation": SYNC, "fault": "reset"},
        {"operation": SYNC, "fault": {"kind": "explode"}},
        {"operation": SYNC, "fault": {"kind": "reset", "colour": "red"}},
        {"path": SYNC, "fault": {"kind": "reset"}},
    ],
)
def test_a_control_request_that_makes_no_sense_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown field|needs a fault|not a valid FaultKind"):
        FaultPlan().add_json(body)


def test_a_control_request_plans_a_fault() -> None:
    plan = FaultPlan()

    plan.add_json({"operation": SYNC, "times": None, "fault": {"kind": "hang", "seconds": 600}})

    assert plan.take(SYNC, "item-1") == HANG


FAULTS = st.builds(
    Fault,
    st.sampled_from(FaultKind),
    status=st.none() | st.integers(200, 599),
    message=st.none() | st.text(),
    key=st.none() | st.text(min_size=1),
    seconds=st.none() | st.floats(0, 600),
    headers=st.dictionaries(st.text(min_size=1), st.text(), max_size=2),
)
RULES = st.builds(
    FaultRule,
    st.just(0),
    st.sampled_from([SYNC, "/*", "*"]),
    FAULTS,
    times=st.none() | st.integers(1, 9),
    after=st.integers(0, 9),
)


@settings(max_examples=25)
@given(st.lists(RULES, max_size=5))
def test_a_plan_survives_json(rules: list[FaultRule]) -> None:
    plan = FaultPlan()
    for rule in rules:
        plan.add(rule.operation, rule.fault, times=rule.times, after=rule.after)

    again = FaultPlan.from_json(json.loads(json.dumps(plan.to_json())))

    assert again.pending() == plan.pending()


@given(st.integers(), st.integers(1, 4))
def test_seeded_faults_end_in_time_for_a_patient_client(seed: int, streak_max: int) -> None:
    plan = FaultPlan.seeded(seed, 1.0, streak_max=streak_max)

    taken = [plan.take(SYNC, "item-1") for _ in range(streak_max + 1)]

    assert [fault is not None for fault in taken] == [True] * streak_max + [False]


@given(st.integers())
def test_seeded_faults_of_one_item_do_not_depend_on_calls_for_another(seed: int) -> None:
    alone, crowded = FaultPlan.seeded(seed, 0.5), FaultPlan.seeded(seed, 0.5)

    expected = [alone.take(SYNC, "item-1") for _ in range(20)]
    interleaved = []
    for _ in range(20):
        crowded.take(SYNC, "item-2")
        interleaved.append(crowded.take(SYNC, "item-1"))

    assert interleaved == expected


def test_a_seeded_plan_touches_only_its_operations_and_uses_only_its_kinds() -> None:
    plan = FaultPlan.seeded(3, 1.0, operation=SYNC, kinds=(FaultKind.HANG,))
    every_kind = FaultPlan.seeded(3, 1.0, streak_max=500)

    assert plan.take("/accounts/get", "item-1") is None
    assert plan.take(SYNC, "item-1").kind is FaultKind.HANG  # type: ignore[union-attr] # it is one
    for _ in range(300):
        every_kind.take(SYNC, "item-1")
    assert {one.fault.kind for one in every_kind.injected()} == set(TRANSIENT_KINDS)


def test_a_rate_of_nought_or_no_kinds_injects_nothing() -> None:
    assert FaultPlan.seeded(3, 0.0).take(SYNC, "item-1") is None
    assert FaultPlan.seeded(3, 1.0, kinds=()).take(SYNC, "item-1") is None
