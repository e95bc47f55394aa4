"""Simulated banks behind all four providers, and our real clients of them."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bank_pipeline.cli.playground import plaid_environment, wings_environment
from bank_pipeline.config import Settings
from bank_pipeline.domain.connection import Provider
from bank_pipeline.providers.base import ProviderClient
from bank_pipeline.providers.cache import Cache, build_file_cache
from bank_pipeline.providers.enable_banking.provider import build_enable_banking
from bank_pipeline.providers.gocardless.provider import build_gocardless
from bank_pipeline.providers.plaid.provider import build_plaid
from bank_pipeline.providers.retry import Retry
from bank_pipeline.providers.teller.provider import build_teller
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.faults import FaultPlan
from bank_pipeline.sandbox.gocardless.options import GoCardlessOptions
from bank_pipeline.sandbox.gocardless.simulator import GoCardless
from bank_pipeline.sandbox.life import USUAL
from bank_pipeline.sandbox.plaid.options import PlaidOptions
from bank_pipeline.sandbox.serve import USUAL_START, SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.seals import VaultSeal

GATEWAY: Final = "http://127.0.0.1:4520"  # nobody listens: the tests are the browser
_PLAID_SECRET: Final = "canary-of-plaid"  # is in no other word, to be looked for
_SEED: Final = 7


@dataclass(frozen=True)
class Banks:
    """A sandbox and our clients of all its providers, shared by the tests of a module."""

    sandbox: SandboxServer
    settings: Settings
    providers: Mapping[Provider, ProviderClient]
    cache: Cache


@contextmanager
def banks_over(world: World, folder: Path, vault: Vault) -> Iterator[Banks]:
    """Serve a world by all four providers, and build our clients of them."""
    faults = FaultPlan()
    gocardless = GoCardless(
        world,
        world.clock,
        faults=faults,
        options=GoCardlessOptions(limit_scale=None),  # a clock that stands still has no minutes
        seed=_SEED,
    )
    sandbox = SandboxServer(
        seed=_SEED,
        world=world,
        faults=faults,
        options=PlaidOptions(limit_scale=None, secret=_PLAID_SECRET),
        wings=[gocardless],
    )
    with ExitStack() as stack:
        stack.enter_context(sandbox)
        settings = Settings.model_validate(
            {
                **plaid_environment(sandbox.url),
                **wings_environment(folder, sandbox.url),
                "PLAID_SECRET": _PLAID_SECRET,
                "gateway_url": GATEWAY,
                "state_dir": folder,
            }
        )
        cache = build_file_cache(folder, seal=VaultSeal(vault))
        retry = Retry(3, 30.0, lambda _: None)
        providers: dict[Provider, ProviderClient] = {
            # Without a gateway it announces no webhooks, which nobody would hear.
            Provider.PLAID: build_plaid(
                settings.model_copy(update={"gateway_url": None}), retry=retry
            ),
            Provider.GOCARDLESS: build_gocardless(settings, cache, retry=retry),
            Provider.ENABLE_BANKING: build_enable_banking(settings, cache, retry=retry),
            Provider.TELLER: build_teller(settings, cache, retry=retry),
        }
        for provider in providers.values():
            stack.callback(provider.close)
        yield Banks(sandbox, settings, providers, cache)


def quiet_world() -> World:
    """Return a world in which only scripted things happen; tests bring their own customers."""
    return World(_SEED, clock=VirtualClock(USUAL_START), logins=0, quiet=True, history_days=60)


def living_world() -> World:
    """Return a world that lives as usual: holds, late bookings, twins, removals."""
    return World(_SEED, clock=VirtualClock(USUAL_START), logins=6, history_days=60, temper=USUAL)
