"""The file of all results: each part writes its own, and the page of the docs is made from it."""

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil

RESULTS: Final = Path(__file__).with_name("results.json")


def load_results() -> dict[str, Any]:
    """Return what was measured last, by part."""
    known: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return known


def record(
    name: str, found: Mapping[str, Any], *, size: str, seconds: float, stolen: float, niceness: int
) -> None:
    """
    Put a part's results in place of its earlier ones, with the machine that they are from.

    `stolen` is the share of the machine's time that its host gave to others meanwhile; `niceness`
    that with which the part began: one may make its simulated banks give way.
    """
    told = {
        "size": size,
        "machine": machine(),
        "seconds": round(seconds),
        "on": datetime.now(UTC).date().isoformat(),  # noqa: TID251 - an entry point
        "load_per_core_after": load_of_machine(),
        "niceness": niceness,
        "stolen": stolen,
        **found,
    }
    known = {**load_results(), name: told}
    RESULTS.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")


def load_of_machine() -> float:
    """Return how many processes want to run, per core: above 1 others are at work."""
    return round(psutil.getloadavg()[0] / (psutil.cpu_count() or 1), 2)


def stolen_since(before: Any) -> float:  # noqa: ANN401 - psutil's times, which differ by system
    """Return the share of time that went to other machines since `psutil.cpu_times()` was asked."""
    now = psutil.cpu_times()
    stolen = getattr(now, "steal", 0.0) - getattr(before, "steal", 0.0)
    return round(float(stolen / max(sum(now) - sum(before), 1e-9)), 2)


def machine() -> str:
    """Describe the machine."""
    memory_gb = psutil.virtual_memory().total / 2**30
    return (
        f"{psutil.cpu_count()} cores ({_processor()}), {memory_gb:.0f} GB, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}, the embedded PostgreSQL with "
        "its durable settings"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
