"""Connect a customer's bank: start a link, watch it, and keep what it yields."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId, LinkSessionId, TeamId
from bank_pipeline.providers.base import LinkedConnection
from bank_pipeline.storage.connections import (
    ensure_team,
    insert_or_renew_connection,
    request_sync,
)
from bank_pipeline.storage.credentials import load_credential, store_credential
from bank_pipeline.storage.link_sessions import (
    finish_link_session,
    insert_link_session,
    load_link_session,
)
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.institutions import remember_institution


@dataclass(frozen=True)
class LinkStarted:
    """Send the customer to `url` before `expires_at`."""

    session_id: LinkSessionId
    url: str
    expires_at: datetime


@dataclass(frozen=True)
class LinkState:
    """Where a link stands. Finished without connections means that the customer left."""

    is_finished: bool
    connection_ids: tuple[ConnectionId, ...] = ()
    exit_reason: str | None = None


def start_link(
    context: SyncContext,
    provider: Provider,
    *,
    team_name: str,
    renews: ConnectionId | None = None,
    return_url: str | None = None,
) -> LinkStarted:
    """
    Begin a link, or the renewal of a connection's consent.

    Who started it is stored before the customer is sent away: the provider's state is the
    only thing that comes back.
    """
    client = context.provider(provider)
    now = context.clock()
    with context.engine.begin() as db:
        team_id = ensure_team(db, team_name, now=now)
        credential = load_credential(db, renews, context.vault) if renews else None
    started = client.start_link(
        customer_reference=team_id, credential=credential, return_url=return_url
    )
    with context.engine.begin() as db:
        session_id = insert_link_session(
            db,
            team_id=team_id,
            provider=provider,
            state=started.external_state,
            vault=context.vault,
            renews=renews,
            expires_at=started.expires_at,
            now=now,
        )
    return LinkStarted(session_id, started.url, started.expires_at)


def complete_link(context: SyncContext, session_id: LinkSessionId) -> LinkState:
    """
    Ask how far the customer has come and keep every connection that the link yielded.

    May be called any number of times. A credential is stored in the moment it arrives;
    the new connection asks for its first sync at once.
    """
    with context.engine.connect() as db:
        session = load_link_session(db, session_id, vault=context.vault)
    if session.outcome is not None:
        return LinkState(is_finished=True, exit_reason=session.outcome)
    client = context.provider(session.provider)
    progress = client.fetch_link_progress(session.state)
    if not progress.is_finished:
        return LinkState(is_finished=False)
    if session.renews_connection_id is not None and progress.exit_reason is None:
        return _finish_renewal(context, session_id, session.renews_connection_id)
    linked = [
        _keep(context, session.provider, session.team_id, client.complete_link(token))
        for token in progress.exchange_tokens
    ]
    outcome = "linked" if linked else progress.exit_reason or "left"
    with context.engine.begin() as db:
        finish_link_session(db, session_id, outcome=outcome, now=context.clock())
    return LinkState(
        is_finished=True, connection_ids=tuple(linked), exit_reason=progress.exit_reason
    )


def link_with_token(
    context: SyncContext, provider: Provider, token: SecretStr, *, team_name: str
) -> ConnectionId:
    """Keep the connection of a link that was made elsewhere, from its exchange token."""
    with context.engine.begin() as db:
        team_id = ensure_team(db, team_name, now=context.clock())
    return _keep(context, provider, team_id, context.provider(provider).complete_link(token))


def _keep(
    context: SyncContext, provider: Provider, team_id: TeamId, linked: LinkedConnection
) -> ConnectionId:
    now = context.clock()
    with context.engine.begin() as db:
        connection_id = insert_or_renew_connection(
            db,
            team_id=team_id,
            provider=provider,
            external_id=linked.external_id,
            institution_external_id=linked.institution_external_id,
            institution_name=linked.institution_name,
            now=now,
        )
        store_credential(db, connection_id, linked.credential, vault=context.vault, now=now)
    if linked.institution_external_id is not None:
        remember_institution(context, provider, linked.institution_external_id)
    return connection_id


def _finish_renewal(
    context: SyncContext, session_id: LinkSessionId, connection_id: ConnectionId
) -> LinkState:
    now = context.clock()
    with context.engine.begin() as db:
        request_sync(db, connection_id, reason="consent renewed", now=now)
        finish_link_session(db, session_id, outcome="renewed", now=now)
    return LinkState(is_finished=True, connection_ids=(connection_id,))
