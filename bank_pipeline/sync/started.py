"""A sync under way."""

from dataclasses import dataclass

from pydantic import SecretStr

from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.sync.reports import SyncRequest


@dataclass(frozen=True)
class StartedSync:
    """
    What was true when the sync began.

    Webhook events up to `newest_event_id` are covered by it; later ones ask for another.
    """

    id: SyncRunId
    request: SyncRequest
    connection: Connection
    credential: SecretStr
    known_account_ids: frozenset[str]
    newest_event_id: int
