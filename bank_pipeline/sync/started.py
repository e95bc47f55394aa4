"""A sync under way."""

from dataclasses import dataclass
from datetime import datetime

from bank_pipeline.domain.audit import SYSTEM, Actor
from bank_pipeline.domain.connection import Connection, ConnectionStatus
from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.domain.notices import Wishes
from bank_pipeline.errors import EndedError
from bank_pipeline.storage.consents import NextConsent
from bank_pipeline.sync.reports import SyncRequest


@dataclass(frozen=True)
class StartedSync:
    """
    What was true when the sync began.

    `connection.next_attempt_at` is the lease: the repetition in case we are killed;
    `planned_attempt_at` is what was planned before. `known_account_ids` are the accounts that we
    hold as open, `closed_account_ids` the others; rows of `moved_account_ids` go by names of
    another id until a whole history was read. `awaited_account_ids` are accounts that the
    provider did not list when rows of theirs came; `has_orphans` says that any such row is set
    aside, `has_questions` that a person is asked about an account. Webhook events up to
    `newest_event_id` are covered by this sync; later ones ask for another. `has_next_consent`: a
    new consent waits to be read by. `consent` is what is read by instead of the one in use, and
    the connection is then as it is under it; `is_switch`: of another provider. `wishes` are what
    the team wants to be told of, None: nothing. `is_failure_told`: it was told that this
    connection fails, and nothing else since. `actor`: who has it synced. `is_provider_paused`:
    the provider refuses us. `is_bank_known`: the bank is described among the institutions.
    `limited_count`: so many syncs in a row before this one met a limit.
    """

    id: SyncRunId
    request: SyncRequest
    connection: Connection
    planned_attempt_at: datetime | None
    known_account_ids: frozenset[str]
    awaited_account_ids: frozenset[str]
    newest_event_id: int
    started_at: datetime
    closed_account_ids: frozenset[str] = frozenset()
    moved_account_ids: frozenset[str] = frozenset()
    has_orphans: bool = False
    has_questions: bool = False
    has_next_consent: bool = False
    consent: NextConsent | None = None
    is_switch: bool = False
    wishes: Wishes | None = None
    is_failure_told: bool = False
    actor: Actor = SYSTEM
    is_provider_paused: bool = False
    is_bank_known: bool = False
    limited_count: int = 0


def check_not_ended(connection: Connection) -> None:
    """
    Check that a connection is one that is read.

    Raises:
        EndedError: it was ended.
    """
    if connection.status is ConnectionStatus.DISCONNECTED:
        raise EndedError(f"connection {connection.id} was ended: link the bank anew")
