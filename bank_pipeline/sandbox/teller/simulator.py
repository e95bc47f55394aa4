"""The simulated Teller as a wing of the sandbox."""

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

from starlette.applications import Starlette
from starlette.routing import Mount, Route

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.faults import FaultPlan
from bank_pipeline.sandbox.teller.app import teller_routes
from bank_pipeline.sandbox.teller.certificates import (
    Certificates,
    issue_certificates,
    server_context,
)
from bank_pipeline.sandbox.teller.connect_page import connect_routes
from bank_pipeline.sandbox.teller.control import teller_switches
from bank_pipeline.sandbox.teller.options import TellerOptions
from bank_pipeline.sandbox.teller.secure_port import SecurePort
from bank_pipeline.sandbox.teller.state import TellerState
from bank_pipeline.sandbox.wing import Wing
from bank_pipeline.sandbox.wing_control import switch_route
from bank_pipeline.sandbox.world import World


class Teller(TellerState, Wing):
    """
    One simulated Teller: its API, the fake Teller Connect, and its switches.

    The API is served under `/teller` on the sandbox's own port, and at `tls_url` where a client
    certificate is wanted. See `TellerState` for the operations that faults can strike.
    """

    name: ClassVar[str] = "teller"

    def __init__(
        self,
        world: World,
        clock: VirtualClock,
        *,
        faults: FaultPlan,
        options: TellerOptions | None = None,
        seed: int = 0,
    ) -> None:
        options = options or TellerOptions()
        super().__init__(world, clock, faults=faults, options=options, seed=seed)
        self._seed = seed
        self._secure_port = SecurePort(
            lambda: Starlette(routes=[Mount(f"/{self.name}", routes=self.routes())]),
            lambda: server_context(self.certificates),
            options.tls_port,
        )

    @cached_property
    def certificates(self) -> Certificates:
        """The authority and the certificates of both sides."""
        return issue_certificates(str(self._seed))

    @property
    def client_certificate_pem(self) -> str:
        """The certificate that a client shows."""
        return self.certificates.client.certificate

    @property
    def client_key_pem(self) -> str:
        """The client certificate's private key."""
        return self.certificates.client.key

    @property
    def ca_pem(self) -> str:
        """The authority that a client trusts."""
        return self.certificates.ca

    @property
    def tls_url(self) -> str:
        """The API's base URL with TLS; the port opens when this is first asked for."""
        return f"{self._secure_port.url}/{self.name}"

    def start(self) -> None:
        """Begin to send webhooks; a TLS port that was named in the options opens at once."""
        super().start()
        if self.options.tls_port:
            _ = self.tls_url

    def stop(self) -> None:
        """End what `start` began and let go of hanging calls."""
        super().stop()
        self._secure_port.stop()

    def routes(self) -> Sequence[Route]:
        """Return the paths of the fake Teller Connect and the API's."""
        return [*connect_routes(self), *teller_routes(self)]

    def control_routes(self) -> Sequence[Route]:
        """Return the switches; `/certificate` tells what a client needs for TLS."""
        certificate = switch_route("GET", "/certificate", lambda _: self._tell_certificate())
        return [*teller_switches(self), certificate]

    def _tell_certificate(self) -> dict[str, str]:
        return {
            "certificate": self.client_certificate_pem,
            "key": self.client_key_pem,
            "ca": self.ca_pem,
            "tls_url": self.tls_url,
        }
