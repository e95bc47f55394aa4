"""What the complaints share: banks of all providers, and one pipeline over each."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import sqlalchemy as sa

from bank_pipeline.storage.credentials import Vault
from bank_pipeline_tests.complaints.scene import Scene
from bank_pipeline_tests.providers.contract.banks import Banks, banks_over, quiet_world
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import stage_of
from bank_pipeline_tests.vaults import VAULT

PutOn = Callable[[str], Scene]


@pytest.fixture(scope="package")
def banks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Banks]:
    """Banks of all providers at which only scripted things happen."""
    with banks_over(quiet_world(), tmp_path_factory.mktemp("banks"), VAULT) as one:
        yield one


@pytest.fixture
def put_on(banks: Banks, engine: sa.Engine, vault: Vault) -> Iterator[PutOn]:
    """Put the pipeline over the banks of a provider that a test names."""
    with ExitStack() as stack:

        def put(provider: str) -> Scene:
            case = next(one for one in CASES if str(one) == provider)
            return Scene(stack.enter_context(stage_of(case, banks, engine, vault)))

        yield put


@pytest.fixture
def plaid(put_on: PutOn) -> Scene:
    return put_on("plaid")


@pytest.fixture
def gocardless(put_on: PutOn) -> Scene:
    return put_on("gocardless")


@pytest.fixture
def enable_banking(put_on: PutOn) -> Scene:
    return put_on("enable_banking")


@pytest.fixture(params=[str(one) for one in CASES])
def anywhere(request: pytest.FixtureRequest, put_on: PutOn) -> Scene:
    """Each provider in turn."""
    return put_on(request.param)


@pytest.fixture(params=[str(one) for one in CASES if str(one) != "plaid"])
def by_dates(request: pytest.FixtureRequest, put_on: PutOn) -> Scene:
    """Each provider that is asked for dates, in turn."""
    return put_on(request.param)


@pytest.fixture(params=["gocardless", "enable_banking"])
def european(request: pytest.FixtureRequest, put_on: PutOn) -> Scene:
    """Each provider of consents that end and of calls that are counted, in turn."""
    return put_on(request.param)
