"""What the tests of the simulated Teller share: sandboxes of their own, and callers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.faults import FaultPlan
from bank_pipeline.sandbox.life import CALM, USUAL
from bank_pipeline.sandbox.serve import USUAL_START, SandboxServer
from bank_pipeline.sandbox.teller.options import TellerOptions
from bank_pipeline.sandbox.teller.simulator import Teller
from bank_pipeline.sandbox.world import World
from bank_pipeline_tests.sandbox.plaid.ear import Ear
from bank_pipeline_tests.sandbox.teller.caller import Caller

Start = Callable[..., Caller]


def build_sandbox(*, quiet: bool, **options: Any) -> SandboxServer:
    """Return a sandbox of four customers, two of them American, with 120 days of history."""
    world = World(
        7,
        clock=VirtualClock(USUAL_START),
        logins=4,
        quiet=quiet,
        history_days=120,
        temper=CALM if quiet else USUAL,
    )
    faults = FaultPlan()
    wing = Teller(world, world.clock, faults=faults, options=TellerOptions(**options), seed=7)
    return SandboxServer(seed=7, world=world, faults=faults, wings=[wing])


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a sandbox with options of Teller's; `quiet` False has its world live."""
    with ExitStack() as stack:

        def begin(*, quiet: bool = True, **options: Any) -> Caller:
            sandbox = stack.enter_context(build_sandbox(quiet=quiet, **options))
            return stack.enter_context(Caller(sandbox))

        yield begin


@pytest.fixture
def caller(start: Start) -> Caller:
    """A client of a sandbox in which only scripted things happen."""
    return start()


@pytest.fixture(scope="module")
def living() -> Iterator[Caller]:
    """A client of a living sandbox, for tests that only read or link anew."""
    with build_sandbox(quiet=False) as sandbox, Caller(sandbox) as one:
        yield one


@pytest.fixture
def ear() -> Iterator[Ear]:
    """A receiver of Teller's webhooks."""
    with Ear("Teller-Signature") as one:
        yield one
