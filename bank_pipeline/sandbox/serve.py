"""Starts the simulated providers on a local port: in a thread for tests, or until interrupted."""

import socket
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Self

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.control import control_routes
from bank_pipeline.sandbox.faults import FaultPlan
from bank_pipeline.sandbox.plaid.app import plaid_routes
from bank_pipeline.sandbox.plaid.options import PlaidOptions
from bank_pipeline.sandbox.plaid.simulator import Plaid
from bank_pipeline.sandbox.web_server import LOOPBACK, WebServer, web_config
from bank_pipeline.sandbox.wing import Wing
from bank_pipeline.sandbox.wing_control import wing_routes
from bank_pipeline.sandbox.wings import build_wings
from bank_pipeline.sandbox.world import World

USUAL_START: Final = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
_START_S: Final = 15.0
_STOP_S: Final = 10.0
_BACKLOG: Final = 128


class SandboxServer:
    """
    Serve one world over HTTP while the context is open.

    Nothing is guessed: without a clock given, time stands still at `USUAL_START` and only
    `advance` moves it.
    """

    def __init__(  # noqa: PLR0913 - each is a knob of its own
        self,
        *,
        seed: int = 0,
        world: World | None = None,
        clock: VirtualClock | None = None,
        faults: FaultPlan | None = None,
        options: PlaidOptions | None = None,
        wings: Iterable[Wing] | None = None,
        host: str = LOOPBACK,
        port: int = 0,
        is_driven: bool = False,
    ) -> None:
        """
        Prepare a server; port 0 takes a free one. A given `world` brings its own clock.

        `wings` replace the usual ones of the same name. A server that `is_driven` sends no
        webhooks and does not follow its clock: whoever drives it asks the simulators to look.
        """
        if world is None:
            world = World(seed, clock=clock or VirtualClock(USUAL_START))
        self.world = world
        self.clock = world.clock
        self.faults = faults or FaultPlan()
        self.plaid = Plaid(
            world, self.clock, faults=self.faults, options=options or PlaidOptions(), seed=seed
        )
        usual = build_wings(world, self.clock, faults=self.faults, seed=seed)
        self.wings: Mapping[str, Wing] = {**usual, **{wing.name: wing for wing in wings or ()}}
        self._is_driven = is_driven
        self._address = (host, port)
        self._listener: socket.socket | None = None
        self._server: WebServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where the server listens, without a slash at the end."""
        assert self._listener is not None, "the server has an address once it was started"
        host, port = self._listener.getsockname()[:2]
        return f"http://{host}:{port}"

    def start(self) -> None:
        """Listen, and return when requests are answered."""
        self._listener = socket.create_server(self._address, backlog=_BACKLOG)
        self._server = WebServer(web_config(sandbox_app(self.plaid, self.wings)))
        listener = self._listener
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="sandbox", daemon=True
        )
        self._thread.start()
        self._start_simulators()
        if not self._server.ready.wait(_START_S):
            raise RuntimeError("the sandbox did not start in time")

    def stop(self) -> None:
        """Answer what is under way, within bounds, and close the port."""
        self._stop_simulators()
        if self._server is not None and self._thread is not None:
            self._server.end()
            self._thread.join(_STOP_S)
        if self._listener is not None:
            self._listener.close()

    def run(self) -> None:
        """Serve in this thread until interrupted."""
        host, port = self._address
        self._start_simulators()
        try:
            app = sandbox_app(self.plaid, self.wings)
            uvicorn.Server(web_config(app, host=host, port=port)).run()
        finally:
            self._stop_simulators()

    def advance(self, delta: timedelta) -> datetime:
        """Let virtual time pass; return when the webhooks that became due were tried."""
        self.settle()
        now = self.clock.advance(delta)
        self.settle()
        return now

    def settle(self) -> None:
        """Announce what was scripted and wait until the webhooks of it were tried."""
        if not all([self.plaid.settle(), *(wing.settle() for wing in self.wings.values())]):
            raise RuntimeError("webhooks were still under way")

    def _start_simulators(self) -> None:
        if self._is_driven:
            return
        self.plaid.start()
        for wing in self.wings.values():
            wing.start()

    def _stop_simulators(self) -> None:
        self.plaid.stop()
        for wing in self.wings.values():
            wing.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def sandbox_app(plaid: Plaid, wings: Mapping[str, Wing]) -> Starlette:
    """Return the web application of all that is simulated, with its control API."""
    switches = [
        Mount(f"/_sim/{name}", routes=[*wing_routes(wing), *wing.control_routes()])
        for name, wing in wings.items()
    ]
    mounted = [Mount(f"/{name}", routes=wing.routes()) for name, wing in wings.items()]
    usual = control_routes(plaid, tuple(wings.values()))
    return Starlette(routes=[*switches, *usual, *mounted, *plaid_routes(plaid)])


def serve(
    host: str = LOOPBACK,
    port: int = 8100,
    *,
    seed: int = 0,
    logins: int = 3,
    start: datetime | None = None,
    options: PlaidOptions | None = None,
) -> None:
    """
    Serve a world on a running clock until interrupted.

    `start` None begins at the present. Meant for demonstrations: rate limits are as at Plaid's.
    """
    clock = VirtualClock(start or datetime.now(UTC), running=True)  # noqa: TID251 - an entry point
    world = World(seed, clock=clock, logins=logins)
    server = SandboxServer(seed=seed, world=world, options=options, host=host, port=port)
    server.run()
