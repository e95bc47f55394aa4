"""The fixtures of the suite; `test_contract.py` takes them from here, too."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from bank_pipeline.storage.credentials import Vault
from bank_pipeline_tests.providers.contract.banks import (
    Banks,
    banks_over,
    living_world,
    quiet_world,
)
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage, stage_of
from bank_pipeline_tests.vaults import VAULT


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Banks]:
    """Banks at which only scripted things happen."""
    with banks_over(quiet_world(), tmp_path_factory.mktemp("quiet"), VAULT) as banks:
        yield banks


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Banks]:
    """Banks whose customers live."""
    with banks_over(living_world(), tmp_path_factory.mktemp("living"), VAULT) as banks:
        yield banks


@pytest.fixture(params=CASES, ids=str)
def stage(
    request: pytest.FixtureRequest, quiet: Banks, engine: sa.Engine, vault: Vault
) -> Iterator[Stage]:
    """Each provider in turn, over quiet banks."""
    with stage_of(request.param, quiet, engine, vault) as one:
        yield one


@pytest.fixture(params=CASES, ids=str)
def lively(
    request: pytest.FixtureRequest, living: Banks, engine: sa.Engine, vault: Vault
) -> Iterator[Stage]:
    """Each provider in turn, over living banks."""
    with stage_of(request.param, living, engine, vault) as one:
        yield one
