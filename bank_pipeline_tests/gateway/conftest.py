"""The gateway's tests use the same ground as those of the use cases."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from bank_pipeline_tests.sync.conftest import ground, sandbox
from bank_pipeline_tests.sync.ground import Ground, gateway_over

__all__ = ["ground", "sandbox"]


@dataclass(frozen=True)
class Gate:
    """A running gateway: `ground` is announced to it, `http` calls it."""

    ground: Ground
    http: httpx.Client
    url: str

    def stored(self) -> list[tuple[str, str | None]]:
        """Return the code and the Item of every stored event, oldest first."""
        found = self.ground.query(
            "SELECT code, connection_external_id FROM bank.webhook_events ORDER BY id"
        )
        return [(row[0], row[1]) for row in found]

    def send(self, body: str, **options: object) -> None:
        """Have Plaid send any body, signed unless `headers` say otherwise; wait for the answer."""
        self.ground.switch("webhooks", url=f"{self.url}/webhooks/plaid", body=body, **options)


@pytest.fixture
def gate(ground: Ground) -> Iterator[Gate]:
    """The real gateway over the sandbox."""
    with gateway_over(ground) as (announced, url), httpx.Client(base_url=url) as http:
        yield Gate(announced, http, url)
