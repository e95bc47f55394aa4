"""
Measure how fast each table grows, in bytes per connection and day.

    python -m benchmarks.footprint [DAYS]

Eight simulated banks at four providers, through real Dagster runs: the schedule and webhooks, as
in production. Tables are packed before each look, so that the figures are those of rows, indexes
and long values, without the room that updates leave to be used again. Nothing is pruned
meanwhile. The figures stand in docs/operations.md.
"""

import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from dagster._core.scheduler.instigation import InstigatorType, TickData, TickStatus
from rich.console import Console
from rich.table import Table

from bank_pipeline.cli.demo import STAGES, START
from bank_pipeline.cli.playground import Playground, playground
from bank_pipeline.cli.simulated import CAST, link_simulated_banks
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline.sync.audit import seal_audit

DAYS: Final = 60
DAY: Final = timedelta(days=1)
TICKS: Final = 500
WARM_UP: Final = 3  # days until histories are whole and every kind of row is there
_SIZES: Final = """
    SELECT n.nspname || '.' || c.relname, pg_total_relation_size(c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname IN ('bank', 'dagster')
"""


def main() -> int:
    """Measure, print, write the results."""
    console = Console()
    days = int(sys.argv[1]) if len(sys.argv) > 1 else DAYS
    world = World(7, clock=VirtualClock(START), logins=len(CAST))
    with (
        tempfile.TemporaryDirectory() as folder,
        SandboxServer(world=world, seed=7) as sandbox,
        playground(Path(folder) / "state", sandbox) as ground,
        console.status("living …"),
    ):
        connections = len(link_simulated_banks(ground.services))
        for wait in STAGES:
            ground.pass_time(wait)
        _live(ground, WARM_UP)
        before, syncs_before = _sizes(ground), _syncs(ground)
        _live(ground, days)
        after, syncs = _sizes(ground), _syncs(ground) - syncs_before
        bare, all_syncs = _without_lineage(ground), _syncs(ground)
        tick = _tick(ground)
    share = connections * days
    grown = {name: (after[name] - before.get(name, 0)) / share for name in after}
    found = {
        "connections": connections,
        "days": days,
        "syncs_per_connection_and_day": round(syncs / share, 2),
        "bytes_per_sync_run_without_lineage": round(bare / all_syncs),
        "bytes_per_tick": round(tick),
        "bytes_per_connection_and_day": {
            name: round(size) for name, size in sorted(grown.items()) if size >= 1
        },
    }
    console.print(_to_table(found))
    return 0


def _live(ground: Playground, days: int) -> None:
    for _ in range(days):
        ground.pass_time(DAY)
        seal_audit(ground.services.sync)


def _without_lineage(ground: Playground) -> int:
    """Return how big the syncs are once what they leave for looking back is deleted."""
    with ground.services.sync.engine.begin() as db:
        db.execute(sa.text("UPDATE bank.sync_runs SET lineage = NULL, before = NULL"))
    return _sizes(ground)["bank.sync_runs"]


def _tick(ground: Playground) -> float:
    """Return how big a tick of a sensor is that finds nothing to do."""
    before = _sizes(ground)["dagster.job_ticks"]
    for number in range(TICKS):
        ground.instance.create_tick(
            TickData(
                instigator_origin_id="0" * 40,
                instigator_name="connection_sensor",
                instigator_type=InstigatorType.SENSOR,
                status=TickStatus.SKIPPED,
                timestamp=START.timestamp() + number,
                skip_reason="No connection is due.",
                selector_id="0" * 40,
            )
        )
    return (_sizes(ground)["dagster.job_ticks"] - before) / TICKS


def _syncs(ground: Playground) -> int:
    with ground.services.sync.engine.connect() as db:
        return int(db.scalar(sa.text("SELECT count(*) FROM bank.sync_runs")) or 0)


def _sizes(ground: Playground) -> dict[str, int]:
    """Pack every table, and return its size with indexes and long values."""
    engine = ground.services.sync.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as db:
        for name, _ in db.execute(sa.text(_SIZES)).all():
            db.exec_driver_sql(f"VACUUM FULL {name}")
        found = {str(name): int(size) for name, size in db.execute(sa.text(_SIZES)).all()}
    logs = Path(ground.services.settings.state_dir) / "dagster" / "logs"
    found["step logs (files)"] = sum(one.stat().st_size for one in logs.rglob("*") if one.is_file())
    return found


def _to_table(found: dict[str, Any]) -> Table:
    table = Table(title=f"{found['connections']} connections, {found['days']} days")
    table.add_column("table")
    table.add_column("bytes per connection and day", justify="right")
    rows = found["bytes_per_connection_and_day"]
    for name, size in sorted(rows.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{size:,}")
    table.add_row("a sync run without lineage", str(found["bytes_per_sync_run_without_lineage"]))
    table.add_row("a tick", str(found["bytes_per_tick"]))
    table.add_row("syncs per connection and day", str(found["syncs_per_connection_and_day"]))
    return table


if __name__ == "__main__":
    sys.exit(main())
