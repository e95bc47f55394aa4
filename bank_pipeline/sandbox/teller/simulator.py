"""The simulated Teller as a wing of the sandbox."""

from collections.abc import Sequence
from typing import ClassVar

from starlette.routing import Route

from bank_pipeline.sandbox.teller.app import teller_routes
from bank_pipeline.sandbox.teller.control import teller_switches
from bank_pipeline.sandbox.teller.state import TellerState
from bank_pipeline.sandbox.wing import Wing


class Teller(TellerState, Wing):
    """
    One simulated Teller: its API, the fake Teller Connect, and its switches.

    See `TellerState` for the operations that faults can strike.
    """

    name: ClassVar[str] = "teller"

    def routes(self) -> Sequence[Route]:
        """Return the API's paths and those of the fake Teller Connect."""
        return teller_routes(self)

    def control_routes(self) -> Sequence[Route]:
        """Return the switches."""
        return teller_switches(self)
