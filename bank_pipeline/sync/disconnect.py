"""End a connection: revoke at the provider first, then forget the credential."""

from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.transitions import Transition
from bank_pipeline.storage.connections import apply_transition, load_connection
from bank_pipeline.storage.credentials import delete_credential, load_credential
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.recording import recorded


@recorded
def disconnect(context: SyncContext, connection_id: ConnectionId) -> None:
    """
    Revoke the consent, then forget the credential. The rows stay.

    Raises:
        ProviderError: not revoked; the credential is kept so that it can be tried again.
    """
    with connection_lock(context.engine, connection_id):
        with context.engine.connect() as db:
            connection = load_connection(db, connection_id)
            if connection.status is ConnectionStatus.DISCONNECTED:
                return
            credential = load_credential(db, connection_id, context.vault)
        context.provider(connection.provider).disconnect(credential)
        now = context.clock()
        with context.engine.begin() as db:
            delete_credential(db, connection_id)
            transition = Transition(ConnectionStatus.DISCONNECTED, "asked for", None, 0)
            apply_transition(db, connection, transition, sync_run_id=None, now=now)
