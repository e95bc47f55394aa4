"""End the consents that nobody uses any more at their provider, tried until it is done."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.domain.connection import Connection, ConnectionStatus
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.transitions import RETRY_WAITS, Transition
from bank_pipeline.domain.waits import growing_wait
from bank_pipeline.errors import BankPipelineError, BusyError, ProviderError
from bank_pipeline.storage.connections import (
    apply_transition,
    insert_notice,
    load_connection,
    lock_connection,
)
from bank_pipeline.storage.consents import (
    ConsentToEnd,
    is_any_to_end,
    load_due_consents,
    load_oldest_due,
    set_consent_ended,
    set_consent_failed,
)
from bank_pipeline.storage.erase import erase_connection, load_erasable, load_oldest_erasable
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline.sync.audit import note, note_act
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.linked import abandon_renewals

PER_RUN_MAX: Final = 200
ENDED: Final = "disconnected"
ERASED: Final = "disconnected and erased"
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class EndReport:
    """How many consents were ended, how many could not be yet, and what was erased."""

    ended_count: int
    failed_count: int
    erased_count: int


def end_consents(context: SyncContext, *, connection_id: ConnectionId | None = None) -> EndReport:
    """
    End what is due, or all of one connection, and erase what was asked to be.

    A consent that is gone already counts as ended. A failure is written down with its next
    try; nothing is raised. A crash at any point repeats work: ending twice does no harm.
    """
    with context.engine.connect() as db:
        due = load_due_consents(
            db, now=context.clock(), limit=PER_RUN_MAX, connection_id=connection_id
        )
    ended_count = sum([_end(context, consent) for consent in due])
    with context.engine.connect() as db:
        erasable = load_erasable(db, limit=PER_RUN_MAX, connection_id=connection_id)
    erased_count = sum([_erase(context, one) for one in erasable])
    return EndReport(ended_count, len(due) - ended_count, erased_count)


def load_ending_due(context: SyncContext) -> datetime | None:
    """Load since when there is something for `end_consents` to do; None when there is not."""
    now = context.clock()
    with context.engine.connect() as db:
        return load_oldest_due(db, now=now) or load_oldest_erasable(db)


def _end(context: SyncContext, consent: ConsentToEnd) -> bool:
    try:
        credential = context.vault.decrypt(consent.sealed, consent.bound_to)
        context.provider(consent.provider).disconnect(credential)
    except BankPipelineError as error:
        _note_failure(context, consent, error)
        return False
    now = context.clock()
    with context.engine.begin() as db:
        if consent.connection_id is None:
            if set_consent_ended(db, consent.id, now=now):
                _note_act(context, db, AuditAction.CONSENT_ENDED, consent, None)
            return True
        connection = lock_connection(db, consent.connection_id)
        if not set_consent_ended(db, consent.id, now=now):
            return True
        _note_act(context, db, AuditAction.CONSENT_ENDED, consent, connection)
        if connection.status is not ConnectionStatus.DISCONNECTED:
            insert_notice(db, connection, f"{consent.reason} consent ended", now=now)
        elif not is_any_to_end(db, connection.id):
            done = Transition(ConnectionStatus.DISCONNECTED, ENDED, None, 0)
            apply_transition(db, connection, done, sync_run_id=None, now=now)
    return True


def _note_failure(context: SyncContext, consent: ConsentToEnd, error: BankPipelineError) -> None:
    code = error.code if isinstance(error, ProviderError) else type(error).__name__
    asked_s = error.retry_after_s if isinstance(error, ProviderError) else None
    wait = growing_wait(RETRY_WAITS, consent.attempts + 1)
    now = context.clock()
    next_attempt_at = now + max(wait, timedelta(seconds=asked_s or 0))
    _log.warning("a consent was not ended at %s: %s", consent.provider, code)
    with context.engine.begin() as db:
        own_id = consent.connection_id
        connection = None if own_id is None else lock_connection(db, own_id)
        set_consent_failed(db, consent.id, code=code, next_attempt_at=next_attempt_at)
        _note_act(context, db, AuditAction.CREDENTIAL_READ, consent, connection)
        if connection is not None and connection.status is ConnectionStatus.DISCONNECTED:
            reason = f"not ended at the provider yet: {code}"
            attempts = consent.attempts + 1
            waiting = Transition(connection.status, reason, next_attempt_at, attempts)
            apply_transition(db, connection, waiting, sync_run_id=None, now=now)


def _note_act(
    context: SyncContext,
    db: sa.Connection,
    action: AuditAction,
    consent: ConsentToEnd,
    connection: Connection | None,
) -> None:
    """Write that a consent's secret was read to end it, and whether that came to its end."""
    note(
        context,
        db,
        action,
        connection.team_id if connection else None,
        connection.id if connection else None,
        purpose="ending",
        provider=consent.provider.value,
        reason=consent.reason,
    )


def _erase(context: SyncContext, connection_id: ConnectionId) -> bool:
    """Erase a connection, unless a sync might archive another answer, or a consent is left."""
    try:
        with connection_lock(context.engine, connection_id):
            now = context.clock()
            with context.engine.begin() as db:
                connection = lock_connection(db, connection_id)
                if is_any_to_end(db, connection_id):  # a renewal that came back meanwhile
                    return False
                abandon_renewals(context, db, connection)  # nobody could name them afterwards
                erase_connection(db, connection, now=now)
                note_act(context, db, AuditAction.ERASED, connection)
                erased = load_connection(db, connection_id)
                done = Transition(ConnectionStatus.DISCONNECTED, ERASED, None, 0)
                apply_transition(db, erased, done, sync_run_id=None, now=now)
    except BusyError:
        return False
    return True
