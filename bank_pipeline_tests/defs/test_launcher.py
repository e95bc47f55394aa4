"""The launcher of many hosts: no run is declared dead that may be alive, none lives for ever."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

from bank_pipeline.defs import launcher as module
from bank_pipeline.defs.launcher import HostsRunLauncher
from bank_pipeline_tests.e2e.centre import redis
from bank_pipeline_tests.ports import free_ports

pytestmark = [
    pytest.mark.skipif(
        shutil.which("redis-server") is None, reason="redis-server is not installed"
    ),
    pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning"),  # Celery's
]


@pytest.fixture(scope="module")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("redis")
    with redis(folder) as port:
        yield f"redis://127.0.0.1:{port}/0"


def launcher_of(url: str) -> HostsRunLauncher:
    return HostsRunLauncher("dagster", broker=url, backend=url)


def run(**tags: str) -> dg.DagsterRun:
    return dg.DagsterRun(job_name="job", run_id=str(uuid.uuid4()), tags=tags)


def sent() -> dg.DagsterRun:
    return run(**{DAGSTER_CELERY_TASK_ID_TAG: str(uuid.uuid4())})


def status(launcher: HostsRunLauncher, one: dg.DagsterRun) -> WorkerStatus:
    return launcher.check_run_worker_health(one).status


def test_a_run_that_no_worker_has_is_lost_after_a_while(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the first silence: a busy machine answers late."""
    launcher, lost = launcher_of(broker_url), sent()
    assert status(launcher, lost) is WorkerStatus.RUNNING

    monkeypatch.setattr(module, "SILENCE_S", 0.0)

    assert status(launcher, lost) is WorkerStatus.FAILED


@pytest.mark.parametrize(
    ("state", "expected"),
    [("SUCCESS", WorkerStatus.SUCCESS), ("FAILURE", WorkerStatus.FAILED)],
)
def test_a_run_that_ended_is_what_its_worker_said(
    broker_url: str, state: str, expected: WorkerStatus
) -> None:
    """A worker whose process was killed says so itself, and at once."""
    launcher, ended = launcher_of(broker_url), sent()
    result = None if state == "SUCCESS" else RuntimeError("killed")
    task_id = ended.tags[DAGSTER_CELERY_TASK_ID_TAG]
    launcher.celery.backend.store_result(task_id, result, state)

    assert status(launcher, ended) is expected


def test_without_the_broker_nothing_is_declared_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs go on while it is away; only new ones wait for it."""
    [nobody] = free_ports(1)
    monkeypatch.setattr(module, "SILENCE_S", 0.0)

    assert status(launcher_of(f"redis://127.0.0.1:{nobody}/0"), sent()) is WorkerStatus.RUNNING


def test_a_run_that_was_just_sent_is_waited_for(broker_url: str) -> None:
    """A worker may begin before the run's tag of it is written."""
    assert status(launcher_of(broker_url), run()) is WorkerStatus.RUNNING
