"""Rows that do not fit, in the hands of people."""

from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.storage.quarantine import OpenQuarantine, load_quarantined, set_resolved
from bank_pipeline.sync.audit import note
from bank_pipeline.sync.context import SyncContext


def show_quarantined(context: SyncContext, quarantine_id: int) -> OpenQuarantine:
    """
    Return one open row with its text.

    Raises:
        NotFoundError: there is none of this id, or it is resolved.
    """
    with context.engine.connect() as db:
        return load_quarantined(db, quarantine_id, vault=context.vault)


def resolve_quarantined(context: SyncContext, quarantine_id: int) -> bool:
    """Mark one row as dealt with by a person; return whether it was open."""
    with context.engine.begin() as db:
        was_open = set_resolved(db, quarantine_id, now=context.clock())
        if was_open:
            note(context, db, AuditAction.ROWS_DECIDED, None, quarantine_id=quarantine_id)
    return was_open
