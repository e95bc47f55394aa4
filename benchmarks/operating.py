"""
Measure what an operator waits for: manual syncs beside a batch, ticks, the UI's pages.

    python -m benchmarks.operating

Through real daemon, webserver and runs over simulated banks. Adds to `benchmarks/results.json`,
and fails when a limit is broken.
"""

import json
import sys
from typing import Any, Final

from rich.console import Console

from benchmarks.lanes import measure_lanes
from benchmarks.results import record
from benchmarks.scale import load_of_machine, measure_pages, measure_ticks

BATCH: Final = 1_000
TIMES_IDLE_MAX: Final = 1.5
CONNECTIONS: Final = 10_000
PAGE_S_MAX: Final = 2.0
TICK_S_MAX: Final = {10_000: 1.0, 100_000: 5.0}


def main() -> int:
    """Measure, print, write the results; return the exit code."""
    console = Console()
    with console.status("measuring …"):
        found: dict[str, Any] = {
            "load_per_core_before": load_of_machine(),
            "ticks_s": {str(count): measure_ticks(count) for count in TICK_S_MAX},
            "pages_p95_s": measure_pages(CONNECTIONS),
            "lanes": measure_lanes(BATCH),
        }
    found["broken"] = _broken(found)
    record({"operating": found})
    console.print_json(json.dumps(found))
    for broken in found["broken"]:
        console.print(f"[bold red]broken: {broken}[/]")
    return 1 if found["broken"] else 0


def _broken(found: dict[str, Any]) -> list[str]:
    ticks = [
        f"{name} took {seconds} s at {count}"
        for count, limit in TICK_S_MAX.items()
        for name, seconds in found["ticks_s"][str(count)].items()
        if seconds > limit
    ]
    pages = [
        f"{page} took {seconds} s"
        for page, seconds in found["pages_p95_s"].items()
        if seconds > PAGE_S_MAX
    ]
    times = found["lanes"]["times_idle"]
    lanes = [f"a manual sync took {times}x"] if times > TIMES_IDLE_MAX else []
    return [*ticks, *pages, *lanes]


if __name__ == "__main__":
    sys.exit(main())
