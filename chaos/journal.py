"""What was done when: printed as it happens, and kept for the report."""

import threading
from collections import Counter
from time import monotonic

from rich.console import Console


class Journal:
    """Keep and print lines with the seconds since the start. Thread-safe."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._began_s = monotonic()
        self.lines: list[str] = []
        self.done: Counter[str] = Counter()

    @property
    def now_s(self) -> float:
        """Seconds since the start."""
        return monotonic() - self._began_s

    def begin(self) -> None:
        """Count the seconds from now on."""
        self._began_s = monotonic()

    def tell(self, words: str) -> None:
        """Write a line."""
        line = f"{self.now_s:7.1f} s  {words}"
        with self._lock:
            self.lines.append(line)
        self._console.print(line, highlight=False, markup=False)

    def count(self, what: str, words: str = "") -> None:
        """Count something that was done, and write a line of it."""
        with self._lock:
            self.done[what] += 1
        self.tell(f"{what} {words}".rstrip())
