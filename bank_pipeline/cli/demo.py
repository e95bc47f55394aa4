"""
`bank-pipeline demo`: the whole pipeline in a minute, against simulated banks, and the proof.

Everything is real but the banks: an embedded PostgreSQL, HTTP, signed webhooks, Dagster runs.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from bank_pipeline.cli.output import AsJson, console, print_rows
from bank_pipeline.cli.playground import Playground, playground
from bank_pipeline.cli.proof import Comparison, compare_connection
from bank_pipeline.cli.simulated import CAST, link_simulated_banks
from bank_pipeline.config import Settings
from bank_pipeline.domain.connection import Connection, Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.providers.http import fetch_json
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.evidence import load_evidence

START: Final = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)  # the simulated today
STAGES: Final = (timedelta(seconds=1), timedelta(seconds=15), timedelta(minutes=2))


def demo(
    days: Annotated[int, typer.Option(min=1, max=60, help="Simulated days to live through.")] = 5,
    seed: Annotated[int, typer.Option(help="Which simulated world.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Link banks through four simulated providers, sync for days, compare every row with them."""
    started_at = time.monotonic()
    world = World(seed, clock=VirtualClock(START), logins=len(CAST))
    state_dir = Settings().state_dir / "demo"
    with (
        SandboxServer(world=world, seed=seed) as sandbox,
        playground(state_dir, sandbox) as ground,
    ):
        tell = _silent if as_json else console.print
        providers = len({provider for provider, _ in CAST})
        tell(f"[bold]1[/]  link {len(CAST)} banks of one team through {providers} providers' pages")
        ids = link_simulated_banks(ground.services)
        tell("[bold]2[/]  first syncs: whole histories; Plaid hands them over in stages")
        runs = [_tell_runs(ground, wait, tell) for wait in STAGES]
        tell(f"[bold]3[/]  {days} days pass; schedule and webhooks ask for syncs")
        runs += [_tell_runs(ground, timedelta(days=1), tell) for _ in range(days)]
        tell("[bold]4[/]  compare every row and balance with what the banks say")
        compared = [row for connection_id in ids for row in _compare(ground, connection_id)]
        webhooks = [
            *fetch_json(f"{sandbox.url}/_sim/webhooks")["webhooks"],
            *fetch_json(f"{sandbox.url}/_sim/teller/webhooks")["webhooks"],
        ]
    seconds = time.monotonic() - started_at
    _report(compared, sum(runs), webhooks, seconds=seconds, as_json=as_json)
    if any(row.differences for _, row in compared):
        raise typer.Exit(1)


def _tell_runs(ground: Playground, wait: timedelta, tell: Any) -> int:  # noqa: ANN401
    outcomes = ground.pass_time(wait)
    now = ground.services.sync.clock()
    failed = sum(not outcome.is_success for outcome in outcomes)
    verdict = f"[red]{failed} failed[/]" if failed else "all succeeded"
    tell(f"   {now:%Y-%m-%d %H:%M:%S}  {len(outcomes)} Dagster runs, {verdict}")
    return len(outcomes)


def _compare(ground: Playground, connection_id: ConnectionId) -> list[tuple[Provider, Comparison]]:
    with ground.services.sync.engine.connect() as db:
        connection = load_connection(db, connection_id)
        held = load_evidence(db, connection_id)
    truth = fetch_json(_truth_url(ground.sandbox.url, connection))
    compared = compare_connection(connection.institution_name or "unknown", truth, held)
    return [(connection.provider, row) for row in compared]


def _truth_url(sandbox_url: str, connection: Connection) -> str:
    if connection.provider is Provider.PLAID:
        return f"{sandbox_url}/_sim/truth?item_id={connection.external_id}"
    return f"{sandbox_url}/_sim/{connection.provider}/truth?external_id={connection.external_id}"


def _report(
    compared: Sequence[tuple[Provider, Comparison]],
    runs_count: int,
    webhooks: Sequence[Any],
    *,
    seconds: float,
    as_json: bool,
) -> None:
    rows = [
        {"provider": provider.value, **asdict(row), "verdict": row.verdict}
        for provider, row in compared
    ]
    print_rows(
        rows,
        {
            "provider": "provider",
            "account": "account",
            "bank_rows": "rows: bank",
            "table_rows": "table",
            "bank_balance": "balance: bank",
            "table_balance": "table",
            "currency": "currency",
            "verdict": "verdict",
        },
        title="what the banks say, and what the tables hold",
        as_json=as_json,
    )
    if as_json:
        return
    for _, row in compared:
        for difference in row.differences[:5]:
            console.print(f"[red]{row.account}[/]: {difference}", highlight=False)
    total = sum(row.bank_rows for _, row in compared)
    same = not any(row.differences for _, row in compared)
    console.print(
        f"{total} transactions in {len(compared)} accounts, {runs_count} Dagster runs, "
        f"{len(webhooks)} signed webhooks, {seconds:.0f} s: "
        + (
            "[bold green]identical, to the row and the cent[/]"
            if same
            else "[bold red]DIFFERENT[/]"
        )
    )


def _silent(*_: object) -> None:
    """Say nothing: the output is JSON."""
