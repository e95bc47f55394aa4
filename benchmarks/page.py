"""The tables of `docs/performance.md`, made from the results and put between marks."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.page_tables import TABLES
from benchmarks.results import load_results

PAGE: Final = Path(__file__).parents[1] / "docs" / "performance.md"
_BLOCK: Final = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_STOLEN_MIN: Final = 0.05  # of the machine's time: less is no news
_MISSING: Final = "Not measured yet.\n"


def write_page() -> None:
    """Put the tables of the results into the page."""
    PAGE.write_text(to_page(PAGE.read_text(), load_results()))


def to_page(text: str, results: Mapping[str, Any]) -> str:
    """Return the page with every table as the results have it; what is around them stays."""

    def fill(found: re.Match[str]) -> str:
        return f"{found[1]}{to_table(found[2], results)}{found[3]}"

    return _BLOCK.sub(fill, text)


def to_table(name: str, results: Mapping[str, Any]) -> str:
    """Return one table, with what it was measured on and what is broken."""
    if name == "machine":
        return _machines(results)
    found = results.get(name)
    if found is None:
        return _MISSING
    table: Callable[[Mapping[str, Any]], str] = TABLES[name]
    missed = "".join(f"* **Missed:** {one}\n" for one in found["broken"])
    gap = "\n" if missed else ""
    return f"{table(found)}\n{missed}{gap}{_origin(found)}\n"


def _machines(results: Mapping[str, Any]) -> str:
    parts: dict[str, list[str]] = {}
    for name, found in results.items():
        parts.setdefault(found["machine"], []).append(name)
    return "".join(f"* {', '.join(names)}: {machine}.\n" for machine, names in parts.items())


def _origin(found: Mapping[str, Any]) -> str:
    """Say how a part was measured: small figures on a busy machine are not to be cited."""
    load = found.get("load_per_core_after")
    busy = "" if load is None or load <= 1 else f", while {load:g} processes per core wanted to run"
    stolen = found.get("stolen", 0)
    lost = f", while the host gave others {stolen:.0%} of the time" if stolen >= _STOLEN_MIN else ""
    nice = ", at the lowest priority" if found.get("niceness") else ""
    return f"<sub>{found['size']} size, {found['on']}{busy}{lost}{nice}</sub>"
