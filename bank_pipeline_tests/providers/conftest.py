from collections.abc import Iterator

import pytest

from bank_pipeline_tests.providers.stub import Stub, serve


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serve() as server:
        yield server
