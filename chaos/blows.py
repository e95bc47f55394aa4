"""Carries out what is planned, at its time, and ends what lasts."""

import heapq
import threading
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from random import Random
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline_tests.waiting import wait_until
from chaos import database, runs
from chaos.journal import Journal
from chaos.plan import KILLS, RESTARTS, Blow, Planned
from chaos.stage import CODE, DAEMON, GATEWAY, WEBSERVER, WORKER, Stage

_AGAIN_S: Final = 0.25
_IN_HAND_S: Final = 8.0  # so long a kill waits for a sync to be in its middle
_PAUSE_S: Final = 0.05
_BACK_S: Final = 180.0
_LATE_S: Final = 60.0  # what a busy machine put off is made up for, within bounds
_PARTS: Final = {
    Blow.DAEMON_KILLED: DAEMON,
    Blow.WEBSERVER_KILLED: WEBSERVER,
    Blow.GATEWAY_KILLED: GATEWAY,
    Blow.CODE_KILLED: CODE,
    Blow.WORKER_KILLED: WORKER,
}
_NEEDED_BY_RUNS: Final = (DAEMON, CODE, WORKER)
_WORK_S: Final = 45.0  # so long a slow machine gets to do some work between two of those
_STEPS_S: Final = (-7_200, -1_800, -240, -15, 15, 240, 1_800, 7_200)
_EVERYBODY: Final = "*"
_OPERATIONS: Final = (
    _EVERYBODY,
    "/*",
    *(f"{one}:*" for one in Provider if one is not Provider.PLAID),
)
_SLOW: Final = (
    Fault(FaultKind.SLOW_DRIP, seconds=2.0),
    Fault(FaultKind.SLOW_DRIP, seconds=5.0),
    Fault(FaultKind.HANG, seconds=30.0),
)
_CUT: Final = (
    Fault(FaultKind.RESET),
    Fault(FaultKind.RESET_BODY, after_bytes=120),
    Fault(FaultKind.TRUNCATED_BODY, after_bytes=120),
    Fault(FaultKind.HTTP_STATUS, status=503),
)


class Breaker:
    """Break things by a plan. What could not be struck yet is struck as soon as it is there."""

    def __init__(self, stage: Stage, planned: list[Planned], journal: Journal) -> None:
        self._stage = stage
        self._journal = journal
        self._numbers = count()
        self._done: int | None = None  # syncs, when something was killed last that runs need
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        for one in planned:
            self._at(one.at_s, lambda one=one: self._strike(one))  # type: ignore[misc]

    def run(self, seconds: float) -> None:
        """Break things for so long; then everything is given back."""
        pause = threading.Event()
        while self._journal.now_s < seconds:
            while self._heap and self._heap[0][0] <= self._journal.now_s < seconds + _LATE_S:
                heapq.heappop(self._heap)[-1]()
            pause.wait(_PAUSE_S)
        self._give_back()

    def _at(self, at_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (at_s, next(self._numbers), act))

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._at(self._journal.now_s + seconds, act)

    def _strike(self, one: Planned) -> None:
        match one.blow:
            case Blow.RUN_KILLED:
                self._kill_run(one)
            case blow if blow in KILLS:
                self._kill_part(one)
            case blow if blow in RESTARTS:
                self._restart_database(one)
            case Blow.SESSIONS_DROPPED:
                self._drop_sessions(one)
            case Blow.BROKER_GONE:
                self._stop_broker(one)
            case Blow.ARCHIVE_FULL:
                self._fill_archive(one)
            case Blow.CLOCK_STEPPED:
                self._step_clock(one)
            case _:
                self._trouble_providers(one)

    def _kill_run(self, one: Planned) -> None:
        """Kill a run, if it can be had in the middle of a sync; else as soon as there is one."""
        in_sync = runs.pids_in_sync(self._stage)
        is_late = self._journal.now_s > one.at_s + _IN_HAND_S
        pids = in_sync or (runs.pids(self._stage) if is_late else [])
        if runs.kill_one(pids, one.rolled):
            self._journal.count(one.blow, "in the middle of a sync" if in_sync else "")
        else:
            self._later(_AGAIN_S, lambda: self._kill_run(one))

    def _kill_part(self, one: Planned) -> None:
        """Kill a part; one that runs need only after some work was done since the last one."""
        name = _PARTS[one.blow]
        done = runs.count_syncs(self._stage) if name in _NEEDED_BY_RUNS else None
        is_late = self._journal.now_s > one.at_s + _WORK_S
        if done is not None and done == self._done and not is_late:
            self._later(1.0, lambda: self._kill_part(one))
            return
        self._done = done if name in _NEEDED_BY_RUNS else self._done
        is_whole = one.rolled.random() < 0.5  # noqa: PLR2004 - a supervisor's way, or the kernel's
        if self._stage.supervisor.kill(name, whole=is_whole):
            self._journal.count(one.blow, "with all that it started" if is_whole else "")
        else:
            self._later(1.0, lambda: self._kill_part(one))

    def _restart_database(self, one: Planned) -> None:
        if not database.bring_down(self._stage.state_dir, one.blow):
            self._later(1.0, lambda: self._restart_database(one))
            return
        self._journal.count(one.blow, f"for {one.lasts_s:.1f} s")
        self._later(one.lasts_s, self._bring_database_up)

    def _bring_database_up(self) -> None:
        if not database.bring_up(self._stage.state_dir):
            self._journal.tell("the database does not start yet")
            self._later(1.0, self._bring_database_up)

    def _drop_sessions(self, one: Planned) -> None:
        try:
            dropped = database.drop_sessions(self._stage.services.sync.engine, one.rolled)
        except (sa.exc.DBAPIError, sa.exc.TimeoutError):
            self._later(1.0, lambda: self._drop_sessions(one))
        else:
            self._journal.count(one.blow, f"({dropped})")

    def _stop_broker(self, one: Planned) -> None:
        broker = self._stage.broker
        assert broker is not None, "planned only where there is one"
        if broker.kill():
            self._journal.count(one.blow, f"for {one.lasts_s:.1f} s")
            self._later(one.lasts_s, broker.start)

    def _fill_archive(self, one: Planned) -> None:
        disk = self._stage.disk
        assert disk is not None, "planned only where there is one"
        disk.fill()
        self._journal.count(one.blow, f"for {one.lasts_s:.1f} s")
        self._later(one.lasts_s, disk.free)

    def _step_clock(self, one: Planned) -> None:
        off = timedelta(seconds=one.rolled.choice(_STEPS_S))
        self._stage.clock.off = off
        self._journal.count(one.blow, f"by {off.total_seconds():+.0f} s for {one.lasts_s:.1f} s")
        self._later(one.lasts_s, self._set_clock_right)

    def _set_clock_right(self) -> None:
        self._stage.clock.off = timedelta(0)
        self._journal.tell("clock set right")

    def _trouble_providers(self, one: Planned) -> None:
        fault = _draw(one.blow, one.rolled)
        operation = one.rolled.choice(_OPERATIONS)
        faults = self._stage.place.sandbox.faults
        rule = faults.add(operation, fault, times=None)
        who = "all" if operation == _EVERYBODY else operation
        self._journal.count(one.blow, f"({fault.kind}, {who}) for {one.lasts_s:.1f} s")
        self._later(one.lasts_s, lambda: self._forget(rule.id))

    def _forget(self, rule_id: int) -> None:
        self._stage.place.sandbox.faults.remove(rule_id)

    def _give_back(self) -> None:
        """End everything that lasts."""
        self._heap.clear()
        self._stage.place.sandbox.faults.clear()
        self._stage.clock.off = timedelta(0)
        if self._stage.disk is not None:
            self._stage.disk.free()
        if self._stage.broker is not None:
            self._stage.broker.start()
        wait_until(
            lambda: database.bring_up(self._stage.state_dir), seconds=_BACK_S, what="the database"
        )


def _draw(blow: Blow, rolled: Random) -> Fault:
    return rolled.choice(_SLOW if blow is Blow.PROVIDERS_SLOW else _CUT)
