"""
What one simulated provider is to the server that hosts it.

Every wing shows the same world in its own provider's words. Its routes hang under `/<name>`,
its own switches under `/_sim/<name>`.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

from starlette.routing import Route


class Wing(ABC):
    """
    One simulated provider.

    `calls` counts accepted and refused requests alike, by (operation, subject): the operation
    is a name such as `transactions`, the subject the account or connection it concerns, or "".
    """

    name: ClassVar[str]
    calls: Counter[tuple[str, str]]

    @abstractmethod
    def routes(self) -> Sequence[Route]:
        """Return the provider's own paths, and the pages for its customers."""

    @abstractmethod
    def control_routes(self) -> Sequence[Route]:
        """Return switches that only this provider has; paths as seen under `/_sim/<name>`."""

    @abstractmethod
    def start(self) -> None:
        """Begin what runs beside requests, such as sending webhooks."""

    @abstractmethod
    def stop(self) -> None:
        """End what `start` began, and let go of calls that a fault lets hang."""

    @abstractmethod
    def settle(self) -> bool:
        """Announce what the world brought; return whether all that was due was tried."""

    @abstractmethod
    def truth_of(self, external_id: str) -> dict[str, Any]:
        """
        Describe a connection as a pipeline that did everything right would hold it now.

        {"external_id", "login_id", "removed", "error_code", "accounts": {account's external id:
        {"world_account_id", "listed", "kind", "name", "currency", "unofficial_currency",
        "booked", "available", "transactions": [{"external_id", "entry_id", "amount",
        "currency", "unofficial_currency", "pending", "day", "description"}]}}}

        Money is text, signed from the account holder; a balance is None where the bank tells
        none. An account may tell `first_day`, before which nothing is shown. `day` is the booking
        date, of a pending row the day it was paid. A row's `external_id` is None where the
        provider gives none that can be trusted. Computed from the world's ledger, not from what
        was answered. Unknown: KeyError.
        """

    @abstractmethod
    def external_ids(self) -> Sequence[str]:
        """Return the connections that were not removed."""
