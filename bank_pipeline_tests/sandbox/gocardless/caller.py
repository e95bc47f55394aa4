"""A plain client of the simulated GoCardless, for tests: no client library, exact texts."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import httpx

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.faults import FaultPlan
from bank_pipeline.sandbox.gocardless.options import GoCardlessOptions
from bank_pipeline.sandbox.gocardless.simulator import GoCardless
from bank_pipeline.sandbox.life import CALM, USUAL
from bank_pipeline.sandbox.serve import USUAL_START, SandboxServer
from bank_pipeline.sandbox.world import World

REDIRECT = "http://127.0.0.1:1/back?tenant=7"
SECRETS = {"secret_id": "sandbox-secret-id", "secret_key": "sandbox-secret-key"}
PLAIN_HTTP = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Spares each client 20 ms of reading certificates that nothing here needs."""
GERMAN = "MUERITZ_MRTZDE21XXX"
SCOPES = ("details", "balances", "transactions")


@contextmanager
def served(*, quiet: bool = False, seed: int = 7, **options: Any) -> Iterator[SandboxServer]:
    """Serve a world with the wing set up so; the daily limit is off unless given."""
    world = World(
        seed,
        clock=VirtualClock(USUAL_START),
        quiet=quiet,
        history_days=200,
        temper=CALM if quiet else USUAL,
    )
    faults = FaultPlan()
    usual = {"daily_limit": None, "limit_scale": None}
    chosen = GoCardlessOptions(**{**usual, **options})
    wing = GoCardless(world, world.clock, faults=faults, options=chosen, seed=seed)
    with SandboxServer(seed=seed, world=world, faults=faults, wings=[wing]) as server:
        yield server


@dataclass(frozen=True)
class Linked:
    """A requisition and its accounts."""

    id: str
    agreement: str
    accounts: tuple[str, ...]


class Caller:
    """Call a sandbox's GoCardless over HTTP, with a token."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        self.http = _client(f"{server.url}/gocardless/api/v2/")
        self.switches = _client(f"{server.url}/_sim/gocardless/")
        self.browser = _client("")
        self.tokens = self.http.post("token/new/", json=SECRETS).json()
        self.http.headers["Authorization"] = f"Bearer {self.tokens['access']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.switches.close()
        self.browser.close()

    def get(self, path: str, **query: str) -> Any:
        """Read what must be there."""
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def make(self, path: str, **body: Any) -> Any:
        """Create what must be possible to create."""
        answer = self.http.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def refused(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        """Ask for what must be refused; return the status and the body."""
        answer = self.http.request(method, path, json=body or None)
        assert answer.status_code >= 400, answer.text
        assert answer.headers["content-type"] == "application/json"
        return answer.status_code, answer.json()

    def requisition(self, institution_id: str = GERMAN, **body: Any) -> Any:
        """Make a requisition under the usual agreement unless another is named."""
        fields = {"institution_id": institution_id, "redirect": REDIRECT, **body}
        return self.make("requisitions/", **fields)

    def decide(self, requisition: Any, **wish: Any) -> httpx.Response:
        """Open the consent page with the decision made."""
        return self.browser.get(requisition["link"], params={"auto": "approve", **wish})

    def link(self, institution_id: str = GERMAN, *, login: str = "login-2", **terms: Any) -> Linked:
        """Link a login under an agreement of these terms."""
        agreement = self.make("agreements/enduser/", institution_id=institution_id, **terms)
        made = self.requisition(institution_id, agreement=agreement["id"])
        sent = self.decide(made, login=login)
        assert sent.status_code == 302, sent.text
        told = self.get(f"requisitions/{made['id']}/")
        assert told["status"] == "LN"
        return Linked(told["id"], told["agreement"], tuple(told["accounts"]))

    def switch(self, path: str, **body: Any) -> Any:
        """Use a switch."""
        answer = self.switches.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def truth(self, linked: Linked) -> Any:
        """Return what is true of a requisition."""
        answer = self.switches.get("truth", params={"external_id": linked.id})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def world_id(self, linked: Linked, account: str) -> str:
        """Return the world's id of an account."""
        return str(self.truth(linked)["accounts"][account]["world_account_id"])


def _client(base_url: str) -> httpx.Client:
    return httpx.Client(base_url=base_url, timeout=20, verify=PLAIN_HTTP)
