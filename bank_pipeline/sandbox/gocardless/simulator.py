"""
The simulated GoCardless Bank Account Data.

Its faults go by these operations, with the account's id as subject, else the requisition's, else
"": gocardless:token_new, token_refresh, institutions, institution, agreements, agreement_create,
agreement, agreement_delete, agreement_accept, agreement_reconfirm, requisitions,
requisition_create, requisition, requisition_delete, account, details, balances, transactions and
consent_page. A fault of kind error names a code of `errors.ERRORS` or an error's `type`.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from starlette.routing import Route

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.faults import FaultPlan
from bank_pipeline.sandbox.gocardless.app import api_routes
from bank_pipeline.sandbox.gocardless.consent_page import page_routes
from bank_pipeline.sandbox.gocardless.control import switch_routes
from bank_pipeline.sandbox.gocardless.options import GoCardlessOptions
from bank_pipeline.sandbox.gocardless.state import GoCardlessState
from bank_pipeline.sandbox.gocardless.truth import truth_of
from bank_pipeline.sandbox.wing import Wing
from bank_pipeline.sandbox.world import World


class GoCardless(Wing):
    """GoCardless over one world. `state` is guarded by its own lock."""

    name: ClassVar[str] = "gocardless"

    def __init__(
        self,
        world: World,
        clock: VirtualClock,
        *,
        faults: FaultPlan,
        options: GoCardlessOptions,
        seed: int = 0,
    ) -> None:
        """Begin without agreements and requisitions."""
        self.state = GoCardlessState(world, clock, faults=faults, options=options, seed=seed)
        self.calls = self.state.calls

    def routes(self) -> Sequence[Route]:
        """Return the consent pages and the API; any other path is a 404 in JSON."""
        return [*page_routes(self.state), *api_routes(self.state)]

    def control_routes(self) -> Sequence[Route]:
        """Return the switches; see `control.py`."""
        return switch_routes(self.state)

    def start(self) -> None:
        """Do nothing: GoCardless tells nobody anything unasked."""

    def stop(self) -> None:
        """Let go of calls that a fault lets hang."""
        self.state.released.set()

    def settle(self) -> bool:
        """Return that nothing is under way: there are no webhooks."""
        return True

    def truth_of(self, external_id: str) -> dict[str, Any]:
        """Describe a requisition, a deleted one as it was last seen. Unknown: KeyError."""
        with self.state.lock:
            return truth_of(self.state, self.state.requisitions[external_id])

    def external_ids(self) -> Sequence[str]:
        """Return the requisitions that were linked and not deleted."""
        with self.state.lock:
            return [one.id for one in self.state.living() if one.accounts]
