"""
One connection with a longer and longer history: its first load, and the syncs of the days after.

Each sync is a Dagster run in a process of its own, whose time and peak of memory count.
"""

import logging
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sync.reports import SyncReason
from benchmarks.prepared import PROVIDERS, Prepared, prepared
from benchmarks.runs import Runner
from benchmarks.twins import alone

PEAK_MB_MAX: Final = 300
TIMES_PEAK_MAX: Final = 1.5
_PROVIDERS: Final = (Provider.PLAID, Provider.GOCARDLESS)
"""One of which changes are told, and one that is asked by dates."""

_OLDER: Final = """
    INSERT INTO bank.transactions (id, external_id, booking_date, transaction_date, value_date,
        content_hash, {others})
    SELECT gen_random_uuid(), 'old-' || n, current_date - 30 - n % 700, current_date - 30 - n % 700,
        current_date - 30 - n % 700, decode(md5(n::text), 'hex'), {others}
    FROM (SELECT t.*, row_number() OVER () AS place, count(*) OVER () AS templates
          FROM bank.transactions t JOIN bank.accounts a ON a.id = t.account_id
          WHERE a.connection_id = :connection) t
    JOIN generate_series(1, :rows) n ON n % templates = place - 1
"""
_OTHERS: Final = sa.text("""
    SELECT string_agg(column_name, ', ') FROM information_schema.columns
    WHERE table_schema = 'bank' AND table_name = 'transactions' AND is_generated = 'NEVER'
      AND column_name NOT IN ('id', 'external_id', 'pending_external_id', 'booking_date',
        'transaction_date', 'value_date', 'booked_at', 'transacted_at', 'content_hash')
""")
_BYTES: Final = sa.text("SELECT pg_total_relation_size('bank.transactions')")
_ROWS: Final = sa.text("SELECT count(*) FROM bank.transactions")
_ARCHIVED: Final = sa.text("SELECT pg_total_relation_size('bank.raw_payloads')")


@dataclass(frozen=True)
class Size:
    """Rows of history: that are there when a daily sync comes, and that a first sync brings."""

    stored: tuple[int, ...]
    first: tuple[int, ...]
    turns: int


SIZES: Final = {
    "short": Size(stored=(20_000,), first=(10_000,), turns=1),
    "full": Size(stored=(20_000, 200_000, 1_000_000), first=(20_000, 200_000, 1_000_000), turns=1),
}


def measure(size_name: str) -> dict[str, Any]:
    """Measure; return the figures and the broken limits."""
    size = SIZES[size_name]
    logging.disable(logging.INFO)
    with prepared() as place:
        runner = Runner(place.instance, place.folder / "runs.log")
        daily = _measure_daily(place, runner, size)
        first = {str(rows): _measure_first(place, runner, rows) for rows in size.first}
    return {"daily": daily, "first": first, "broken": _broken(daily, first)}


def _measure_daily(place: Prepared, runner: Runner, size: Size) -> dict[str, Any]:
    """Sync connections beside whose few new rows more and more old ones are stored."""
    ids = place.link(len(PROVIDERS) * len(size.stored))
    place.sync(ids, reason=SyncReason.INITIAL)
    held = {
        rows: [ids[case * len(PROVIDERS) + PROVIDERS.index(one)] for one in _PROVIDERS]
        for case, rows in enumerate(size.stored)
    }
    for rows, some in held.items():
        for id_ in some:
            _age(place, id_, rows)
    with alone(place.services.sync.engine) as db:
        db.execute(sa.text("SET statement_timeout = 0"))
        db.execute(sa.text("VACUUM ANALYZE"))
    place.banks.set_day(1)
    taken: dict[tuple[int, Provider], list[tuple[float, float, float]]] = {}
    for turn in range(size.turns):
        reason = SyncReason.SCHEDULE if turn == 0 else SyncReason.MANUAL
        for rows, some in held.items():
            for id_, provider in zip(some, _PROVIDERS, strict=True):
                begun = perf_counter()
                [ended] = runner.run_each([(id_, provider)], key=f"turn {turn}", reason=reason)
                one = (ended.cpu_s, perf_counter() - begun, ended.peak_mb)
                taken.setdefault((rows, provider), []).append(one)
    return {
        str(rows): {provider.value: _to_case(taken[rows, provider]) for provider in _PROVIDERS}
        for rows in size.stored
    }


def _age(place: Prepared, connection_id: ConnectionId, rows: int) -> None:
    with place.services.sync.engine.begin() as db:
        db.execute(sa.text("SET LOCAL statement_timeout = 0"))
        db.execute(sa.text("SET LOCAL session_replication_role = replica"))  # references hold
        others = db.execute(_OTHERS).scalar_one()
        statement = sa.text(_OLDER.format(others=others))
        db.execute(statement, {"connection": connection_id, "rows": rows})


def _to_case(taken: Sequence[tuple[float, float, float]]) -> dict[str, float]:
    cpu, clock, peak = zip(*taken, strict=True)
    return {
        "cpu_s": round(statistics.median(cpu), 2),
        "clock_s": round(statistics.median(clock), 2),
        "peak_mb": round(max(peak)),
    }


def _measure_first(place: Prepared, runner: Runner, rows: int) -> dict[str, float]:
    """Bring a whole history in one sync, and say what it takes in memory and in the database."""
    id_ = place.link_long(rows)
    before = _sizes(place)
    begun = perf_counter()
    [ended] = runner.run_each([(id_, Provider.PLAID)], key="first", reason=SyncReason.INITIAL)
    clock_s = perf_counter() - begun
    after = _sizes(place)
    assert after["rows"] - before["rows"] == rows, "all rows came"
    return {
        "cpu_s": round(ended.cpu_s, 1),
        "clock_s": round(clock_s, 1),
        "peak_mb": round(ended.peak_mb),
        "bytes_per_row": round((after["bytes"] - before["bytes"]) / rows),
        "archive_bytes_per_row": round((after["archived"] - before["archived"]) / rows),
    }


def _sizes(place: Prepared) -> dict[str, int]:
    with place.services.sync.engine.connect() as db:
        asked = {"rows": _ROWS, "bytes": _BYTES, "archived": _ARCHIVED}
        return {name: int(db.execute(query).scalar_one()) for name, query in asked.items()}


def _broken(daily: dict[str, Any], first: dict[str, Any]) -> list[str]:
    broken = []
    for provider in _PROVIDERS:
        peaks = [case[provider.value]["peak_mb"] for case in daily.values()]
        if peaks[-1] > PEAK_MB_MAX:
            broken.append(f"a daily sync of {provider} beside the longest takes {peaks[-1]} MB")
        if peaks[-1] > TIMES_PEAK_MAX * peaks[0]:
            broken.append(f"a daily sync of {provider} takes {peaks[0]} to {peaks[-1]} MB")
    peaks = [case["peak_mb"] for case in first.values()]
    if peaks[-1] > PEAK_MB_MAX:
        broken.append(f"the longest first load takes {peaks[-1]} MB")
    if peaks[-1] > TIMES_PEAK_MAX * peaks[0]:
        broken.append(f"first loads take {peaks[0]} to {peaks[-1]} MB")
    return broken
