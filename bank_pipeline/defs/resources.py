"""Dagster resources: the composition root, which holds the provider clients and the cache."""

import threading
from functools import cache
from typing import Final

import dagster as dg

from bank_pipeline.bootstrap import Services, build_services
from bank_pipeline.config import Settings


class ServicesResource(dg.ConfigurableResource[Services]):
    """Provider clients, cache, database and clock, built from the environment on first need."""

    def create_resource(self, context: dg.InitResourceContext) -> Services:  # noqa: ARG002
        """Build once per process: the code server evaluates many ticks with one pool."""
        with _BUILDING:  # ticks of several sensors come at once, each in its thread
            return _services(Settings())


_BUILDING: Final = threading.Lock()


@cache
def _services(settings: Settings) -> Services:
    return build_services(settings)
