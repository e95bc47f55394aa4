"""What breaks when, drawn from a seed. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from bank_pipeline.sandbox.chance import dice


class Blow(StrEnum):
    """One way to break something."""

    RUN_KILLED = "run killed"
    DAEMON_KILLED = "daemon killed"
    WEBSERVER_KILLED = "webserver killed"
    GATEWAY_KILLED = "gateway killed"
    CODE_KILLED = "code server killed"
    WORKER_KILLED = "worker killed"
    DATABASE_STOPPED = "database restarted"
    DATABASE_CRASHED = "database restarted at once"
    DATABASE_KILLED = "database killed"
    SESSIONS_DROPPED = "sessions dropped"
    BROKER_GONE = "redis gone"
    ARCHIVE_FULL = "archive's disk full"
    CLOCK_STEPPED = "clock stepped"
    PROVIDERS_SLOW = "providers slow"
    PROVIDERS_CUT = "providers cut off"


KILLS: Final = frozenset(
    {
        Blow.RUN_KILLED,
        Blow.DAEMON_KILLED,
        Blow.WEBSERVER_KILLED,
        Blow.GATEWAY_KILLED,
        Blow.CODE_KILLED,
        Blow.WORKER_KILLED,
    }
)
RESTARTS: Final = frozenset({Blow.DATABASE_STOPPED, Blow.DATABASE_CRASHED, Blow.DATABASE_KILLED})

_IN_TEN_MINUTES: Final = {
    Blow.RUN_KILLED: 25,
    Blow.DAEMON_KILLED: 6,
    Blow.WEBSERVER_KILLED: 5,
    Blow.GATEWAY_KILLED: 9,
    Blow.CODE_KILLED: 6,
    Blow.DATABASE_STOPPED: 2,
    Blow.DATABASE_CRASHED: 3,
    Blow.DATABASE_KILLED: 1,
    Blow.SESSIONS_DROPPED: 6,
    Blow.ARCHIVE_FULL: 2,
    Blow.CLOCK_STEPPED: 6,
    Blow.PROVIDERS_SLOW: 5,
    Blow.PROVIDERS_CUT: 5,
}
_WITH_WARM_WORKERS: Final = {Blow.WORKER_KILLED: 4, Blow.BROKER_GONE: 3}
_LASTS_S: Final = {
    Blow.DATABASE_STOPPED: (0.5, 4.0),
    Blow.DATABASE_CRASHED: (0.5, 4.0),
    Blow.DATABASE_KILLED: (0.5, 4.0),
    Blow.BROKER_GONE: (3.0, 15.0),
    Blow.ARCHIVE_FULL: (12.0, 20.0),
    Blow.CLOCK_STEPPED: (8.0, 20.0),
    Blow.PROVIDERS_SLOW: (6.0, 12.0),
    Blow.PROVIDERS_CUT: (4.0, 10.0),
}


@dataclass(frozen=True)
class Planned:
    """One blow: seconds after the start, and for how long what it takes away is gone."""

    at_s: float
    blow: Blow
    lasts_s: float
    rolled: Random


def draw(seed: int, *, minutes: float, has_workers: bool, has_disk: bool) -> list[Planned]:
    """
    Draw what breaks, in its order. Each kind is spread over the time, at least one of each.

    `has_workers`: runs are brought to warm workers by Redis. `has_disk`: there is a small disk
    that can be filled.
    """
    counts = {**_IN_TEN_MINUTES, **(_WITH_WARM_WORKERS if has_workers else {})}
    if not has_disk:
        del counts[Blow.ARCHIVE_FULL]
    planned = []
    for blow, usual in counts.items():
        count = max(1, round(usual * minutes / 10))
        for number in range(count):
            rolled = dice(seed, blow, number)
            at_s = (number + rolled.random()) * minutes * 60 / count
            lasts_s = rolled.uniform(*_LASTS_S.get(blow, (0.0, 0.0)))
            planned.append(Planned(at_s, blow, lasts_s, rolled))
    return sorted(planned, key=lambda one: one.at_s)
