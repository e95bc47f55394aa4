"""What the tests of the simulated Enable Banking share: a served world and a caller."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.enable_banking.options import EnableBankingOptions
from bank_pipeline.sandbox.enable_banking.wing import EnableBanking
from bank_pipeline.sandbox.faults import FaultPlan
from bank_pipeline.sandbox.life import CALM, USUAL
from bank_pipeline.sandbox.serve import USUAL_START, SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline_tests.sandbox.enable_banking.caller import Caller

StartCaller = Callable[..., Caller]


def build_server(*, quiet: bool = False, **options: Any) -> SandboxServer:
    """Build a sandbox with a short past; nobody counts accesses unless told to."""
    world = World(
        7,
        clock=VirtualClock(USUAL_START),
        logins=5,
        quiet=quiet,
        history_days=150,
        temper=CALM if quiet else USUAL,
    )
    faults = FaultPlan()
    settings = EnableBankingOptions(**{"unattended_per_day": None, **options})
    wing = EnableBanking(world, world.clock, faults=faults, options=settings, seed=7)
    return SandboxServer(seed=7, world=world, faults=faults, wings=[wing])


@pytest.fixture
def start_caller() -> Iterator[StartCaller]:
    """Start a sandbox with options of its own and return a client of it."""
    with ExitStack() as stack:

        def start(**options: Any) -> Caller:
            server = stack.enter_context(build_server(**options))
            return stack.enter_context(Caller(server))

        yield start


@pytest.fixture
def caller(start_caller: StartCaller) -> Caller:
    """A client of a living sandbox."""
    return start_caller()


@pytest.fixture
def quiet_caller(start_caller: StartCaller) -> Caller:
    """A client of a sandbox in which only scripted things happen."""
    return start_caller(quiet=True)


@pytest.fixture(scope="module")
def shared_caller() -> Iterator[Caller]:
    """A client of a sandbox for tests that only read, and never let time pass."""
    with build_server() as server, Caller(server) as one:
        yield one
