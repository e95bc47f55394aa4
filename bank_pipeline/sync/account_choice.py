"""Which accounts of a connection are read: a person's choice, where the bank's own is not all."""

from collections.abc import Collection
from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.errors import RefusedError, SetupError
from bank_pipeline.providers.base import WindowProvider
from bank_pipeline.storage.accounts import load_stored_accounts, set_excluded
from bank_pipeline.storage.connections import insert_notice, lock_connection, request_sync
from bank_pipeline.sync.context import SyncContext

CHOICE_WITHIN: Final = timedelta(minutes=10)
"""So long a first sync waits for whoever chooses; who walks away has chosen all."""


def can_choose(context: SyncContext, connection: Connection) -> bool:
    """Say whether accounts are chosen here: a change feed's are chosen at its provider."""
    return isinstance(context.providers.get(connection.provider), WindowProvider)


def choose_accounts(
    context: SyncContext, connection_id: ConnectionId, account_ids: Collection[AccountId]
) -> int:
    """
    Read these accounts of a connection and none of its others; return how many are read.

    What is stored of the others stays, and grows no more. The next sync is due at once.

    Raises:
        NotFoundError: there is no such connection.
        RefusedError: none was chosen: to end the connection is another thing.
        SetupError: one is not an account of this connection that the bank still shows, or they
            are chosen at the provider.
    """
    now = context.clock()
    with context.engine.begin() as db:
        connection = lock_connection(db, connection_id)
        if not can_choose(context, connection):
            raise SetupError("the accounts of this connection are chosen at its provider")
        shown = _shown(db, connection.id)
        chosen = {*account_ids}
        if not chosen <= shown:
            raise SetupError("one of these is not an account that this connection has now")
        if not chosen:
            raise RefusedError("choose one account at least, or disconnect the bank instead")
        is_changed = set_excluded(db, connection.id, shown - chosen, now=now)
        if is_changed:
            told = f"{len(chosen)} of {len(shown)} accounts chosen"
            insert_notice(db, connection, told, now=now)
        if connection.status.is_syncable:
            request_sync(db, connection.id, reason="accounts chosen", now=now)
    return len(chosen)


def _shown(db: sa.Connection, connection_id: ConnectionId) -> set[AccountId]:
    stored = load_stored_accounts(db, connection_id)
    return {one.id for one in stored.held.values() if not one.is_closed}
