"""End the renewal of a consent: the connection and its accounts keep their rows."""

import logging
from typing import Final

from pydantic import SecretStr

from bank_pipeline.domain.account import match_accounts
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import ProviderError
from bank_pipeline.providers.base import LinkedConnection, ProviderClient
from bank_pipeline.storage.accounts import load_accounts, rename_accounts
from bank_pipeline.storage.connections import (
    load_connection,
    lock_connection,
    replace_connection,
    request_sync,
)
from bank_pipeline.storage.credentials import load_credential, store_credential
from bank_pipeline.storage.link_sessions import LinkSession, finish_link_session
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.linked import (
    OTHER_ACCOUNTS,
    RENEWED,
    LinkState,
    finish_without,
    keep_accounts,
)

_log: Final = logging.getLogger(__name__)


def renew_by_new_consent(
    context: SyncContext,
    session: LinkSession,
    connection_id: ConnectionId,
    linked: LinkedConnection,
) -> LinkState:
    """
    Continue a connection under its new consent: its accounts keep their rows.

    A consent for none of its accounts is somebody's mistake: nothing is changed, and the new
    consent is given back.
    """
    now, client = context.clock(), context.provider(session.provider)
    with context.engine.begin() as db:
        lock_connection(db, connection_id)  # a sync that began before it writes nothing any more
        old_credential = load_credential(db, connection_id, context.vault)
        known = load_accounts(db, connection_id)
        shown = linked.accounts.accounts if linked.accounts else ()
        matched = match_accounts(known, shown)
        is_other = bool(known and shown and not matched)
        if is_other:
            finish_link_session(db, session.id, outcome=OTHER_ACCOUNTS, now=now)
        else:
            renamed = {old: new for new, old in matched.items() if old != new}
            rename_accounts(db, connection_id, renamed)
            replace_connection(
                db,
                connection_id,
                external_id=linked.external_id,
                consent_expires_at=linked.consent_expires_at,
                now=now,
            )
            store_credential(db, connection_id, linked.credential, vault=context.vault, now=now)
            keep_accounts(db, connection_id, linked, now=now)
            finish_link_session(
                db, session.id, outcome=RENEWED, now=now, connection_ids=[connection_id]
            )
    given_back = linked.credential if is_other else old_credential
    if is_other or linked.credential != old_credential:
        _give_back(client, given_back)
    if is_other:
        return LinkState(is_finished=True, exit_reason=OTHER_ACCOUNTS)
    return LinkState(is_finished=True, connection_ids=(connection_id,))


def renew_same_consent(
    context: SyncContext,
    session: LinkSession,
    connection_id: ConnectionId,
    linked: LinkedConnection,
) -> LinkState:
    """End a renewal that keeps its connection, if what came back is that connection."""
    with context.engine.connect() as db:
        is_other = load_connection(db, connection_id).external_id != linked.external_id
    if is_other:
        _give_back(context.provider(session.provider), linked.credential)
        return finish_without(context, session.id, OTHER_ACCOUNTS)
    with context.engine.begin() as db:
        vault, now = context.vault, context.clock()
        store_credential(db, connection_id, linked.credential, vault=vault, now=now)
    return finish_renewal(context, session)


def finish_renewal(context: SyncContext, session: LinkSession) -> LinkState:
    """End a renewal in which the provider kept everything: look at once."""
    now, connection_id = context.clock(), session.renews_connection_id
    assert connection_id is not None, "only a renewal ends here"
    with context.engine.begin() as db:
        request_sync(db, connection_id, reason="consent renewed", now=now)
        finish_link_session(
            db, session.id, outcome=RENEWED, now=now, connection_ids=[connection_id]
        )
    return LinkState(is_finished=True, connection_ids=(connection_id,))


def _give_back(client: ProviderClient, credential: SecretStr) -> None:
    """End a consent that nobody needs any more; it ends by itself some day if this fails."""
    try:
        client.disconnect(credential)
    except ProviderError as error:
        _log.warning("a replaced consent was not ended at %s: %s", client.provider, error.code)
