"""Connect a customer's bank: start a link, watch it, and keep what it yields."""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from pydantic import SecretStr

from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.domain.connection import Connection, Provider
from bank_pipeline.domain.ids import ConnectionId, LinkSessionId
from bank_pipeline.domain.institution import CustomerKind
from bank_pipeline.errors import (
    CredentialsRefusedError,
    NotFoundError,
    ProviderError,
    ProviderPausedError,
    SecretError,
    SetupError,
    TransientError,
)
from bank_pipeline.providers.base import LinkProgress, LinkRequest, LinkWidget, ProviderClient
from bank_pipeline.storage.connections import (
    ensure_team,
    load_connection,
    load_open_connections,
)
from bank_pipeline.storage.credentials import load_credential
from bank_pipeline.storage.link_sessions import (
    EXPIRED,
    LinkSession,
    insert_link_session,
    is_linked_since,
    load_link_session,
    load_overdue_link_ids,
    load_returned_link_session,
)
from bank_pipeline.storage.locks import link_lock
from bank_pipeline.sync.audit import note_act
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.first_link import keep_all, keep_one
from bank_pipeline.sync.linked import (
    GRACE,
    SWITCHED,
    LinkState,
    check_browser,
    finish_without,
    give_back_late,
    given_back_if_lost,
    to_ended,
)
from bank_pipeline.sync.recording import recorded
from bank_pipeline.sync.renewal import (
    check_continues,
    find_twin,
    finish_renewal,
    renew_by_new_consent,
    renew_same_consent,
)

_STATE_BYTES: Final = 32
_TOO_LATE: Final = LinkProgress(is_finished=True, exit_reason=EXPIRED)
_ASKED_FOR: Final = timedelta(days=7)
"""So long after a link's time its provider is asked whether the customer has agreed."""
_ABOUT_NO_LINK: Final = (TransientError, CredentialsRefusedError, ProviderPausedError)
_LINK_WAIT_S: Final = 10.0  # for whoever keeps it just now; then one asks again


@dataclass(frozen=True)
class LinkStarted:
    """Send the customer to `url` before `expires_at`. Not shown: it opens the link."""

    session_id: LinkSessionId
    url: str = field(repr=False)
    expires_at: datetime


@recorded
def start_link(  # noqa: PLR0913 - what a link is asked for with, all of it by name
    context: SyncContext,
    provider: Provider,
    *,
    team_name: str,
    institution: str | None = None,
    renews: ConnectionId | None = None,
    return_url: str | None = None,
    is_other_login: bool = False,
    browser: SecretStr | None = None,
    customer_kind: CustomerKind | None = None,
) -> LinkStarted:
    """
    Begin a link, or the renewal of a connection's consent, be it through another provider.

    `institution` is the provider's id of the bank, for providers that want it chosen first; a
    renewal goes to its own, unless one is named: banks take other names. `return_url` is where the
    customer comes back to, with a state that only this link knows. `is_other_login`: what is
    linked is a connection of its own, although the bank is connected already. `browser` is what
    only the customer's own browser knows: a link that is begun with it ends there and nowhere
    else, and has its accounts chosen before they are read. `customer_kind`: whose login it is, at
    banks that keep those of persons and companies apart; a renewal's is that of before.

    Who started it is stored before the customer is sent away: the state is the only thing that
    comes back.

    Raises:
        SetupError: the provider needs something that was not given, or takes no notice of it, or
            cannot continue what another one told; or the connection was ended.
    """
    now = context.clock()
    state = SecretStr(secrets.token_urlsafe(_STATE_BYTES))
    with context.engine.begin() as db:
        old = load_connection(db, renews) if renews else None
        team_id = old.team_id if old else ensure_team(db, team_name, now=now)
    request = LinkRequest(
        customer_reference=team_id,
        state=state,
        now=now,
        return_url=_with_state(return_url, state),
        institution_external_id=institution,
        customer_kind=customer_kind,
    )
    client = context.provider(provider)
    started = client.start_link(_checked(context, client, old, request))
    with context.engine.begin() as db:
        session_id = insert_link_session(
            db,
            team_id=team_id,
            provider=provider,
            state=started.external_state,
            return_state=state,
            vault=context.vault,
            renews=renews,
            expires_at=started.expires_at,
            now=now,
            is_other_login=is_other_login,
            browser=browser,
        )
    return LinkStarted(session_id, started.url, started.expires_at)


def _checked(
    context: SyncContext, client: ProviderClient, old: Connection | None, request: LinkRequest
) -> LinkRequest:
    """Make sure that a provider takes what is asked; return it with what a renewal is of."""
    provider = client.provider
    if request.customer_kind is not None and not client.capabilities.asks_customer_kind:
        raise SetupError(f"{provider} does not ask whose login it is: leave the kind out")
    if old is None:
        return request
    check_continues(old, provider, client)
    return _as_renewal(context, old, request) if old.provider is provider else request


def _as_renewal(context: SyncContext, old: Connection, request: LinkRequest) -> LinkRequest:
    """Return the same for the renewal of a connection at its own provider."""
    with context.engine.begin() as db:
        credential = load_credential(db, old.id, context.vault)
        note_act(context, db, AuditAction.CREDENTIAL_READ, old, purpose="renewal")
    return replace(
        request,
        renews=credential,
        renews_external_id=old.external_id,
        institution_external_id=request.institution_external_id or old.institution_external_id,
    )


def _with_state(return_url: str | None, state: SecretStr) -> str | None:
    """Return the address that only this link's customer comes back to."""
    return None if return_url is None else f"{return_url}?state={state.get_secret_value()}"


def accept_return(
    context: SyncContext,
    provider: Provider,
    returned: Mapping[str, str],
    *,
    browser: SecretStr | None = None,
) -> LinkState:
    """
    Take up the link of a customer who comes back, by the state they bring along.

    Raises:
        NotFoundError: no link of this provider has such a state.
        OtherBrowserError: it was begun in another browser than the one that `browser` names.
    """
    state = returned.get("state") or returned.get("ref")
    if not state:
        raise NotFoundError("the return address names no link")
    with context.engine.connect() as db:
        session = load_returned_link_session(db, SecretStr(state), vault=context.vault)
    if session.provider is not provider:
        raise NotFoundError("the return address names no link")
    check_browser(context, session, browser)
    return complete_link(context, session.id, returned=returned)


def find_link_widget(
    context: SyncContext, provider: Provider, state: str, *, browser: SecretStr | None = None
) -> LinkWidget:
    """
    Return what the page of an open link needs to run its provider's widget.

    Raises:
        NotFoundError: no open link of this provider has this state, or it needs no widget.
        OtherBrowserError: it was begun in another browser than the one that `browser` names.
    """
    with context.engine.connect() as db:
        session = load_returned_link_session(db, SecretStr(state), vault=context.vault)
        is_over = session.outcome is not None or context.clock() >= session.expires_at
        if session.provider is not provider or is_over:
            raise NotFoundError("no link of this state is under way")
        check_browser(context, session, browser)
        renews = session.renews_connection_id
        renewed = load_connection(db, renews) if renews else None
    is_same = renewed is not None and renewed.provider is provider
    external_id = renewed.external_id if renewed and is_same else None
    client = context.provider(provider)
    widget = client.to_link_widget(session.state, renews_external_id=external_id)
    if widget is None:
        raise NotFoundError(f"{provider} links without a widget")
    return widget


@recorded
def complete_link(
    context: SyncContext,
    session_id: LinkSessionId,
    *,
    returned: Mapping[str, str] | None = None,
) -> LinkState:
    """
    Ask how far the customer has come and keep every connection that the link yielded.

    `returned` is what came back with them, where anything did. May be called any number of
    times, at once too: one keeps what there is, the others wait some seconds to be told what. A
    credential is stored in the moment it arrives; the new connection's first sync is due at once.

    Raises:
        ConfigurationError: the exchange token was spent by a try that died before it could
            store what it got. Only a new link helps.
    """
    session = _load(context, session_id)
    if session.outcome is None:
        progress = _ask(context, session, returned)
        if not progress.is_finished:
            return LinkState(is_finished=False)
        with link_lock(context.engine, session_id, wait_s=_LINK_WAIT_S) as is_mine:
            if not is_mine:
                return LinkState(is_finished=False)
            session = _load(context, session_id)  # somebody else may have kept it meanwhile
            if session.outcome is None:
                return _finish(context, session, progress)
    give_back_late(context, session, returned)
    return to_ended(session)


def expire_links(context: SyncContext) -> int:
    """
    Close the open links whose time is over and that nobody ends just now; return how many.

    Who agreed and never came back is connected, where the provider can be asked for it, unless
    they have begun anew since, and that was kept. One that does not answer now, or whose name of
    the link does not open, is asked when this is called again.
    """
    before = context.clock() - GRACE
    with context.engine.connect() as db:
        overdue = load_overdue_link_ids(db, before=before)
    return sum(_expire(context, session_id) for session_id in overdue)


def _expire(context: SyncContext, session_id: LinkSessionId) -> bool:
    """End a link whose time is over; return whether it yielded nothing."""
    is_unknown = suppress(NotFoundError, SecretError)  # it went, or waits for its key
    with link_lock(context.engine, session_id, wait_s=0) as is_mine, is_unknown:
        session = _load(context, session_id)
        if not is_mine or session.outcome is not None:
            return False
        try:
            state = _finish(context, session, _ask(context, session, None))
        except _ABOUT_NO_LINK:
            return False
        except (ProviderError, SecretError, SetupError):  # what it would yield cannot be had
            state = finish_without(context, session, EXPIRED)
        return state.exit_reason is not None
    return False


def _ask(
    context: SyncContext, session: LinkSession, returned: Mapping[str, str] | None
) -> LinkProgress:
    """Ask how far the customer has come. Who agreed is not too late while somebody can tell."""
    client = context.provider(session.provider)
    if context.clock() < session.expires_at + GRACE:
        return client.fetch_link_progress(session.state, returned=returned)
    if not _is_told_late(context, session, returned):
        return _TOO_LATE
    try:
        progress = client.fetch_link_progress(session.state, returned=returned)
    except _ABOUT_NO_LINK:
        raise
    except ProviderError:  # it has forgotten the link
        return _TOO_LATE
    with context.engine.connect() as db:
        bank = progress.institution_external_id
        is_repeated = returned is None and is_linked_since(db, session, bank=bank)
    return progress if progress.exchange_tokens and not is_repeated else _TOO_LATE


def _is_told_late(
    context: SyncContext, session: LinkSession, returned: Mapping[str, str] | None
) -> bool:
    """Say whether the customer who comes back, or else the provider for a week, can tell."""
    if context.provider(session.provider).capabilities.is_finished_by_return:
        return returned is not None
    is_of_browser = session.browser_fingerprint is not None
    if is_of_browser and returned is None:
        return False  # who sits at another one may have been sent there by whoever began it
    return context.clock() < session.expires_at + _ASKED_FOR


def _finish(context: SyncContext, session: LinkSession, progress: LinkProgress) -> LinkState:
    """Keep what the link yielded."""
    if progress.exit_reason is not None:
        return finish_without(context, session, progress.exit_reason)
    can = context.provider(session.provider).capabilities
    is_in_place = not can.is_renewed_by_new_connection and not can.is_finished_by_return
    if is_in_place and _is_same_provider(context, session):
        return finish_renewal(context, session)
    if not progress.exchange_tokens:
        return finish_without(context, session, "left")
    if is_in_place and session.renews_connection_id is not None:
        return finish_without(context, session, SWITCHED)  # what it yields is the old consent
    return _exchange(context, session, progress.exchange_tokens)


def _exchange(context: SyncContext, session: LinkSession, tokens: Sequence[SecretStr]) -> LinkState:
    if session.renews_connection_id is None:
        return keep_all(context, session, tokens)
    client = context.provider(session.provider)
    linked = client.complete_link(tokens[0])
    is_new = client.capabilities.is_renewed_by_new_connection
    with given_back_if_lost(context, session.provider, session.team_id, linked):
        if is_new or not _is_same_provider(context, session):
            return renew_by_new_consent(context, session, session.renews_connection_id, linked)
        return renew_same_consent(context, session, session.renews_connection_id, linked)


@recorded
def link_with_token(
    context: SyncContext, provider: Provider, token: SecretStr, *, team_name: str
) -> ConnectionId:
    """Keep the connection of a link that was made elsewhere, from its exchange token."""
    with context.engine.begin() as db:
        team_id = ensure_team(db, team_name, now=context.clock())
    linked = context.provider(provider).complete_link(token)
    with given_back_if_lost(context, provider, team_id, linked):
        twin = find_twin(context, team_id, provider, linked)
        return keep_one(context, provider, team_id, linked, closes=None, kept=(), twin=twin)


def check_not_linked(
    context: SyncContext, provider: Provider, *, team_name: str, institution: str | None
) -> None:
    """
    Make sure that a team has no open connection to a bank, where the bank is known beforehand.

    Raises:
        SetupError: it has; the message says how to renew it, and how to link it all the same.
    """
    if institution is None:
        return
    with context.engine.begin() as db:
        team_id = ensure_team(db, team_name, now=context.clock())
        found = load_open_connections(db, team_id, provider, institution)
    if found:
        listed = ", ".join(f"{one.id} ({one.status})" for one in found)
        raise SetupError(
            f"{institution} is connected already: {listed}. To renew it, say --renew ID; a "
            "second connection of the same login may break the first. For another login at this "
            "bank, say --anyway"
        )


def _is_same_provider(context: SyncContext, session: LinkSession) -> bool:
    """Say whether a link renews a connection of its own provider."""
    if session.renews_connection_id is None:
        return False
    with context.engine.connect() as db:
        return load_connection(db, session.renews_connection_id).provider is session.provider


def _load(context: SyncContext, session_id: LinkSessionId) -> LinkSession:
    with context.engine.connect() as db:
        return load_link_session(db, session_id, vault=context.vault)
