"""Keep what a first link yielded: a connection, or the renewal of one that it turns out to be."""

from collections.abc import Sequence

from pydantic import SecretStr

from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId, LinkSessionId, TeamId
from bank_pipeline.errors import NotFoundError
from bank_pipeline.providers.base import LinkedConnection
from bank_pipeline.storage.connections import (
    insert_notice,
    insert_or_renew_connection,
    load_connection,
)
from bank_pipeline.storage.credentials import store_credential
from bank_pipeline.storage.institutions import add_popularity
from bank_pipeline.storage.link_sessions import LINKED, LinkSession, finish_link_session
from bank_pipeline.storage.teams import hold_team
from bank_pipeline.sync.account_choice import CHOICE_WITHIN
from bank_pipeline.sync.audit import note_act
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.institutions import remember_institution
from bank_pipeline.sync.linked import RENEWED, LinkState, given_back_if_lost, keep_accounts
from bank_pipeline.sync.renewal import Twin, find_twin, renew_twin
from bank_pipeline.sync.webhooks import take_up_events


def keep_all(context: SyncContext, session: LinkSession, tokens: Sequence[SecretStr]) -> LinkState:
    """Keep what each token yields; with the last, the link itself ends in the same moment."""
    client = context.provider(session.provider)
    kept: list[ConnectionId] = []
    renewed: list[ConnectionId] = []
    for number, token in enumerate(tokens, start=1):
        linked = client.complete_link(token)
        closes = session.id if number == len(tokens) else None
        with given_back_if_lost(context, session.provider, session.team_id, linked):
            twin = (
                None
                if session.is_other_login
                else find_twin(context, session.team_id, session.provider, linked)
            )
            one = keep_one(
                context,
                session.provider,
                session.team_id,
                linked,
                closes=closes,
                kept=kept,
                twin=twin,
                is_chosen_first=session.browser_fingerprint is not None,
            )
        kept.append(one)
        if twin is not None and twin.connection.id == one:
            renewed.append(one)
    return LinkState(is_finished=True, connection_ids=tuple(kept), renewed_ids=tuple(renewed))


def keep_one(
    context: SyncContext,
    provider: Provider,
    team_id: TeamId,
    linked: LinkedConnection,
    *,
    closes: LinkSessionId | None,
    kept: Sequence[ConnectionId],
    twin: Twin | None = None,
    is_chosen_first: bool = False,
) -> ConnectionId:
    """
    Keep one connection; the link that `closes` names ends with it and those `kept` before.

    Where a `twin` is it for certain, that one is renewed instead. `is_chosen_first`: the first
    sync waits a little for whoever chooses among its accounts, where there is a choice.

    Raises:
        NotFoundError: the team was erased.
    """
    now = context.clock()
    shown = linked.accounts.accounts if linked.accounts else ()
    waits = is_chosen_first and len(shown) > 1
    with context.engine.begin() as db:
        if not hold_team(db, team_id):
            raise NotFoundError("the team that this was linked for was erased")
        if (
            twin is not None
            and twin.is_certain
            and renew_twin(context, db, twin.connection, provider, linked)
        ):
            if closes is not None:
                ids = (*kept, twin.connection.id)
                finish_link_session(db, closes, outcome=RENEWED, now=now, connection_ids=ids)
            return twin.connection.id
        connection_id = insert_or_renew_connection(
            db,
            team_id=team_id,
            provider=provider,
            external_id=linked.external_id,
            institution_external_id=linked.institution_external_id,
            institution_name=linked.institution_name,
            consent_expires_at=linked.consent_expires_at,
            now=now,
            first_sync_at=now + CHOICE_WITHIN if waits else None,
        )
        store_credential(db, connection_id, linked.credential, vault=context.vault, now=now)
        keep_accounts(db, connection_id, linked, vault=context.vault, now=now)
        take_up_events(db, connection_id, now=now)
        kept_one = load_connection(db, connection_id)
        note_act(context, db, AuditAction.LINKED, kept_one, provider=provider.value)
        if twin is not None and not twin.is_certain:
            reason = f"looks like the login of connection {twin.connection.id}"
            insert_notice(db, kept_one, reason, now=now)
        if closes is not None:
            ids = (*kept, connection_id)
            finish_link_session(db, closes, outcome=LINKED, now=now, connection_ids=ids)
    if linked.institution_external_id is not None:
        _remember_bank(context, provider, linked.institution_external_id)
    return connection_id


def _remember_bank(context: SyncContext, provider: Provider, bank: str) -> None:
    remember_institution(context, provider, bank)
    with context.engine.begin() as db:
        add_popularity(db, provider, bank)
