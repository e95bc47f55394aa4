"""A running installation in real processes: simulated banks, Dagster, gateway, database."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from bank_pipeline.cli.playground import playground_environment
from bank_pipeline.cli.processes import python_command
from bank_pipeline.providers.http import build_http
from bank_pipeline.storage import embedded
from bank_pipeline_tests.dagster_ui import ask
from bank_pipeline_tests.ports import free_ports
from bank_pipeline_tests.waiting import answers, wait_until

START_S: Final = 60
STOP_S: Final = 30


@dataclass(frozen=True)
class Stack:
    """Where the parts of a running installation answer."""

    sandbox_url: str
    dagster_url: str
    gateway_url: str
    up: subprocess.Popen[bytes]

    def ask(self, query: str, **variables: Any) -> Any:
        """Ask Dagster's GraphQL, as its UI does."""
        return ask(self.dagster_url, query, **variables)

    def advance(self, seconds: float) -> None:
        """Let simulated time pass, webhooks included."""
        with build_http(read_timeout_s=30) as http:
            body = {"seconds": seconds}
            http.post(f"{self.sandbox_url}/_sim/clock/advance", json=body).raise_for_status()

    def tree(self) -> list[psutil.Process]:
        """Return all processes of `bank-pipeline up`."""
        parent = psutil.Process(self.up.pid)
        return [parent, *parent.children(recursive=True)]


@contextmanager
def running_stack(folder: Path) -> Iterator[tuple[Stack, Mapping[str, str]]]:
    """Start `sandbox serve` and `up` on free ports; whatever is left at the end is killed."""
    sandbox_port, dagster_port, gateway_port = free_ports(3)
    sandbox_url, gateway_url = (f"http://127.0.0.1:{port}" for port in (sandbox_port, gateway_port))
    ours = playground_environment(folder, sandbox_url) | {"BANK_PIPELINE_GATEWAY_URL": gateway_url}
    environment = {**os.environ, **ours}
    log = (folder / "stack.log").open("wb")
    sandbox = _start(["sandbox", "serve", "--port", str(sandbox_port)], environment, log.fileno())
    wait_until(lambda: answers(f"{sandbox_url}/_sim/clock"), seconds=START_S, what="the sandbox")
    arguments = ["up", "--port", str(dagster_port), "--gateway-port", str(gateway_port)]
    up = _start(arguments, environment, log.fileno())
    stack = Stack(sandbox_url, f"http://127.0.0.1:{dagster_port}", gateway_url, up)
    try:
        for url in (f"{gateway_url}/ready", f"{stack.dagster_url}/server_info"):
            wait_until(lambda url=url: answers(url), seconds=START_S, what=url)  # type: ignore[misc]
        yield stack, ours
    finally:
        for process in (sandbox, up):
            _kill(process)
        embedded.stop(folder)
        log.close()


def _start(
    arguments: list[str], environment: Mapping[str, str], log: int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        python_command(*arguments), env=environment, stdout=log, stderr=subprocess.STDOUT
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    found = psutil.Process(process.pid)
    for one in [*found.children(recursive=True), found]:
        if one.is_running():
            one.kill()
    process.wait()
