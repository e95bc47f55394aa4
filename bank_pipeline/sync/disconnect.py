"""End a connection: stop at once, revoke at the provider until done, then forget or erase."""

from dataclasses import dataclass
from datetime import datetime

from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.transitions import Transition
from bank_pipeline.storage.account_questions import end_questions
from bank_pipeline.storage.connections import apply_transition, load_connection, lock_connection
from bank_pipeline.storage.consents import (
    DISCONNECTED,
    drop_next_consent,
    is_any_to_end,
    retire_credential,
)
from bank_pipeline.storage.erase import is_erased, set_erase_asked
from bank_pipeline.storage.notices import insert_stop_notice
from bank_pipeline.sync.audit import note_act
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.ending import ENDED, end_consents


@dataclass(frozen=True)
class DisconnectReport:
    """
    How far the end of a connection has come.

    `is_ended`: the provider has ended the consent, or it was gone. `is_erased` says that what
    was to be erased is. Until then `reason` tells why, and `next_attempt_at` when it is tried
    again.
    """

    is_ended: bool
    is_erased: bool
    reason: str | None
    next_attempt_at: datetime | None


def disconnect(
    context: SyncContext, connection_id: ConnectionId, *, erase: bool = False
) -> DisconnectReport:
    """
    End a connection, and with `erase` all that is stored of it, once the provider has ended it.

    No call for its data is made from now on, and a sync under way writes nothing any more. The
    secret is kept for the revocation alone, which is tried until it succeeds: here once, then
    by `end_consents`. May be repeated, and asked to erase later.

    Raises:
        NotFoundError: there is no such connection.
    """
    now = context.clock()
    with context.engine.begin() as db:
        connection = lock_connection(db, connection_id)
        if connection.status is not ConnectionStatus.DISCONNECTED:
            drop_next_consent(db, connection.id, now=now)
            end_questions(db, connection.id, now=now)
            retire_credential(db, connection, reason=DISCONNECTED, now=now)
            is_held = is_any_to_end(db, connection.id)
            reason = "being ended at the provider" if is_held else ENDED
            transition = Transition(
                ConnectionStatus.DISCONNECTED, reason, now if is_held else None, 0
            )
            apply_transition(db, connection, transition, sync_run_id=None, now=now)
            insert_stop_notice(db, connection.id, now=now)
            note_act(context, db, AuditAction.DISCONNECTED, connection)
        if erase:
            note_act(context, db, AuditAction.ERASE_ASKED, connection)
            set_erase_asked(db, connection.id, now=now)
    end_consents(context, connection_id=connection.id)
    with context.engine.connect() as db:
        is_ended = not is_any_to_end(db, connection.id)
        after = load_connection(db, connection.id)
        is_gone = is_erased(db, connection.id)
    return DisconnectReport(
        is_ended=is_ended,
        is_erased=erase and is_gone,
        reason=after.status_reason,
        next_attempt_at=after.next_attempt_at,
    )
