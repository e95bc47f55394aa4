"""Search all that any process wrote for what must never be in a log."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from bank_pipeline.simulation.findings import Checker, Findings
from bank_pipeline.simulation.installation import Installation
from bank_pipeline.simulation.logs import CANARY, Listener, LogChecker

_BLOCK: Final = 2_000_000  # characters that are searched at once
_OF_DAGSTER: Final = (
    sa.text("SELECT event FROM dagster.event_logs ORDER BY id"),
    sa.text("SELECT tick_body FROM dagster.job_ticks ORDER BY id"),
)


def search_files(place: Installation, findings: Findings, *, logs: Path, state_dir: Path) -> None:
    """
    Search the output of all processes, the steps' logs and the database server's.

    A canary is planted first: a search that finds nothing must have read everything.
    """
    (logs / "planted.log").write_text(f"here stands a {CANARY}\n")
    heard = 0
    files = [
        *sorted(logs.glob("*.log")),
        *(path for path in sorted((state_dir / "dagster" / "logs").rglob("*")) if path.is_file()),
        *sorted((state_dir / "pg").glob("server*.log")),
    ]
    for path in files:
        with path.open(errors="replace") as text:
            heard += search((f"{path.name} {line}" for line in text), place, findings)
    if not heard:
        words = "the search did not find what was planted"
        findings.add(Checker.SECRET_IN_LOG, "canary", words)


def search_instance(db: sa.Connection, place: Installation, findings: Findings) -> None:
    """Search Dagster's events and ticks, in which whole tracebacks stand."""
    for query in _OF_DAGSTER:
        search((f"dagster {text}" for text in db.scalars(query)), place, findings)


def search(lines: Iterable[str], place: Installation, findings: Findings) -> bool:
    """Search lines for the secrets of an installation; say whether the canary was among them."""
    listener = Listener()
    checker = LogChecker(listener, findings)
    was_heard = False
    for block in _blocks(lines):
        was_heard = was_heard or any(CANARY in line for line in block)
        listener.lines = block
        checker.search(place)
    return was_heard


def _blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    block: list[str] = []
    size = 0
    for line in lines:
        block.append(line)
        size += len(line)
        if size > _BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block
