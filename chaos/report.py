"""What a run came to: a table for people, JSON for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from chaos.plan import KILLS, RESTARTS


@dataclass(frozen=True)
class Report:
    """
    One run.

    `injected` counts what was broken, `went_on` what happened meanwhile, `looked` what each
    checker looked at; `found` is empty when every promise was kept. `command` does it again.
    """

    seed: int
    minutes: float
    stack: str
    injected: Mapping[str, int]
    went_on: Mapping[str, int | float]
    looked: Mapping[str, int]
    found: Sequence[str]
    skipped: Sequence[str]
    seconds: float
    command: str
    journal: Sequence[str]

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return sum(self.injected.get(blow.value, 0) for blow in KILLS)

    @property
    def restarts(self) -> int:
        """How often the database was restarted."""
        return sum(self.injected.get(blow.value, 0) for blow in RESTARTS)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {**asdict(self), "kills": self.kills, "restarts": self.restarts}


def show(report: Report, console: Console) -> None:
    """Print what was injected, what went on, and what was found."""
    table = Table("what", "times", title=f"seed {report.seed}: injected")
    for what, times in report.injected.items():
        table.add_row(what, str(times))
    table.add_section()
    for what, amount in report.went_on.items():
        table.add_row(what, str(amount))
    console.print(table)
    looked = Table("checker", "looked at", title="checked")
    for what, times in report.looked.items():
        looked.add_row(what, str(times))
    console.print(looked)
    for words in report.skipped:
        console.print(f"left out: {words}", markup=False)
    for words in report.found:
        console.print(words, style="red", markup=False, highlight=False)
    verdict = f"{len(report.found)} found" if report.found else "nothing lost, doubled or invented"
    console.print(
        f"seed {report.seed}: {report.kills} kills, {report.restarts} database restarts, "
        f"{report.seconds:.0f} s: {verdict}",
        style="bold red" if report.found else "bold green",
        highlight=False,
    )
    console.print(f"again: {report.command}", markup=False, highlight=False)
