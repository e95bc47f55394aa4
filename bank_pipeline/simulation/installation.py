"""A whole installation over simulated banks, in one process: no Dagster, no web server of ours."""

import base64
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Final

import sqlalchemy as sa
from dogpile.cache import make_region
from pydantic import SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from bank_pipeline.config import Settings
from bank_pipeline.domain.connection import Provider
from bank_pipeline.providers.base import ProviderClient
from bank_pipeline.providers.cache import Cache
from bank_pipeline.providers.enable_banking.provider import build_enable_banking
from bank_pipeline.providers.gocardless.provider import build_gocardless
from bank_pipeline.providers.plaid.provider import build_plaid
from bank_pipeline.providers.retry import Retry
from bank_pipeline.providers.teller.provider import build_teller
from bank_pipeline.providers.throttle import UNLIMITED, RateLimiter, Slot
from bank_pipeline.sandbox.chance import dice
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.enable_banking.wing import EnableBanking
from bank_pipeline.sandbox.faults import FaultPlan
from bank_pipeline.sandbox.gocardless.options import GoCardlessOptions
from bank_pipeline.sandbox.gocardless.simulator import GoCardless
from bank_pipeline.sandbox.plaid.options import PlaidOptions
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.sandbox.teller.options import TellerOptions
from bank_pipeline.sandbox.teller.simulator import Teller
from bank_pipeline.sandbox.world import World
from bank_pipeline.storage import embedded
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.encryption_keys import open_vault
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.identifiers import minted_by
from bank_pipeline.storage.migrate import migrate
from bank_pipeline.storage.seals import VaultSeal
from bank_pipeline.sync.context import Clock, SyncContext
from bank_pipeline.sync.rate_limits import SharedRateLimiter

GATEWAY_URL: Final = "http://127.0.0.1:9"
"""Where customers and webhooks would come to; the driver carries both over by hand."""

KEY: Final = bytes(range(32))
TEMPLATE: Final = "simulation_template"
_TICK: Final = timedelta(milliseconds=1)
_CONNECTIONS_MAX: Final = 8


@dataclass(frozen=True)
class Installation:
    """Simulated banks, and the use cases that watch them, on one clock that stands still."""

    sandbox: SandboxServer
    context: SyncContext
    settings: Settings
    database_url: str
    cached: dict[str, object]

    @property
    def world(self) -> World:
        """The banks."""
        return self.sandbox.world

    @property
    def gocardless(self) -> GoCardless:
        """The simulated GoCardless."""
        wing = self.sandbox.wings["gocardless"]
        assert isinstance(wing, GoCardless)
        return wing

    @property
    def enable_banking(self) -> EnableBanking:
        """The simulated Enable Banking."""
        wing = self.sandbox.wings["enable_banking"]
        assert isinstance(wing, EnableBanking)
        return wing

    @property
    def teller(self) -> Teller:
        """The simulated Teller."""
        wing = self.sandbox.wings["teller"]
        assert isinstance(wing, Teller)
        return wing

    def begin_day(self) -> None:
        """Let what is cached grow old."""
        self.cached.clear()

    def tick(self) -> None:
        """Let a moment pass, so that no two syncs happen at the same time."""
        self.sandbox.clock.advance(_TICK)


class Unhurried(SharedRateLimiter):
    """Keeps the providers' rates as an installation does; its short waits pass on the clock."""

    def __init__(self, engine: sa.Engine, clock: VirtualClock) -> None:
        super().__init__(engine, clock.now)
        self._virtual = clock

    def take(self, slots: Sequence[Slot], *, wait_max_s: float) -> float:
        """Take one call of each bucket, and let the time until then pass; see `RateLimiter`."""
        wait_s = super().take(slots, wait_max_s=wait_max_s)
        if wait_s > wait_max_s:
            return wait_s
        self._virtual.advance(timedelta(seconds=wait_s))
        return 0.0


@contextmanager
def installation(
    world: World, *, seed: int, folder: Path, server_url: str, faults: FaultPlan
) -> Iterator[Installation]:
    """
    Set up banks and pipeline over a database of their own on the server, and end both.

    `server_url` is that of a superuser.
    """
    engine_url = _create_database(server_url, f"simulation_{seed}_{uuid.uuid4().hex[:12]}")
    mint = seeded_mint(seed)
    with (
        SandboxServer(
            seed=seed,
            world=world,
            faults=faults,
            options=PlaidOptions(tick_s=60),
            wings=[_teller(world, faults, seed)],
            is_driven=True,
        ) as sandbox,
        minted_by(mint),
    ):
        settings = _settings(sandbox, folder, engine_url)
        engine = build_engine(engine_url, connections_max=_CONNECTIONS_MAX)
        cached: dict[str, object] = {}
        context = build_context(
            settings,
            engine,
            clock=world.clock.now,
            cached=cached,
            limiter=Unhurried(engine, world.clock),
        )
        try:
            yield Installation(sandbox, context, settings, engine_url, cached)
        finally:
            context.close()
            _drop_database(server_url, engine_url)


def build_context(
    settings: Settings,
    engine: sa.Engine,
    *,
    clock: Clock,
    cached: dict[str, object],
    limiter: RateLimiter = UNLIMITED,
) -> SyncContext:
    """
    Build what use cases need. Waits between the tries of a call take no time here.

    The cache is `cached`: it counts real time, so whoever lets virtual days pass empties it.
    """
    vault = Vault([KEY])
    open_vault(engine, vault, now=clock())
    region = make_region().configure("dogpile.cache.memory", arguments={"cache_dict": cached})
    cache = Cache(region, seal=VaultSeal(vault))
    return SyncContext(
        engine=engine,
        providers=_providers(settings, cache, limiter),
        vault=vault,
        clock=clock,
        cache=cache,
    )


def _providers(
    settings: Settings, cache: Cache, limiter: RateLimiter
) -> dict[Provider, ProviderClient]:
    retry = Retry(sleep=lambda _: None)
    return {
        Provider.PLAID: build_plaid(settings, retry=retry, limiter=limiter),
        Provider.GOCARDLESS: build_gocardless(settings, cache, retry=retry, limiter=limiter),
        Provider.TELLER: build_teller(settings, cache, retry=retry),
        Provider.ENABLE_BANKING: build_enable_banking(settings, cache, retry=retry),
    }


def _teller(world: World, faults: FaultPlan, seed: int) -> Teller:
    options = TellerOptions(require_certificate=False)
    return Teller(world, world.clock, faults=faults, options=options, seed=seed)


class ToldSettings(Settings):
    """Settings that come from arguments alone: neither from variables nor from a `.env`."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - as the library calls it
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave out variables and files."""
        return (init_settings,)


def _settings(sandbox: SandboxServer, folder: Path, database_url: str) -> Settings:
    """Return the settings of the installation; this machine's environment has no say in them."""
    enable_banking = sandbox.wings["enable_banking"]
    teller = sandbox.wings["teller"]
    assert isinstance(enable_banking, EnableBanking)
    assert isinstance(teller, Teller)
    gocardless = GoCardlessOptions()
    application = enable_banking.options.applications[0].application_id
    enable_banking.application(application).redirect_urls.append(
        f"{GATEWAY_URL}/link/return/enable_banking"
    )
    teller.aim(f"{GATEWAY_URL}/webhooks/teller")
    return ToldSettings(
        state_dir=folder,
        database_url=SecretStr(database_url),
        encryption_key=SecretStr(base64.b64encode(KEY).decode()),
        redis_url=None,
        clock_url=f"{sandbox.url}/_sim/clock",
        gateway_url=GATEWAY_URL,
        provider_timeout_s=20.0,
        plaid_client_id=sandbox.plaid.options.client_id,
        plaid_secret=SecretStr(sandbox.plaid.options.secret),
        plaid_base_url=sandbox.url,
        plaid_country_codes="US,CA,GB,DE,FR",
        plaid_redirect_uri=None,
        gocardless_secret_id=gocardless.secret_id,
        gocardless_secret_key=SecretStr(gocardless.secret_key),
        gocardless_redirect_url=None,
        gocardless_base_url=f"{sandbox.url}/gocardless",
        enable_banking_application_id=application,
        enable_banking_key_base64=SecretStr(
            base64.b64encode(enable_banking.private_key_pem.encode()).decode()
        ),
        enable_banking_redirect_url=None,
        enable_banking_base_url=f"{sandbox.url}/enable_banking",
        teller_application_id=teller.options.application_id,
        teller_cert_path=None,
        teller_key_path=None,
        teller_cert_base64=None,
        teller_key_base64=None,
        teller_ca_path=None,
        teller_base_url=f"{sandbox.url}/teller",
        teller_signing_secret=SecretStr(",".join(teller.secrets)),
        teller_token_signing_key=SecretStr(teller.signer.public_key),
    )


def seeded_mint(*words: object) -> Callable[[], uuid.UUID]:
    """Return a mint of UUIDv7 that depends on the words alone; each id is above the one before."""
    rolled: Random = dice("ids", *words)
    count = 0x0190_0000_0000  # milliseconds, of a day in 2024: it orders, it does not date

    def mint() -> uuid.UUID:
        nonlocal count
        count += 1
        noise = rolled.getrandbits(74)
        high, low = noise >> 62, noise & ((1 << 62) - 1)
        return uuid.UUID(int=count << 80 | 7 << 76 | high << 64 | 2 << 62 | low)

    return mint


@contextmanager
def database_server(folder: Path) -> Iterator[str]:
    """Run a server that need not survive a crash, with a migrated template; yield its URL."""
    url = embedded.ensure_running(folder, is_durable=False)
    try:
        ensure_template(url)
        yield url
    finally:
        embedded.stop(folder)


def ensure_template(server_url: str) -> None:
    """Make the migrated database that each simulation begins with, once per server."""
    server = build_engine(server_url).execution_options(isolation_level="AUTOCOMMIT")
    try:
        with server.connect() as db:
            db.execute(sa.text("SELECT pg_advisory_lock(2)"))  # several may want it at once
            known = sa.text("SELECT 1 FROM pg_database WHERE datname = :name")
            if not db.scalar(known, {"name": TEMPLATE}):
                db.execute(sa.text(f"CREATE DATABASE {TEMPLATE}_new"))
                template = build_engine(_named(server_url, f"{TEMPLATE}_new"))
                migrate(template)
                template.dispose()
                db.execute(sa.text(f"ALTER DATABASE {TEMPLATE}_new RENAME TO {TEMPLATE}"))
            db.execute(sa.text("SELECT pg_advisory_unlock(2)"))
    finally:
        server.dispose()


def _create_database(server_url: str, name: str) -> str:
    ensure_template(server_url)
    _administer(server_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    return _named(server_url, name)


def _drop_database(server_url: str, url: str) -> None:
    _administer(server_url, f"DROP DATABASE {sa.make_url(url).database} WITH (FORCE)")


def _administer(server_url: str, statement: str) -> None:
    server = build_engine(server_url).execution_options(isolation_level="AUTOCOMMIT")
    try:
        with server.connect() as db:
            db.exec_driver_sql(statement)
    finally:
        server.dispose()


def _named(url: str, database: str) -> str:
    return sa.make_url(url).set(database=database).render_as_string(hide_password=False)
