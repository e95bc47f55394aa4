from collections.abc import Iterator
from pathlib import Path

import pytest

from bank_pipeline.providers.enable_banking.provider import EnableBankingProvider
from bank_pipeline_tests.providers.enable_banking.builders import Archived, build_provider
from bank_pipeline_tests.providers.stub import Stub

SHARED = Path(__file__).parents[4] / "shared" / "contracts" / "enable_banking"


@pytest.fixture
def bank(stub: Stub, tmp_path: Path) -> Iterator[EnableBankingProvider]:
    provider = build_provider(stub.url, tmp_path)
    yield provider
    provider.close()


@pytest.fixture
def archived() -> Archived:
    return Archived()


@pytest.fixture(scope="session")
def contracts() -> Path:
    """The provider's own documents, where they lie beside the project."""
    if not SHARED.is_dir():
        pytest.skip("no folder `shared` beside the project")
    return SHARED
