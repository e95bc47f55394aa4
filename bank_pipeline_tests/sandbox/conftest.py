"""What the sandbox's tests share: a served world, a caller, an ear for webhooks."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.life import CALM, USUAL
from bank_pipeline.sandbox.plaid.options import PlaidOptions
from bank_pipeline.sandbox.serve import USUAL_START, SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline_tests.sandbox.plaid.caller import Caller
from bank_pipeline_tests.sandbox.plaid.ear import Ear

StartSandbox = Callable[..., SandboxServer]


@pytest.fixture
def start_sandbox() -> Iterator[StartSandbox]:
    """Start a sandbox; `quiet` has its world do only what a test scripts."""
    started: list[SandboxServer] = []

    def start(*, quiet: bool = False, seed: int = 7, **options: Any) -> SandboxServer:
        world = World(
            seed,
            clock=VirtualClock(USUAL_START),
            quiet=quiet,
            history_days=120,
            temper=CALM if quiet else USUAL,
        )
        server = SandboxServer(
            seed=seed, world=world, options=PlaidOptions(**{"limit_scale": None, **options})
        )
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def sandbox(start_sandbox: StartSandbox) -> SandboxServer:
    """A sandbox with a living world and no rate limits."""
    return start_sandbox()


@pytest.fixture
def quiet(start_sandbox: StartSandbox) -> SandboxServer:
    """A sandbox in which only scripted things happen."""
    return start_sandbox(quiet=True)


@pytest.fixture
def caller(sandbox: SandboxServer) -> Iterator[Caller]:
    """A client of the living sandbox."""
    with Caller(sandbox) as one:
        yield one


@pytest.fixture
def quiet_caller(quiet: SandboxServer) -> Iterator[Caller]:
    """A client of the quiet sandbox."""
    with Caller(quiet) as one:
        yield one


@pytest.fixture
def ear() -> Iterator[Ear]:
    """A receiver of webhooks."""
    with Ear() as one:
        yield one
