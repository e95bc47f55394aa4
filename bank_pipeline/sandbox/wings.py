"""The simulated providers that stand beside Plaid, over one world."""

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.enable_banking.options import EnableBankingOptions
from bank_pipeline.sandbox.enable_banking.wing import EnableBanking
from bank_pipeline.sandbox.faults import FaultPlan
from bank_pipeline.sandbox.gocardless.options import GoCardlessOptions
from bank_pipeline.sandbox.gocardless.simulator import GoCardless
from bank_pipeline.sandbox.teller.options import TellerOptions
from bank_pipeline.sandbox.teller.simulator import Teller
from bank_pipeline.sandbox.wing import Wing
from bank_pipeline.sandbox.world import World


def build_wings(
    world: World, clock: VirtualClock, *, faults: FaultPlan, seed: int
) -> dict[str, Wing]:
    """Build every wing, by name."""
    wings: tuple[Wing, ...] = (
        EnableBanking(world, clock, faults=faults, options=EnableBankingOptions(), seed=seed),
        GoCardless(world, clock, faults=faults, options=GoCardlessOptions(), seed=seed),
        Teller(world, clock, faults=faults, options=TellerOptions(), seed=seed),
    )
    return {wing.name: wing for wing in wings}
