"""Which accounts of a connection are read: a person's choice, where the bank's own is not all."""

from collections.abc import Collection
from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.domain.connection import Connection, ConnectionStatus
from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.errors import RefusedError
from bank_pipeline.providers.base import WindowProvider
from bank_pipeline.storage.accounts import load_stored_accounts, set_excluded
from bank_pipeline.storage.connections import (
    insert_notice,
    lock_connection,
    request_sync,
    set_sync_requested,
)
from bank_pipeline.sync.audit import note_act
from bank_pipeline.sync.context import SyncContext

CHOICE_WITHIN: Final = timedelta(minutes=10)
"""So long a first sync waits for whoever chooses; who walks away has chosen all."""


def can_choose(context: SyncContext, connection: Connection) -> bool:
    """Say whether accounts are chosen here: a change feed's are chosen at its provider."""
    return isinstance(context.providers.get(connection.provider), WindowProvider)


def choose_accounts(
    context: SyncContext,
    connection_id: ConnectionId,
    account_ids: Collection[AccountId],
    *,
    shown: Collection[AccountId] | None = None,
) -> int:
    """
    Read these accounts of a connection, and none of the others that were `shown`; return how many.

    Without `shown` none of all others. What nobody was shown stays as it is. What is stored of
    those left out stays, and grows no more. A first sync that waited for the choice is due at
    once; after a later choice one is asked for, if the choice changed anything.

    Raises:
        NotFoundError: there is no such connection.
        RefusedError: none was chosen (to end the connection is another thing), one is not an
            account of this connection that the bank still shows, or they are chosen at the
            provider.
    """
    now = context.clock()
    with context.engine.begin() as db:
        connection = lock_connection(db, connection_id)
        if not can_choose(context, connection):
            raise RefusedError("the accounts of this connection are chosen at its provider")
        there = _shown(context, db, connection.id)
        chosen = {*account_ids}
        if not chosen <= there:
            raise RefusedError("one of these is not an account that this connection has now")
        if not chosen:
            raise RefusedError("choose one account at least, or disconnect the bank instead")
        left_out = (there if shown is None else there & {*shown}) - chosen
        is_changed = set_excluded(db, connection.id, left_out=left_out, chosen=chosen, now=now)
        counts = {"chosen": len(chosen), "shown": len(there)}
        note_act(context, db, AuditAction.ACCOUNTS_CHOSEN, connection, **counts)
        if is_changed:
            told = f"{len(chosen)} of {len(there)} accounts chosen"
            insert_notice(db, connection, told, now=now)
        if connection.last_success_at is None and connection.status is ConnectionStatus.PENDING:
            request_sync(db, connection.id, reason="accounts chosen", now=now)
        elif is_changed:
            set_sync_requested(db, connection.id, now=now)
    return len(chosen)


def _shown(context: SyncContext, db: sa.Connection, connection_id: ConnectionId) -> set[AccountId]:
    stored = load_stored_accounts(db, connection_id, vault=context.vault)
    return {one.id for one in stored.held.values() if not one.is_closed}
