"""What a person decides of accounts that may be known ones."""

from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.ids import AccountId
from bank_pipeline.errors import SetupError
from bank_pipeline.storage.account_questions import (
    load_question,
    set_question_decided,
)
from bank_pipeline.storage.accounts import (
    load_account,
    load_account_ids,
    rename_accounts,
    save_accounts,
)
from bank_pipeline.storage.calls import rename_calls
from bank_pipeline.storage.connections import (
    insert_notice,
    lock_connection,
    request_accounts,
    request_sync,
    set_sync_requested,
)
from bank_pipeline.sync.audit import note_act
from bank_pipeline.sync.context import SyncContext


def decide_question(
    context: SyncContext, question_id: str, *, same_as: AccountId | None
) -> AccountId:
    """
    Take a shown account for one that we have, or for a new one (None); return our id of it.

    A known one keeps its id and its rows; those that the bank shows under other ids from now on
    are matched with them by content. The next sync, which is due at once, brings everything.

    Raises:
        NotFoundError: there is no such question or account.
        SetupError: it is decided already, or it cannot be this account.
    """
    now, vault = context.clock(), context.vault
    with context.engine.begin() as db:
        connection = lock_connection(db, load_question(db, question_id, vault=vault).connection_id)
        question = load_question(db, question_id, vault=vault, for_update=True)
        if not question.is_open:
            raise SetupError(f"question {question_id} is decided already, or nobody asks any more")
        if same_as is not None:
            _, old = load_account(db, same_as)
            if same_as.lower() not in question.candidate_ids:
                listed = ", ".join(question.candidate_ids) or "none: say --new"
                raise SetupError(f"it cannot be account {same_as}; it could be {listed}")
            names = {old: question.shown.external_id}
            rename_accounts(db, connection.id, names, moved_from=connection.provider)
            client = context.providers.get(connection.provider)
            if client is not None and client.capabilities.counts_outlive_consents:
                rename_calls(db, connection, names)
        save_accounts(db, connection, [question.shown], vault=vault, now=now)
        account_id = load_account_ids(db, connection.id)[question.shown.external_id]
        set_question_decided(
            db, question.id, account_id=account_id, is_new=same_as is None, now=now
        )
        kind = "new" if same_as is None else "known"
        note_act(
            context, db, AuditAction.ACCOUNT_DECIDED, connection, account_id=account_id, kind=kind
        )
        insert_notice(db, connection, f"an account was decided to be a {kind} one", now=now)
        if connection.status is ConnectionStatus.EXPIRING:  # which nobody has mended
            request_accounts(db, connection.id)
            set_sync_requested(db, connection.id, now=now)
        elif connection.status.is_syncable:
            request_sync(db, connection.id, reason="account decided", now=now)
    return account_id
