"""A value that is loaded at most once at a time, kept for moments, and never waited for long."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Final, Generic, TypeVar

_Value = TypeVar("_Value")
_log: Final = logging.getLogger(__name__)


class Refreshed(Generic[_Value]):
    """
    What `load` returned last, loaded anew when it is older than `fresh_s`.

    Whoever asks while it is being loaded waits for the same load, so that any number of askers
    cost one. It has a thread of its own: when the database hangs, every thread of the pool that
    serves requests may hang with it, and this is what has to tell.
    """

    def __init__(self, name: str, load: Callable[[], _Value], *, fresh_s: float) -> None:
        self._name = name
        self._load = load
        self._fresh_s = fresh_s
        self._lock = threading.Lock()
        self._loaded_at = float("-inf")
        self._value: _Value | None = None
        self._under_way: Future[_Value | None] | None = None

    async def get(self, *, wait_s: float) -> _Value | None:
        """Return a fresh value; None when loading it failed, or takes longer than `wait_s`."""
        with self._lock:
            if time.monotonic() - self._loaded_at < self._fresh_s:
                return self._value
            under_way = self._under_way or self._begin()
        with suppress(TimeoutError):
            # Shielded: who gives up must not end it for the others.
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(under_way)), wait_s)
        return None

    def _begin(self) -> "Future[_Value | None]":
        future: Future[_Value | None] = Future()
        # A daemon: one that hangs must not keep the process from ending.
        threading.Thread(target=self._run, args=(future,), name=self._name, daemon=True).start()
        self._under_way = future  # only now: where no thread can be had, the next one tries again
        return future

    def _run(self, future: "Future[_Value | None]") -> None:
        value: _Value | None = None
        try:
            value = self._load()
        except Exception as error:  # noqa: BLE001 - whatever it is, there is no value
            _log.warning("%s: not loaded: %s", self._name, type(error).__name__)
        with self._lock:
            self._under_way = None
            self._loaded_at = time.monotonic()
            self._value = value
        future.set_result(value)
