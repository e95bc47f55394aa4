"""A sensor or schedule that fails starts nothing, so that no run could fail in its place."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster_shared.error import SerializableErrorInfo

from bank_pipeline.channels.message import render
from bank_pipeline.domain.notices import NoticeKind
from bank_pipeline_tests.defs.operators import Operator
from bank_pipeline_tests.defs.runs import Runs

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
WELL: Final = TickStatus.SKIPPED
FAILED: Final = TickStatus.FAILURE
WORDS: Final = "DE02120300000000202051"


@dataclass
class DaemonTicks:
    """Ticks of a sensor, each a minute after the last, written down as Dagster's daemon does."""

    instance: dg.DagsterInstance
    name: str
    location: str = "bank_pipeline"
    at: datetime = BEGIN

    def __post_init__(self) -> None:
        repository = RemoteRepositoryOrigin(
            RegisteredCodeLocationOrigin(self.location), "__repository__"
        )
        self._state = InstigatorState(
            RemoteInstigatorOrigin(repository, self.name),
            InstigatorType.SENSOR,
            InstigatorStatus.DECLARED_IN_CODE,
            SensorInstigatorData(min_interval=60),
        )
        self.instance.add_instigator_state(self._state)

    def add(self, *statuses: TickStatus) -> None:
        cause = SerializableErrorInfo(f"KeyError: {WORDS}", [], "KeyError")
        error = SerializableErrorInfo(WORDS, [], "SensorExecutionError", cause)
        for status in statuses:
            self.at += timedelta(minutes=1)
            data = TickData(
                self._state.instigator_origin_id,
                self.name,
                InstigatorType.SENSOR,
                status,
                self.at.timestamp(),
                error=error if status is FAILED else None,
                run_ids=[],
                selector_id=self._state.selector_id,
            )
            self.instance.create_tick(data)

    def switch_off(self) -> None:
        self.instance.update_instigator_state(self._state.with_status(InstigatorStatus.STOPPED))


def test_ticks_that_fail_for_ten_minutes_are_told_once_and_when_they_go_well(runs: Runs) -> None:
    operator = Operator(runs)
    ticks = DaemonTicks(runs.instance, "connection_sensor")
    ticks.add(WELL, *[FAILED] * 9)
    operator.tick()
    assert operator.told() == [], "a restart of the database is no fault"

    for _ in range(2):
        ticks.add(FAILED, TickStatus.STARTED)
        operator.tick()
    assert operator.told() == [("operator_alert", "KeyError")]
    payload = runs.installation.value("SELECT payload::text FROM bank.notifications")
    assert "connection_sensor" in payload
    assert WORDS not in payload

    ticks.add(WELL)
    operator.tick()
    operator.tick()

    assert operator.told()[1:] == [("operator_recovered", "KeyError")]


def test_a_schedule_whose_only_tick_of_the_day_failed_is_told_at_once(runs: Runs) -> None:
    operator = Operator(runs)
    ticks = DaemonTicks(runs.instance, "prune_schedule")
    ticks.add(TickStatus.SUCCESS)
    ticks.at += timedelta(days=1)
    ticks.add(FAILED)

    operator.tick()

    assert operator.told() == [("operator_alert", "KeyError")]


@pytest.mark.parametrize("of", ["another pipeline", "one switched off", "an earlier location"])
def test_ticks_that_come_no_more_are_no_fault(runs: Runs, of: str) -> None:
    operator = Operator(runs)
    name = "anything" if of == "another pipeline" else "connection_sensor"
    ticks = DaemonTicks(runs.instance, name, location="before")
    ticks.add(FAILED)
    if of == "one switched off":
        ticks.switch_off()
    if of == "an earlier location":
        DaemonTicks(runs.instance, name).add(WELL, WELL)

    for _ in range(2):
        operator.tick()

    assert operator.told() == []


def test_a_sensor_that_is_switched_off_while_it_fails_is_no_fault_any_more(runs: Runs) -> None:
    """No tick will go well; and one that fails again later is told again."""
    operator = Operator(runs)
    ticks = DaemonTicks(runs.instance, "connection_sensor")
    ticks.add(FAILED)
    operator.tick()

    ticks.switch_off()
    for _ in range(2):
        operator.tick()

    told = [("operator_alert", "KeyError"), ("operator_recovered", "KeyError")]
    assert operator.told() == told


def test_the_alert_names_the_sensor_and_says_where_to_look(runs: Runs) -> None:
    operator = Operator(runs)
    DaemonTicks(runs.instance, "webhook_sensor").add(FAILED)
    operator.tick()
    payload = runs.installation.value("SELECT payload FROM bank.notifications")
    for kind in (NoticeKind.OPERATOR_ALERT, NoticeKind.OPERATOR_RECOVERED):
        message = render(
            kind,
            payload | {"occurrences": 2},
            told_at=runs.installation.services.sync.clock(),
            renewal=None,
            connection_id=None,
        )
        assert "icks of webhook_sensor fail" in message.subject
        if kind is NoticeKind.OPERATOR_ALERT:
            assert "Automation" in message.text
            assert "Automation" in message.html
