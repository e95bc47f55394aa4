"""A customer with their login and their connection, as one year knows them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bank_pipeline.domain.connection import Connection, Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.simulation.customers import Customer
from bank_pipeline.simulation.installation import Installation
from bank_pipeline.storage.connections import load_connection


@dataclass
class Member:
    """
    One customer who came.

    `external_ids` are the names that the connection had at the provider, oldest first.
    `earlier` are connections that were revoked for good and followed by a new one. `renewals`
    counts the consents that were renewed, `renames` those that came into use under another id.
    """

    customer: Customer
    login_id: str
    connection_id: ConnectionId | None = None
    external_ids: list[str] = field(default_factory=list)
    earlier: list[ConnectionId] = field(default_factory=list)
    linked_at: datetime | None = None
    has_left: bool = False
    stopped_since: datetime | None = None
    patience: timedelta = timedelta(days=1)
    renewals: int = 0
    renames: int = 0

    @property
    def provider(self) -> Provider:
        """Through whom they come."""
        return self.customer.provider

    @property
    def is_here(self) -> bool:
        """Whether there is a connection that they use."""
        return self.connection_id is not None and not self.has_left

    def connection(self, place: Installation) -> Connection:
        """Load what is stored of the connection."""
        assert self.connection_id is not None, "asked only of those who linked"
        with place.context.engine.connect() as db:
            return load_connection(db, self.connection_id)

    def note_external_id(self, place: Installation) -> bool:
        """Write down how the provider calls the connection now; return whether that is new."""
        external_id = self.connection(place).external_id
        if self.external_ids[-1:] == [external_id]:
            return False
        self.renames += bool(self.external_ids)
        self.external_ids.append(external_id)
        return True
