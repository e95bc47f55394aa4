"""What every use case needs: the database, the providers, the vault and the clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from bank_pipeline.domain.audit import SYSTEM, Actor
from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import SetupError
from bank_pipeline.providers.base import ProviderClient
from bank_pipeline.providers.cache import Cache
from bank_pipeline.storage.credentials import Vault

Clock = Callable[[], datetime]
"""Tells the time as an aware UTC datetime; virtual in tests and simulations."""


@dataclass(frozen=True)
class SyncContext:
    """
    The parts that use cases work with. Safe to share between threads.

    `actor` is whom the audit log names for what is done.
    """

    engine: sa.Engine
    providers: Mapping[Provider, ProviderClient]
    vault: Vault
    clock: Clock
    cache: Cache
    actor: Actor = SYSTEM

    def by(self, actor: Actor) -> "SyncContext":
        """Return the same for somebody who acts."""
        return replace(self, actor=actor)

    def close(self) -> None:
        """End all connections, to the database and to the providers; each may be opened anew."""
        self.engine.dispose()
        for client in self.providers.values():
            client.close()

    def provider(self, provider: Provider) -> ProviderClient:
        """
        Return the client of a configured provider.

        Raises:
            SetupError: the provider is switched off.
        """
        client = self.providers.get(provider)
        if client is None:
            raise SetupError(
                f"{provider} is not configured: set its variables (see .env.example), "
                "then run `bank-pipeline doctor`"
            )
        return client
