"""A sender of webhooks that costs little, and a gateway in a process of its own."""

import http.client
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from bank_pipeline.cli.playground import playground_environment
from bank_pipeline.cli.processes import python_command
from bank_pipeline_tests.gateway.forgeries import SECRET, Sent
from bank_pipeline_tests.ports import free_ports
from bank_pipeline_tests.waiting import answers, wait_until

START_S: Final = 60
ANSWER_S: Final = 30.0


class Wire:
    """One connection that is kept, and opened anew where the other side closed it."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)

    def send(self, sent: Sent) -> int | None:
        """Send one webhook; return the status, None where the other side hung up."""
        self._http.putrequest("POST", sent.path, skip_accept_encoding=True)
        self._http.putheader("Content-Length", str(len(sent.body)))
        for name, value in sent.headers:
            self._http.putheader(name, value.encode("latin-1"))
        try:
            self._http.endheaders(sent.body)
            answer = self._http.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return None
        return answer.status

    def close(self) -> None:
        """Close the connection."""
        self._http.close()


@dataclass
class GatewayProcess:
    """`bank-pipeline gateway`, as a supervisor starts it."""

    port: int
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End it without a warning."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def memory_bytes(self) -> int:
        """Return how much memory it holds."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


@contextmanager
def gateway_process(
    folder: Path, sandbox_url: str, *, database_url: str, port: int | None = None
) -> Iterator[GatewayProcess]:
    """Run the gateway of an installation with Plaid and Teller, on the machine's own clock."""
    chosen = port or free_ports(1)[0]
    with (folder / "gateway.log").open("ab") as log:
        process = subprocess.Popen(
            python_command("gateway", "--port", str(chosen)),
            env={**os.environ, **_environment(folder, sandbox_url, database_url)},
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{chosen}/live"
        wait_until(lambda: answers(url), seconds=START_S, what="the gateway")
        yield GatewayProcess(chosen, process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()


def _environment(folder: Path, sandbox_url: str, database_url: str) -> Mapping[str, str]:
    return playground_environment(folder, sandbox_url) | {
        "BANK_PIPELINE_DATABASE_URL": database_url,
        "BANK_PIPELINE_CLOCK_URL": "",
        "TELLER_APPLICATION_ID": "app_sandbox",
        "TELLER_BASE_URL": sandbox_url,
        "TELLER_SIGNING_SECRET": SECRET,
    }
