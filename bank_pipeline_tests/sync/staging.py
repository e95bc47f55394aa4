"""Fixtures that put the pipeline over the banks of some providers, one after the other."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.storage.credentials import Vault
from bank_pipeline_tests.providers.contract.banks import Banks
from bank_pipeline_tests.providers.contract.cases import CASES, Case
from bank_pipeline_tests.providers.contract.stage import Stage, stage_of


def staged(cases: Sequence[Case]) -> Any:
    """Make a fixture of each case in turn, over the fixture `banks`."""

    @pytest.fixture(params=cases, ids=str)
    def stage(
        request: pytest.FixtureRequest, banks: Banks, engine: sa.Engine, vault: Vault
    ) -> Iterator[Stage]:
        with stage_of(request.param, banks, engine, vault) as one:
            yield one

    return stage


def staged_at(provider: Provider) -> Any:
    """Make a fixture of one provider, over the fixture `banks`."""
    return staged([case for case in CASES if case.provider is provider])
