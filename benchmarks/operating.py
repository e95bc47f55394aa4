"""
What an operator waits for: manual syncs beside a batch, ticks, the UI's pages.

Through real daemon, webserver and runs over simulated banks.
"""

from dataclasses import dataclass
from typing import Any, Final

from benchmarks.lanes import measure_lanes
from benchmarks.results import load_of_machine
from benchmarks.scale import measure_pages, measure_ticks

TIMES_IDLE_MAX: Final = 1.5
PAGE_S_MAX: Final = 2.0
TICK_S_MAX: Final = {1_000: 1.0, 10_000: 1.0, 100_000: 5.0}


@dataclass(frozen=True)
class Size:
    """Connections at which ticks are measured, those of the pages, and of a batch if any."""

    ticks: tuple[int, ...]
    pages: int
    batch: int | None


SIZES: Final = {
    "short": Size(ticks=(1_000,), pages=300, batch=None),
    "full": Size(ticks=(10_000, 100_000), pages=10_000, batch=400),
}


def measure(size_name: str) -> dict[str, Any]:
    """Measure; return the figures and the broken limits."""
    size = SIZES[size_name]
    found: dict[str, Any] = {
        "load_per_core_before": load_of_machine(),
        "ticks_s": {str(count): measure_ticks(count) for count in size.ticks},
        "pages": size.pages,
        "pages_p95_s": measure_pages(size.pages),
        "lanes": None if size.batch is None else measure_lanes(size.batch),
    }
    found["broken"] = _broken(found)
    return found


def _broken(found: dict[str, Any]) -> list[str]:
    ticks = [
        f"{name} took {seconds} s at {count}"
        for count, ticks in found["ticks_s"].items()
        for name, seconds in ticks.items()
        if seconds > TICK_S_MAX[int(count)]
    ]
    pages = [
        f"{page} took {seconds} s"
        for page, seconds in found["pages_p95_s"].items()
        if seconds > PAGE_S_MAX
    ]
    times = found["lanes"]["times_idle"] if found["lanes"] else 0.0
    lanes = [f"a manual sync took {times}x"] if times > TIMES_IDLE_MAX else []
    return [*ticks, *pages, *lanes]
