"""
Measure the write path against COPY, the fastest way Postgres has, on this machine.

    python -m benchmarks.run

Every way is measured in turn, several times over; medians count. The server is durable, as
in production. Writes `benchmarks/results.json` and fails when a limit is broken.
"""

import gc
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import psutil
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from bank_pipeline.domain.connection import Connection, HistoryStage, Provider
from bank_pipeline.domain.ids import AccountId, SyncRunId
from bank_pipeline.domain.transaction import Transaction, TransactionDelta
from bank_pipeline.storage import embedded
from bank_pipeline.storage.accounts import load_account_ids, save_accounts
from bank_pipeline.storage.connections import (
    advance_cursor,
    ensure_team,
    insert_or_renew_connection,
    load_connection,
)
from bank_pipeline.storage.copying import driver_of
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.encryption_keys import open_vault
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.migrate import migrate
from bank_pipeline.sync.reports import StepCounts
from bank_pipeline.sync.update import write_update
from benchmarks.parsing import measure_parsing
from benchmarks.results import record
from benchmarks.rows import build_load, change_some, forget_hashes

TRANSACTIONS: Final = 100_000
ACCOUNTS: Final = 20
REPEATS: Final = 5
CHANGED_EVERY: Final = 20
FIRST_LOAD_MIN: Final = 0.5  # of COPY's rows per second
UNCHANGED_MIN: Final = 5.0
UNCHANGED_WAL_MAX: Final = 1_000_000  # bytes
_NOW: Final = datetime(2026, 6, 16, 14, 30, tzinfo=UTC)
_VAULT: Final = Vault([bytes(32)])
_CHUNK: Final = 1 << 20


@dataclass
class Measured:
    """One way of writing: seconds and WAL bytes of each repeat."""

    name: str
    seconds: list[float] = field(default_factory=list)
    wal_bytes: list[int] = field(default_factory=list)

    @property
    def rows_per_s(self) -> float:
        """Return the median speed."""
        return TRANSACTIONS / statistics.median(self.seconds)


@dataclass(frozen=True)
class World:
    """A database with one connection, and a twin of the table to copy into."""

    engine: sa.Engine
    connection: Connection
    account_ids: dict[str, AccountId]


def main() -> int:
    """Measure, print, write the results; return the exit code."""
    console = Console()
    with _server() as engine, console.status("measuring …"):
        measured = _measure(engine)
        parsing = measure_parsing()
    limit = measured["copy"].rows_per_s
    results = _to_results(measured, limit, parsing)
    record(results)
    console.print(_to_table(measured, limit))
    for name, value in parsing.items():
        console.print(f"{name}: {value:,.1f} us per transaction")
    console.print(f"[dim]{results['machine']}[/]")
    for broken in results["broken"]:
        console.print(f"[bold red]broken: {broken}[/]")
    return 1 if results["broken"] else 0


def _measure(engine: sa.Engine) -> dict[str, Measured]:
    load = build_load(accounts_count=ACCOUNTS, transactions_count=TRANSACTIONS)
    changed = change_some(load.transactions, every=CHANGED_EVERY)
    world = _link(engine, load.accounts)
    names = {
        "copy": "COPY into an identical empty table (the limit)",
        "copy_unchecked": "COPY into one without foreign keys",
        "first": "first load",
        "unchanged": "unchanged re-sync, hashes compared first",
        "unchanged_hashing": "the same, computing the hashes included",
        "changed": f"{100 / CHANGED_EVERY:.0f} % changed",
    }
    measured = {key: Measured(name) for key, name in names.items()}
    gc.collect()
    gc.freeze()  # the inputs belong to the fetch: their upkeep is not the write path's
    text = _first_text(world, load.transactions)
    for _ in range(REPEATS):
        _empty(world)
        with _timed(world.engine, measured["copy"]) as db:
            _copy_text(db, "limit_of", text)
        with _timed(world.engine, measured["copy_unchecked"]) as db:
            _copy_text(db, "limit_unchecked", text)
        forget_hashes(load.transactions)
        with _timed(world.engine, measured["first"]) as db:
            _expect(_sync(db, world, load.transactions), inserted=TRANSACTIONS)
        _vacuum(engine)  # as autovacuum has done by the next sync
        forget_hashes(load.transactions)
        with _timed(world.engine, measured["unchanged_hashing"]) as db:
            _expect(_sync(db, world, load.transactions))
        with _timed(world.engine, measured["unchanged"]) as db:
            _expect(_sync(db, world, load.transactions))
        changed_count = len(changed[::CHANGED_EVERY])
        with _timed(world.engine, measured["changed"]) as db:
            counts = _sync(db, world, changed)
            _expect(counts, updated=changed_count)
    return measured


def _sync(db: sa.Connection, world: World, transactions: tuple[Transaction, ...]) -> StepCounts:
    """Write one update and its cursor, as a sync does once everything is fetched."""
    counts = write_update(
        db,
        _to_delta(transactions),
        team_id=world.connection.team_id,
        account_ids=world.account_ids,
        sync_run_id=SyncRunId(new_id()),
        now=_NOW,
    ).counts
    before = load_connection(db, world.connection.id).cursor
    after = f"cursor-{new_id()}"
    stage = HistoryStage.COMPLETE
    advance_cursor(db, world.connection.id, before=before, after=after, stage=stage)
    return counts


def _to_delta(transactions: tuple[Transaction, ...]) -> TransactionDelta:
    return TransactionDelta.model_construct(upserts=transactions, removed=frozenset())


def _expect(counts: StepCounts, *, inserted: int = 0, updated: int = 0) -> None:
    wanted = StepCounts(inserted, updated, unchanged=TRANSACTIONS - inserted - updated)
    assert counts == wanted, f"{counts}, not {wanted}"


@contextmanager
def _timed(engine: sa.Engine, measured: Measured) -> Iterator[sa.Connection]:
    """Time one transaction from its begin to its commit, and the WAL it writes."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as server:
        server.execute(sa.text("CHECKPOINT"))
        before = _wal_position(server)
        start = perf_counter()
        with engine.begin() as db:
            yield db
        measured.seconds.append(perf_counter() - start)
        measured.wal_bytes.append(_wal_position(server) - before)


def _wal_position(db: sa.Connection) -> int:
    position = sa.text("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
    return int(db.execute(position).scalar_one())


def _first_text(world: World, transactions: tuple[Transaction, ...]) -> bytes:
    """Load the rows once and return them as COPY's own text; also warms everything up."""
    with world.engine.begin() as db:
        _sync(db, world, transactions)
        query = "COPY bank.transactions TO STDOUT"
        with driver_of(db).cursor() as cursor, cursor.copy(query) as copy:
            return b"".join(bytes(block) for block in copy)


def _copy_text(db: sa.Connection, table: str, text: bytes) -> None:
    with driver_of(db).cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        for start in range(0, len(text), _CHUNK):
            copy.write(text[start : start + _CHUNK])


def _empty(world: World) -> None:
    with world.engine.begin() as db:
        db.execute(sa.text("TRUNCATE bank.transactions CASCADE"))
        db.execute(sa.text("TRUNCATE limit_of, limit_unchecked"))


def _vacuum(engine: sa.Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(sa.text("VACUUM ANALYZE bank.transactions"))


_TWINS: Final = (
    "CREATE TABLE limit_of (LIKE bank.transactions INCLUDING ALL)",
    "CREATE TABLE limit_unchecked (LIKE bank.transactions INCLUDING ALL)",
    "ALTER TABLE limit_of ADD FOREIGN KEY (account_id, team_id) REFERENCES bank.accounts (id, team_id)",  # noqa: E501
    # Else it would work, and write WAL, at any moment of the measurement.
    "ALTER TABLE bank.transactions SET (autovacuum_enabled = off)",
    "ALTER TABLE limit_of SET (autovacuum_enabled = off)",
    "ALTER TABLE limit_unchecked SET (autovacuum_enabled = off)",
)


def _link(engine: sa.Engine, accounts: tuple[Any, ...]) -> World:
    with engine.begin() as db:
        for statement in _TWINS:
            db.execute(sa.text(statement))
        connection_id = insert_or_renew_connection(
            db,
            team_id=ensure_team(db, "bench", now=_NOW),
            provider=Provider.PLAID,
            external_id="bench",
            institution_external_id=None,
            institution_name=None,
            now=_NOW,
        )
        connection = load_connection(db, connection_id)
        save_accounts(db, connection, accounts, now=_NOW, vault=_VAULT)
        return World(engine, connection, load_account_ids(db, connection_id))


@contextmanager
def _server() -> Iterator[sa.Engine]:
    folder = Path(tempfile.mkdtemp(prefix="bank-bench-"))
    try:
        engine = build_engine(embedded.ensure_running(folder))
        migrate(engine)
        open_vault(engine, _VAULT, now=_NOW)
        yield engine
        engine.dispose()
    finally:
        embedded.stop(folder)
        shutil.rmtree(folder)


def _to_results(
    measured: dict[str, Measured], limit: float, parsing: dict[str, float]
) -> dict[str, Any]:
    return {
        "machine": _machine(),
        "rows": TRANSACTIONS,
        "accounts": ACCOUNTS,
        "repeats": REPEATS,
        "ways": {
            key: asdict(way)
            | {
                "rows_per_s": round(way.rows_per_s),
                "times_copy": round(way.rows_per_s / limit, 3),
                "wal_bytes_median": int(statistics.median(way.wal_bytes)),
            }
            for key, way in measured.items()
        },
        "parsing_us_per_transaction": parsing,
        "broken": _broken(measured, limit),
    }


def _broken(measured: dict[str, Measured], limit: float) -> list[str]:
    first = measured["first"].rows_per_s / limit
    unchanged = measured["unchanged"].rows_per_s / limit
    wal = max(measured["unchanged"].wal_bytes)
    claims = {
        f"first load {first:.2f}x COPY, not {FIRST_LOAD_MIN}x": first >= FIRST_LOAD_MIN,
        f"unchanged {unchanged:.1f}x COPY, not {UNCHANGED_MIN}x": unchanged >= UNCHANGED_MIN,
        f"unchanged wrote {wal} bytes of WAL": wal < UNCHANGED_WAL_MAX,
    }
    return [claim for claim, holds in claims.items() if not holds]


def _to_table(measured: dict[str, Measured], limit: float) -> Table:
    table = Table(title=f"{TRANSACTIONS:,} transactions, {ACCOUNTS} accounts", title_justify="left")
    table.add_column("way")
    for heading in ("rows/s", "x COPY", "seconds (median)", "WAL, MB (median)"):
        table.add_column(heading, justify="right")
    for way in measured.values():
        table.add_row(
            way.name,
            f"{way.rows_per_s:,.0f}",
            f"{way.rows_per_s / limit:.2f}",
            f"{statistics.median(way.seconds):.2f}",
            f"{statistics.median(way.wal_bytes) / 1e6:.2f}",
        )
    return table


def _machine() -> str:
    memory_gb = psutil.virtual_memory().total / 2**30
    return (
        f"{psutil.cpu_count()} cores, {memory_gb:.0f} GB, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}, embedded PostgreSQL"
    )


if __name__ == "__main__":
    sys.exit(main())
