"""What one simulated year came to: plain values."""

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bank_pipeline.simulation.plan import Plan, Trouble


@dataclass(frozen=True)
class Report:
    """
    One seed's year.

    `injected` counts the troubles by kind, `looked` what each checker looked at, `known` the
    findings that are known. `violations` is empty when all promises were kept. `command`
    lives through the same year again.
    """

    seed: int
    days: int
    connections: int
    plan: str
    injected: Mapping[str, int]
    syncs: Mapping[str, int]
    calls: Mapping[str, int]
    failures: Mapping[str, int]
    webhooks: int
    kills: int
    rows: int
    revisions: int
    quarantined: int
    looked: Mapping[str, int]
    violations: Sequence[str]
    known: Mapping[str, int]
    seconds: float
    command: str

    @property
    def is_clean(self) -> bool:
        """Whether all promises were kept."""
        return not self.violations


def command_of(seed: int, *, days: int, connections: int, plan: str) -> str:
    """Return the command that lives through one seed's year again."""
    return (
        f"bank-pipeline simulate --seed {seed} --days {days} --connections {connections} "
        f"--faults {shlex.quote(plan)}"
    )


def total(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    """Add counts up."""
    whole: Counter[str] = Counter()
    for one in counts:
        whole.update(one)
    return whole


def never_injected(reports: Sequence[Report], plan: Plan) -> list[Trouble]:
    """Return the kinds of the plan that never happened: of them nothing was proven."""
    happened = total(report.injected for report in reports)
    return [kind for kind in Trouble if kind in plan.kinds() and not happened[kind.value]]
