"""Dagster resources: the composition root, and its parts one by one: each client, the cache."""

import threading
from functools import cache
from typing import Any, Final

import dagster as dg
from pydantic import Field

from bank_pipeline.bootstrap import Services, build_services
from bank_pipeline.config import Settings
from bank_pipeline.domain.connection import Provider
from bank_pipeline.logs.setup import set_up_run
from bank_pipeline.providers.base import ProviderClient
from bank_pipeline.providers.cache import Cache


class ServicesResource(dg.ConfigurableResource[Services]):
    """Provider clients, cache, database and clock, built from the environment on first need."""

    def create_resource(self, context: dg.InitResourceContext) -> Services:  # noqa: ARG002
        """Build once per process: the code server evaluates many ticks with one pool."""
        with _BUILDING:  # ticks of several sensors come at once, each in its thread
            return _services(Settings())


class CacheResource(dg.ConfigurableResource[Cache]):
    """The cache, for assets of your own: get-or-create, shared by all processes."""

    def create_resource(self, context: dg.InitResourceContext) -> Cache:
        """Return the one that the services use."""
        return ServicesResource().create_resource(context).sync.cache


class ProviderResource(dg.ConfigurableResource[ProviderClient]):
    """One provider's client, for assets of your own. A run that needs it fails where it is off."""

    provider: str = Field(description="Its name: plaid, gocardless, teller or enable_banking.")

    def create_resource(self, context: dg.InitResourceContext) -> ProviderClient:
        """Return the one that the services use."""
        services = ServicesResource().create_resource(context)
        return services.sync.provider(Provider(self.provider))


def build_resources() -> dict[str, dg.ConfigurableResource[Any]]:
    """Build the resources by name; each connects to nothing until an asset needs it."""
    return {
        "services": ServicesResource(),
        "cache": CacheResource(),
        **{provider.value: ProviderResource(provider=provider.value) for provider in Provider},
    }


def close_idle_connections() -> None:
    """Close the database connections that nobody uses; the next who needs one opens it."""
    if _services.cache_info().currsize:
        _services(Settings()).sync.engine.dispose()


def close_services() -> None:
    """End all that runs in this process have opened; the next one begins anew."""
    if _services.cache_info().currsize:
        _services(Settings()).close()
        _services.cache_clear()


_BUILDING: Final = threading.Lock()


@cache
def _services(settings: Settings) -> Services:
    set_up_run(settings)  # the first thing of ours that a run, or the code server, does
    return build_services(settings)
