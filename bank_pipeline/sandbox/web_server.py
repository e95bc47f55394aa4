"""The web server of the simulated providers: it can be ended at once, and be broken on purpose."""

import asyncio
import contextlib
import errno
import socket
import ssl
import threading
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from bank_pipeline.sandbox.broken_answers import TRANSPORT_KEY

LOOPBACK: Final = "127.0.0.1"
_GRACE_S: Final = 1
_TICK_S: Final = 0.1
_KEPT_ALIVE_S: Final = 600  # longer than any client keeps one: whoever closes first must be them


class WebServer(uvicorn.Server):
    """A server that says when it is ready and can be ended from another thread."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def main_loop(self) -> None:
        """Do what uvicorn does ten times a second, but end without waiting for the next time."""
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        count = 0
        while not await self.on_tick(count):
            count += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _TICK_S)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Do what uvicorn does, but without its tenth of a second where nobody is connected."""
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
            return
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until asked to stop."""
        try:
            super().run(sockets)
        except OSError as error:
            # uvloop at times finds handles of TLS connections as it closes: all is served by then.
            if not (self.should_exit and error.errno == errno.EBUSY):
                raise

    def end(self) -> None:
        """Ask the server to stop, from any thread."""
        self.should_exit = True
        with contextlib.suppress(RuntimeError, AttributeError):  # its loop is not up, or over
            self._loop.call_soon_threadsafe(self._ended.set)


class _Protocol(H11Protocol):
    """HTTP that lets the application reach its connection, to break it on purpose."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state: dict[str, Any] = {**self.app_state, TRANSPORT_KEY: transport}


def web_config(
    app: Starlette,
    *,
    host: str = LOOPBACK,
    port: int = 0,
    secured: ssl.SSLContext | None = None,
) -> uvicorn.Config:
    """Return how to serve `app`; `secured` makes it HTTPS."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_GRACE_S,
        timeout_keep_alive=_KEPT_ALIVE_S,
        ssl_context_factory=None if secured is None else lambda *_: secured,
    )
