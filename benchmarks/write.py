"""
The write path beside COPY, the fastest way Postgres has, and beside the ways of others.

Every way begins with domain values in memory and ends with a commit; they take turns, and medians
count. Only COPY begins with text that is rendered already: it is the limit, not a way. The server
is durable, as in production.
"""

import gc
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Final

import sqlalchemy as sa

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
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.encryption_keys import open_vault
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.migrate import migrate
from bank_pipeline.sync.reports import StepCounts
from bank_pipeline.sync.update import write_update
from benchmarks import twins
from benchmarks.accounting import postgres_cpu_s
from benchmarks.other_ways import Dlt, PerRow, Rows, upsert_batches
from benchmarks.rows import Load, build_load, change_some, forget_hashes

CHANGED_EVERY: Final = 20
FRESH_MIN: Final = 0.7  # of COPY's rows per second
UNCHANGED_MIN: Final = 10.0
CHANGED_MIN: Final = 4.0
UNCHANGED_WAL_MAX: Final = 1_000_000  # bytes
TIMES_DLT_MIN: Final = 20.0
TIMES_PER_ROW_MIN: Final = 100.0
_NOW: Final = datetime(2026, 6, 16, 14, 30, tzinfo=UTC)
_VAULT: Final = Vault([bytes(32)])
_Transactions = tuple[Transaction, ...]


@dataclass(frozen=True)
class Size:
    """
    Rows, over accounts of one connection.

    `sample` rows go through the ORM; `slow_turns` of the `turns` have upserts and dlt in them.
    """

    rows: int
    accounts: int
    turns: int
    sample: int
    slow_turns: int


SIZES: Final = {
    "short": Size(rows=5_000, accounts=50, turns=1, sample=200, slow_turns=1),
    "full": Size(rows=200_000, accounts=2_000, turns=3, sample=2_000, slow_turns=1),
}


@dataclass
class Measured:
    """One way with one kind of update: what each turn took."""

    name: str
    rows: int
    seconds: list[float] = field(default_factory=list)
    client_s: list[float] = field(default_factory=list)
    server_s: list[float] = field(default_factory=list)
    wal_bytes: list[int] = field(default_factory=list)

    @property
    def rows_per_s(self) -> float:
        """Return the median speed."""
        return self.rows / statistics.median(self.seconds)

    def figures(self, limit: "Measured") -> dict[str, Any]:
        """Return what is told of it; speeds are by the clock, and by CPU of both sides."""
        cpu_s = statistics.median(map(sum, zip(self.client_s, self.server_s, strict=True)))
        limit_cpu_s = statistics.median(map(sum, zip(limit.client_s, limit.server_s, strict=True)))
        return {
            "name": self.name,
            "rows": self.rows,
            "seconds": [round(one, 3) for one in self.seconds],
            "rows_per_s": round(self.rows_per_s),
            "times_copy": round(self.rows_per_s / limit.rows_per_s, 3),
            "times_copy_by_cpu": round((self.rows / cpu_s) / (limit.rows / limit_cpu_s), 3),
            "client_cpu_us_per_row": round(statistics.median(self.client_s) / self.rows * 1e6, 1),
            "server_cpu_us_per_row": round(statistics.median(self.server_s) / self.rows * 1e6, 1),
            "wal_mb": round(statistics.median(self.wal_bytes) / 1e6, 3),
        }


@dataclass(frozen=True)
class World:
    """A database with one connection, and twins of the table for the others to write into."""

    engine: sa.Engine
    folder: Path
    connection: Connection
    account_ids: dict[str, AccountId]
    size: Size

    @contextmanager
    def timed(self, measured: Measured) -> Iterator[None]:
        """Time what is done inside, and count its CPU and WAL."""
        with twins.alone(self.engine) as server:
            server.execute(sa.text("CHECKPOINT"))
            wal, postgres = twins.wal_position(server), postgres_cpu_s(self.folder)
            begun, used = perf_counter(), process_time()
            yield
            measured.seconds.append(perf_counter() - begun)
            measured.client_s.append(process_time() - used)
            measured.server_s.append(postgres_cpu_s(self.folder) - postgres)
            measured.wal_bytes.append(twins.wal_position(server) - wal)


_NAMES: Final = {
    "copy": "COPY into an identical empty table (the limit)",
    "copy_unchecked": "COPY into one without foreign keys",
    "fresh": "first load",
    "fresh_hashing": "first load, fingerprints computed as well",
    "unchanged": "unchanged",
    "unchanged_hashing": "unchanged, fingerprints computed as well",
    "changed": "5 % changed, with revisions",
    "upsert_fresh": "batches of 500 upserts, first load",
    "upsert_unchanged": "batches of 500 upserts, unchanged",
    "upsert_changed": "batches of 500 upserts, 5 % changed",
    "per_row_fresh": "row by row through an ORM, first load",
    "per_row_unchanged": "row by row through an ORM, unchanged",
    "per_row_changed": "row by row through an ORM, 5 % changed",
    "dlt_fresh": "dlt's merge by upsert, first load",
    "dlt_unchanged": "dlt's merge by upsert, unchanged",
    "dlt_changed": "dlt's merge by upsert, 5 % changed",
}


def measure(size_name: str) -> dict[str, Any]:
    """Measure all ways in turn; return the figures and the broken limits."""
    size = SIZES[size_name]
    with _server() as (engine, folder):
        measured = _measure(engine, folder, size)
    limit = measured["copy"]
    ways = {key: one.figures(limit) for key, one in measured.items() if one.seconds}
    ratios = _to_ratios(ways)
    return {
        "rows": size.rows,
        "accounts": size.accounts,
        "turns": size.turns,
        "slow_turns": size.slow_turns,
        "ways": ways,
        "ratios": ratios,
        "broken": _broken(ways, ratios),
    }


def _measure(engine: sa.Engine, folder: Path, size: Size) -> dict[str, Measured]:
    load = build_load(accounts_count=size.accounts, transactions_count=size.rows)
    changed = change_some(load.transactions, every=CHANGED_EVERY)
    world = _link(engine, folder, load, size)
    measured = {
        key: Measured(name, size.sample if key.startswith("per_row") else size.rows)
        for key, name in _NAMES.items()
    }
    gc.collect()
    gc.freeze()  # the inputs belong to the fetch: their upkeep is not the write path's
    text = _first_text(world, load.transactions)
    rows = Rows(world.connection.team_id, world.account_ids)
    dlt = Dlt(engine, folder)
    per_row = PerRow(engine, "twin_per_row")
    for turn in range(size.turns):
        _empty(world)
        for key, table in (("copy", "twin_copy"), ("copy_unchecked", "twin_unchecked")):
            with world.timed(measured[key]), engine.begin() as db:
                twins.copy_text(db, table, text)
        _measure_ours(world, measured, load.transactions, changed)
        _measure_per_row(world, measured, per_row, rows, text, load.transactions, changed)
        if turn < size.slow_turns:
            upsert = partial(upsert_batches, engine, "twin_upsert", rows)
            _measure_other(world, measured, "upsert", upsert, load.transactions, changed)
            write = partial(dlt.write, rows)
            _measure_other(world, measured, "dlt", write, load.transactions, changed)
            assert dlt.count() == size.rows, "dlt holds every row once"
            dlt.forget()
    return measured


def _measure_ours(
    world: World, measured: dict[str, Measured], rows: _Transactions, changed: _Transactions
) -> None:
    count = world.size.rows
    forget_hashes(rows)
    with world.timed(measured["fresh_hashing"]):
        _expect(_sync(world, rows), count, inserted=count)
    _empty(world)
    with world.timed(measured["fresh"]):
        _expect(_sync(world, rows), count, inserted=count)
    twins.vacuum(world.engine, ["bank.transactions"])
    forget_hashes(rows)
    with world.timed(measured["unchanged_hashing"]):
        _expect(_sync(world, rows), count)
    with world.timed(measured["unchanged"]):
        _expect(_sync(world, rows), count)
    with world.timed(measured["changed"]):
        _expect(_sync(world, changed), count, updated=len(changed[::CHANGED_EVERY]))


def _measure_other(
    world: World,
    measured: dict[str, Measured],
    way: str,
    write: Any,  # noqa: ANN401 - a function of transactions
    rows: _Transactions,
    changed: _Transactions,
) -> None:
    for kind, given in (("fresh", rows), ("unchanged", rows), ("changed", changed)):
        forget_hashes(given)
        with world.timed(measured[f"{way}_{kind}"]):
            write(given)
        if kind == "fresh":
            table = "dlt_bench.transactions" if way == "dlt" else f"twin_{way}"
            twins.vacuum(world.engine, [table])


def _measure_per_row(
    world: World,
    measured: dict[str, Measured],
    per_row: PerRow,
    rows: Rows,
    text: bytes,
    given: _Transactions,
    changed: _Transactions,
) -> None:
    """Write a sample; unchanged and changed ones beside all the other rows."""
    sample = world.size.sample
    with world.timed(measured["per_row_fresh"]):
        per_row.write(rows, given[:sample])
    with world.engine.begin() as db:
        db.execute(sa.text("TRUNCATE twin_per_row"))
        twins.copy_text(db, "twin_per_row", text)
    twins.vacuum(world.engine, ["twin_per_row"])
    for kind, some in (("unchanged", given[:sample]), ("changed", changed[:sample])):
        with world.timed(measured[f"per_row_{kind}"]):
            per_row.write(rows, some)


def _sync(world: World, transactions: _Transactions) -> StepCounts:
    """Write one update and its cursor, as a sync does once everything is fetched."""
    with world.engine.begin() as db:
        counts = write_update(
            db,
            TransactionDelta.model_construct(upserts=transactions, removed=frozenset()),
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


def _expect(counts: StepCounts, rows: int, *, inserted: int = 0, updated: int = 0) -> None:
    wanted = StepCounts(inserted, updated, unchanged=rows - inserted - updated)
    assert counts == wanted, f"{counts}, not {wanted}"


def _first_text(world: World, transactions: _Transactions) -> bytes:
    """Load the rows once and return them as COPY's own text; also warms everything up."""
    _sync(world, transactions)
    with world.engine.begin() as db:
        return twins.read_as_text(db, "bank.transactions")


_TWINS: Final = ("twin_copy", "twin_unchecked", "twin_upsert", "twin_per_row")


def _empty(world: World) -> None:
    with world.engine.begin() as db:
        db.execute(sa.text("TRUNCATE bank.transactions CASCADE"))
        db.execute(sa.text(f"TRUNCATE {', '.join(_TWINS)}"))


def _link(engine: sa.Engine, folder: Path, load: Load, size: Size) -> World:
    with engine.begin() as db:
        for name in _TWINS:
            twins.make_twin(db, name, is_checked=name != "twin_unchecked")
        for name in ("twin_upsert", "twin_per_row"):
            twins.make_keys_immediate(db, name)
        twins.let_alone(db, "bank.transactions")
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
        save_accounts(db, connection, load.accounts, now=_NOW, vault=_VAULT)
        return World(engine, folder, connection, load_account_ids(db, connection_id), size)


@contextmanager
def _server() -> Iterator[tuple[sa.Engine, Path]]:
    folder = Path(tempfile.mkdtemp(prefix="bank-bench-"))
    try:
        engine = build_engine(embedded.ensure_running(folder))
        migrate(engine)
        open_vault(engine, _VAULT, now=_NOW)
        yield engine, folder
        engine.dispose()
    finally:
        embedded.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _to_ratios(ways: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Compare with others by what all of them do: their unchanged rows are hashed, too."""
    ours = ways["unchanged_hashing"]["rows_per_s"]
    ratios = {
        "fresh_to_copy": ways["fresh"]["times_copy"],
        "fresh_hashing_to_copy": ways["fresh_hashing"]["times_copy"],
        "unchanged_to_copy": ways["unchanged"]["times_copy"],
        "unchanged_hashing_to_copy": ways["unchanged_hashing"]["times_copy"],
        "changed_to_copy": ways["changed"]["times_copy"],
        "unchanged_to_upsert": round(ours / ways["upsert_unchanged"]["rows_per_s"], 1),
        "unchanged_to_per_row": round(ours / ways["per_row_unchanged"]["rows_per_s"], 1),
    }
    if "dlt_unchanged" in ways:
        ratios["unchanged_to_dlt"] = round(ours / ways["dlt_unchanged"]["rows_per_s"], 1)
    return ratios


def _broken(ways: dict[str, dict[str, Any]], ratios: dict[str, float]) -> list[str]:
    minima = {
        "fresh_to_copy": FRESH_MIN,
        "unchanged_to_copy": UNCHANGED_MIN,
        "changed_to_copy": CHANGED_MIN,
        "unchanged_to_dlt": TIMES_DLT_MIN,
        "unchanged_to_per_row": TIMES_PER_ROW_MIN,
    }
    broken = [
        f"{name.replace('_', ' ')}: {ratios[name]}, not {least}"
        for name, least in minima.items()
        if name in ratios and ratios[name] < least
    ]
    wal_mb = ways["unchanged"]["wal_mb"]
    if wal_mb * 1e6 >= UNCHANGED_WAL_MAX:
        broken.append(f"unchanged wrote {wal_mb} MB of WAL")
    return broken
