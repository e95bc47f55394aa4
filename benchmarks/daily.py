"""
The daily sync: what a connection costs, who takes it, and how near that is to the least possible.

Every connection is synced once as measured: the rows of before are there, five new ones per account
come. The ways take turns, each with connections of its own, so that what else the machine does
falls upon all of them.
"""

import json
import logging
import statistics
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import Any, Final

import psutil
import sqlalchemy as sa

from bank_pipeline.defs.requests import ROUTINE_BATCH_SIZE
from bank_pipeline.domain.cadence import SLOTS_PER_DAY
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from benchmarks.accounting import (
    CACHE,
    DATABASE,
    OTHER,
    PROVIDER_IO,
    READING,
    RULES,
    Ended,
    Shares,
    kind_of_sync,
    postgres_cpu_s,
    python,
    sampled,
)
from benchmarks.banks.rows import ACCOUNTS, BEFORE, NEW
from benchmarks.bare import WARM_UP
from benchmarks.prepared import PROVIDERS, Prepared, prepared
from benchmarks.runs import Runner

DAGSTER_SHARE_MAX: Final = 0.35  # of the CPU of a connection
TIMES_BARE_MAX: Final = 2.0
TIMES_SINGLE_MIN: Final = 20.0
CALLS_SLACK: Final = 0.05  # the pipeline asks now and then what is cached for an hour
_TARGET_CONNECTIONS: Final = 10_000
_Wanted = list[tuple[ConnectionId, Provider]]


@dataclass(frozen=True)
class Size:
    """How many connections a turn of each way has."""

    turns: int
    batched: int
    plain: int
    single: int
    bare: int


SIZES: Final = {
    "short": Size(turns=1, batched=16, plain=8, single=1, bare=40),
    "full": Size(turns=2, batched=500, plain=120, single=4, bare=600),
}


@dataclass
class Way:
    """One way to sync, in milliseconds per connection, turn by turn."""

    cpu_ms: list[float] = field(default_factory=list)
    postgres_ms: list[float] = field(default_factory=list)
    banks_ms: list[float] = field(default_factory=list)
    clock_ms: list[float] = field(default_factory=list)
    peak_mb: float = 0.0

    def figures(self) -> dict[str, float]:
        """Return the medians."""
        return {
            "cpu_ms": round(statistics.median(self.cpu_ms), 2),
            "postgres_cpu_ms": round(statistics.median(self.postgres_ms), 2),
            "banks_cpu_ms": round(statistics.median(self.banks_ms), 2),
            "clock_ms": round(statistics.median(self.clock_ms), 2),
            "per_second": round(1000 / statistics.median(self.clock_ms), 2),
            "peak_mb": round(self.peak_mb),
        }


def measure(size_name: str) -> dict[str, Any]:
    """Measure all ways in turn; return the figures and the broken limits."""
    size = SIZES[size_name]
    logging.disable(logging.INFO)  # a line per sync belongs to a log, not to this screen
    with prepared() as place:
        found = _measure(place, size)
    found["broken"] = _broken(found)
    return found


def _measure(place: Prepared, size: Size) -> dict[str, Any]:
    turns = range(size.turns)
    each = size.batched + 2 * size.plain + size.single
    begun = process_time()
    ids = place.link(each * size.turns)
    linking_ms = (process_time() - begun) / len(ids) * 1000
    first_ms = place.sync(ids, reason=SyncReason.INITIAL) / len(ids) * 1000
    place.banks.take_asked()
    place.banks.set_day(1)
    everyone = iter([(one, PROVIDERS[n % len(PROVIDERS)]) for n, one in enumerate(ids)])
    runner = Runner(place.instance, place.folder / "runs.log")
    ways = {name: Way() for name in ("batched", "single", "plain", "bare", "bare_hashed")}
    shares = Shares()
    calls: Counter[str] = Counter()
    for turn in turns:
        with _counted(place, ways["batched"], size.batched):
            ended = runner.run_batches(_take(everyone, size.batched), key=f"batched {turn}")
            _add(ways["batched"], ended, size.batched)
        place.banks.take_asked()
        with _counted(place, ways["plain"], size.plain):
            wanted = [one for one, _ in _take(everyone, size.plain)]
            used = place.sync(wanted, reason=SyncReason.SCHEDULE)
            ways["plain"].cpu_ms.append(used / size.plain * 1000)
        calls = place.banks.take_asked()
        for name, kind in (("bare", "throw"), ("bare_hashed", "hash")):
            with _counted(place, ways[name], size.bare):
                _bare(place, ways[name], size.bare, kind)
            asked = place.banks.take_asked().total() / (size.bare + WARM_UP)
            assert abs(asked / (calls.total() / size.plain) - 1) < CALLS_SLACK, "the same calls"
        with _counted(place, ways["single"], size.single):
            singles = _take(everyone, size.single)
            ended = runner.run_each(singles, key=f"single {turn}", at_once=_cores())
            _add(ways["single"], ended, size.single)
        _sample(place, _take(everyone, size.plain), shares)
    _check(place)
    return _to_figures(size, ways, shares, calls, linking_ms=linking_ms, first_ms=first_ms)


def _take(everyone: Iterator[tuple[ConnectionId, Provider]], count: int) -> _Wanted:
    return [next(everyone) for _ in range(count)]


def _cores() -> int:
    return psutil.cpu_count() or 1


@contextmanager
def _counted(place: Prepared, way: Way, count: int) -> Iterator[None]:
    postgres, banks, begun = postgres_cpu_s(place.folder), place.banks.cpu_s(), perf_counter()
    yield
    way.clock_ms.append((perf_counter() - begun) / count * 1000)
    way.postgres_ms.append((postgres_cpu_s(place.folder) - postgres) / count * 1000)
    way.banks_ms.append((place.banks.cpu_s() - banks) / count * 1000)


def _add(way: Way, ended: Sequence[Ended], count: int) -> None:
    way.cpu_ms.append(sum(one.cpu_s for one in ended) / count * 1000)
    way.peak_mb = max(way.peak_mb, *(one.peak_mb for one in ended))


def _bare(place: Prepared, way: Way, count: int, kind: str) -> None:
    command = python("benchmarks.bare", place.banks.url, "0", str(count), kind)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    way.cpu_ms.append(told["cpu_s"] / count * 1000)
    way.clock_ms.append(told["clock_s"] / count * 1000)


def _sample(place: Prepared, wanted: _Wanted, shares: Shares) -> None:
    """Sync one after the other in this thread, and look what it is busy with."""
    with sampled(kind_of_sync) as seen:
        for one, _ in wanted:
            sync_connection(place.services.sync, SyncRequest(one, SyncReason.SCHEDULE))
    shares.samples += seen.samples


def _check(place: Prepared) -> None:
    """Make sure that every sync did what it is measured for."""
    with place.services.sync.engine.connect() as db:
        odd = [*db.execute(sa.text(_ODD), {"before": BEFORE * ACCOUNTS, "new": NEW * ACCOUNTS})]
    assert not odd, f"not as planned: {odd}"


_ODD: Final = """
    SELECT c.provider, r.reason, r.outcome, r.error_code, r.counts->'transactions' AS rows, count(*)
    FROM bank.sync_runs r JOIN bank.connections c ON c.id = r.connection_id
    WHERE r.outcome <> 'synced' OR (r.counts->'transactions'->>'inserted')::int
        <> CASE WHEN r.reason = 'initial' THEN :before ELSE :new END
    GROUP BY 1, 2, 3, 4, 5
"""


def _to_figures(
    size: Size,
    ways: dict[str, Way],
    shares: Shares,
    calls: Counter[str],
    *,
    linking_ms: float,
    first_ms: float,
) -> dict[str, Any]:
    told = {name: way.figures() for name, way in ways.items()}
    batched, plain, single = told["batched"], told["plain"], told["single"]
    process_ms = max(0.0, single["cpu_ms"] - plain["cpu_ms"])
    start = process_ms * _batches(size) / size.batched
    events = max(0.0, batched["cpu_ms"] - plain["cpu_ms"] - start)
    postgres_of_events = max(0.0, batched["postgres_cpu_ms"] - plain["postgres_cpu_ms"])
    kinds = (PROVIDER_IO, READING, RULES, DATABASE, CACHE, OTHER)
    parts = {kind: round(plain["cpu_ms"] * shares.of(kind), 2) for kind in kinds}
    parts["database, server"] = plain["postgres_cpu_ms"]
    parts["Dagster's events, client"] = round(events, 2)
    parts["Dagster's events, server"] = round(postgres_of_events, 2)
    parts["start of the run's process"] = round(start, 2)
    total = sum(parts.values())
    dagster = events + postgres_of_events + start
    by_slots = process_ms * SLOTS_PER_DAY / _TARGET_CONNECTIONS - start
    return {
        "connections": size.turns * size.batched,
        "target_connections": _TARGET_CONNECTIONS,
        "turns": size.turns,
        "batch": size.batched // _batches(size),
        "calls_per_connection": round(calls.total() / size.plain, 2),
        "link_cpu_ms": round(linking_ms, 2),
        "first_sync_cpu_ms": round(first_ms, 2),
        "ways": told,
        "parts_cpu_ms": parts,
        "total_cpu_ms": round(total, 2),
        "process_start_s": round(process_ms / 1000, 2),
        "dagster_share": round(dagster / total, 3),
        "dagster_share_by_slots": round((dagster + by_slots) / (total + by_slots), 3),
        "times_bare": round(total / told["bare_hashed"]["cpu_ms"], 2),
        "times_bare_without_dagster": round(
            (total - dagster) / told["bare_hashed"]["cpu_ms"], 2
        ),
        "times_single": round(batched["per_second"] / single["per_second"], 1),
    }  # fmt: skip


def _batches(size: Size) -> int:
    """Return how many runs a turn takes."""
    return -(-size.batched // ROUTINE_BATCH_SIZE)


def _broken(found: dict[str, Any]) -> list[str]:
    claims = {
        f"Dagster takes {found['dagster_share']:.0%} of the CPU": found["dagster_share"]
        <= DAGSTER_SHARE_MAX,
        f"a sync takes {found['times_bare']} times the bare loop": found["times_bare"]
        <= TIMES_BARE_MAX,
        f"batches are {found['times_single']} times as fast as single runs": found["times_single"]
        >= TIMES_SINGLE_MIN,
    }
    return [claim for claim, holds in claims.items() if not holds]
