"""Run the gateway: blocking for a process of its own, or in a thread beside other work."""

import sys
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import uvicorn

from bank_pipeline.bootstrap import Services
from bank_pipeline.errors import SetupError
from bank_pipeline.gateway.app import create_app
from bank_pipeline.gateway.protocol import BoundedHttp

START_S_MAX: Final = 20.0
STOP_S_MAX: Final = 10.0
STREAMS_END_S: Final = 3
"""So long open pages are waited for at the end; they ask again, wherever that leads."""
HEAD_BYTES_MAX: Final = 16 * 1024
"""Of all headers together. A signature takes less than 1 kB, cookies and a long query the rest."""


def serve_gateway(services: Services, *, host: str, port: int) -> None:
    """Serve until interrupted."""
    server = uvicorn.Server(configuration(services, host=host, port=port))
    with suppress(KeyboardInterrupt):  # it has ended by then, and says so once more
        server.run()
    if not server.started:
        sys.exit(1)


class GatewayThread:
    """The gateway in a thread of this process, while the context lasts. Port 0 picks a free one."""

    def __init__(self, services: Services, *, port: int = 0) -> None:
        self._started = threading.Event()
        config = configuration(services, host="127.0.0.1", port=port)
        self._server = _AnnouncingServer(config, self._started)
        self._thread = threading.Thread(target=self._server.run, name="gateway", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(START_S_MAX):
            raise SetupError("the gateway did not start: is its port free?")
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join(STOP_S_MAX)

    @property
    def url(self) -> str:
        """The base URL it answers under."""
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"


def configuration(services: Services, *, host: str, port: int) -> uvicorn.Config:
    """Return how the gateway is served: with bounds on what anybody may send."""
    return uvicorn.Config(
        create_app(services),
        host=host,
        port=port,
        http=BoundedHttp,
        ws="none",
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        log_config=None,  # uvicorn's lines are written as all others: without what errors quote
        log_level="error",  # a warning for each request that is no HTTP is anybody's to write
        access_log=False,
        timeout_graceful_shutdown=STREAMS_END_S,
    )


class _AnnouncingServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: threading.Event) -> None:
        super().__init__(config)
        self._announce = started

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        self._announce.set()
