"""An installation over simulated banks with a Dagster instance in Postgres, as in production."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from bank_pipeline.bootstrap import build_services
from bank_pipeline.cli.processes import dagster_environment
from bank_pipeline.config import Settings
from bank_pipeline.defs.resources import close_services
from bank_pipeline_tests.defs.runs import Runs
from bank_pipeline_tests.defs.ticks import Ticks
from bank_pipeline_tests.installation import Installation, emptied, simulated_banks, variables


@pytest.fixture(scope="session")
def _instance(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dg.DagsterInstance]:
    """One instance for all tests of a worker: making its tables takes seconds."""
    settings = Settings.model_validate(
        {"state_dir": tmp_path_factory.mktemp("state"), "database_url": database_url}
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in dagster_environment(settings).items():
            patch.setenv(name, value)
        with dg.DagsterInstance.get() as instance:
            yield instance


@pytest.fixture
def instance(_instance: dg.DagsterInstance, engine: sa.Engine) -> Iterator[dg.DagsterInstance]:
    """The shipped `dagster.yaml` over Postgres, without runs, events or partitions."""
    with emptied(_instance, engine) as one:
        yield one


@pytest.fixture
def logins() -> int:
    """How many simulated people there are; a module may have its own number."""
    return 3


@pytest.fixture
def installation(
    engine: sa.Engine,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logins: int,
) -> Iterator[Installation]:
    """Simulated people with banks, and services over an emptied database."""
    monkeypatch.chdir(tmp_path)  # no `.env` of the developer's
    with simulated_banks(logins=logins) as sandbox:
        named = variables(sandbox, database_url=database_url, state_dir=tmp_path)
        for name, value in named.items():
            monkeypatch.setenv(name, value)
        services = build_services(Settings())
        yield Installation(sandbox, services)
        services.close()
        close_services()


@pytest.fixture
def runs(installation: Installation, instance: dg.DagsterInstance) -> Runs:
    """Executes the job in this process, and reads the instance as the UI does."""
    return Runs(installation, instance)


@pytest.fixture
def ticks(installation: Installation, instance: dg.DagsterInstance) -> Ticks:
    """Ticks the sensors and the schedule, as the daemon does."""
    return Ticks(installation, instance)
