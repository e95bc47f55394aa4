from collections.abc import Iterator
from pathlib import Path

import pytest

from bank_pipeline.providers.plaid.provider import PlaidProvider
from bank_pipeline_tests.providers.plaid.builders import Archived, build_provider
from bank_pipeline_tests.providers.stub import Stub

SHARED = Path(__file__).parents[4] / "shared" / "contracts"


@pytest.fixture
def plaid(stub: Stub) -> Iterator[PlaidProvider]:
    provider = build_provider(stub.url)
    yield provider
    provider.close()


@pytest.fixture
def archived() -> Archived:
    return Archived()


@pytest.fixture(scope="session")
def contracts() -> Path:
    """Plaid's own documents, where they lie beside the project."""
    if not SHARED.is_dir():
        pytest.skip("no folder `shared` beside the project")
    return SHARED
