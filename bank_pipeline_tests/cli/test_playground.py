"""What an installation over simulated banks is told of them."""

import socket
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from bank_pipeline.cli.playground import open_gateway_to_sandbox, wings_environment
from bank_pipeline.providers.teller.webhooks import WebhookVerifier
from bank_pipeline.sandbox.delivery import Delivery
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.sandbox.teller.simulator import Teller
from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.installation import Installation
from bank_pipeline_tests.ports import free_ports


def test_the_playground_believes_tellers_webhooks(tmp_path: Path) -> None:
    """It is told the secret that signs them, as Teller's dashboard tells it."""
    posted: list[Delivery] = []
    with SandboxServer() as sandbox:
        teller = sandbox.wings["teller"]
        assert isinstance(teller, Teller)
        teller.webhooks.divert(posted.append)
        secrets = wings_environment(tmp_path, sandbox.url)["TELLER_SIGNING_SECRET"].split(",")
        open_gateway_to_sandbox(sandbox.url, "http://127.0.0.1:9")
        asked = {"type": "webhook.test", "payload": {}}
        httpx.post(f"{sandbox.url}/_sim/teller/webhooks", json=asked).raise_for_status()
        [delivery] = posted
        headers = {k.lower(): v for k, v in teller.webhooks.headers_of(delivery).items()}

        verifier = WebhookVerifier([SecretStr(one) for one in secrets])
        event = verifier.verify(headers, delivery.body.encode(), now=sandbox.clock.now())

        assert event.code == "webhook.test"


def test_a_second_playground_is_refused_and_leaves_the_first_alone(
    cli: CommandLine, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would delete the tables under one that runs."""
    kept = alone / ".bank-pipeline" / "playground" / "kept"
    kept.parent.mkdir(parents=True)
    kept.touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr("bank_pipeline.cli.up.SANDBOX_URL", url)
        dagster, gateway = free_ports(2)
        ports = ["--port", str(dagster), "--gateway-port", str(gateway)]
        refused = cli("up", "--sandbox", *ports)

    assert refused.code == 2
    assert "is a sandbox running already?" in refused.err
    assert kept.exists()


@pytest.mark.parametrize("option", ["--port", "--gateway-port"])
@pytest.mark.parametrize("over", [[], ["--sandbox"]])
def test_a_port_that_is_taken_is_told_before_anything_is_started(
    cli: CommandLine, alone: Path, option: str, over: list[str]
) -> None:
    """A second `up` was a second daemon for some seconds, and ended with a traceback."""
    [free] = free_ports(1)
    ports = {"--port": free, "--gateway-port": free}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports[option] = taken.getsockname()[1]
        refused = cli("up", *over, *(str(part) for one in ports.items() for part in one))

    assert refused.code == 2
    assert "does it run already?" in refused.err
    assert f"another with {option}" in refused.err
    assert [*alone.iterdir()] == []


@pytest.mark.parametrize("command", [["gateway"], ["sandbox", "serve"]])
def test_whoever_cannot_listen_says_why(
    cli: CommandLine, installation: Installation, command: list[str]
) -> None:
    """Of an error that is not ours the log tells the kind alone: `OSError`."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = cli(*command, "--port", str(taken.getsockname()[1]))

    assert refused.code == 2
    assert "Address already in use" in refused.err
