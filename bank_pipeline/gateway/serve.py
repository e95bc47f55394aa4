"""Run the gateway: blocking for a process of its own, or in a thread beside other work."""

import threading
from types import TracebackType
from typing import Final, Self

import uvicorn

from bank_pipeline.bootstrap import Services
from bank_pipeline.errors import SetupError
from bank_pipeline.gateway.app import create_app

START_S_MAX: Final = 20.0
STOP_S_MAX: Final = 10.0


def serve_gateway(services: Services, *, host: str, port: int) -> None:
    """Serve until interrupted."""
    uvicorn.run(
        create_app(services),
        host=host,
        port=port,
        log_config=None,  # uvicorn's lines are written as all others: without what errors quote
        log_level="warning",
        access_log=False,
    )


class GatewayThread:
    """The gateway in a thread of this process, while the context lasts. Port 0 picks a free one."""

    def __init__(self, services: Services, *, port: int = 0) -> None:
        self._started = threading.Event()
        config = uvicorn.Config(
            create_app(services),
            host="127.0.0.1",
            port=port,
            log_config=None,
            log_level="error",
            access_log=False,
        )
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


class _AnnouncingServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: threading.Event) -> None:
        super().__init__(config)
        self._announce = started

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        self._announce.set()
