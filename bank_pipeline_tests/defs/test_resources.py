"""Definitions load anywhere; the parts behind them are built once per process, when needed."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import dagster as dg

from bank_pipeline.bootstrap import Services
from bank_pipeline.defs.resources import ServicesResource, build_resources
from bank_pipeline.domain.connection import Provider
from bank_pipeline_tests.installation import Installation

LOAD = """
import socket
def refuse(*_): raise AssertionError("loading definitions must not connect")
socket.socket.connect = refuse
from bank_pipeline.definitions import defs
dg_names = [job.name for job in defs.get_repository_def().get_all_jobs()]
assert "sync_connections_job" in dg_names, dg_names
"""


def test_definitions_load_without_variables_and_without_connecting(tmp_path: Path) -> None:
    """A code server, `dagster definitions validate` or an editor needs no set-up, makes no file."""
    outcome = subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stderr
    assert [*tmp_path.iterdir()] == []


def test_services_are_built_once_per_process(installation: Installation) -> None:
    """Ticks that come at once, each in its thread, share one pool of database connections."""
    at_once = Barrier(4)

    def build(_: int) -> Services:
        resource, context = ServicesResource(), dg.build_init_resource_context()
        at_once.wait(10)
        return resource.create_resource(context)

    with ThreadPoolExecutor(4) as pool:
        built = [*pool.map(build, range(4))]

    assert {id(services) for services in built} == {id(built[0])}


def test_an_asset_of_ones_own_gets_a_client_and_the_cache(installation: Installation) -> None:
    """By name, as Dagster's users do it: the same ones that the services use."""
    found: list[object] = []

    @dg.asset(required_resource_keys={"plaid", "cache"})
    def mine(context: dg.AssetExecutionContext) -> None:
        found.extend([context.resources.plaid, context.resources.cache])

    assert dg.materialize([mine], resources=build_resources()).success
    services = ServicesResource().create_resource(dg.build_init_resource_context())
    assert found == [services.sync.provider(Provider.PLAID), services.sync.cache]
