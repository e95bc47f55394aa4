from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bank_pipeline.config import TellerEnvironment
from bank_pipeline.providers.teller.certificate import CertificateProof, Tls
from bank_pipeline.providers.teller.client import TellerClient
from bank_pipeline.providers.teller.provider import TellerProvider
from bank_pipeline_tests.providers.stub import Stub, serve
from bank_pipeline_tests.providers.teller.builders import QUICK, Archived, build_provider

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


@pytest.fixture(scope="session")
def one_stub() -> Iterator[Stub]:
    with serve() as server:
        yield server


@pytest.fixture
def stub(one_stub: Stub) -> Stub:
    """One server for all tests, without a memory of the last."""
    one_stub.replies.clear()
    one_stub.received.clear()
    return one_stub


@pytest.fixture(scope="session")
def one_client(one_stub: Stub) -> Iterator[TellerClient]:
    client = TellerClient(
        base_url=one_stub.url,
        timeout_s=5.0,
        tls=Tls(None, None),
        proof=CertificateProof(None, None),
        retry=QUICK,
    )
    yield client
    client.close()


@pytest.fixture
def teller(stub: Stub, one_client: TellerClient) -> TellerProvider:
    """A provider that remembers nothing yet, over a connection that is open already."""
    return TellerProvider(
        client=one_client,
        application_id="app_1",
        environment=TellerEnvironment.SANDBOX,
        presents_certificate=False,
    )


@pytest.fixture
def archived() -> Archived:
    return Archived()


@pytest.fixture(scope="session")
def contracts() -> Path:
    """What is documented of Teller's wire, where it lies beside the project."""
    if not (SHARED / "teller").is_dir():
        pytest.skip("no folder `shared` beside the project")
    return SHARED
