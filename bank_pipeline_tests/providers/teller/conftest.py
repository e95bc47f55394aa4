from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bank_pipeline.providers.teller.provider import TellerProvider
from bank_pipeline_tests.providers.stub import Stub
from bank_pipeline_tests.providers.teller.builders import Archived, build_provider

SHARED = Path(__file__).parents[4] / "shared" / "contracts"


BuildTeller = Callable[..., TellerProvider]


@pytest.fixture
def build() -> Iterator[BuildTeller]:
    """Build providers that are closed after the test."""
    built: list[TellerProvider] = []

    def build_one(url: str, **fields: Any) -> TellerProvider:
        built.append(build_provider(url, **fields))
        return built[-1]

    yield build_one
    for provider in built:
        provider.close()


@pytest.fixture
def teller(stub: Stub, build: BuildTeller) -> TellerProvider:
    return build(stub.url)


@pytest.fixture
def archived() -> Archived:
    return Archived()


@pytest.fixture(scope="session")
def contracts() -> Path:
    """What is documented of Teller's wire, where it lies beside the project."""
    if not (SHARED / "teller").is_dir():
        pytest.skip("no folder `shared` beside the project")
    return SHARED
