"""
Measure, write `benchmarks/results.json`, and make the tables of `docs/performance.md` from it.

    python -m benchmarks                        all parts, in full
    python -m benchmarks --short                all parts, small: some minutes
    python -m benchmarks --only write,daily
    python -m benchmarks --tables               the tables alone, from the results there are

Each part runs in a process of its own. The exit code is 1 when a limit is broken.
"""

import argparse
import os
import shutil
import subprocess
import sys
from time import monotonic
from typing import Final

import psutil

from benchmarks.page import write_page
from benchmarks.parts import FULL, PARTS, SHORT
from benchmarks.results import load_results, record, stolen_since

_PART: Final = "--part"


def main() -> int:
    """Run the parts asked for; return the exit code."""
    asked = _parse()
    if asked.part:
        return _measure(asked.part, SHORT if asked.short else FULL)
    if not asked.tables:
        names = asked.only.split(",") if asked.only else [*PARTS]
        unknown = [name for name in names if name not in PARTS]
        if unknown:
            print(f"no part {', '.join(unknown)}: there are {', '.join(PARTS)}")
            return 2
        failed = [name for name in names if not _run(name, is_short=asked.short)]
    else:
        names, failed = [], []
    write_page()
    results = load_results()
    broken = [f"{name}: {one}" for name in names for one in results.get(name, {}).get("broken", ())]
    for words in (*broken, *(f"{name}: did not end well" for name in failed)):
        print(f"broken: {words}")
    return 1 if broken or failed else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--short", action="store_true", help="small sizes, some minutes in all")
    parser.add_argument("--only", help=f"some parts, separated by commas: {', '.join(PARTS)}")
    parser.add_argument("--tables", action="store_true", help="measure nothing: the tables alone")
    parser.add_argument(_PART, help=argparse.SUPPRESS)
    return parser.parse_args()


def _run(name: str, *, is_short: bool) -> bool:
    """Run a part in a process of its own; return whether it ended well."""
    part = PARTS[name]
    if part.needs is not None and shutil.which(part.needs) is None:
        print(f"{name}: left out, there is no {part.needs} here")
        return True
    print(f"{name}: {part.about} …", flush=True)
    begun = monotonic()
    command = [sys.executable, "-m", "benchmarks", _PART, name, *(["--short"] if is_short else [])]
    done = subprocess.run(command, check=False, env={**os.environ, "PYTHONHASHSEED": "0"})
    print(f"{name}: {monotonic() - begun:.0f} s", flush=True)
    return done.returncode == 0


def _measure(name: str, size: str) -> int:
    begun, times, niceness = monotonic(), psutil.cpu_times(), os.nice(0)
    found = PARTS[name].measure(size)
    seconds, stolen = monotonic() - begun, stolen_since(times)
    record(name, found, size=size, seconds=seconds, stolen=stolen, niceness=niceness)
    return 0


if __name__ == "__main__":
    sys.exit(main())
