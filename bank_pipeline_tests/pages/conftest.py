"""One sandbox and one browser for the module, a gateway and a session for each test."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.serve import USUAL_START, SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline.storage.credentials import Vault
from bank_pipeline_tests.pages.front import Front, open_browser, open_front

WAIT_MS: Final = 15_000
expect.set_options(timeout=WAIT_MS)  # assertions have a default of their own


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    world = World(7, clock=VirtualClock(USUAL_START), logins=5, quiet=True, history_days=20)
    with SandboxServer(seed=7, world=world) as server:
        yield server


@pytest.fixture
def front(
    sandbox: SandboxServer, engine: sa.Engine, vault: Vault, tmp_path: Path
) -> Iterator[Front]:
    with open_front(sandbox, engine, vault, tmp_path) as front:
        yield front


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def tab(chromium: Browser, front: Front) -> Iterator[Page]:
    """A tab of a browser that has never been here."""
    context = chromium.new_context(base_url=front.url)
    context.set_default_timeout(WAIT_MS)
    try:
        yield context.new_page()
    finally:
        context.close()
