"""What is to happen when: acts in the order of their time, ties in the order they were made."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

Act = Callable[[], None]


@dataclass
class Agenda:
    """Acts by time. The same acts made in the same order happen in the same order."""

    _heap: list[tuple[datetime, int, Act]] = field(default_factory=list)
    _count: int = 0

    def add(self, at: datetime, act: Act) -> None:
        """Have something happen at a time; a time that is past means soon."""
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, act))

    def next_at(self) -> datetime | None:
        """Return when the next act is due; None when there is none."""
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: datetime) -> list[Act]:
        """Take the acts that are due."""
        due: list[Act] = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[-1])
        return due
