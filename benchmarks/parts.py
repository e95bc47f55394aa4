"""The parts of the benchmark: a module each, which measures and says what is broken."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

SHORT: Final = "short"
FULL: Final = "full"


@dataclass(frozen=True)
class Part:
    """`module` has `measure(size)`; `needs` is a program without which the part is left out."""

    name: str
    module: str
    about: str
    needs: str | None = None

    def measure(self, size: str) -> dict[str, Any]:
        """Measure; the answer's `broken` names the limits that do not hold."""
        measure: Callable[[str], dict[str, Any]] = import_module(self.module).measure
        return measure(size)


PARTS: Final = {
    part.name: part
    for part in (
        Part("write", "benchmarks.write", "writing rows, beside COPY and the ways of others"),
        Part("parsing", "benchmarks.parsing", "reading answers"),
        Part("daily", "benchmarks.daily", "the daily sync, beside a bare loop"),
        Part("growth", "benchmarks.growth", "a sync beside more and more connections"),
        Part("history", "benchmarks.history", "one connection with a longer and longer history"),
        Part("cost", "benchmarks.cost", "calls to providers in a day"),
        Part("operating", "benchmarks.operating", "ticks, pages, manual syncs beside a batch"),
        Part("scrape", "benchmarks.scrape", "what watching costs"),
        Part("receiver", "benchmarks.receiver", "the receiver of webhooks"),
        Part("webhooks", "benchmarks.webhooks", "from a webhook to its rows", needs="redis-server"),
    )
}
