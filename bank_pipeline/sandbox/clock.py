"""The sandbox's time: stands still or runs, and jumps forward on command. Thread-safe."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

_STANDSTILL: Final = timedelta(0)


class VirtualClock:
    """
    Tell the simulated time, which never goes backwards.

    A still clock makes a test deterministic; a running one makes a demonstration live. Both
    can be advanced, so that weeks pass in a moment.
    """

    def __init__(self, start: datetime, *, running: bool = False) -> None:
        """Begin at `start`, an aware datetime. `running` adds the real time that elapses."""
        if start.tzinfo is None:
            raise ValueError("a clock starts at an aware datetime")
        self._start = start.astimezone(UTC)
        self._began_at_s = time.monotonic() if running else None
        self._advanced = _STANDSTILL
        self._listeners: list[Callable[[datetime], None]] = []
        self._lock = threading.RLock()

    @property
    def start(self) -> datetime:
        """The aware UTC moment at which the clock was started, however much passed since."""
        return self._start

    @property
    def running(self) -> bool:
        """Whether real time counts too."""
        return self._began_at_s is not None

    def now(self) -> datetime:
        """Return the virtual time, aware UTC."""
        with self._lock:
            return self._start + self._advanced + self._elapsed()

    def advance(self, delta: timedelta) -> datetime:
        """
        Let `delta` pass at once, then call the listeners in the order they subscribed.

        Zero is allowed and wakes the listeners. Listeners run without the clock's lock, so they
        may read or advance the clock themselves.
        """
        if delta < _STANDSTILL:
            raise ValueError("time does not go backwards")
        with self._lock:
            self._advanced += delta
            now = self.now()
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(now)
        return now

    def advance_to(self, moment: datetime) -> datetime:
        """Let time pass until `moment`; do nothing but wake the listeners if it is reached."""
        return self.advance(max(_STANDSTILL, moment - self.now()))

    def on_advance(self, callback: Callable[[datetime], None]) -> Callable[[], None]:
        """Call `callback` with the new time after each advance; return what unsubscribes it."""
        with self._lock:
            self._listeners.append(callback)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._listeners:
                    self._listeners.remove(callback)

        return unsubscribe

    def _elapsed(self) -> timedelta:
        if self._began_at_s is None:
            return _STANDSTILL
        return timedelta(seconds=time.monotonic() - self._began_at_s)
