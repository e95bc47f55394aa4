"""The TLS port of the simulated Teller, which asks clients for their certificate."""

import socket
import ssl
import threading
from collections.abc import Callable
from typing import Final

from starlette.applications import Starlette

from bank_pipeline.sandbox.web_server import LOOPBACK, WebServer, web_config

_START_S: Final = 15.0
_STOP_S: Final = 10.0
_BACKLOG: Final = 128


class SecurePort:
    """
    Serve an application over TLS in a thread of its own, from when its port is first asked for.

    Most tests never ask, and a listener costs each of them some hundredths of a second.
    """

    def __init__(
        self, build: Callable[[], Starlette], secure: Callable[[], ssl.SSLContext], port: int
    ) -> None:
        """Serve what `build` returns on `port`, 0 for a free one."""
        self._build = build
        self._secure = secure
        self._wanted = port
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._server: WebServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        with self._lock:
            if self._listener is None:
                self._listener = self._start()
            return f"https://{LOOPBACK}:{self._listener.getsockname()[1]}"

    def stop(self) -> None:
        """Close the port if it was opened."""
        with self._lock:
            if self._server is not None and self._thread is not None:
                self._server.end()
                self._thread.join(_STOP_S)
            if self._listener is not None:
                self._listener.close()
            self._listener = self._server = self._thread = None

    def _start(self) -> socket.socket:
        listener = socket.create_server((LOOPBACK, self._wanted), backlog=_BACKLOG)
        self._server = WebServer(web_config(self._build(), secured=self._secure()))
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="sandbox teller tls", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(_START_S):
            raise RuntimeError("the TLS port did not open in time")
        return listener
