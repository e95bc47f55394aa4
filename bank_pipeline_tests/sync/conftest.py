"""What the tests of the use cases share: a quiet world, the pipeline over it, its gateway."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.storage.credentials import Vault
from bank_pipeline_tests.providers.contract.banks import Banks, banks_over, quiet_world
from bank_pipeline_tests.sync.ground import Ground, gateway_over, ground_over, sandbox_server
from bank_pipeline_tests.vaults import VAULT


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """A sandbox in which only scripted things happen."""
    with sandbox_server() as server:
        yield server


@pytest.fixture
def ground(
    sandbox: SandboxServer, engine: sa.Engine, vault: Vault, tmp_path: Path
) -> Iterator[Ground]:
    """The pipeline over the sandbox."""
    with ground_over(sandbox, engine, vault, tmp_path) as one:
        yield one


@pytest.fixture
def announced(ground: Ground) -> Iterator[Ground]:
    """The pipeline over the sandbox, with the real gateway to receive its webhooks."""
    with gateway_over(ground) as (one, _):
        yield one


@pytest.fixture(scope="module")
def banks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Banks]:
    """Banks of all providers at which only scripted things happen."""
    with banks_over(quiet_world(), tmp_path_factory.mktemp("banks"), VAULT) as one:
        yield one


@pytest.fixture(params=["together", "by fingerprints", "page by page"])
def every_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Plaid's updates written as short ones are, then as big ones, then as long ones."""
    if request.param == "by fingerprints":
        monkeypatch.setattr("bank_pipeline.sync.update.BIG_UPDATE", -1)
    if request.param == "page by page":
        monkeypatch.setattr("bank_pipeline.providers.plaid.provider.HELD_PAGES_MAX", 0)
