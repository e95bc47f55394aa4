"""HTTP as the gateway speaks it: whoever connects has so long to ask for something."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

HEAD_S_MAX: Final = 10.0


class BoundedHttp(H11Protocol):
    """
    Closes a connection on which no whole request head has come for HEAD_S_MAX seconds.

    uvicorn waits without an end for a first request, and for the rest of one. Its h11 protocol,
    because that one bounds how long a head may be.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*arguments, **named)
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(HEAD_S_MAX, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn's own type forgets the None
        is_asked = cycle is not None and not cycle.response_complete
        if not is_asked and not self.transport.is_closing():
            self.transport.close()
