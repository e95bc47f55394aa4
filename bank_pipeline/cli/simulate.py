"""`bank-pipeline simulate`: live through a year of everything that can go wrong, and check it."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Final

import typer
from rich.table import Table

from bank_pipeline.cli.output import AsJson, console, print_rows
from bank_pipeline.simulation.findings import KNOWN, Checker
from bank_pipeline.simulation.plan import Plan, Trouble, load_plan
from bank_pipeline.simulation.report import Report, never_injected, total
from bank_pipeline.simulation.run import live_many

_SHOWN_MAX: Final = 10  # violations of one seed


def simulate(
    seed: Annotated[int, typer.Option(help="Which year; the first, with --seeds.")] = 1,
    seeds: Annotated[int, typer.Option(min=1, help="How many years, one seed each.")] = 1,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Simulated days.")] = 365,
    connections: Annotated[
        int, typer.Option(min=1, max=1000, help="Customers, spread over four providers.")
    ] = 24,
    faults: Annotated[
        str, typer.Option(help="Plan of what goes wrong: none, light, full, or a JSON file.")
    ] = "full",
    jobs: Annotated[int, typer.Option(min=1, help="Years at once.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Live through simulated years, then compare every table with what really happened."""
    plan = load_plan(faults)

    def tell(report: Report) -> None:
        if not as_json:
            _tell(report)

    reports = live_many(
        range(seed, seed + seeds),
        days=days,
        connections=connections,
        plan=plan,
        jobs=min(jobs, os.cpu_count() or jobs),
        on_report=tell,
    )
    missed = never_injected(reports, plan) if _is_whole(days, connections, seeds) else []
    if as_json:
        _print_json(reports, missed)
    else:
        _print(reports, plan, missed)
    if missed or any(not report.is_clean for report in reports):
        raise typer.Exit(1)


def _is_whole(days: int, connections: int, seeds: int) -> bool:
    """Say whether there was time enough for every kind of trouble: for five seeds' years."""
    return days * connections * seeds >= 365 * 24 * 5


def _tell(report: Report) -> None:
    verdict = "[green]clean[/]" if report.is_clean else f"[red]{len(report.violations)} found[/]"
    console.print(
        f"seed {report.seed}: {sum(report.syncs.values())} syncs, {sum(report.calls.values())} "
        f"calls, {report.rows} rows, {report.webhooks} webhooks, {report.kills} kills, "
        f"{report.seconds:.0f} s: {verdict}",
        highlight=False,
    )
    if report.is_clean:
        return
    for violation in report.violations[:_SHOWN_MAX]:
        console.print(f"  [red]{violation}[/]", markup=True, highlight=False, soft_wrap=True)
    console.print(f"  again: {report.command}", highlight=False, soft_wrap=True)


def _print(reports: Sequence[Report], plan: Plan, missed: Sequence[Trouble]) -> None:
    injected = total(report.injected for report in reports)
    table = Table(title="what went wrong", title_justify="left", header_style="bold")
    table.add_column("trouble")
    table.add_column("times", justify="right")
    for kind in Trouble:
        if injected[kind.value] or kind in plan.kinds():
            table.add_row(kind.value, str(injected[kind.value]))
    console.print(table)
    looked = total(report.looked for report in reports)
    found = total(_by_checker(report) for report in reports)
    rows = [
        {"checker": one.value, "looked": looked[one.value], "found": found[one.value]}
        for one in Checker
    ]
    columns = {"checker": "must not be", "looked": "looked at", "found": "found"}
    print_rows(rows, columns, title="what was checked", as_json=False)
    for known in KNOWN:
        times = total(report.known for report in reports)[known.why]
        console.print(f"[yellow]known[/] ({times} times): {known.why}", highlight=False)
    for kind in missed:
        console.print(f"[red]never injected[/]: {kind.value}: nothing was proven of it")
    failed = [report for report in reports if not report.is_clean]
    seconds = sum(report.seconds for report in reports)
    verdict = (
        f"[bold red]{len(failed)} of {len(reports)} years broke a promise[/]"
        if failed
        else "[bold green]every promise was kept[/]"
    )
    console.print(
        f"{len(reports)} years, {sum(sum(one.syncs.values()) for one in reports)} syncs, "
        f"{seconds:.0f} s of work: {verdict}",
        highlight=False,
    )
    for report in failed:
        console.print(f"  again: {report.command}", highlight=False, soft_wrap=True)


def _by_checker(report: Report) -> dict[str, int]:
    return {
        one.value: sum(violation.startswith(f"{one.value}: ") for violation in report.violations)
        for one in Checker
    }


def _print_json(reports: Sequence[Report], missed: Sequence[Trouble]) -> None:
    told = {
        "years": [asdict(report) for report in reports],
        "never_injected": [kind.value for kind in missed],
        "known": [{"checker": one.checker.value, "why": one.why} for one in KNOWN],
    }
    print(json.dumps(told, ensure_ascii=False, indent=2))
