"""Connect a customer's bank: start a link, watch it, and keep what it yields."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pydantic import SecretStr

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId, LinkSessionId, TeamId
from bank_pipeline.errors import ConfigurationError
from bank_pipeline.providers.base import LinkedConnection
from bank_pipeline.storage.connections import (
    ensure_team,
    insert_or_renew_connection,
    request_sync,
)
from bank_pipeline.storage.credentials import load_credential, store_credential
from bank_pipeline.storage.link_sessions import (
    LinkSession,
    finish_link_session,
    insert_link_session,
    load_link_session,
)
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.institutions import remember_institution

_LINKED: Final = "linked"
_RENEWED: Final = "renewed"


@dataclass(frozen=True)
class LinkStarted:
    """Send the customer to `url` before `expires_at`. Not shown: it opens the link."""

    session_id: LinkSessionId
    url: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True)
class LinkState:
    """
    Where a link stands. Finished with an `exit_reason` means that the customer left.

    `connection_ids` are those that this call kept or renewed: finished with neither means that
    an earlier call kept them.
    """

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

    May be called any number of times, at once too. A credential is stored in the moment it
    arrives; the new connection asks for its first sync at once.

    Raises:
        ConfigurationError: the exchange token was spent by a try that died before it could
            store what it got. Only a new link helps.
    """
    session = _load(context, session_id)
    if session.outcome is not None:
        return _ended(session)
    client = context.provider(session.provider)
    progress = client.fetch_link_progress(session.state)
    if not progress.is_finished:
        return LinkState(is_finished=False)
    if session.renews_connection_id is not None and progress.exit_reason is None:
        return _finish_renewal(context, session_id, session.renews_connection_id)
    if not progress.exchange_tokens:
        with context.engine.begin() as db:
            outcome = progress.exit_reason or "left"
            finish_link_session(db, session_id, outcome=outcome, now=context.clock())
        return LinkState(is_finished=True, exit_reason=outcome)
    try:
        return _keep_all(context, session, progress.exchange_tokens)
    except ConfigurationError:
        # A token works once: somebody else may have spent it, and be done by now.
        session = _load(context, session_id)
        if session.outcome is None:
            raise
        return _ended(session)


def link_with_token(
    context: SyncContext, provider: Provider, token: SecretStr, *, team_name: str
) -> ConnectionId:
    """Keep the connection of a link that was made elsewhere, from its exchange token."""
    with context.engine.begin() as db:
        team_id = ensure_team(db, team_name, now=context.clock())
    linked = context.provider(provider).complete_link(token)
    return _keep(context, provider, team_id, linked, closes=None)


def _load(context: SyncContext, session_id: LinkSessionId) -> LinkSession:
    with context.engine.connect() as db:
        return load_link_session(db, session_id, vault=context.vault)


def _ended(session: LinkSession) -> LinkState:
    if session.outcome == _RENEWED and session.renews_connection_id is not None:
        return LinkState(is_finished=True, connection_ids=(session.renews_connection_id,))
    return LinkState(
        is_finished=True, exit_reason=None if session.outcome == _LINKED else session.outcome
    )


def _keep_all(context: SyncContext, session: LinkSession, tokens: Sequence[SecretStr]) -> LinkState:
    """Keep what each token yields; with the last, the link itself ends in the same moment."""
    client = context.provider(session.provider)
    kept: list[ConnectionId] = []
    for number, token in enumerate(tokens, start=1):
        linked = client.complete_link(token)
        closes = session.id if number == len(tokens) else None
        kept.append(_keep(context, session.provider, session.team_id, linked, closes=closes))
    return LinkState(is_finished=True, connection_ids=tuple(kept))


def _keep(
    context: SyncContext,
    provider: Provider,
    team_id: TeamId,
    linked: LinkedConnection,
    *,
    closes: LinkSessionId | None,
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
        if closes is not None:
            finish_link_session(db, closes, outcome=_LINKED, now=now)
    if linked.institution_external_id is not None:
        remember_institution(context, provider, linked.institution_external_id)
    return connection_id


def _finish_renewal(
    context: SyncContext, session_id: LinkSessionId, connection_id: ConnectionId
) -> LinkState:
    now = context.clock()
    with context.engine.begin() as db:
        request_sync(db, connection_id, reason="consent renewed", now=now)
        finish_link_session(db, session_id, outcome=_RENEWED, now=now)
    return LinkState(is_finished=True, connection_ids=(connection_id,))
