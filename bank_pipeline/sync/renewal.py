"""End the renewal of a consent: the connection and its accounts keep their rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.account_matching import AccountMatches, Evidence, match_accounts
from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.domain.connection import Connection, ConnectionStatus, Provider
from bank_pipeline.domain.ids import ConnectionId, TeamId
from bank_pipeline.errors import NotFoundError, ProviderError, SecretError, SetupError
from bank_pipeline.providers.answers import AccountsAnswer, keep_nothing
from bank_pipeline.providers.base import LinkedConnection, ProviderClient, WindowProvider
from bank_pipeline.storage.account_numbers import load_alike
from bank_pipeline.storage.accounts import StoredAccounts, load_stored_accounts
from bank_pipeline.storage.connections import (
    insert_notice,
    load_connection_by_external_id,
    load_open_connections,
    lock_connection,
    request_sync,
)
from bank_pipeline.storage.consents import NOT_USED, insert_consent_to_end
from bank_pipeline.storage.credentials import load_credential, store_credential
from bank_pipeline.storage.link_sessions import LinkSession, finish_link_session
from bank_pipeline.sync.audit import note_act
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.ending import end_consents
from bank_pipeline.sync.linked import (
    DISCONNECTED,
    OTHER_ACCOUNTS,
    OTHER_ACCOUNTS_TOLD,
    RENEWED,
    LinkState,
    finish_without,
    keep_next_consent,
)

_UNREAD_MAX: Final = 5
"""
Of so many that were linked last and never read a new link asks the provider: the same customer
comes back within minutes, and of a crowd of others each would ask about all before it.
"""


def check_continues(old: Connection, provider: Provider, client: ProviderClient) -> None:
    """
    Check that a connection is not over, and that a provider which is not its own can continue it.

    Raises:
        SetupError: it cannot be continued so; the message says what to do instead.
    """
    if old.status is ConnectionStatus.DISCONNECTED:
        raise SetupError(f"connection {old.id} was ended; link the bank anew")
    if old.provider is not provider and not isinstance(client, WindowProvider):
        raise SetupError(
            f"{provider} tells changes and not dates: what it shows cannot be matched with what is "
            "stored. Link the bank anew through it"
        )


def renew_by_new_consent(
    context: SyncContext,
    session: LinkSession,
    connection_id: ConnectionId,
    linked: LinkedConnection,
) -> LinkState:
    """
    Keep the new consent of a connection; the old one is in use until the new one has read.

    A consent for none of its accounts is somebody's mistake, and so is one for another login that
    has an account in common: nothing is changed, and the new consent is given back.
    """
    now = context.clock()
    with context.engine.begin() as db:
        connection = lock_connection(db, connection_id)
        matches = _match(context, db, connection, session.provider, linked)
        refused = _refusal(connection, matches)
        if refused is None:
            keep_next_consent(context, db, connection, session.provider, linked)
        else:
            _give_back(context, db, connection_id, session, linked)
            if refused == OTHER_ACCOUNTS:
                insert_notice(db, connection, f"not renewed: {OTHER_ACCOUNTS_TOLD}", now=now)
        finish_link_session(
            db,
            session.id,
            outcome=refused or RENEWED,
            now=now,
            connection_ids=[] if refused else [connection_id],
        )
    if refused is not None:
        end_consents(context, connection_id=connection_id)
        return LinkState(is_finished=True, exit_reason=refused)
    return LinkState(
        is_finished=True,
        connection_ids=(connection_id,),
        renewed_ids=(connection_id,),
        questions_count=len(matches.questions) if matches else 0,
    )


def renew_same_consent(
    context: SyncContext,
    session: LinkSession,
    connection_id: ConnectionId,
    linked: LinkedConnection,
) -> LinkState:
    """End a renewal that keeps its connection, if what came back is that connection."""
    with context.engine.begin() as db:
        connection = lock_connection(db, connection_id)
        is_other = connection.external_id != linked.external_id
        refused = _refusal(connection, None) or (OTHER_ACCOUNTS if is_other else None)
        if refused is None:
            vault, now = context.vault, context.clock()
            store_credential(db, connection_id, linked.credential, vault=vault, now=now)
            return _renewed(context, db, session, connection)
        _give_back(context, db, connection_id, session, linked)
    end_consents(context, connection_id=connection_id)
    return finish_without(context, session, refused)


def finish_renewal(context: SyncContext, session: LinkSession) -> LinkState:
    """End a renewal in which the provider kept everything: look at once."""
    assert session.renews_connection_id is not None, "only a renewal ends here"
    with context.engine.begin() as db:
        connection = lock_connection(db, session.renews_connection_id)
        refused = _refusal(connection, None)
        if refused is None:
            return _renewed(context, db, session, connection)
    return finish_without(context, session, refused)


def _renewed(
    context: SyncContext, db: sa.Connection, session: LinkSession, connection: Connection
) -> LinkState:
    now, ids = context.clock(), (connection.id,)
    request_sync(db, connection.id, reason="consent renewed", now=now)
    note_act(context, db, AuditAction.RENEWED, connection, provider=connection.provider.value)
    finish_link_session(db, session.id, outcome=RENEWED, now=now, connection_ids=ids)
    return LinkState(is_finished=True, connection_ids=ids, renewed_ids=ids)


@dataclass(frozen=True)
class Twin:
    """A connection of the same team that a new link turned out to be, or only looks like."""

    connection: Connection
    is_certain: bool


def find_twin(
    context: SyncContext, team_id: TeamId, provider: Provider, linked: LinkedConnection
) -> Twin | None:
    """
    Find the open connection of the team whose login a new link is: by the accounts it shows.

    Certain is what a strong key says, unless others of its accounts say that it is the login of
    somebody else with whom one is shared; of several that which has the most of what is shown,
    and the least besides. Where masked numbers, types and names of all accounts
    say so, it only looks like it, and stays a connection of its own: unless that one was revoked
    for good. Whoever links the same accounts anew then goes on with it; nothing else can.

    Banks are renamed, and some are listed twice: a connection of another bank's name is it where
    the link itself told accounts, all of that connection's among them, by IBAN or hash.
    """
    bank = linked.institution_external_id
    with context.engine.connect() as db:
        if load_connection_by_external_id(db, provider, linked.external_id) is not None:
            return None  # the same, told twice
        told = linked.accounts.accounts if linked.accounts is not None else ()
        alike = load_alike(db, team_id, told, vault=context.vault)
        others = load_open_connections(db, team_id, provider, bank, besides=alike)
    answer = _shown(context, provider, linked) if others else None
    if answer is None:
        return None
    shown = answer.accounts
    if bank is None and answer.status is not None:
        bank = answer.status.institution_external_id  # some tell it with the first answer only
    of_bank = [one for one in others if one.institution_external_id in (bank, None)]
    others = of_bank if linked.accounts is None else others
    unread = [one.id for one in of_bank if one.last_success_at is None][-_UNREAD_MAX:]
    found: list[tuple[Twin, tuple[bool, bool, int, int]]] = []
    for one, known in _load_known(context, team_id, others, shown, {*unread}):
        if not known.accounts and any(twin.is_certain for twin, _ in found):
            continue  # not worth a call
        matches = _compare(known if known.accounts else _unread(context, one), answer)
        twin = _to_twin(one, matches, answer, is_of_bank=one in of_bank)
        if twin is not None:
            closeness = (len(matches.same), -len(matches.missing))
            found.append((twin, (twin.is_certain, matches.is_strong, *closeness)))
    return max(found, key=itemgetter(1))[0] if found else None


def _to_twin(
    one: Connection, matches: AccountMatches, answer: AccountsAnswer, *, is_of_bank: bool
) -> Twin | None:
    """Say whether a connection is the login of what a link shows, or looks like it."""
    is_foreign = matches.is_foreign
    if not is_of_bank:
        is_whole = answer.is_complete and not matches.missing
        is_one = matches.is_of_any_bank
        return Twin(one, is_certain=is_whole and not is_foreign) if is_one else None
    masked = [tier for tier in matches.evidence.values() if tier is Evidence.MASKED_NUMBER]
    is_revoked = one.status is ConnectionStatus.REVOKED
    goes_on = bool(masked) and is_revoked and not matches.questions
    if (matches.is_strong or goes_on) and not is_foreign:
        return Twin(one, is_certain=True)
    if matches.is_strong or (masked and len(matches.same) == len(answer.accounts)):
        return Twin(one, is_certain=False)
    return None


def _load_known(
    context: SyncContext,
    team_id: TeamId,
    others: Sequence[Connection],
    shown: Sequence[Account],
    unread: set[ConnectionId],
) -> list[tuple[Connection, StoredAccounts]]:
    """Load the accounts of those that may have one of the `shown`, and of those never read."""
    with context.engine.connect() as db:
        alike = load_alike(db, team_id, shown, vault=context.vault) | unread
        return [
            (one, load_stored_accounts(db, one.id, vault=context.vault))
            for one in others
            if one.id in alike
        ]


def _unread(context: SyncContext, connection: Connection) -> StoredAccounts:
    """Return the accounts of a connection that was linked a moment ago and was never read."""
    try:
        with context.engine.connect() as db:
            credential = load_credential(db, connection.id, context.vault)
        client = context.provider(connection.provider)
        told = client.fetch_accounts(credential, archive=keep_nothing).accounts
    except (ProviderError, NotFoundError, SecretError):  # it may have been lost with its key
        told = ()  # as below
    return StoredAccounts(told, held={})


def renew_twin(
    context: SyncContext,
    db: sa.Connection,
    twin: Connection,
    provider: Provider,
    linked: LinkedConnection,
) -> bool:
    """
    Take a new link of a login that is connected already as the renewal of that connection.

    Return whether it is one: not of a connection that was ended since it was found.
    """
    connection = lock_connection(db, twin.id)
    if connection.status is ConnectionStatus.DISCONNECTED:
        return False
    keep_next_consent(context, db, connection, provider, linked)
    insert_notice(db, connection, "linked once more: taken as a renewal", now=context.clock())
    return True


def _shown(
    context: SyncContext, provider: Provider, linked: LinkedConnection
) -> AccountsAnswer | None:
    if linked.accounts is not None:
        return linked.accounts
    try:
        client = context.provider(provider)
        return client.fetch_accounts(linked.credential, archive=keep_nothing)
    except ProviderError:
        return None  # without evidence it is a connection of its own


def _match(
    context: SyncContext,
    db: sa.Connection,
    connection: Connection,
    provider: Provider,
    linked: LinkedConnection,
) -> AccountMatches | None:
    """Match what the link told; None where it told nothing, and the first read will."""
    known = load_stored_accounts(db, connection.id, vault=context.vault)
    if not known.accounts or not linked.accounts or not linked.accounts.accounts:
        return None
    is_other_provider = provider is not connection.provider
    return _compare(known, linked.accounts, is_other_provider=is_other_provider)


def _compare(
    known: StoredAccounts, answer: AccountsAnswer, *, is_other_provider: bool = False
) -> AccountMatches:
    matches = match_accounts(
        known.accounts,
        answer.accounts,
        closed=known.closed,
        unwanted=known.excluded,
        is_other_provider=is_other_provider,
    )
    if answer.is_complete:
        return matches
    return replace(matches, missing=frozenset())  # what is not in it may come yet


def _refusal(connection: Connection, matches: AccountMatches | None) -> str | None:
    if connection.status is ConnectionStatus.DISCONNECTED:
        return DISCONNECTED
    if matches is not None and matches.is_foreign:
        return OTHER_ACCOUNTS
    return None


def _give_back(
    context: SyncContext,
    db: sa.Connection,
    connection_id: ConnectionId,
    session: LinkSession,
    linked: LinkedConnection,
) -> None:
    """Have a consent ended that nobody needs."""
    insert_consent_to_end(
        db,
        session.provider,
        linked.credential,
        connection_id=connection_id,
        team_id=session.team_id,
        reason=NOT_USED,
        vault=context.vault,
        now=context.clock(),
    )
