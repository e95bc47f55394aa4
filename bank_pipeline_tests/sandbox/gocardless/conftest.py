"""What the tests of the simulated GoCardless share."""

from collections.abc import Iterator

import pytest

from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline_tests.sandbox.gocardless.caller import Caller, served


@pytest.fixture(scope="module")
def gocardless() -> Iterator[SandboxServer]:
    """A living world without limits, for tests that only read or link anew."""
    with served() as server:
        yield server


@pytest.fixture
def caller(gocardless: SandboxServer) -> Iterator[Caller]:
    """A client of it."""
    with Caller(gocardless) as one:
        yield one


@pytest.fixture
def quiet() -> Iterator[SandboxServer]:
    """A server of its own whose world does only what a test scripts."""
    with served(quiet=True) as server:
        yield server


@pytest.fixture
def quiet_caller(quiet: SandboxServer) -> Iterator[Caller]:
    """A client of it."""
    with Caller(quiet) as one:
        yield one
