"""The composition root: the one place that turns settings into working parts."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bank_pipeline.config import Settings
from bank_pipeline.domain.audit import Actor
from bank_pipeline.domain.connection import Provider
from bank_pipeline.providers.base import ProviderClient
from bank_pipeline.providers.cache import Cache, build_cache
from bank_pipeline.providers.http import fetch_json
from bank_pipeline.providers.throttle import UNLIMITED, RateLimiter
from bank_pipeline.storage.credentials import load_vault
from bank_pipeline.storage.encryption_keys import open_vault
from bank_pipeline.storage.engine import build_engine, check_server, resolve_database
from bank_pipeline.storage.migrate import migrate
from bank_pipeline.storage.seals import VaultSeal
from bank_pipeline.storage.sight import check_sight
from bank_pipeline.sync.context import Clock, SyncContext
from bank_pipeline.sync.rate_limits import SharedRateLimiter


@dataclass(frozen=True)
class Services:
    """Everything an entry point (Dagster, gateway, CLI) needs to call a use case."""

    settings: Settings
    sync: SyncContext

    def by(self, actor: Actor) -> "Services":
        """Return the same for somebody who acts, whom the audit log then names."""
        return replace(self, sync=self.sync.by(actor))

    def close(self) -> None:
        """End all connections; each may be opened anew."""
        self.sync.close()


def build_services(settings: Settings) -> Services:
    """
    Build the production parts: database started and migrated, key checked.

    Raises:
        SetupError: something the operator must change; the message says what.
    """
    database = resolve_database(settings)
    # A sync holds one connection for its lock and needs another for its work.
    engine = build_engine(database.url, connections_max=2 * settings.sync_threads + 4)
    with ExitStack() as undo:
        undo.callback(engine.dispose)
        check_server(engine)
        vault = load_vault(settings)
        migrate(engine, vault)
        check_sight(engine)
        open_vault(engine, vault, now=system_now())
        undo.pop_all()
    cache = build_cache(settings, seal=VaultSeal(vault))
    clock = build_clock(settings)
    # A simulation's clock may stand still, and then has no minutes to count calls by.
    limiter = SharedRateLimiter(engine, clock) if settings.clock_url is None else UNLIMITED
    context = SyncContext(
        engine=engine,
        providers=build_providers(settings, cache, limiter=limiter),
        vault=vault,
        clock=clock,
        cache=cache,
    )
    return Services(settings=settings, sync=context)


def build_providers(
    settings: Settings, cache: Cache, *, limiter: RateLimiter = UNLIMITED
) -> dict[Provider, ProviderClient]:
    """
    Build the clients of the configured providers; the others are absent. No I/O.

    `limiter` keeps the rates that providers publish; Teller and Enable Banking publish none.
    """
    # Each is imported only where it is used: Plaid's SDK alone takes 0.2 s.
    clients: dict[Provider, ProviderClient] = {}
    if settings.is_plaid_configured:
        from bank_pipeline.providers.plaid.provider import build_plaid  # noqa: PLC0415

        clients[Provider.PLAID] = build_plaid(settings, limiter=limiter)
    if settings.is_enable_banking_configured:
        from bank_pipeline.providers.enable_banking.provider import (  # noqa: PLC0415
            build_enable_banking,
        )

        clients[Provider.ENABLE_BANKING] = build_enable_banking(settings, cache)
    if settings.is_gocardless_configured:
        from bank_pipeline.providers.gocardless.provider import build_gocardless  # noqa: PLC0415

        clients[Provider.GOCARDLESS] = build_gocardless(settings, cache, limiter=limiter)
    if settings.is_teller_configured:
        from bank_pipeline.providers.teller.provider import build_teller  # noqa: PLC0415

        clients[Provider.TELLER] = build_teller(settings, cache)
    return clients


def build_clock(settings: Settings) -> Clock:
    """Return the system's clock, or a simulation's when the settings name one."""
    url = settings.clock_url
    if url is None:
        return system_now
    return lambda: datetime.fromisoformat(fetch_json(url)["now"])


def system_now() -> datetime:
    """Return the time now, in UTC: the one place below the entry points that asks."""
    return datetime.now(UTC)  # noqa: TID251
