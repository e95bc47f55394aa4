"""
What a sync costs beside more and more stored connections.

Some connections are linked and synced; the others are copies of them, with all their rows, in all
tables that a sync reads or writes. Then those that are real take their turns, the installations one
after the other, so that what else the machine does falls upon all.
"""

import logging
import statistics
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.sync.reports import SyncReason
from benchmarks.accounting import postgres_cpu_s
from benchmarks.prepared import Prepared, prepared
from benchmarks.twins import alone

TIMES_MAX: Final = 1.2  # of the cost beside the fewest, beside the most
TABLES: Final = (
    "connections",
    "credentials",
    "connection_events",
    "sync_runs",
    "accounts",
    "account_coverage",
    "balances",
    "balance_series",
    "chosen_balances",
    "balance_checkpoints",
    "balance_checks",
    "transactions",
    "raw_payloads",
    "provider_calls",
)
"""In the order of their references; one that does not exist is left out."""

_COLUMNS: Final = sa.text("""
    SELECT column_name, udt_name FROM information_schema.columns
    WHERE table_schema = 'bank' AND table_name = :name
      AND is_generated = 'NEVER' AND identity_generation IS NULL
    ORDER BY ordinal_position
""")
_KEPT: Final = frozenset({"team_id"})
_ACCOUNTS: Final = sa.text("""
    SELECT a.external_id FROM bank.accounts a
    JOIN bank.connections c ON c.id = a.connection_id WHERE c.provider = 'gocardless'
""")


@dataclass(frozen=True)
class Size:
    """How many are stored, and how many of them are synced in each of some turns."""

    stored: tuple[int, ...]
    turns: int
    sample: int


SIZES: Final = {
    "short": Size(stored=(160, 1_600), turns=1, sample=10),
    "full": Size(stored=(1_000, 10_000, 50_000), turns=5, sample=20),
}


def measure(size_name: str) -> dict[str, Any]:
    """Measure; return the figures and the broken limit."""
    size = SIZES[size_name]
    logging.disable(logging.INFO)
    with ExitStack() as stack:
        places = {count: stack.enter_context(prepared()) for count in size.stored}
        filling_s = {count: _fill(place, count, size) for count, place in places.items()}
        taken: dict[int, list[float]] = {count: [] for count in places}
        for turn in range(size.turns):
            some = slice(turn * size.sample, (turn + 1) * size.sample)
            for count, place in places.items():
                begun = postgres_cpu_s(place.folder)
                used = place.sync(place.ids[some], reason=SyncReason.SCHEDULE)
                used += postgres_cpu_s(place.folder) - begun
                taken[count].append(used / size.sample * 1000)
        told = {
            str(count): {
                "cpu_ms": round(statistics.median(taken[count]), 2),
                "turns_cpu_ms": [round(one, 2) for one in taken[count]],
                "database_mb": round(_database_bytes(place) / 1e6),
                "filling_s": round(filling_s[count]),
            }
            for count, place in places.items()
        }
    fewest, most = (statistics.median(taken[size.stored[place]]) for place in (0, -1))
    times = round(most / fewest, 2)
    return {
        "turns": size.turns,
        "sample": size.sample,
        "stored": told,
        "times": times,
        "broken": [f"beside the most it costs {times} times"] if times > TIMES_MAX else [],
    }


def _fill(place: Prepared, count: int, size: Size) -> float:
    """Link and sync some, and copy them until there are `count`; return the seconds it took."""
    begun = perf_counter()
    real = size.turns * size.sample
    assert count % real == 0, "copies are whole ones"
    ids = place.link(real)
    place.sync(ids, reason=SyncReason.INITIAL)
    place.banks.set_day(1)
    with place.services.sync.engine.begin() as db:
        db.execute(sa.text("SET LOCAL statement_timeout = 0"))
        db.execute(sa.text("SET LOCAL session_replication_role = replica"))  # references hold
        accounts = [*db.scalars(_ACCOUNTS)]
        for table in TABLES:
            _copy_rows(db, table, copies=count // real - 1)
    facts = {"institution": "MUERITZ_MRTZDE21XXX", "agreement": "agr-00000000"}
    for copy in range(1, count // real):
        for account in accounts:
            key = f"gocardless-account-{account}-{copy}"
            place.services.sync.cache.get_or_create(key, lambda: facts, ttl_s=86_400)
    with alone(place.services.sync.engine) as db:
        db.execute(sa.text("SET statement_timeout = 0"))
        db.execute(sa.text("VACUUM ANALYZE"))
        db.execute(sa.text("CHECKPOINT"))
    return perf_counter() - begun


def _copy_rows(db: sa.Connection, table: str, *, copies: int) -> None:
    """Copy every row of a table so many times, with ids of its own."""
    columns = [*db.execute(_COLUMNS, {"name": table})]
    if not columns or not copies:
        return
    values = [_to_copied(table, name, type_) for name, type_ in columns]
    names = ", ".join(name for name, _ in columns)
    db.execute(
        sa.text(
            f"INSERT INTO bank.{table} ({names}) SELECT {', '.join(values)} "  # noqa: S608
            f"FROM bank.{table}, generate_series(1, :copies) copy"
        ),
        {"copies": copies},
    )


def _to_copied(table: str, name: str, type_: str) -> str:
    if type_ == "uuid" and name not in _KEPT:
        return f"md5({name}::text || copy)::uuid"
    if table == "connections" and name == "external_id":
        return f"{name} || '-' || copy"
    return name


def _database_bytes(place: Prepared) -> int:
    with place.services.sync.engine.connect() as db:
        query = sa.text("SELECT pg_database_size(current_database())")
        return int(db.execute(query).scalar_one())
