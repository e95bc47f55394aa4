"""
Run the whole installation while everything breaks, then see what became of it.

    make chaos
    CHAOS_SEED=3 CHAOS_MINUTES=2 CHAOS_WORKERS=warm make chaos

CHAOS_WORKERS is `cold` (a process for each run), `warm` (Celery through Redis; wants
redis-server) or `auto`: warm for even seeds, where there is a redis-server.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from random import Random
from time import monotonic
from typing import Final

import sqlalchemy as sa
from rich.console import Console

from bank_pipeline.sandbox.chance import dice
from bank_pipeline.simulation.customers import Customer, customers
from bank_pipeline.simulation.findings import Findings
from bank_pipeline.simulation.watcher import Watcher
from bank_pipeline_tests.waiting import wait_until
from chaos.blows import Breaker
from chaos.broker import has_redis
from chaos.checks import Checks
from chaos.journal import Journal
from chaos.life import Life, link, load_members
from chaos.plan import KILLS, RESTARTS, Blow, draw
from chaos.report import Report, show
from chaos.settle import settle
from chaos.stage import Stage, set_up, wait_until_up

RESULTS: Final = Path(".bank-pipeline/chaos")
CUSTOMERS: Final = 12
AT_FIRST: Final = 6  # whose first syncs go well; the others come while things break
_FIRST_S: Final = 600.0
_THREADS: Final = 8  # syncs that one killed process may have had in hand
_COUNTS: Final = {
    "syncs": "SELECT count(*) FROM bank.sync_runs",
    "syncs that failed": "SELECT count(*) FROM bank.sync_runs WHERE outcome = 'failed'",
    "syncs that were killed": "SELECT count(*) FROM bank.sync_runs WHERE outcome = 'killed'",
    "connections": "SELECT count(*) FROM bank.connections",
    "transactions": "SELECT count(*) FROM bank.transactions",
    "webhooks stored": "SELECT count(*) FROM bank.webhook_events",
    "Dagster runs": "SELECT count(*) FROM dagster.runs",
    "Dagster runs that failed": "SELECT count(*) FROM dagster.runs WHERE status = 'FAILURE'",
}


def main() -> int:
    """Run once; 1 when something was found. Whoever ends it early leaves nothing behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    console = Console()
    seed = int(os.environ.get("CHAOS_SEED") or Random().randrange(1, 100_000))
    minutes = float(os.environ.get("CHAOS_MINUTES") or 10)
    stack = os.environ.get("CHAOS_WORKERS") or "auto"
    has_workers = stack == "warm" or (stack == "auto" and seed % 2 == 0 and has_redis())
    report = run(seed, minutes=minutes, has_workers=has_workers, console=console)
    show(report, console)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"seed-{seed}.json"
    path.write_text(json.dumps(report.to_json(), indent=1, ensure_ascii=False))
    console.print(f"all of it: {path}", highlight=False)
    return 1 if report.found else 0


def run(seed: int, *, minutes: float, has_workers: bool, console: Console) -> Report:
    """Set up, break, settle, check. Where something was found, the logs are kept."""
    folder = Path(tempfile.mkdtemp(prefix="bank-chaos-"))
    folder.chmod(0o755)  # the database's own user passes through
    begun = monotonic()
    journal = Journal(console)
    console.print(f"seed {seed}, {minutes:g} minutes, in {folder}", highlight=False)
    with set_up(folder, seed, has_workers=has_workers) as stage:
        findings = Findings()
        watcher = Watcher(stage.place, findings)
        first, newcomers = _people(seed)
        _begin(stage, watcher, first)
        planned = draw(
            seed, minutes=minutes, has_workers=has_workers, has_disk=stage.disk is not None
        )
        journal.begin()
        life = Life(stage, watcher, journal, seed=seed, seconds=minutes * 60)
        life.start(newcomers)
        Breaker(stage, planned, journal).run(minutes * 60)
        journal.tell("nothing breaks any more")
        life.stop()
        wait_until_up(stage)
        settle(stage, journal)
        checks = Checks(stage, watcher, findings)
        checks.conclude(killed_max=_killed_max(journal))
        went_on = {
            **_counted(stage),
            "virtual days": round(life.passed.total_seconds() / 86_400, 1),
        }
        shown = {**_injected(journal), **_by_providers(stage)}
        went_on |= {what: times for what, times in journal.done.items() if what not in shown}
        went_on |= {f"{name} ended by itself": n for name, n in stage.supervisor.ended.items()}
    found = [str(one) for one in findings.violations()] + checks.found
    if found:
        console.print(f"the logs are kept in {folder}/logs", highlight=False)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    workers = "warm" if has_workers else "cold"
    return Report(
        seed=seed,
        minutes=minutes,
        stack=workers,
        injected=shown,
        went_on=went_on,
        looked={**{one.value: n for one, n in findings.looked.items()}, **checks.looked},
        found=found,
        skipped=_skipped(stage),
        seconds=round(monotonic() - begun, 1),
        command=f"CHAOS_SEED={seed} CHAOS_MINUTES={minutes:g} CHAOS_WORKERS={workers} make chaos",
        journal=journal.lines,
    )


def _people(seed: int) -> tuple[list[Customer], list[Customer]]:
    everybody = customers(seed, count=CUSTOMERS, days=1, has_odd_banks=True)
    dice(seed, "order").shuffle(everybody)
    return everybody[:AT_FIRST], everybody[AT_FIRST:]


def _begin(stage: Stage, watcher: Watcher, first: list[Customer]) -> None:
    """Link the first ones, let their histories arrive, and put notes on rows of theirs."""
    wait_until_up(stage)
    for customer in first:
        link(stage, customer)
    members = load_members(stage)
    wait_until(
        lambda: all(one.connection(stage.place).last_success_at for one in members),
        seconds=_FIRST_S,
        what="first syncs",
    )
    for member in members:
        watcher.look_at(member, is_last=False)


def _killed_max(journal: Journal) -> int:
    """Return how many syncs can have died: each blow at most as many as run side by side."""
    blows = {*KILLS, *RESTARTS, Blow.SESSIONS_DROPPED}
    return sum(journal.done[blow.value] for blow in blows) * _THREADS


def _injected(journal: Journal) -> dict[str, int]:
    return {blow.value: journal.done[blow.value] for blow in Blow if journal.done[blow.value]}


def _by_providers(stage: Stage) -> dict[str, int]:
    """Count the calls that went wrong, by how."""
    counted: dict[str, int] = {}
    for one in stage.place.sandbox.faults.injected():
        name = f"call: {one.fault.kind}"
        counted[name] = counted.get(name, 0) + 1
    return dict(sorted(counted.items()))


def _counted(stage: Stage) -> dict[str, int | float]:
    with stage.services.sync.engine.connect() as db:
        return {what: int(db.scalar(sa.text(query)) or 0) for what, query in _COUNTS.items()}


def _skipped(stage: Stage) -> list[str]:
    skipped = []
    if stage.disk is None:
        skipped.append("a full disk under the archive: mounting one wants root")
    if stage.broker is None:
        skipped.append("warm workers and their Redis: CHAOS_WORKERS=warm, wants redis-server")
    return skipped


if __name__ == "__main__":
    sys.exit(main())
