"""The simulated providers that stand beside Plaid, over one world."""

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.faults import FaultPlan
from bank_pipeline.sandbox.teller.options import TellerOptions
from bank_pipeline.sandbox.teller.simulator import Teller
from bank_pipeline.sandbox.wing import Wing
from bank_pipeline.sandbox.world import World


def build_wings(
    world: World, clock: VirtualClock, *, faults: FaultPlan, seed: int
) -> dict[str, Wing]:
    """Build every wing, by name."""
    wings: tuple[Wing, ...] = (
        Teller(world, clock, faults=faults, options=TellerOptions(), seed=seed),
    )
    return {wing.name: wing for wing in wings}
